/** Series that get no lines any more: for how long they are kept, and what is written of them. */
import { type Aggregate, type AggregateKind, METRIC_TYPES, type MetricType } from "../shared/metric.ts";

/** The values of [idle]. Infinity is for ever, 0 not at all. */
export interface IdleOptions {
  readonly counterMs: number;
  readonly gaugeMs: number;
  readonly timerMs: number;
  readonly setMs: number;
  /** For how long the level of a gauge is known to changes that come later. */
  readonly gaugeLevelMs: number;
}

/** Idle series are not written, and gauges remember their levels. */
export const DEFAULT_IDLE: IdleOptions = {
  counterMs: 0,
  gaugeMs: 0,
  timerMs: 0,
  setMs: 0,
  gaugeLevelMs: Number.POSITIVE_INFINITY,
};

/** By type code: intervals for which an idle series is written, and for which it is kept. */
export interface IdleSpans {
  readonly shown: readonly number[];
  readonly kept: readonly number[];
  /** Types that are kept at all. */
  readonly types: readonly number[];
  /** Whether nothing is written of idle series and nothing expires: then nobody needs to look at them. */
  readonly isUneventful: boolean;
}

/**
 * Returns the spans in intervals. A series that was seen in interval s is written in k, s < k <= s + shown: a
 * duration of (N - 1) intervals shows it in N flushes. A gauge that is shown has its level as long.
 */
export function idleSpans(idle: IdleOptions, intervalMs: number): IdleSpans {
  const spanOf = (durationMs: number): number => Math.floor(durationMs / intervalMs);
  const ofType: Record<MetricType, number> = {
    counter: spanOf(idle.counterMs),
    gauge: spanOf(idle.gaugeMs),
    timer: spanOf(idle.timerMs),
    set: spanOf(idle.setMs),
  };
  const shown = METRIC_TYPES.map((type) => ofType[type]);
  const kept = METRIC_TYPES.map((type) =>
    type === "gauge" ? Math.max(ofType.gauge, spanOf(idle.gaugeLevelMs)) : ofType[type],
  );
  const types = [...kept.keys()].filter((type) => kept[type]! > 0);
  const isUneventful = shown.every((span) => span === 0) && types.every((type) => kept[type] === Infinity);
  return { shown, kept, types, isUneventful };
}

/** Aggregates of an idle series that are 0; it has no others. */
const ZEROS: Readonly<Record<MetricType, readonly AggregateKind[]>> = {
  counter: ["value", "rate", "sample-rate"],
  gauge: [],
  timer: ["count", "rate", "sample-rate"],
  set: ["count", "rate", "sample-rate"],
};

/** One aggregate that is written of an idle series. */
export interface IdleAggregate {
  /** Index in the type's list. */
  readonly index: number;
  /** Whether it is the level of a gauge; else it is 0. */
  readonly isLevel: boolean;
}

/** Returns, by type code, what is written of an idle series. */
export function idleAggregates(
  aggregates: Readonly<Record<MetricType, readonly Aggregate[]>>,
): readonly (readonly IdleAggregate[])[] {
  return METRIC_TYPES.map((type) =>
    aggregates[type].flatMap(({ kind }, index): IdleAggregate[] => {
      if (type === "gauge" && kind === "value") return [{ index, isLevel: true }];
      return ZEROS[type].includes(kind) ? [{ index, isLevel: false }] : [];
    }),
  );
}
