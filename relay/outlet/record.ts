/**
 * Records of a spool segment, one for each packet, little endian:
 *
 *   [ length u32 | lines u32 | wall ms f64 | crc32 u32 | bytes ]
 *
 * The checksum covers the fields before it and the bytes behind it.
 */
import { crc32 } from "../../shared/checksum.ts";

/** Bytes of a record before its payload. */
export const RECORD_HEAD_BYTES = 20;
/** No packet comes near it; a length above it is damage. */
const PAYLOAD_BYTES_MAX = 1 << 20;
/** Records carry a time of this century: that alone tells most damage without a checksum. */
const WALL_MS_MIN = 9e11;
const WALL_MS_MAX = 4.2e12;
/** Bytes summed in vain while the next good record of one segment is looked for. */
const SEARCH_BYTES_MAX = 64 << 20;

const LENGTH = 0;
const LINES = 4;
const WALL_MS = 8;
const CRC = 16;

/** One packet as it lies on disk. */
export interface SpoolRecord {
  readonly bytes: Uint8Array;
  readonly lines: number;
  /** Wall clock at which the outlet had taken it. */
  readonly wallMs: number;
}

/** Encodes records back to back. */
export function encodeRecords(records: readonly SpoolRecord[]): Buffer {
  const size = records.reduce((sum, { bytes }) => sum + RECORD_HEAD_BYTES + bytes.length, 0);
  const target = Buffer.allocUnsafe(size);
  let at = 0;
  for (const { bytes, lines, wallMs } of records) {
    target.writeUInt32LE(bytes.length, at + LENGTH);
    target.writeUInt32LE(lines, at + LINES);
    target.writeDoubleLE(wallMs, at + WALL_MS);
    target.writeUInt32LE(crc32(bytes, crc32(target.subarray(at, at + CRC))), at + CRC);
    target.set(bytes, at + RECORD_HEAD_BYTES);
    at += RECORD_HEAD_BYTES + bytes.length;
  }
  return target;
}

/**
 * Reads records one after the other. Damage is passed over up to the next good record, wherever that
 * begins; a tail that was cut short is such damage too.
 */
export class RecordReader {
  /** Pieces of damage met so far. */
  damaged = 0;
  readonly #data: Buffer;
  #offset: number;
  #searchBytes = 0;

  /** data: a whole segment. offset: where its first record begins. */
  constructor(data: Buffer, offset: number) {
    this.#data = data;
    this.#offset = offset;
  }

  /** Where the next record begins. */
  get offset(): number {
    return this.#offset;
  }

  /** Returns the next good record, or undefined at the end. Its bytes lie in the segment's memory. */
  next(): SpoolRecord | undefined {
    if (this.#offset >= this.#data.length) return undefined;
    const record = this.#read(this.#offset) ?? this.#search();
    if (record === undefined) this.#offset = this.#data.length;
    else this.#offset = record.bytes.byteOffset - this.#data.byteOffset + record.bytes.length;
    return record;
  }

  #search(): SpoolRecord | undefined {
    this.damaged++;
    for (let at = this.#offset + 1; at + RECORD_HEAD_BYTES <= this.#data.length; at++) {
      if (this.#searchBytes > SEARCH_BYTES_MAX) return undefined;
      const record = this.#read(at);
      if (record !== undefined) return record;
    }
    return undefined;
  }

  #read(at: number): SpoolRecord | undefined {
    const data = this.#data;
    if (at + RECORD_HEAD_BYTES > data.length) return undefined;
    const length = data.readUInt32LE(at + LENGTH);
    const start = at + RECORD_HEAD_BYTES;
    if (length > PAYLOAD_BYTES_MAX || start + length > data.length) return undefined;
    const lines = data.readUInt32LE(at + LINES);
    const wallMs = data.readDoubleLE(at + WALL_MS);
    if (lines > length || !(wallMs >= WALL_MS_MIN && wallMs <= WALL_MS_MAX)) return undefined;
    const bytes = data.subarray(start, start + length);
    this.#searchBytes += length;
    if (crc32(bytes, crc32(data.subarray(at, at + CRC))) !== data.readUInt32LE(at + CRC)) return undefined;
    // What was read well is no search.
    this.#searchBytes -= length;
    return { bytes, lines, wallMs };
  }
}
