/**
 * The disk spool of one sink: batches for which memory has no room, or that a crash may not cost, in the
 * order in which they were accepted. Its folder has one segment after the other, and belongs to one process.
 */
import type { Clock } from "../../../shared/clock.ts";
import type { DiskCopy } from "../queued-batch.ts";
import type { SinkLog } from "../sink.ts";
import { DiskFaults } from "./disk-faults.ts";
import { type FolderHolder, type FolderLock, lockFolder } from "./lock.ts";
import { bytesOf, leadingBatches, type SpoolBatch } from "./record.ts";
import { type ReadBatch, Segment } from "./segment.ts";
import { SegmentFolder } from "./segment-folder.ts";
import { SEGMENT_HEAD_BYTES } from "./segment-head.ts";
import { type SpoolBounds, type SpoolLossReason, segmentBytesMax } from "./spool-bounds.ts";
import { syncFolder } from "./whole-access.ts";

/** Times that one segment is tried to read before it counts as damaged. */
const READ_TRIES = 3;

/** Faults of the disk are logged and told by what a method returns; nothing but open() throws. */
export class Spool {
  readonly folder: string;
  #bounds: SpoolBounds;
  readonly #clock: Clock;
  readonly #onLoss: (reason: SpoolLossReason, rowCount: number) => void;
  readonly #unload: () => void;
  #lock: FolderLock | undefined;
  /** The lock of a spool that is closed; it is released when nothing is appended any more. */
  #lastLock: FolderLock | undefined;
  /** Oldest first; only the last may still be appended to. */
  #segments: Segment[] = [];
  #isAppending = false;
  #isLoading = false;
  /** What the load that is under way has read. */
  #loaded: ReadBatch[] = [];
  readonly #files: SegmentFolder;
  readonly #faults: DiskFaults;
  #readFaults = 0;
  /** Rows found on disk beyond those that this process counts already. */
  rowsRestored = 0;

  /**
   * sink: its name, for the log. onLoss: told of every row on disk that is not delivered. unload: takes out
   * of memory what was loaded and is not on its way.
   */
  constructor(
    folder: string,
    bounds: SpoolBounds,
    sink: string,
    log: SinkLog,
    clock: Clock,
    onLoss: (reason: SpoolLossReason, rowCount: number) => void,
    unload: () => void,
  ) {
    this.folder = folder;
    this.#bounds = bounds;
    this.#clock = clock;
    this.#onLoss = onLoss;
    this.#unload = unload;
    this.#files = new SegmentFolder(folder, sink, log);
    this.#faults = new DiskFaults(sink, folder, log, clock);
  }

  get isOpen(): boolean {
    return this.#lock !== undefined;
  }

  /** Rows on disk that are neither delivered nor lost; none once a successor in this process has them. */
  get rows(): number {
    return this.#own.reduce((sum, { rows }) => sum + rows, 0);
  }

  /** Bytes of all segments. */
  get bytes(): number {
    return this.#own.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Whether there is something to load. */
  get hasUnread(): boolean {
    return this.#segments.some((segment) => segment.hasUnread);
  }

  /** The segment with the oldest rows. */
  get oldest(): { readonly firstAcceptedMs: number; readonly firstTimestampSec: number } | undefined {
    return this.#own[0];
  }

  get #own(): readonly Segment[] {
    return this.#lastLock?.isTakenOver() === true ? [] : this.#segments;
  }

