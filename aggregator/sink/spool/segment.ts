/**
 * One file of a sink's disk spool: a head (segment-head.ts), then records (record.ts), only ever appended.
 * It is removed when everything in it was delivered or lost. How far delivery got is noted in the head now
 * and then, so that little is sent once more after a crash.
 */
import { closeSync, fstatSync, fsyncSync, ftruncateSync, openSync, unlinkSync } from "node:fs";
import { type FileHandle, open, unlink } from "node:fs/promises";
import type { DiskCopy } from "../queued-batch.ts";
import { Copies } from "./copies.ts";
import {
  decodeBatch,
  decodeHead,
  encodeHead,
  markHandedOver,
  RECORD_HEAD_BYTES,
  recordBytes,
  recordsOf,
  type SpoolBatch,
} from "./record.ts";
import { decodeSegmentHead, encodeSegmentHead, SEGMENT_HEAD_BYTES } from "./segment-head.ts";
import { readAt, readFully, writeFully, writeFullySync } from "./whole-access.ts";

/** A batch that was read, and its record. */
export interface ReadBatch extends SpoolBatch {
  readonly copy: DiskCopy;
}

/** Errors of the file system are thrown. */
export class Segment {
  readonly path: string;
  firstAcceptedMs: number;
  lastAcceptedMs: number;
  firstTimestampSec: number;
  /** Size of the file, as far as it is whole. */
  bytes: number;
  /** Rows neither delivered nor lost. */
  rows = 0;
  isSealed: boolean;
  /** Told when nothing in it is left to deliver. */
  onEmpty: (segment: Segment) => void = () => {};
  /** Offset from which on nothing can be read. */
  #damagedFrom = Number.POSITIVE_INFINITY;
  readonly #copies: Copies;
  #file: Promise<FileHandle> | undefined;
  #isReading = false;
  /** Times that records were handed over. */
  #handOvers = 0;
  #isNoting = false;
  #isNoteDue = false;
  #isRemoved = false;
  /** Whether it is the next process's, which reads the head. */
  #isReleased = false;

  private constructor(path: string, first: { acceptedMs: number; timestampSec: number }, isSealed: boolean) {
    this.path = path;
    this.firstAcceptedMs = first.acceptedMs;
    this.lastAcceptedMs = first.acceptedMs;
    this.firstTimestampSec = first.timestampSec;
    this.bytes = SEGMENT_HEAD_BYTES;
    this.#copies = new Copies(SEGMENT_HEAD_BYTES, (rowCount) => this.#drop(rowCount));
    this.isSealed = isSealed;
  }

