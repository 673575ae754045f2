/** The words everything else uses: metric types and what can be computed from them. */

/** Metric types; the index is the type's code in kernel memory and in snapshots. */
export const METRIC_TYPES = ["counter", "gauge", "timer", "set"] as const;
export type MetricType = (typeof METRIC_TYPES)[number];

/** Kinds of aggregates; the index is the kind's code in kernel/aggregate.ts. */
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
  "std",
  "sum-squares",
  "sample-rate",
  "hmean",
  "bin",
  "count-p",
  "mean-p",
  "upper-p",
  "sum-p",
  "sum-squares-p",
  "count-top",
  "mean-top",
  "lower-top",
  "sum-top",
  "sum-squares-top",
] as const;
export type AggregateKind = (typeof AGGREGATES)[number];

/** Kinds that mean nothing without a number, and the form in which they are written with one. */
const NUMBERED: Partial<Record<AggregateKind, string>> = {
  percentile: "percentile-N",
  "count-p": "count-pN",
  "mean-p": "mean-pN",
  "upper-p": "upper-pN",
  "sum-p": "sum-pN",
  "sum-squares-p": "sum-squares-pN",
  "count-top": "count-topN",
  "mean-top": "mean-topN",
  "lower-top": "lower-topN",
  "sum-top": "sum-topN",
  "sum-squares-top": "sum-squares-topN",
};

/** What the configuration may name, with N for a number. Bins come of its histograms instead. */
export const AGGREGATE_FORMS: readonly string[] = AGGREGATES.filter((kind) => kind !== "bin").map(
  (kind) => NUMBERED[kind] ?? kind,
);

/** One aggregate to compute: those with a number carry it as written, such as `75` or `99.9`. */
export interface Aggregate {
  readonly kind: AggregateKind;
  /**
   * The number that the kind needs: a percentile's or a threshold's share of the samples, 0..1; a bin's upper
   * bound, which may be Infinity.
   */
  readonly fraction?: number;
  /** `sum`, `percentile-99`, `upper-p90`, `bin-50`: as in the configuration. */
  readonly name: string;
  /** Postfix and tag value in output names: `sum`, `percentile.99`, `upper_90`, empty for `value`. */
  readonly label: string;
}

/**
 * Reads an aggregate's name.
 *
 *   percentile-N   interpolated; N is the fraction 0.N: 5 is 0.5, 75 is 0.75, 999 is 0.999, 99.9 is 0.999,
 *                  100 is 1
 *   upper-pN       etsy's, as are its neighbours: of the lowest N percent of the samples
 *   lower-topN     of the highest N percent; N above 0 and up to 100 for both
 *
 * Returns undefined for an unknown one.
 */
export function parseAggregate(text: string): Aggregate | undefined {
  const name = text.toLowerCase();
  const percentile = /^percentile-(\d+(?:\.\d+)?)$/.exec(name);
  if (percentile !== null) {
    const number = percentile[1]!;
    return { kind: "percentile", fraction: percentileFraction(number), name, label: `percentile.${number}` };
  }
  const threshold = /^([a-z-]+-(?:p|top))(\d+(?:\.\d+)?(?:e-\d+)?)$/.exec(name);
  if (threshold !== null) return parseThreshold(name, threshold[1]!, threshold[2]!);
  const kind = AGGREGATES.find((one) => one === name && one !== "bin" && NUMBERED[one] === undefined);
  if (kind === undefined) return undefined;
  return { kind, name, label: kind === "value" ? "" : kind.replaceAll("-", "_") };
}

/** stem: the kind; number: percent, as written. */
function parseThreshold(name: string, stem: string, number: string): Aggregate | undefined {
  const kind = AGGREGATES.find((one) => one === stem && NUMBERED[one] !== undefined);
  // The same operations as etsy's, so that the same number of samples comes of it.
  const fraction = Number(number) / 100;
  if (kind === undefined || !(fraction > 0 && fraction <= 1)) return undefined;
  const statistic = stem.replace(/-(?:p|top)$/, "").replaceAll("-", "_");
  const label = `${statistic}_${stem.endsWith("-top") ? "top" : ""}${number.replace(".", "_")}`;
  return { kind, fraction, name, label };
}

function percentileFraction(number: string): number {
  if (number.includes(".")) return Math.min(1, Number(`${number}e-2`));
  if (/^10+$/.test(number) && number.length > 2) return 1;
  return Number(`0.${number}`);
}

/** The bin of a histogram whose values lie below `bound`, and not below the bin before. */
export function binAggregate(bound: number): Aggregate {
  const text = bound === Number.POSITIVE_INFINITY ? "inf" : String(bound);
  const label = `histogram.bin_${text.replace(/[^0-9a-z-]/g, "_")}`;
  return { kind: "bin", fraction: bound, name: `bin-${text}`, label };
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
