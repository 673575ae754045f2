/** How much a spool may hold, and what becomes of what it cannot. */

/** Bounds of a spool. */
export interface SpoolBounds {
  /** Bytes of all segments together. */
  readonly bytesMax: number;
  /** Longest time that a row may wait. */
  readonly ageMs: number;
}

/** Why rows on disk were lost. */
export type SpoolLossReason = "spool_full" | "spool_damaged" | "too_old";

/** Size at which a segment is ended. */
const SEGMENT_BYTES_MAX = 16 << 20;
/** A small spool has several segments too, so that dropping the oldest is not dropping everything. */
const SEGMENTS_MIN = 8;

/** Size at which a segment of a spool is ended, in bytes. */
export function segmentBytesMax({ bytesMax }: SpoolBounds): number {
  return Math.min(SEGMENT_BYTES_MAX, Math.floor(bytesMax / SEGMENTS_MIN));
}