  /** Bytes that append() should be given at most at a time. */
  get groupBytesMax(): number {
    return Math.min(4 << 20, segmentBytesMax(this.#bounds));
  }

  /** Goes on within other bounds. */
  resize(bounds: SpoolBounds): void {
    this.#bounds = bounds;
  }

  /**
   * Takes the folder, makes it where it is missing, and finds what an earlier process has left. Returns who
   * else has it, undefined when it is this spool's now. Throws what the file system says.
   */
  open(): FolderHolder | undefined {
    const lock = lockFolder(this.folder, this.#clock.nowMs());
    if ("pid" in lock) return lock;
    try {
      for (const segment of this.#files.adoptAll()) this.#keep(segment);
    } catch (error) {
      this.#segments = [];
      lock.release(lock.rowsBefore);
      throw error;
    }
    this.#lock = lock;
    // Of its own process these may be more, delivered behind others that are not, and are sent once more.
    this.rowsRestored = Math.max(0, this.rows - lock.rowsBefore);
    this.#lose("spool_damaged", lock.rowsBefore - this.rows);
    return undefined;
  }

  /** Does what is due now and then: says that this process lives, drops what is too old. */
  tick(): void {
    this.#lock?.touch(this.#clock.nowMs()).catch((error: unknown) => {
      if (this.isOpen) this.#faults.add(error);
    });
    this.#expire();
  }

  /**
   * Writes batches behind the others, one group at a time. written: told at the moment they count as on
   * disk, with the copy of each; returns those that stay in memory too. Resolves to false, with nothing
   * written, when the disk cannot take them now.
   */
  async append(
    batches: readonly SpoolBatch[],
    written: (copies: readonly DiskCopy[]) => readonly DiskCopy[],
  ): Promise<boolean> {
    if (this.#lock === undefined || this.#isAppending || this.#faults.isPausing) return false;
    this.#isAppending = true;
    let segment: Segment | undefined;
    try {
      segment = await this.#writable(batches);
      if (segment === undefined || !this.isOpen) return false;
      let isWritten = false;
      await segment.append(batches, (copies) => {
        // Given up meanwhile, with these batches in a segment of their own.
        if (!this.isOpen) for (const copy of copies) copy.drop();
        if (!this.isOpen) return [];
        isWritten = true;
        return written(copies);
      });
      if (segment.rows === 0 && this.isOpen) this.#remove(segment);
      return isWritten;
    } catch (error) {
      // Given up meanwhile, a file may have been closed under it.
      if (this.isOpen) this.#faults.add(error);
      return false;
    } finally {
      this.#isAppending = false;
      if (!this.isOpen) this.#letGo(segment);
    }
  }

  /** Writes batches at once: for the moment when the process ends. Returns how many of them are on disk. */
  appendNow(batches: readonly SpoolBatch[]): number {
    if (this.#lock === undefined) return 0;
    for (let from = 0; from < batches.length; ) {
      const group = leadingBatches(batches.slice(from), segmentBytesMax(this.#bounds));
      try {
        if (!this.#makeRoom(bytesOf(group))) return from;
        const path = this.#files.nextPath();
        Segment.writeSync(path, group);
        const segment = this.#files.adopt(path);
        if (segment === undefined) return from;
        this.#keep(segment);
      } catch (error) {
        this.#faults.add(error);
        return from;
      }
      from += group.length;
    }
    return batches.length;
  }

  /**
   * Reads the next batches that are not in memory, in order: up to bytesMax bytes but at least one. None
   * where there are none, or the disk cannot be read now.
   */
  async load(bytesMax: number): Promise<ReadBatch[]> {
    const batches: ReadBatch[] = [];
    if (!this.isOpen || this.#isLoading || this.#faults.isPausing) return batches;
    this.#isLoading = true;
    this.#loaded = batches;
    try {
      for (let bytes = 0; bytes < bytesMax; ) {
        const segment = this.#segments.find(({ hasUnread }) => hasUnread);
        if (segment === undefined) break;
        const batch = await this.#read(segment);
        if (batch === undefined) continue;
        bytes += batch.batch.bytes.byteLength;
        batches.push(batch);
      }
    } catch (error) {
      this.#faults.add(error);
    } finally {
      this.#isLoading = false;
      this.#loaded = [];
    }
    return batches;
  }

  /**
   * Drops what is not in memory of a cluster's intervals that somebody else writes. What a load has just read
   * is not to be used then, as after an unload. Returns the rows.
   */
  handOver(isTheirs: (interval: number) => boolean): number {
    if (!this.isOpen) return 0;
    for (const { copy } of this.#loaded) copy.unload();
    let rows = 0;
    for (const segment of [...this.#segments]) {
      try {
        rows += segment.handOver(isTheirs);
      } catch (error) {
        this.#faults.add(error);
      }
    }
    return rows;
  }

  /** Gives the folder up for the next process, or for a successor in this one. */
  close(): void {
    const lock = this.#lock;
    if (lock === undefined) return;
    this.#lock = undefined;
    for (const segment of this.#segments) {
      segment.onEmpty = () => {};
      try {
        segment.release(this.#isAppending && segment === this.#segments.at(-1));
      } catch (error) {
        this.#faults.add(error);
      }
    }
    this.#lastLock = lock;
    // Otherwise a successor in this process could find what is being written, and has it already.
    if (!this.#isAppending) this.#letGo(undefined);
  }

  /** Ends what close() began. segment: what was appended to meanwhile. */
  #letGo(segment: Segment | undefined): void {
    try {
      if (segment?.rows === 0) this.#remove(segment);
      else segment?.release(false);
      this.#lastLock?.release(this.rows);
    } catch (error) {
      this.#faults.add(error);
    }
  }

  async #read(segment: Segment): Promise<ReadBatch | undefined> {
    let batch: ReadBatch | undefined;
    try {
      batch = await segment.read((rowCount) => this.#lose("spool_damaged", rowCount));
      this.#readFaults = 0;
    } catch (error) {
      if (++this.#readFaults < READ_TRIES || segment.isHeld) throw error;
      this.#readFaults = 0;
      this.#lose("spool_damaged", segment.rows);
      this.#remove(segment);
      throw error;
    }
    if (batch === undefined || batch.acceptedMs >= this.#bornAfterMs()) return batch;
    this.#lose("too_old", batch.batch.rowCount);
    batch.batch.receipt?.settle(false);
    batch.copy.drop();
    return undefined;
  }

  /** The segment to append to, or undefined where there is no room. */
  async #writable(batches: readonly SpoolBatch[]): Promise<Segment | undefined> {
    let last = this.#segments.at(-1);
    if (last !== undefined && !last.isSealed && last.bytes >= segmentBytesMax(this.#bounds)) {
      last.seal();
      // Not while somebody reads it: that would look like a fault of the disk.
      if (this.#segments.length > 1 && !last.isHeld) last.rest();
    }
    if (last?.isSealed === true) last = undefined;
    if (!this.#makeRoom(bytesOf(batches), last)) return undefined;
    if (last !== undefined) return last;
    const segment = await Segment.create(this.#files.nextPath(), batches[0]!);
    this.#keep(segment);
    await syncFolder(this.folder);
    return segment;
  }

  /** Makes room by losing the oldest segments; not the one to append to, nor those being delivered. */
  #makeRoom(bytes: number, kept?: Segment): boolean {
    const bytesMax = this.#bounds.bytesMax - SEGMENT_HEAD_BYTES;
    if (bytes > bytesMax) {
      this.#faults.add(new Error(`${bytes} bytes of rows are too many for spool-bytes; raise it`));
      return false;
    }
    if (this.bytes + bytes > bytesMax) this.#unload();
    while (this.bytes + bytes > bytesMax) {
      const oldest = this.#segments.find((segment) => segment !== kept && !segment.isHeld);
      if (oldest === undefined) return false;
      this.#lose("spool_full", oldest.rows);
      this.#remove(oldest);
    }
    return true;
  }

  #expire(): void {
    const bornAfterMs = this.#bornAfterMs();
    for (const segment of this.#segments.filter(({ lastAcceptedMs }) => lastAcceptedMs < bornAfterMs)) {
      if (segment.isHeld || (this.#isAppending && segment === this.#segments.at(-1))) continue;
      this.#lose("too_old", segment.rows);
      this.#remove(segment);
    }
  }

  #bornAfterMs(): number {
    return this.#clock.nowMs() - this.#bounds.ageMs;
  }

  #lose(reason: SpoolLossReason, rowCount: number): void {
    if (rowCount > 0) this.#onLoss(reason, rowCount);
  }

  #keep(segment: Segment): void {
    this.#segments.push(segment);
    segment.onEmpty = () => {
      if (!(this.#isAppending && segment === this.#segments.at(-1))) this.#remove(segment);
    };
  }

  #remove(segment: Segment): void {
    this.#segments = this.#segments.filter((other) => other !== segment);
    segment.remove();
  }
}
