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
