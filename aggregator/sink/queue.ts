/** What a sink has yet to deliver, bounded in bytes and in age. */
import type { Clock } from "../../shared/clock.ts";
import type { RowBatch } from "../row.ts";
import type { SinkLossReason } from "./losses.ts";
import {
  type DiskCopy,
  type Entry,
  isLosable,
  isSameFlush,
  mayOvertake,
  memoryOf,
  newEntry,
  type QueuedBatch,
} from "./queued-batch.ts";
import type { WriteFence } from "./write-fence.ts";

export { newLosses, SINK_LOSS_REASONS, type SinkLosses, type SinkLossReason } from "./losses.ts";

/** Bounds of a queue. */
export interface QueueBounds {
  readonly bytesMax: number;
  readonly ageMs: number;
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
 * *given back* (to be taken again, with the same batches). Several chunks may be taken at a time. What is
 * taken stays in the queue's account but cannot be pushed out, since its bytes are on their way.
 *
 * With a disk spool, batches are *spilled* from the front and *restored* there:
 *
 *   restored from disk | still on disk alone | not on disk
 */
export class BatchQueue {
  #bounds: QueueBounds;
  readonly #clock: Clock;
  readonly #onLoss: (reason: SinkLossReason, rowCount: number) => void;
  #entries: Entry[] = [];
  readonly #taken = new Map<Chunk, readonly Entry[]>();
  #bytes = 0;
  #rowCount = 0;
  #restoredBytes = 0;
  #chunkCount = 0;
  #unloadCount = 0;

  /** onLoss: told of every batch that is not delivered, with its rows. */
  constructor(bounds: QueueBounds, clock: Clock, onLoss: (reason: SinkLossReason, rowCount: number) => void) {
    this.#bounds = bounds;
    this.#clock = clock;
    this.#onLoss = onLoss;
  }

  /** Memory held of what is not on disk, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Rows that are not on disk. */
  get rowCount(): number {
    return this.#rowCount;
  }

  /** Memory held of what is on disk too, in bytes. */
  get restoredBytes(): number {
    return this.#restoredBytes;
  }

  /** Times that all that waits and is on disk was taken out of memory. */
  get unloadCount(): number {
    return this.#unloadCount;
  }

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  /** The batch at the front. */
  get oldest(): QueuedBatch | undefined {
    return this.#entries[0];
  }

