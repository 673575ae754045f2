/**
 * One file of an agent's spool, little-endian: a head that is overwritten in place, and records behind it.
 *
 *   head    "BYAGENT1" | first unreleased offset f64 | samples before it f64 | samples f64 | crc32 u32 | 0s
 *   record  "DLTA" | bytes u32 | samples f64 | crc32 of the frame u32 | crc32 of all before u32 | frame
 *
 * The head is a help: without it records are read again that members know, and losses are counted by reading.
 */
import { type FileHandle, open, rm, truncate } from "node:fs/promises";
import { crc32 } from "../../shared/checksum.ts";
import { type Delta, deltaOf } from "../delta.ts";
import { writeFully } from "./file-access.ts";

const MAGIC = Buffer.from("BYAGENT1", "latin1");
export const SEGMENT_HEAD_BYTES = 64;
const RELEASED = 8;
const RELEASED_SAMPLES = 16;
const SAMPLES = 24;
const HEAD_CRC = 32;

const RECORD_MAGIC = 0x41544c44;
export const RECORD_HEAD_BYTES = 24;
/** No frame comes near it; a length above it is damage. */
const FRAME_BYTES_MAX = 1 << 28;

/** What is read at a time where all of a file is. */
const CHUNK_BYTES = 1 << 20;

/** A record of a segment. delta: undefined where it is damaged. */
export interface SegmentRecord {
  readonly offset: number;
  readonly end: number;
  readonly samples: number;
  readonly delta: Delta | undefined;
}

/** A record that was read and not released. */
interface OpenRecord {
  readonly end: number;
  readonly samples: number;
  isReleased: boolean;
}

/** Writes deltas as records. */
export function encodeRecords(deltas: readonly Delta[]): Uint8Array[] {
  return deltas.flatMap(({ bytes, samples }) => {
    const head = Buffer.alloc(RECORD_HEAD_BYTES);
    head.writeUInt32LE(RECORD_MAGIC, 0);
    head.writeUInt32LE(bytes.length, 4);
    head.writeDoubleLE(samples, 8);
    head.writeUInt32LE(crc32(bytes), 16);
    head.writeUInt32LE(crc32(head.subarray(0, 20)), 20);
    return [head, bytes];
  });
}

export class AgentSegment {
  readonly path: string;
  /** Where the next record goes: its size. */
  bytes: number;
  /** Samples of its records. */
  samples: number;
  /** Where the next record is that has to be read, and the samples before it. */
  readOffset: number;
  readSamples: number;
  /** Nothing more is appended to it. */
  isSealed = false;
  isRemoved = false;
  #releasedOffset: number;
  #releasedSamples: number;
  /** Read and not released, by offset; in order. */
  readonly #open = new Map<number, OpenRecord>();

  private constructor(
    path: string,
    bytes: number,
    released: number,
    releasedSamples: number,
    samples: number,
  ) {
    this.path = path;
    this.bytes = bytes;
    this.samples = samples;
    this.#releasedOffset = released;
    this.#releasedSamples = releasedSamples;
    this.readOffset = released;
    this.readSamples = releasedSamples;
  }