  /** Makes a segment for appending. first: the first batch that it is to get. */
  static async create(path: string, { acceptedMs, batch }: SpoolBatch): Promise<Segment> {
    const segment = new Segment(path, { acceptedMs, timestampSec: batch.timestampSec }, false);
    const file = await open(path, "wx+", 0o600);
    segment.#file = Promise.resolve(file);
    try {
      await writeFully(file, segment.#head(), 0);
    } catch (error) {
      segment.remove();
      throw error;
    }
    return segment;
  }

  /**
   * Opens one that an earlier process has written; it is not appended to. Returns undefined when it is no
   * segment. What its writer did not sum up, since it was killed, is looked through, head by head.
   */
  static adopt(path: string): Segment | undefined {
    const fd = openSync(path, "r");
    try {
      const size = fstatSync(fd).size;
      const head = decodeSegmentHead(readAt(fd, 0, SEGMENT_HEAD_BYTES));
      const first = decodeHead(readAt(fd, SEGMENT_HEAD_BYTES, RECORD_HEAD_BYTES));
      const acceptedMs = head?.firstAcceptedMs ?? first?.acceptedMs;
      const timestampSec = head?.firstTimestampSec ?? first?.fields.timestampSec;
      if (acceptedMs === undefined || timestampSec === undefined) return undefined;
      const segment = new Segment(path, { acceptedMs, timestampSec }, true);
      segment.#copies.seek(Math.max(SEGMENT_HEAD_BYTES, head?.readOffset ?? 0));
      segment.lastAcceptedMs = head?.lastAcceptedMs ?? acceptedMs;
      segment.bytes = size;
      if (head?.isSealed === true) segment.rows = head.rowsLeft;
      else segment.#sumUp(fd, size);
      return segment;
    } finally {
      closeSync(fd);
    }
  }

  /** Writes a whole segment at once, without the event loop: for the moment when the process ends. */
  static writeSync(path: string, batches: readonly SpoolBatch[]): void {
    const { acceptedMs, batch } = batches[0]!;
    const segment = new Segment(path, { acceptedMs, timestampSec: batch.timestampSec }, true);
    for (const one of batches) segment.#count(one);
    const fd = openSync(path, "wx", 0o600);
    try {
      writeFullySync(fd, segment.#head());
      for (const one of batches) {
        writeFullySync(fd, encodeHead(one));
        writeFullySync(fd, one.batch.bytes);
      }
      fsyncSync(fd);
    } catch (error) {
      // These rows are lost here; the next process shall not find some of them.
      unlinkSync(path);
      throw error;
    } finally {
      closeSync(fd);
    }
  }

  /** Whether batches lie here that are not in memory, or are spoken of and missing. */
  get hasUnread(): boolean {
    const { readOffset, heldRows } = this.#copies;
    return readOffset < this.#readEnd || (this.isSealed && this.rows > heldRows);
  }

  /** Whether some of it is in memory, or is just coming there, and so may be on its way. */
  get isHeld(): boolean {
    return this.#isReading || this.#copies.heldRows > 0;
  }

  /**
   * Appends batches durably. written: told at the moment they count as on disk, with the copy of each;
   * returns those that stay in memory. On a fault nothing is appended.
   */
  async append(
    batches: readonly SpoolBatch[],
    written: (copies: readonly DiskCopy[]) => readonly DiskCopy[],
  ): Promise<void> {
    const file = await this.#open();
    const pieces = batches.flatMap((one) => [encodeHead(one), one.batch.bytes]);
    try {
      await writeFully(file, Buffer.concat(pieces), this.bytes);
      await file.datasync();
    } catch (error) {
      // What was written of it is overwritten, or passed over as a torn end.
      await file.truncate(this.bytes).catch(() => undefined);
      throw error;
    }
    const copies = batches.map((one) => {
      const offset = this.bytes;
      this.#count(one);
      if (one.batch.receipt !== undefined) this.#copies.keepReceipt(offset, one.batch.receipt);
      return this.#copies.add(offset, this.bytes, one.batch.rowCount);
    });
    const held = new Set(written(copies));
    for (const copy of copies) if (!held.has(copy)) copy.unload();
  }

  /**
   * Reads the next batch that is not in memory; undefined when there is none, or no more that can be read.
   * lose: told of rows that are damaged. One call at a time.
   */
  async read(lose: (rowCount: number) => void): Promise<ReadBatch | undefined> {
    this.#isReading = true;
    try {
      return await this.#read(lose);
    } catch (error) {
      // Handed over meanwhile, it was closed under the reader.
      if (this.#isRemoved) return undefined;
      throw error;
    } finally {
      this.#isReading = false;
    }
  }

  async #read(lose: (rowCount: number) => void): Promise<ReadBatch | undefined> {
    for (;;) {
      const handOvers = this.#handOvers;
      const offset = this.#copies.readOffset;
      if (offset >= this.#readEnd) break;
      const file = await this.#open();
      const head = decodeHead(await readFully(file, offset, RECORD_HEAD_BYTES));
      const end = offset + RECORD_HEAD_BYTES + (head?.byteLength ?? 0);
      // It may be somebody else's by now, and its head half written.
      if (handOvers !== this.#handOvers) continue;
      if (head === undefined || end > this.bytes) {
        // Nothing behind a damaged head can be found, so nothing more may come there.
        this.isSealed = true;
        this.#damagedFrom = Math.min(this.#damagedFrom, offset);
        continue;
      }
      if (head.isHandedOver) {
        this.#copies.add(offset, end, 0).drop();
        continue;
      }
      const bytes = await readFully(file, offset + RECORD_HEAD_BYTES, head.byteLength);
      if (handOvers !== this.#handOvers) continue;
      const receipt = this.#copies.receiptAt(offset);
      const batch = decodeBatch(head, bytes, receipt);
      // The reader passes it by that. It is not moved itself: meanwhile others may have been unloaded.
      const copy = this.#copies.add(offset, end, head.fields.rowCount);
      if (batch !== undefined) return { ...batch, copy };
      lose(copy.rowCount);
      receipt?.settle(false);
      copy.drop();
    }
    const missing = this.rows - this.#copies.heldRows;
    if (this.isSealed && missing > 0) {
      this.rows -= missing;
      lose(missing);
      this.#copies.giveUp(true);
      if (this.rows === 0) this.onEmpty(this);
    }
    return undefined;
  }

  /** Drops records of a cluster's intervals that somebody else writes, if not in memory. Returns the rows. */
  handOver(isTheirs: (interval: number) => boolean): number {
    let rows = 0;
    this.#handOvers++;
    const fd = openSync(this.path, "r+");
    try {
      for (const { offset, end, head } of recordsOf(fd, this.#copies.firstOffset, this.bytes)) {
        const { isOrdered, interval, rowCount } = head.fields;
        if (head.isHandedOver || this.#copies.has(offset) || !isOrdered || !isTheirs(interval)) continue;
        markHandedOver(fd, offset);
        this.#copies.add(offset, end, 0).drop();
        rows += rowCount;
      }
    } finally {
      closeSync(fd);
    }
    if (rows > 0) this.#drop(rows);
    return rows;
  }

  /** Nothing will be appended any more. */
  seal(): void {
    this.isSealed = true;
    this.#note();
  }

  /** Closes the file until it is needed again. */
  rest(): void {
    const file = this.#file;
    this.#file = undefined;
    // A file that cannot be closed is none that anything could be done about.
    void file?.then((opened) => opened.close()).catch(() => undefined);
  }

  /** Deletes the file. One that cannot be deleted is found, and replayed, by the next process. */
  remove(): void {
    if (this.#isRemoved) return;
    this.#isRemoved = true;
    this.rows = 0;
    this.#copies.giveUp();
    this.rest();
    void unlink(this.path).catch(() => undefined);
  }

  /**
   * Gives the segment up for the next process, with a note of how far delivery got. isAppending: whether
   * append() is under way, so that more may come behind what is counted.
   */
  release(isAppending: boolean): void {
    this.#copies.giveUp();
    this.#isReleased = !isAppending;
    this.isSealed = !isAppending;
    if (!isAppending) this.rest();
    const fd = openSync(this.path, "r+");
    try {
      // Behind it may be what a fault has left of an append.
      if (!isAppending) ftruncateSync(fd, this.bytes);
      writeFullySync(fd, this.#head());
    } finally {
      closeSync(fd);
    }
  }

  /** Rows were delivered or lost. */
  #drop(rowCount: number): void {
    if (rowCount === 0) return;
    this.rows -= rowCount;
    if (this.rows === 0) this.onEmpty(this);
    else this.#note();
  }

  get #readEnd(): number {
    return Math.min(this.bytes, this.#damagedFrom);
  }

  #count(one: SpoolBatch): void {
    this.bytes += recordBytes(one);
    this.rows += one.batch.rowCount;
    this.lastAcceptedMs = Math.max(this.lastAcceptedMs, one.acceptedMs);
  }

  #sumUp(fd: number, size: number): void {
    // A torn end was never promised to anybody.
    this.bytes = this.#copies.readOffset;
    for (const { end, head } of recordsOf(fd, this.bytes, size)) {
      if (!head.isHandedOver) this.rows += head.fields.rowCount;
      this.lastAcceptedMs = Math.max(this.lastAcceptedMs, head.acceptedMs);
      this.bytes = end;
    }
  }

  /** Writes how far delivery got, one write at a time. */
  #note(): void {
    if (this.#isRemoved || this.#isReleased) return;
    this.#isNoteDue = true;
    if (this.#isNoting) return;
    this.#isNoting = true;
    this.#isNoteDue = false;
    this.#open()
      .then((file) => writeFully(file, this.#head(), 0))
      // Without the note a crash would have more of this segment sent again; nothing else is wrong.
      .catch(() => undefined)
      .finally(() => {
        this.#isNoting = false;
        if (this.#isNoteDue) this.#note();
      });
  }

  #head(): Buffer {
    const { firstAcceptedMs, lastAcceptedMs, firstTimestampSec, isSealed } = this;
    return encodeSegmentHead({
      firstAcceptedMs,
      lastAcceptedMs,
      firstTimestampSec,
      readOffset: this.#copies.firstOffset,
      rowsLeft: this.rows + this.#copies.droppedRows,
      isSealed,
    });
  }

  #open(): Promise<FileHandle> {
    this.#file ??= open(this.path, "r+").catch((error: unknown) => {
      this.#file = undefined;
      throw error;
    });
    return this.#file;
  }
}
