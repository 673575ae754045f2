/** What the store works by, as plain data that goes from thread to thread at the start and at each reload. */
import type { SuiteConfig } from "../shared/config.ts";
import { tableBytesMax } from "../shared/config-memory.ts";
import type { HistogramRule } from "../shared/config-shaping.ts";
import { isEtsy } from "../shared/naming-preset.ts";
import type { EtsyNaming } from "./etsy-stats.ts";
import { Histograms, withBins } from "./histogram.ts";
import { Namer, type NamerOptions } from "./naming.ts";
import { ownPrefix } from "./stats-prefix.ts";
import type { StoreOptions } from "./terms.ts";

export interface StorePlan {
  readonly options: Omit<StoreOptions, "histograms">;
  readonly histograms: readonly HistogramRule[];
  readonly naming: SuiteConfig["naming"];
  readonly namer: NamerOptions;
  /** stats-prefix, for etsy's own rows. */
  readonly ownPrefix: string;
}

/** Throws OperatorError where the configuration asks for more aggregates than can be computed. */
export function storePlan(config: SuiteConfig): StorePlan {
  const { aggregator, aggregation, idle, naming } = config;
  const { counter, gauge, timer, set, histograms, rate, weights, preset, rename } = aggregation;
  return {
    options: {
      intervalMs: aggregator.intervalMs,
      lateWindowMs: aggregator.lateWindowMs,
      seriesMax: aggregator.seriesMax,
      seriesPerSenderMax: aggregator.seriesPerSenderMax,
      seriesPerPrefixMax: aggregator.seriesPerPrefixMax,
      prefixParts: aggregator.prefixParts,
      seriesCaps: aggregator.seriesCaps,
      overflowName: aggregator.overflowName,
      timerSamplesMax: aggregator.timerSamplesMax,
      memoryBytesMax: tableBytesMax(config),
      aggregates: { counter, gauge, timer: withBins(timer, histograms), set },
      updateCountThreshold: aggregation.updateCountThreshold,
      roundTimestamp: aggregation.roundTimestamp,
      rate,
      weights,
      idle,
    },
    histograms,
    naming,
    namer: { preset, rename },
    ownPrefix: ownPrefix(config),
  };
}

/**
 * Makes of a plan what a store takes; own: where the preset is one of etsy's, the names of its own rows.
 * Throws OperatorError for names that cannot be.
 */
export function readPlan(plan: StorePlan): {
  readonly options: StoreOptions;
  readonly namer: Namer;
  readonly own: EtsyNaming | undefined;
} {
  const { options, histograms, naming, ownPrefix: prefix } = plan;
  const namer = new Namer(naming, options.aggregates, plan.namer);
  const { preset = "bioyino" } = plan.namer;
  const own = { preset, prefix, rule: naming.counter, aggregates: options.aggregates.counter, namer };
  return {
    options: { ...options, histograms: new Histograms(histograms) },
    namer,
    own: isEtsy(preset) ? own : undefined,
  };
}
