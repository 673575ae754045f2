/** The words everything else uses: metric types and what can be computed from them. */

/** Metric types; the index is the type's code in kernel memory and in snapshots. */
export const METRIC_TYPES = ["counter", "gauge", "timer", "set"] as const;
export type MetricType = (typeof METRIC_TYPES)[number];

/** Plain aggregates, as named in the configuration and, by default, at the end of output names. */
export const AGGREGATES = [
  "value",
  "count",
  "last",
  "min",
  "max",
  "sum",
  "mean",
  "median",
  "updates",
  "rate",
  "percentile",
] as const;
export type AggregateKind = (typeof AGGREGATES)[number];

/** One aggregate to compute: percentiles carry their number as written, such as `75` or `99.9`. */
export interface Aggregate {
  readonly kind: AggregateKind;
  /** 0..1; the fraction of a percentile, absent otherwise. */
  readonly fraction?: number;
  /** `sum`, `percentile-99`: as in the configuration. */
  readonly name: string;
  /** Postfix and tag value in output names: `sum`, `percentile.99`, empty for `value`. */
  readonly label: string;
}

/**
 * Reads an aggregate's name. A percentile N is the fraction 0.N: 5 is 0.5, 75 is 0.75, 999 is 0.999, 99.9 is
 * 0.999, 100 is 1. Returns undefined for an unknown one.
 */
export function parseAggregate(text: string): Aggregate | undefined {
  const name = text.toLowerCase();
  const percentile = /^percentile-(\d+(?:\.\d+)?)$/.exec(name);
  if (percentile !== null) {
    const number = percentile[1]!;
    return { kind: "percentile", fraction: percentileFraction(number), name, label: `percentile.${number}` };
  }
  const kind = AGGREGATES.find((one) => one === name && one !== "percentile");
  if (kind === undefined) return undefined;
  return { kind, name, label: kind === "value" ? "" : kind };
}

function percentileFraction(number: string): number {
  if (number.includes(".")) return Math.min(1, Number(`${number}e-2`));
  if (/^10+$/.test(number) && number.length > 2) return 1;
  return Number(`0.${number}`);
}

/** What each type yields when the configuration does not say. */
export const DEFAULT_AGGREGATES: Readonly<Record<MetricType, readonly string[]>> = {
  counter: ["value", "updates"],
  gauge: ["value", "updates"],
  timer: [
    "count",
    "last",
    "min",
    "max",
    "sum",
    "median",
    "mean",
    "updates",
    "rate",
    "percentile-75",
    "percentile-95",
    "percentile-98",
    "percentile-99",
    "percentile-999",
  ],
  set: ["count", "updates"],
};
