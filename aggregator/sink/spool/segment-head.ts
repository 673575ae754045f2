/**
 * The head of a segment, little endian. It is rewritten in place, so it has a checksum; where that is wrong,
 * the records behind it still say everything.
 *
 *   [ "BYROWS1\n" | first accepted ms f64 | last accepted ms f64 | first timestamp s f64 |
 *     read offset f64 | rows left f64 | is sealed u32 | crc32 of all before u32 | 0 u64 ]
 */
import { crc32 } from "../../../shared/checksum.ts";

export const SEGMENT_HEAD_BYTES = 64;

const MAGIC = "BYROWS1\n";
const FIRST_ACCEPTED = 8;
const LAST_ACCEPTED = 16;
const FIRST_TIMESTAMP = 24;
const READ_OFFSET = 32;
const ROWS_LEFT = 40;
const IS_SEALED = 48;
const CRC = 52;

/** What is known of a segment's records. */
export interface SegmentHead {
  /** Wall clock at which its first and last batch were accepted, in milliseconds since 1970. */
  readonly firstAcceptedMs: number;
  readonly lastAcceptedMs: number;
  /** Timestamp of the first batch's rows, in seconds. */
  readonly firstTimestampSec: number;
  /** Where the first record begins that has to be delivered. */
  readonly readOffset: number;
  /** Rows from there on, less those delivered; right only when sealed. */
  readonly rowsLeft: number;
  /** Whether nothing is appended any more. */
  readonly isSealed: boolean;
}

export function encodeSegmentHead(head: SegmentHead): Buffer {
  const bytes = Buffer.alloc(SEGMENT_HEAD_BYTES);
  bytes.write(MAGIC, "latin1");
  bytes.writeDoubleLE(head.firstAcceptedMs, FIRST_ACCEPTED);
  bytes.writeDoubleLE(head.lastAcceptedMs, LAST_ACCEPTED);
  bytes.writeDoubleLE(head.firstTimestampSec, FIRST_TIMESTAMP);
  bytes.writeDoubleLE(head.readOffset, READ_OFFSET);
  bytes.writeDoubleLE(head.rowsLeft, ROWS_LEFT);
  bytes.writeUInt32LE(head.isSealed ? 1 : 0, IS_SEALED);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, CRC)), CRC);
  return bytes;
}

/** Returns undefined for bytes that are no head, or a damaged one. */
export function decodeSegmentHead(bytes: Buffer): SegmentHead | undefined {
  if (bytes.length < SEGMENT_HEAD_BYTES || bytes.toString("latin1", 0, MAGIC.length) !== MAGIC)
    return undefined;
  if (bytes.readUInt32LE(CRC) !== crc32(bytes.subarray(0, CRC))) return undefined;
  return {
    firstAcceptedMs: bytes.readDoubleLE(FIRST_ACCEPTED),
    lastAcceptedMs: bytes.readDoubleLE(LAST_ACCEPTED),
    firstTimestampSec: bytes.readDoubleLE(FIRST_TIMESTAMP),
    readOffset: bytes.readDoubleLE(READ_OFFSET),
    rowsLeft: bytes.readDoubleLE(ROWS_LEFT),
    isSealed: bytes.readUInt32LE(IS_SEALED) === 1,
  };
}
