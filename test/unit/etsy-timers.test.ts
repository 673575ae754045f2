/** etsy's timer vectors: what its flush makes of samples, made by lines through both kernels. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { HistogramRule } from "../../shared/config-shaping.ts";
import { TimerTable } from "../support/timer-table.ts";
import { readTsvVectors, type VectorRow } from "../support/vectors.ts";

/** What etsy's names are here, where they are not the labels of the same aggregates. */
const STATS: Readonly<Record<string, string>> = { min: "lower", max: "upper", sample_rate: "count_ps" };
const ALWAYS = ["std", "max", "min", "count", "sample-rate", "sum", "sum-squares", "mean", "median"];
const LOWEST = ["count", "mean", "upper", "sum", "sum-squares"];
const HIGHEST = ["count", "mean", "lower", "sum", "sum-squares"];

/** Deliberate differences: why, and what comes out instead. */
const DIFFERENCES: Readonly<Record<string, readonly [why: string, stats: Readonly<Record<string, number>>]>> =
  {
    et31: ["a top of all samples has sums", { mean_top100: 20, sum_top100: 60, sum_squares_top100: 1400 }],
    et32: ["a top of all samples has sums", { mean_top99: 5.5, sum_top99: 55, sum_squares_top99: 385 }],
  };

/** Lines that etsy reads otherwise: why, and lines that mean here what it makes of them. */
const OTHER_LINES: Readonly<Record<string, readonly [why: string, lines: readonly string[]]>> = {
  et51: ["a negative value is a sample: etsy refuses it", ["t:5|ms"]],
  et53: ["a blank is no number: etsy's 0 is written out", ["t:0|ms", "t:5|ms"]],
  et54: ["hexadecimal is no number: etsy's 16 is written out", ["t:16|ms"]],
  et55: ["values packed in one line are all taken: etsy takes the last", ["t:3|ms"]],
  et19: ["rates may have exponents: etsy cuts them off", ["t:100|ms|@1"]],
};

/** The samples of a vector as lines. */
function linesOf(id: string, samples: string): readonly string[] {
  const [, first, last] = /^gen:(\d+)\.\.(\d+) step 1/.exec(samples) ?? [];
  if (first !== undefined) {
    return Array.from({ length: Number(last) - Number(first) + 1 }, (_, i) => `t:${Number(first) + i}|ms`);
  }
  if (samples.startsWith("gen:i*i")) return Array.from({ length: 1000 }, (_, i) => `t:${i * i}|ms`);
  if (OTHER_LINES[id] !== undefined) return OTHER_LINES[id][1];
  return samples.split(" ").map((sample) => (sample.startsWith("t:") ? sample : `t:${sample}`));
}

interface EtsyConfig {
  readonly intervalMs: number;
  readonly aggregates: readonly string[];
  readonly histograms: readonly HistogramRule[];
}

function configOf(text: string): EtsyConfig {
  const read = (key: string) => new RegExp(`${key}=(\\(.*?\\)|\\[.*?\\](?= |$)|\\S+)`).exec(text)?.[1];
  const threshold = read("percentThreshold")!;
  const percents = threshold.startsWith("(") ? [90] : [JSON.parse(threshold)].flat().map(Number);
  const chosen = read("calculatedTimerMetrics");
  const wanted = chosen === undefined ? undefined : (JSON.parse(chosen) as string[]);
  const parts = percents.flatMap((percent) => {
    const [names, infix] = percent < 0 ? [HIGHEST, "top"] : [LOWEST, "p"];
    // etsy cannot select those of decimals.
    const selected = names.filter((name) => {
      return wanted === undefined || (wanted.includes(`${name}_percent`) && Number.isInteger(percent));
    });
    return selected.map((name) => `${name}-${infix}${Math.abs(percent)}`);
  });
  const always = ALWAYS.filter((name) => wanted?.includes(name) ?? true);
  const rules = JSON.parse(read("histogram") ?? "[]") as { metric: string; bins: (number | "inf")[] }[];
  return {
    intervalMs: Number(read("flushInterval")),
    aggregates: [...always, ...parts],
    // An entry of etsy's holds where its text occurs in the name.
    histograms: rules.map(({ metric, bins }) => ({
      pattern: metric === "" ? "**" : `**${metric}**`,
      bins: bins.map((bin) => (bin === "inf" ? Number.POSITIVE_INFINITY : bin)),
    })),
  };
}

/** The numbers of timer `t` by etsy's names. */
async function statsOf(lines: readonly string[], config: EtsyConfig, debug: boolean) {
  const { aggregates, ...options } = config;
  const table = await TimerTable.create({ timer: aggregates, weights: false, debug, ...options });
  table.send(lines);
  const labels = Object.entries(table.read().get("t")!);
  return Object.fromEntries(labels.map(([label, value]) => [STATS[label] ?? label, value]));
}

function compare(actual: Record<string, number>, expected: Record<string, number>, what: string): void {
  assert.deepEqual(Object.keys(actual).sort(), Object.keys(expected).sort(), what);
  for (const [stat, value] of Object.entries(expected)) {
    const error = Math.abs(actual[stat]! - value);
    assert.ok(error <= Math.abs(value) * 1e-14, `${what} ${stat}: ${actual[stat]}, expected ${value}`);
  }
}

test("etsy's timer vectors", async () => {
  const cases = new Map<string, VectorRow[]>();
  for (const row of readTsvVectors("etsy-timers.tsv")) {
    cases.set(row.case!, [...(cases.get(row.case!) ?? []), row]);
  }
  let compared = 0;
  for (const [id, rows] of cases) {
    // What becomes of a timer without samples is the store's affair.
    if (/2nd flush/.test(rows[0]!.config!)) continue;
    const { config, description } = rows[0]!;
    const samples = rows[0]![Object.keys(rows[0]!).find((column) => column.startsWith("samples"))!]!;
    const expected = expectedOf(rows);
    Object.assign(expected, DIFFERENCES[id]?.[1]);
    for (const debug of [false, true]) {
      compare(
        await statsOf(linesOf(id, samples), configOf(config!), debug),
        expected,
        `${id} ${description}`,
      );
      compared += 1;
    }
  }
  assert.ok(compared >= 80, `only ${compared} cases`);
});

function expectedOf(rows: readonly VectorRow[]): Record<string, number> {
  const own = rows.filter(({ key }) => key === "t");
  return Object.fromEntries(own.map(({ stat, value }) => [stat!, Number(value)]));
}
