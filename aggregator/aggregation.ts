/** What a store's kernel computes: the aggregates of each type, and by which rules. */
import { EXIT_CONFIG, OperatorError } from "../shared/errors.ts";
import { AGGREGATES, type Aggregate, METRIC_TYPES, type MetricType } from "../shared/metric.ts";
import type { Histograms } from "./histogram.ts";
import type { AggregatorExports } from "./kernel.ts";

/** The values of [aggregation] that the kernel works by. */
export interface AggregationOptions {
  /** Length of an interval, which rates refer to. */
  readonly intervalMs: number;
  /** In the order of the results; those of timers with the bins: see withBins() in histogram.ts. */
  readonly aggregates: Readonly<Record<MetricType, readonly Aggregate[]>>;
  /** Updates that a series needs for its updates to be written. */
  readonly updateCountThreshold: number;
  /** Whether the rate of a counter is that of its value, as when absent, or of its samples. */
  readonly rate?: "value" | "samples";
  /** Whether a sample of a timer counts as often as its rate says, as when absent, or once. */
  readonly weights?: boolean;
  /** Bins of timers; Interval asks it for the rule of each. */
  readonly histograms?: Histograms;
}

// Of setAggregation() in kernel/aggregate.ts.
const RATE_OF_SAMPLES = 1;
const IGNORES_WEIGHTS = 2;

/** Aggregates that one type may have; the bound of kernel/aggregate.ts. */
const AGGREGATES_MAX = 256;

/**
 * Makes a kernel that was set up for a store compute what the options say, and nothing that it was told
 * before. Throws OperatorError when a type has more aggregates than can be computed.
 */
export function applyAggregation(exports: AggregatorExports, options: AggregationOptions): void {
  const { intervalMs, updateCountThreshold, rate = "value", weights = true, histograms } = options;
  const flags = (rate === "samples" ? RATE_OF_SAMPLES : 0) | (weights ? 0 : IGNORES_WEIGHTS);
  exports.forgetAggregates();
  exports.setAggregation(intervalMs / 1000, updateCountThreshold, flags);
  METRIC_TYPES.forEach((type, code) => {
    checkAggregateCount(type, options.aggregates[type].length);
    for (const { kind, fraction } of options.aggregates[type]) {
      exports.wantAggregate(code, AGGREGATES.indexOf(kind), fraction ?? 0);
    }
  });
  histograms?.rules.forEach(({ bins }, rule) => {
    for (const bound of bins) exports.addBin(rule, bound);
  });
}

/** Throws OperatorError when these are more than can be computed. */
export function checkAggregateCount(type: MetricType, count: number): void {
  if (count <= AGGREGATES_MAX) return;
  const keys = `aggregation.${type}${type === "timer" ? " and aggregation.histogram" : ""}`;
  throw new OperatorError(
    `${keys} ask for ${count} aggregates of a ${type}; remove some until there are ${AGGREGATES_MAX}`,
    EXIT_CONFIG,
  );
}
