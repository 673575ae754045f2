/** What a sink has yet to deliver, bounded in bytes and in age. */
import type { Clock } from "../../shared/clock.ts";
import type { RowBatch } from "../row.ts";

/** Why a row was not delivered. */
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

/** Bounds of a queue. */
export interface QueueBounds {
  readonly bytesMax: number;
  readonly ageMs: number;
}

/**
 * Memory that a batch takes beside its bytes, roughly, so that a queue of tiny batches is bounded as well.
 */
export const BATCH_OVERHEAD_BYTES = 256;

interface Entry {
  readonly batch: RowBatch;
  readonly bytes: number;
  readonly acceptedMs: number;
  /** Number of the chunk that it was sent in, 0 before. */
  chunk: number;
}

/** Batches that are sent together. */
export interface Chunk {
  readonly batches: readonly RowBatch[];
  readonly rowCount: number;
  /** Whether it was taken before. */
  readonly isRepeat: boolean;
}

/**
 * First in, first out. A chunk is *taken* from the front, and then either *settled* (delivered, gone) or
 * *returned* (to be taken again, with the same batches). What is taken stays in the queue's account but
 * cannot be pushed out, since its bytes are on their way.
 */
export class BatchQueue {
  readonly #bounds: QueueBounds;
  readonly #clock: Clock;
  readonly #onLoss: (reason: SinkLossReason, rowCount: number) => void;
  readonly #entries: Entry[] = [];
  #bytes = 0;
  #rowCount = 0;
  /** Entries at the front that are taken. */
  #takenCount = 0;
  #chunkCount = 0;

  /** onLoss: told of every batch that is not delivered, with its rows. */
  constructor(bounds: QueueBounds, clock: Clock, onLoss: (reason: SinkLossReason, rowCount: number) => void) {
    this.#bounds = bounds;
    this.#clock = clock;
    this.#onLoss = onLoss;
  }

  /** Memory held, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  get rowCount(): number {
    return this.#rowCount;
  }

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  /** Age of the oldest batch in milliseconds, 0 when there is none. */
  oldestMs(): number {
    const oldest = this.#entries[0];
    return oldest === undefined ? 0 : Math.max(0, this.#clock.monotonicMs() - oldest.acceptedMs);
  }

  /**
   * Appends a batch; to make room the oldest ones that are not taken are lost. Refuses one that cannot fit.
   */
  push(batch: RowBatch): void {
    const { bytesMax } = this.#bounds;
    const bytes = batch.bytes.byteLength + BATCH_OVERHEAD_BYTES;
    if (bytes > bytesMax) {
      this.#onLoss("too_large", batch.rowCount);
      return;
    }
    this.expire();
    while (this.#bytes + bytes > bytesMax && this.#entries.length > this.#takenCount)
      this.#lose("queue_full");
    if (this.#bytes + bytes > bytesMax) {
      this.#onLoss("queue_full", batch.rowCount);
      return;
    }
    this.#entries.push({ batch, bytes, acceptedMs: this.#clock.monotonicMs(), chunk: 0 });
    this.#bytes += bytes;
    this.#rowCount += batch.rowCount;
  }

  /** Loses what is older than allowed and not taken. */
  expire(): void {
    const bornAfterMs = this.#clock.monotonicMs() - this.#bounds.ageMs;
    for (;;) {
      const oldest = this.#entries[this.#takenCount];
      if (oldest === undefined || oldest.acceptedMs >= bornAfterMs) return;
      this.#lose("too_old");
    }
  }

  /**
   * Takes the next chunk: the first batch and those behind it of the same flush, up to bytesMax bytes of
   * rows but at least one; or once more what was returned. Undefined when nothing is queued.
   */
  take(bytesMax: number): Chunk | undefined {
    this.expire();
    const first = this.#entries[0];
    if (first === undefined || this.#takenCount > 0) return undefined;
    const isRepeat = first.chunk !== 0;
    const count = isRepeat ? this.#countRepeated(first) : this.#countFresh(first, bytesMax);
    const entries = this.#entries.slice(0, count);
    if (!isRepeat) {
      this.#chunkCount++;
      for (const entry of entries) entry.chunk = this.#chunkCount;
    }
    this.#takenCount = count;
    const rowCount = entries.reduce((sum, entry) => sum + entry.batch.rowCount, 0);
    return { batches: entries.map((entry) => entry.batch), rowCount, isRepeat };
  }

  /** The taken chunk was delivered. */
  settle(): void {
    for (const entry of this.#entries.splice(0, this.#takenCount)) this.#forget(entry);
    this.#takenCount = 0;
  }

  /** The taken chunk has to be sent again. */
  giveBack(): void {
    this.#takenCount = 0;
  }

  /** Loses everything, what is taken too. */
  clear(reason: SinkLossReason): void {
    this.#takenCount = 0;
    while (!this.isEmpty) this.#lose(reason);
  }

  #countRepeated(first: Entry): number {
    const end = this.#entries.findIndex((entry) => entry.chunk !== first.chunk);
    return end < 0 ? this.#entries.length : end;
  }

  #countFresh(first: Entry, bytesMax: number): number {
    let count = 1;
    let bytes = first.batch.bytes.byteLength;
    for (; count < this.#entries.length; count++) {
      const { batch } = this.#entries[count]!;
      bytes += batch.bytes.byteLength;
      const isSameFlush = batch.interval === first.batch.interval && batch.revision === first.batch.revision;
      if (!isSameFlush || bytes > bytesMax) break;
    }
    return count;
  }

  /** Drops the oldest entry that is not taken. */
  #lose(reason: SinkLossReason): void {
    const [entry] = this.#entries.splice(this.#takenCount, 1);
    if (entry === undefined) return;
    this.#forget(entry);
    this.#onLoss(reason, entry.batch.rowCount);
  }

  #forget(entry: Entry): void {
    this.#bytes -= entry.bytes;
    this.#rowCount -= entry.batch.rowCount;
  }
}
