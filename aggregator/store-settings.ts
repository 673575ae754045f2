/** What the thread of the store takes over from a configuration, at the start and at each reload. */
import type { SuiteConfig } from "../shared/config.ts";
import type { HistoryOptions } from "./history.ts";
import { type StorePlan, storePlan } from "./store-plan.ts";

export interface StoreSettings {
  readonly plan: StorePlan;
  readonly history: HistoryOptions;
}

/** Throws OperatorError where the configuration asks for more aggregates than can be computed. */
export function storeSettings(config: SuiteConfig): StoreSettings {
  const { historyIntervals, historyBytesMax } = config.aggregator;
  return {
    plan: storePlan(config),
    history: { intervalsMax: historyIntervals, bytesMax: historyBytesMax },
  };
}
