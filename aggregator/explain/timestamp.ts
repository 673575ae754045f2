/** What the timestamp of a line comes to, which depends on the moment at which the line arrives. */
import type { MetricType } from "../../shared/metric.ts";

/** How long intervals are, and how long they wait for late lines after their end. */
export interface TimestampTerms {
  readonly intervalMs: number;
  readonly lateWindowMs: number;
}

/** What becomes of it. */
export type TimestampVerdict = "late" | "earlier" | "ahead" | "unused" | "present";

/** For people; a late line is refused, and one of the present interval needs no words. */
export const TIMESTAMP_NOTES: Readonly<Partial<Record<TimestampVerdict, string>>> = {
  earlier: "counts in the interval of its timestamp, which still waits for late lines",
  ahead: "its timestamp lies ahead, so it counts when it arrives",
  unused: "only counters and gauges go by their timestamp; it counts when it arrives",
};

/**
 * Judges the timestamp of a line that arrives now. seconds: since 1970, as written. nowMs: wall clock. An
 * interval that is over and not waited for any more has been flushed, or is about to be.
 */
export function judgeTimestamp(
  seconds: string,
  type: MetricType,
  { intervalMs, lateWindowMs }: TimestampTerms,
  nowMs: number,
): TimestampVerdict {
  if (type === "timer" || type === "set") return "unused";
  const interval = Math.floor((Number(seconds) * 1000) / intervalMs);
  const present = Math.floor(nowMs / intervalMs);
  if (interval === present) return "present";
  if (interval > present) return "ahead";
  return (interval + 1) * intervalMs + lateWindowMs <= nowMs ? "late" : "earlier";
}
