/** A batch of rows in a sink's queue, in memory, on disk, or both. */
import type { RowBatch } from "../row.ts";

/**
 * Memory that a batch takes beside its bytes, roughly, so that a queue of tiny batches is bounded as well.
 */
export const BATCH_OVERHEAD_BYTES = 256;

/** The copy of a batch on disk. */
export interface DiskCopy {
  /** The batch was delivered, or is lost: its copy is of no use any more. */
  drop(): void;
  /** The batch is not in memory any more: it has to be read again. */
  unload(): void;
}

/** A batch that waits, or is on its way. */
export interface QueuedBatch {
  readonly batch: RowBatch;
  /** Memory that it takes. */
  readonly bytes: number;
  /** Moment of the monotonic clock; a batch of an earlier process may have a negative one. */
  readonly acceptedMs: number;
}

/** A batch as the queue keeps it. */
export interface Entry extends QueuedBatch {
  state: "waiting" | "taken" | "gone";
  /** Number of the chunk that it was sent in, 0 before. */
  chunk: number;
  /** Whether it is just being written to disk. */
  isSpilling: boolean;
  /** Where it lies on disk as well; then it counts there, not here. */
  copy: DiskCopy | undefined;
}

/** Whether newer batches may push this one out. */
export function isLosable({ state, isSpilling, copy }: Entry): boolean {
  return state === "waiting" && !isSpilling && copy === undefined;
}

/** Memory that a batch takes. */
export function memoryOf(batch: RowBatch): number {
  return batch.bytes.byteLength + BATCH_OVERHEAD_BYTES;
}

/** Makes an entry that waits. */
export function newEntry(
  batch: RowBatch,
  bytes: number,
  acceptedMs: number,
  copy: DiskCopy | undefined,
): Entry {
  return { batch, bytes, acceptedMs, state: "waiting", chunk: 0, isSpilling: false, copy };
}

/**
 * Whether the batch at `index` could get to the remote before one that it shall replace there, under way or
 * passed by: one of the same timestamp and another flush, such as an earlier revision, or one of the process
 * before this one. Batches of one flush have no name in common.
 */
export function mayOvertake(entries: readonly Entry[], index: number): boolean {
  const { batch, copy } = entries[index]!;
  let isLaterFlush = false;
  for (let before = index - 1; before >= 0; before--) {
    const { batch: other, state, copy: otherCopy } = entries[before]!;
    if (other.timestampSec !== batch.timestampSec) continue;
    isLaterFlush ||= other.lastOfInterval || !isSameFlush(other, batch);
    // What was on disk may be of an earlier process, whose flush was cut off.
    const isFromElsewhere = (copy === undefined) !== (otherCopy === undefined);
    if (state !== "gone" && (isLaterFlush || isFromElsewhere)) return true;
  }
  return false;
}

/** Whether two batches belong to the same flush, as far as they say. */
export function isSameFlush(one: RowBatch, other: RowBatch): boolean {
  return one.interval === other.interval && one.revision === other.revision;
}
