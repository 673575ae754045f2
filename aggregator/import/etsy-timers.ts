/** What etsy's statsd calls the statistics of timers, in our words. */
import { parseAggregate } from "../../shared/metric.ts";
import { isTable } from "./value-tree.ts";

const NAMES: Readonly<Record<string, string>> = {
  std: "std",
  upper: "max",
  lower: "min",
  count: "count",
  count_ps: "rate",
  sum: "sum",
  sum_squares: "sum-squares",
  mean: "mean",
  median: "median",
};

/** Returns the aggregate that a statistic such as `upper_90` or `lower_top10` is; undefined for none. */
export function timerAggregates(name: string): string | undefined {
  const plain = Object.entries(NAMES).find(([one]) => one === name)?.[1];
  if (plain !== undefined) return plain;
  const [, kind, top = "", number = ""] = /^([a-z_]+)_(top)?(\d+(?:_\d+)?)$/.exec(name) ?? [];
  if (kind === undefined) return undefined;
  const written = `${kind.replaceAll("_", "-")}-${top === "" ? "p" : top}${number.replace("_", ".")}`;
  return parseAggregate(written)?.name;
}

/**
 * Returns etsy's rules for bins as items of aggregation.histogram; undefined when they are none. Etsy looks
 * for a text anywhere in a name.
 */
export function histogramRules(rules: unknown): string[] | undefined {
  if (!Array.isArray(rules)) return undefined;
  const written = rules.map((rule: unknown) => {
    if (!isTable(rule)) return undefined;
    const { metric, bins } = rule;
    if (typeof metric !== "string" || !Array.isArray(bins)) return undefined;
    return `${patternOf(metric)} = ${bins.map(String).join(" ")}`.trimEnd();
  });
  return written.every((rule) => rule !== undefined) ? written : undefined;
}

function patternOf(text: string): string {
  if (text === "") return "**";
  if (/^[\w.-]+$/.test(text)) return `**${text}**`;
  return `/${text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&")}/`;
}