  /** Makes a new file. Throws what the file system says. */
  static async create(path: string): Promise<AgentSegment> {
    const segment = new AgentSegment(path, SEGMENT_HEAD_BYTES, SEGMENT_HEAD_BYTES, 0, 0);
    const file = await open(path, "wx", 0o600);
    try {
      await writeFully(file, segment.#head(), 0);
    } finally {
      await file.close();
    }
    return segment;
  }

  /** Opens a file of an earlier run, which is only read. Throws what the file system says. */
  static async open(path: string): Promise<AgentSegment> {
    const file = await open(path, "r");
    try {
      const { size } = await file.stat();
      const head = await readAt(file, 0, SEGMENT_HEAD_BYTES);
      const isWhole = head.length === SEGMENT_HEAD_BYTES && head.subarray(0, RELEASED).equals(MAGIC);
      const isSound = isWhole && head.readUInt32LE(HEAD_CRC) === crc32(head.subarray(0, HEAD_CRC));
      const segment = isSound
        ? new AgentSegment(
            path,
            size,
            head.readDoubleLE(RELEASED),
            head.readDoubleLE(RELEASED_SAMPLES),
            head.readDoubleLE(SAMPLES),
          )
        : new AgentSegment(path, Math.max(size, SEGMENT_HEAD_BYTES), SEGMENT_HEAD_BYTES, 0, 0);
      segment.isSealed = true;
      if (!isSound) segment.samples = await segment.#countSamples(file);
      return segment;
    } finally {
      await file.close();
    }
  }

  /** Whether something of it was not read. */
  get hasUnread(): boolean {
    return this.readOffset < this.bytes;
  }

  /** Samples of records that were not read. */
  get unreadSamples(): number {
    return Math.max(0, this.samples - this.readSamples);
  }

  /** Whether something of it was read and is not released. */
  get isInUse(): boolean {
    return this.#open.size > 0;
  }

  /** Whether nothing of it is needed any more. */
  get isDone(): boolean {
    return !this.hasUnread && !this.isInUse;
  }

  /**
   * Appends records, and has them on disk when it resolves. Rejects with what the file system says; then none
   * of them counts.
   */
  async append(records: readonly Uint8Array[], samples: number): Promise<void> {
    const file = await open(this.path, "r+");
    const before = this.samples;
    try {
      let end = this.bytes;
      for (const piece of records) {
        await writeFully(file, piece, end);
        end += piece.length;
      }
      this.samples += samples;
      await writeFully(file, this.#head(), 0);
      await file.datasync();
      this.bytes = end;
    } catch (error) {
      this.samples = before;
      this.isSealed = true;
      // A later run shall not find half of it; where even that fails, checksums tell.
      await truncate(this.path, this.bytes).catch(() => {});
      throw error;
    } finally {
      await file.close();
    }
  }

  /**
   * Reads records, at most so many bytes but at least one. None are left where it returns none. Rejects with
   * what the file system says; then none was read.
   */
  async read(bytesMax: number): Promise<SegmentRecord[]> {
    const records: SegmentRecord[] = [];
    const file = await open(this.path, "r");
    try {
      const reader = new RecordReader(file, this.bytes, bytesMax);
      let bytes = 0;
      while (this.hasUnread && bytes < bytesMax) {
        const record = await reader.at(this.readOffset);
        // From where it is damaged nobody can tell what follows.
        if (record === undefined) {
          this.readOffset = this.bytes;
          break;
        }
        bytes += record.end - record.offset;
        this.readOffset = record.end;
        this.readSamples += record.samples;
        this.#open.set(record.offset, { ...record, isReleased: false });
        records.push(record);
      }
    } catch (error) {
      this.#rewind(records);
      throw error;
    } finally {
      await file.close();
    }
    return records;
  }

  /** Reads no more of it. Returns the samples that are lost by that. */
  skipRest(): number {
    const lost = this.unreadSamples;
    this.readOffset = this.bytes;
    this.readSamples = this.samples;
    return lost;
  }

  /** Takes back that records were read. */
  #rewind(records: readonly SegmentRecord[]): void {
    for (const { offset, samples } of records) {
      this.#open.delete(offset);
      this.readSamples -= samples;
      this.readOffset = Math.min(this.readOffset, offset);
    }
  }

  /** A record that was read is not needed any more. Returns whether the head should be written. */
  release(offset: number): boolean {
    const released = this.#open.get(offset);
    if (released === undefined) return false;
    released.isReleased = true;
    let hasMoved = false;
    for (const [at, { end, samples, isReleased }] of this.#open) {
      if (!isReleased) break;
      this.#open.delete(at);
      this.#releasedOffset = end;
      this.#releasedSamples += samples;
      hasMoved = true;
    }
    return hasMoved;
  }

  /** Writes how far it is released, which need not be on disk at once. */
  async writeHead(): Promise<void> {
    const file = await open(this.path, "r+");
    try {
      await writeFully(file, this.#head(), 0);
    } finally {
      await file.close();
    }
  }

  async remove(): Promise<void> {
    this.isRemoved = true;
    await rm(this.path, { force: true });
  }

  #head(): Buffer {
    const head = Buffer.alloc(SEGMENT_HEAD_BYTES);
    MAGIC.copy(head);
    head.writeDoubleLE(this.#releasedOffset, RELEASED);
    head.writeDoubleLE(this.#releasedSamples, RELEASED_SAMPLES);
    head.writeDoubleLE(this.samples, SAMPLES);
    head.writeUInt32LE(crc32(head.subarray(0, HEAD_CRC)), HEAD_CRC);
    return head;
  }

  async #countSamples(file: FileHandle): Promise<number> {
    let samples = 0;
    const reader = new RecordReader(file, this.bytes, CHUNK_BYTES);
    for (let offset = SEGMENT_HEAD_BYTES; offset < this.bytes; ) {
      const record = await reader.at(offset);
      if (record === undefined) break;
      samples += record.samples;
      offset = record.end;
    }
    return samples;
  }
}

async function readAt(file: FileHandle, position: number, bytes: number): Promise<Buffer> {
  const target = Buffer.allocUnsafeSlow(bytes);
  let done = 0;
  while (done < bytes) {
    const { bytesRead } = await file.read(target, done, bytes - done, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return target.subarray(0, done);
}

/** Reads records one behind the other, many with one access. */
class RecordReader {
  readonly #file: FileHandle;
  readonly #fileEnd: number;
  readonly #chunkBytes: number;
  #chunk: Buffer = Buffer.alloc(0);
  #chunkAt = 0;

  /** fileEnd: what lies behind it does not count. */
  constructor(file: FileHandle, fileEnd: number, chunkBytes: number) {
    this.#file = file;
    this.#fileEnd = fileEnd;
    this.#chunkBytes = Math.max(chunkBytes, SEGMENT_HEAD_BYTES);
  }

  /** Undefined for what is no record, or not a whole one. */
  async at(offset: number): Promise<SegmentRecord | undefined> {
    const head = await this.#bytes(offset, RECORD_HEAD_BYTES);
    if (head === undefined || head.readUInt32LE(0) !== RECORD_MAGIC) return undefined;
    if (head.readUInt32LE(20) !== crc32(head.subarray(0, 20))) return undefined;
    const length = head.readUInt32LE(4);
    if (length > FRAME_BYTES_MAX) return undefined;
    const bytes = await this.#bytes(offset + RECORD_HEAD_BYTES, length);
    if (bytes === undefined) return undefined;
    const isSound = crc32(bytes) === head.readUInt32LE(16);
    // Not a Buffer: whoever gets it keeps it like one that has just been cut.
    const frame = new Uint8Array(bytes.buffer, bytes.byteOffset, length);
    const end = offset + RECORD_HEAD_BYTES + length;
    return { offset, end, samples: head.readDoubleLE(8), delta: isSound ? deltaOf(frame) : undefined };
  }

  async #bytes(offset: number, bytes: number): Promise<Buffer | undefined> {
    if (offset + bytes > this.#fileEnd) return undefined;
    const isThere = offset >= this.#chunkAt && offset + bytes <= this.#chunkAt + this.#chunk.length;
    if (!isThere) {
      const size = Math.min(Math.max(bytes, this.#chunkBytes), this.#fileEnd - offset);
      this.#chunk = await readAt(this.#file, offset, size);
      this.#chunkAt = offset;
      if (this.#chunk.length < bytes) return undefined;
    }
    return this.#chunk.subarray(offset - this.#chunkAt, offset - this.#chunkAt + bytes);
  }
}
