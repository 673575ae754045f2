/** Why rows were not delivered. */

export const SINK_LOSS_REASONS = [
  /** Pushed out by newer rows, or no room beside those on their way. */
  "queue_full",
  /** Not delivered within the age that the configuration allows. */
  "too_old",
  /** In a batch larger than the whole queue may be. */
  "too_large",
  /** A name that the remote would not take, or that would break its input. */
  "invalid_name",
  /** NaN or infinite. */
  "not_finite",
  /** The output stream is gone, or nobody reads it. */
  "unwritable",
  /** Pushed out of the disk spool by newer rows. */
  "spool_full",
  /** Lay in the disk spool and cannot be read any more. */
  "spool_damaged",
  /** Still queued when the process had to end. */
  "shutdown",
] as const;
export type SinkLossReason = (typeof SINK_LOSS_REASONS)[number];
/** Rows lost, by reason. */
export type SinkLosses = Readonly<Record<SinkLossReason, number>>;

/** Makes an empty tally of losses. */
export function newLosses(): Record<SinkLossReason, number> {
  return Object.fromEntries(SINK_LOSS_REASONS.map((reason) => [reason, 0])) as Record<SinkLossReason, number>;
}
