/**
 * One file of the disk spool: a head that names the channel, then records (record.ts), only ever appended.
 *
 *   [ "SRSPOOL1" | kind u32 | key bytes u32 | created ms f64 | last ms f64 |
 *     is summed u32 | read offset u32 | lines left u32 | 0 u32 | key ] [ record ] [ record ] ...
 *
 * Who owns a segment names it `HASH-UNIQUE.PID.open`; who gives it up renames it `HASH-UNIQUE.spool`. A
 * rename is atomic, so of two relays on one folder only one gets it. Read offset and lines left are brought
 * up to date now and then, behind what has gone into the queue: after a crash at most PROGRESS_BYTES * 2 of
 * one segment are replayed twice.
 */
import {
  close,
  closeSync,
  fstatSync,
  fsync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { encodeRecords, RecordReader, type SpoolRecord } from "./record.ts";

const MAGIC = "SRSPOOL1";
const KIND = 8;
const KEY_BYTES = 12;
const CREATED_MS = 16;
const LAST_MS = 24;
const IS_SUMMED = 32;
const READ_OFFSET = 36;
const LINES_LEFT = 40;
const HEAD_BYTES = 48;
/** A key is a ring's name and a destination as configured. */
const KEY_BYTES_MAX = 4096;
/** Bytes read between two notes of how far reading got. */
const PROGRESS_BYTES = 64 << 10;

/** What a segment holds: packets in their order, or a copy of the gauge lines held in memory. */
export type SegmentKind = "packets" | "gauges";
const KINDS: readonly SegmentKind[] = ["packets", "gauges"];

/** Size of a segment without a record. */
export function segmentHeadBytes(key: string): number {
  return HEAD_BYTES + Buffer.byteLength(key);
}

/** One segment, written and then read by the same owner. Errors of the file system are thrown. */
export class Segment {
  path: string;
  readonly key: string;
  readonly kind: SegmentKind;
  readonly createdMs: number;
  /** Wall clock of the newest record. */
  lastMs: number;
  /** Size of the file. */
  bytes: number;
  /** Lines that were not read yet. */
  lines: number;
  #fd: number | undefined;
  #reader: RecordReader | undefined;
  #readOffset: number;
  #notedOffset: number;
  /** Lines left at the moment that #notedOffset stands for. */
  #notedLines: number;

  private constructor(path: string, key: string, kind: SegmentKind, createdMs: number) {
    this.path = path;
    this.key = key;
    this.kind = kind;
    this.createdMs = createdMs;
    this.lastMs = createdMs;
    this.bytes = segmentHeadBytes(key);
    this.lines = 0;
    this.#readOffset = this.bytes;
    this.#notedOffset = this.bytes;
    this.#notedLines = 0;
  }

  /** Makes an empty segment for appending. */
  static create(path: string, key: string, kind: SegmentKind, nowMs: number): Segment {
    const segment = new Segment(path, key, kind, nowMs);
    const fd = openSync(path, "wx+", 0o600);
    try {
      writeFully(fd, segment.#head(false), 0);
    } catch (error) {
      closeSync(fd);
      rmSync(path, { force: true });
      throw error;
    }
    segment.#fd = fd;
    return segment;
  }

  /**
   * Opens one that somebody else has written, for reading. Returns undefined when it is no segment. What its
   * writer did not sum up, since it was killed, is read through.
   */
  static adopt(path: string): Segment | undefined {
    const fd = openSync(path, "r+");
    try {
      const head = Buffer.alloc(HEAD_BYTES + KEY_BYTES_MAX);
      const headBytes = readSync(fd, head, 0, head.length, 0);
      const segment = Segment.#parse(path, head.subarray(0, headBytes));
      if (segment === undefined) return undefined;
      segment.bytes = fstatSync(fd).size;
      if (head.readUInt32LE(IS_SUMMED) === 0) segment.#sumUp();
      return segment;
    } finally {
      closeSync(fd);
    }
  }

  /** Key and kind of a file without opening it for good; undefined when it is no segment. */
  static #parse(path: string, head: Buffer): Segment | undefined {
    if (head.length < HEAD_BYTES || head.toString("latin1", 0, MAGIC.length) !== MAGIC) return undefined;
    const keyBytes = head.readUInt32LE(KEY_BYTES);
    const kind = KINDS[head.readUInt32LE(KIND)];
    const readOffset = head.readUInt32LE(READ_OFFSET);
    const start = HEAD_BYTES + keyBytes;
    if (kind === undefined || start > head.length || readOffset < start) return undefined;
    const key = head.toString("utf8", HEAD_BYTES, start);
    const segment = new Segment(path, key, kind, head.readDoubleLE(CREATED_MS));
    segment.lastMs = head.readDoubleLE(LAST_MS);
    segment.lines = head.readUInt32LE(LINES_LEFT);
    segment.#readOffset = readOffset;
    segment.#notedOffset = readOffset;
    segment.#notedLines = segment.lines;
    return segment;
  }

  #sumUp(): void {
    const reader = new RecordReader(readFileSync(this.path), this.#readOffset);
    this.lines = 0;
    for (let record = reader.next(); record !== undefined; record = reader.next()) {
      this.lines += record.lines;
      this.lastMs = Math.max(this.lastMs, record.wallMs);
    }
    this.#notedLines = this.lines;
  }

  get isWriting(): boolean {
    return this.#fd !== undefined;
  }

  /** Appends records; all of them or, where the disk is full, none. Throws what the file system says. */
  append(records: readonly SpoolRecord[]): void {
    const data = encodeRecords(records);
    try {
      writeFully(this.#fd!, data, this.bytes);
    } catch (error) {
      ftruncateSync(this.#fd!, this.bytes);
      throw error;
    }
    this.bytes += data.length;
    for (const { lines, wallMs } of records) {
      this.lines += lines;
      this.lastMs = Math.max(this.lastMs, wallMs);
    }
    this.#notedLines = this.lines;
  }

  /** Ends writing: the sums go into the head, and the disk gets everything in the background. */
  finish(): void {
    const fd = this.#fd;
    if (fd === undefined) return;
    this.#fd = undefined;
    try {
      writeFully(fd, this.#head(true), 0);
    } catch {
      // Without its sums the segment is read through by who adopts it.
    }
    // A disk that cannot sync still has the bytes in memory; nobody could do better.
    fsync(fd, () => close(fd, () => {}));
  }

  /**
   * Returns the next record that can be read, or undefined behind the last. onDamage: told of each piece of
   * damage that was passed over.
   */
  read(onDamage: () => void): SpoolRecord | undefined {
    this.finish();
    this.#reader ??= new RecordReader(readFileSync(this.path), this.#readOffset);
    const damagedBefore = this.#reader.damaged;
    const record = this.#reader.next();
    if (this.#reader.damaged > damagedBefore) onDamage();
    if (record === undefined) return undefined;
    this.lines = Math.max(0, this.lines - record.lines);
    this.#readOffset = this.#reader.offset;
    if (this.#readOffset - this.#notedOffset >= PROGRESS_BYTES) this.#noteProgress();
    return record;
  }

  /** Gives the segment up, for another process to go on with. path: its new name. */
  release(path: string): void {
    this.finish();
    this.#notedOffset = this.#readOffset;
    this.#notedLines = this.lines;
    this.#writeHead();
    renameSync(this.path, path);
    this.path = path;
  }

  /** Takes the segment under a name of its new owner. Throws when another process was faster. */
  claim(path: string): void {
    renameSync(this.path, path);
    this.path = path;
  }

  /** Deletes the file. */
  remove(): void {
    const fd = this.#fd;
    this.#fd = undefined;
    if (fd !== undefined) close(fd, () => {});
    rmSync(this.path, { force: true });
  }

  /** Writes where reading stood at the last note: what was read since may still be in the queue. */
  #noteProgress(): void {
    try {
      this.#writeHead();
    } catch {
      // Without the note a crash would have more of this segment replayed twice; nothing else is wrong.
    }
    this.#notedOffset = this.#readOffset;
    this.#notedLines = this.lines;
  }

  #writeHead(): void {
    const fd = openSync(this.path, "r+");
    try {
      writeFully(fd, this.#head(true), 0);
    } finally {
      closeSync(fd);
    }
  }

  #head(isSummed: boolean): Buffer {
    const head = Buffer.alloc(segmentHeadBytes(this.key));
    head.write(MAGIC, "latin1");
    head.writeUInt32LE(KINDS.indexOf(this.kind), KIND);
    head.writeUInt32LE(head.length - HEAD_BYTES, KEY_BYTES);
    head.writeDoubleLE(this.createdMs, CREATED_MS);
    head.writeDoubleLE(this.lastMs, LAST_MS);
    head.writeUInt32LE(isSummed ? 1 : 0, IS_SUMMED);
    head.writeUInt32LE(this.#notedOffset, READ_OFFSET);
    head.writeUInt32LE(this.#notedLines, LINES_LEFT);
    head.write(this.key, HEAD_BYTES, "utf8");
    return head;
  }
}

/** Writes all bytes at a position. Throws where the disk takes only part of them. */
function writeFully(fd: number, data: Buffer, position: number): void {
  let done = 0;
  while (done < data.length) {
    const written = writeSync(fd, data, done, data.length - done, position + done);
    if (written === 0) throw new Error("the disk takes no more");
    done += written;
  }
}