  /** Age of the oldest batch in milliseconds, 0 when there is none. */
  oldestMs(): number {
    const oldest = this.#entries[0];
    return oldest === undefined ? 0 : Math.max(0, this.#clock.monotonicMs() - oldest.acceptedMs);
  }

  /** Goes on within other bounds; they are heeded from the next batch on. */
  resize(bounds: QueueBounds): void {
    this.#bounds = bounds;
  }

  /**
   * Appends a batch; to make room the oldest ones that are not taken are lost. Refuses one that cannot fit.
   */
  push(batch: RowBatch): void {
    const { bytesMax } = this.#bounds;
    const bytes = memoryOf(batch);
    if (bytes > bytesMax) {
      this.#refuse(batch, "too_large");
      return;
    }
    this.expire();
    while (this.#bytes + bytes > bytesMax) {
      const index = this.#entries.findIndex(isLosable);
      if (index < 0) break;
      this.#lose(index, "queue_full");
    }
    if (this.#bytes + bytes > bytesMax) {
      this.#refuse(batch, "queue_full");
      return;
    }
    this.#entries.push(newEntry(batch, bytes, this.#clock.monotonicMs(), undefined));
    this.#bytes += bytes;
    this.#rowCount += batch.rowCount;
  }

  /** Whether a batch waits that may not leave now. */
  isHeldBack(fence: WriteFence): boolean {
    return this.#entries.some(({ state, batch }) => state === "waiting" && !fence.mayWrite(batch.interval));
  }

  /** Loses what is older than allowed and not taken. */
  expire(): void {
    const bornAfterMs = this.#clock.monotonicMs() - this.#bounds.ageMs;
    for (;;) {
      const index = this.#entries.findIndex(({ state }) => state === "waiting");
      const oldest = this.#entries[index];
      if (oldest === undefined || oldest.acceptedMs >= bornAfterMs) return;
      this.#lose(index, "too_old");
    }
  }

  /**
   * Takes the next chunk: the first waiting batch and those behind it of the same flush, up to bytesMax bytes
   * of rows but at least one; or once more what was given back. Undefined when nothing waits, or what waits
   * shall not overtake what is under way.
   * isMoreOnDisk: whether batches lie on disk that come before those that are in memory alone. fence: passes
   * by what may not leave now.
   */
  take(bytesMax: number, isMoreOnDisk = false, fence?: WriteFence): Chunk | undefined {
    this.expire();
    const from = this.#entries.findIndex(
      ({ state, batch }) => state === "waiting" && fence?.mayWrite(batch.interval) !== false,
    );
    const first = this.#entries[from];
    if (first === undefined || (isMoreOnDisk && first.copy === undefined)) return undefined;
    if (mayOvertake(this.#entries, from)) return undefined;
    const isRepeat = first.chunk !== 0;
    const entries = isRepeat ? this.#repeated(from) : this.#fresh(from, bytesMax, isMoreOnDisk);
    if (!isRepeat) this.#chunkCount++;
    for (const entry of entries) {
      entry.state = "taken";
      if (!isRepeat) entry.chunk = this.#chunkCount;
    }
    const rowCount = entries.reduce((sum, { batch }) => sum + batch.rowCount, 0);
    const chunk = { batches: entries.map(({ batch }) => batch), rowCount, isRepeat };
    this.#taken.set(chunk, entries);
    return chunk;
  }

  /** A taken chunk was delivered. */
  settle(chunk: Chunk): void {
    for (const entry of this.#release(chunk)) {
      this.#forget(entry);
      entry.batch.receipt?.settle(true);
    }
    this.#sweep();
  }

  /** A taken chunk has to be sent again. */
  giveBack(chunk: Chunk): void {
    for (const entry of this.#release(chunk)) entry.state = "waiting";
  }

  /** Every chunk under way has to be sent again: none of them is. */
  giveBackAll(): void {
    for (const chunk of [...this.#taken.keys()]) this.giveBack(chunk);
  }

  /** Takes all that waits and is on disk too out of memory. */
  unload(): void {
    this.#unloadCount++;
    for (const entry of this.#entries) {
      if (entry.copy === undefined || entry.state !== "waiting") continue;
      entry.state = "gone";
      this.#restoredBytes -= entry.bytes;
      entry.copy.unload();
    }
    this.#sweep();
  }

  /** Puts a batch that was read from disk behind others of its kind. acceptedMs: as of QueuedBatch. */
  restore(batch: RowBatch, acceptedMs: number, copy: DiskCopy): void {
    const bytes = memoryOf(batch);
    const at = this.#entries.findIndex((entry) => entry.copy === undefined);
    const entry = newEntry(batch, bytes, acceptedMs, copy);
    this.#entries.splice(at < 0 ? this.#entries.length : at, 0, entry);
    this.#restoredBytes += bytes;
  }

  /**
   * Lists the next batches to write to disk, taken ones too, so that their order there is the same: up to
   * bytesMax bytes but at least one. All of them have to be given to spilled() or keep() then.
   */
  spill(bytesMax: number): readonly QueuedBatch[] {
    const from = this.#entries.findIndex(({ copy }) => copy === undefined);
    if (from < 0) return [];
    let bytes = 0;
    const entries: Entry[] = [];
    for (let index = from; index < this.#entries.length; index++) {
      const entry = this.#entries[index]!;
      bytes += entry.bytes;
      if (index > from && bytes > bytesMax) break;
      entry.isSpilling = true;
      entries.push(entry);
    }
    return entries;
  }

  /**
   * These are on disk now, in the same order. Those that wait leave the memory. Returns the copies of those
   * that stay, since they are on their way; the copies of those delivered or lost meanwhile are dropped.
   */
  spilled(batches: readonly QueuedBatch[], copies: readonly DiskCopy[]): readonly DiskCopy[] {
    const held: DiskCopy[] = [];
    (batches as readonly Entry[]).forEach((entry, index) => {
      const copy = copies[index]!;
      entry.isSpilling = false;
      if (entry.state === "gone") {
        copy.drop();
        return;
      }
      this.#bytes -= entry.bytes;
      this.#rowCount -= entry.batch.rowCount;
      if (entry.state === "waiting") {
        entry.state = "gone";
        return;
      }
      entry.copy = copy;
      this.#restoredBytes += entry.bytes;
      held.push(copy);
    });
    this.#sweep();
    return held;
  }

  /** These could not be written to disk. */
  keep(batches: readonly QueuedBatch[]): void {
    for (const entry of batches as readonly Entry[]) entry.isSpilling = false;
  }

  /**
   * Drops what waits in memory alone of a cluster's intervals that somebody else writes. What is on disk too
   * has to be unloaded before. Returns the rows.
   */
  handOver(isTheirs: (interval: number) => boolean): number {
    let rows = 0;
    for (const entry of this.#entries) {
      const { batch, state, copy } = entry;
      if (state !== "waiting" || copy !== undefined || !batch.isOrdered || !isTheirs(batch.interval))
        continue;
      rows += batch.rowCount;
      this.#forget(entry);
    }
    this.#sweep();
    return rows;
  }

  /**
   * Loses everything, what is taken too; what is on disk stays there, though nobody is told of it any more.
   */
  clear(reason: SinkLossReason): void {
    this.#taken.clear();
    for (const entry of this.#entries.splice(0)) {
      entry.state = "gone";
      entry.batch.receipt?.settle(false);
      if (entry.copy !== undefined) continue;
      this.#onLoss(reason, entry.batch.rowCount);
    }
    this.#bytes = 0;
    this.#rowCount = 0;
    this.#restoredBytes = 0;
  }

  #release(chunk: Chunk): readonly Entry[] {
    const entries = this.#taken.get(chunk) ?? [];
    this.#taken.delete(chunk);
    return entries;
  }

  #repeated(from: number): readonly Entry[] {
    const { chunk } = this.#entries[from]!;
    let end = from + 1;
    while (this.#entries[end]?.chunk === chunk) end++;
    return this.#entries.slice(from, end);
  }

  #fresh(from: number, bytesMax: number, isMoreOnDisk: boolean): readonly Entry[] {
    const first = this.#entries[from]!;
    let end = from + 1;
    let bytes = first.batch.bytes.byteLength;
    for (; end < this.#entries.length; end++) {
      const { batch, state, chunk, copy } = this.#entries[end]!;
      bytes += batch.bytes.byteLength;
      const isTakable = state === "waiting" && chunk === 0 && !(isMoreOnDisk && copy === undefined);
      if (!isSameFlush(batch, first.batch) || !isTakable || bytes > bytesMax) break;
    }
    return this.#entries.slice(from, end);
  }

  #lose(index: number, reason: SinkLossReason): void {
    const [entry] = this.#entries.splice(index, 1);
    if (entry === undefined) return;
    this.#forget(entry);
    this.#refuse(entry.batch, reason);
  }

  #refuse({ rowCount, receipt }: RowBatch, reason: SinkLossReason): void {
    this.#onLoss(reason, rowCount);
    receipt?.settle(false);
  }

  #sweep(): void {
    this.#entries = this.#entries.filter(({ state }) => state !== "gone");
  }

  /** Takes an entry off the account. */
  #forget(entry: Entry): void {
    entry.state = "gone";
    if (entry.copy !== undefined) {
      this.#restoredBytes -= entry.bytes;
      entry.copy.drop();
      return;
    }
    this.#bytes -= entry.bytes;
    this.#rowCount -= entry.batch.rowCount;
  }
}
