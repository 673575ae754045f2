/** What an interval is computed, bounded and named by: the same from its first line to its last row. */
import {
  DEFAULT_IDLE,
  type IdleAggregate,
  type IdleOptions,
  type IdleSpans,
  idleAggregates,
  idleSpans,
} from "./idle.ts";
import type { IntervalOptions } from "./interval.ts";
import type { Namer } from "./naming.ts";

export interface StoreOptions extends IntervalOptions {
  readonly roundTimestamp: "no" | "up" | "down";
  /** For how long idle series are kept and written; levels only where it is absent. */
  readonly idle?: IdleOptions;
  /** Time that an interval waits for late lines, behind its end; none where it is absent. */
  readonly lateWindowMs?: number;
}

export interface Terms {
  readonly options: StoreOptions;
  readonly namer: Namer;
  readonly spans: IdleSpans;
  /** By type code: what is written of idle series. */
  readonly idleAggregates: readonly (readonly IdleAggregate[])[];
}

export function termsOf(options: StoreOptions, namer: Namer): Terms {
  return {
    options,
    namer,
    spans: idleSpans(options.idle ?? DEFAULT_IDLE, options.intervalMs),
    idleAggregates: idleAggregates(options.aggregates),
  };
}
