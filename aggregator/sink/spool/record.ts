/**
 * Records of a spool segment, one for each batch of rows, little endian:
 *
 *   [ "ROWS" | bytes u32 | rows u32 | revision u32 | interval f64 | timestamp s f64 | accepted ms f64 |
 *     flags u32 | crc32 of the bytes u32 | crc32 of all before u32 | 0 u32 | bytes ]
 *
 * The head has a checksum of its own: with damaged bytes the record can still be passed over.
 */
import { writeSync } from "node:fs";
import { crc32 } from "../../../shared/checksum.ts";
import type { RowBatch } from "../../row.ts";
import type { DeliveryReceipt } from "../delivery-ticket.ts";
import { readAt } from "./whole-access.ts";

/** Bytes of a record before those of its batch. */
export const RECORD_HEAD_BYTES = 56;
/** No batch comes near it; a length above it is damage. */
const BATCH_BYTES_MAX = 1 << 30;

const MAGIC = 0x53574f52;
const BYTES = 4;
const ROWS = 8;
const REVISION = 12;
const INTERVAL = 16;
const TIMESTAMP = 24;
const ACCEPTED = 32;
const FLAGS = 40;
const BYTES_CRC = 44;
const HEAD_CRC = 48;

const FLAG_PARTIAL = 1;
const FLAG_LAST = 2;
const FLAG_ORDERED = 4;
const FLAG_HANDED_OVER = 8;

/** A batch as it lies on disk. */
export interface SpoolBatch {
  readonly batch: RowBatch;
  /** Wall clock at which the sink accepted it, in milliseconds since 1970. */
  readonly acceptedMs: number;
}

/** What a record's head says. */
export interface RecordHead {
  /** A batch without its bytes. */
  readonly fields: Omit<RowBatch, "bytes" | "ticket" | "receipt">;
  readonly acceptedMs: number;
  /** Bytes of the batch, behind the head. */
  readonly byteLength: number;
  readonly crc: number;
  /** Whether another leader writes its rows: here they do not count any more. */
  readonly isHandedOver: boolean;
}

/** Size of a batch as record. */
export function recordBytes({ batch }: SpoolBatch): number {
  return RECORD_HEAD_BYTES + batch.bytes.byteLength;
}

/** Size of several batches as records. */
export function bytesOf(batches: readonly SpoolBatch[]): number {
  return batches.reduce((sum, batch) => sum + recordBytes(batch), 0);
}

/** Those at the front that are no larger than bytesMax together; at least one. */
export function leadingBatches(batches: readonly SpoolBatch[], bytesMax: number): readonly SpoolBatch[] {
  let end = 0;
  for (let bytes = 0; end < batches.length; end++) {
    bytes += recordBytes(batches[end]!);
    if (end > 0 && bytes > bytesMax) break;
  }
  return batches.slice(0, end);
}

/** Makes the head of a batch's record. */
export function encodeHead({ batch, acceptedMs }: SpoolBatch): Buffer {
  const head = Buffer.alloc(RECORD_HEAD_BYTES);
  head.writeUInt32LE(MAGIC, 0);
  head.writeUInt32LE(batch.bytes.byteLength, BYTES);
  head.writeUInt32LE(batch.rowCount, ROWS);
  head.writeUInt32LE(batch.revision, REVISION);
  head.writeDoubleLE(batch.interval, INTERVAL);
  head.writeDoubleLE(batch.timestampSec, TIMESTAMP);
  head.writeDoubleLE(acceptedMs, ACCEPTED);
  head.writeUInt32LE(flagsOf(batch), FLAGS);
  head.writeUInt32LE(crc32(batch.bytes), BYTES_CRC);
  head.writeUInt32LE(crc32(head.subarray(0, HEAD_CRC)), HEAD_CRC);
  return head;
}

function flagsOf({ partial, lastOfInterval, isOrdered }: RowBatch): number {
  const ordered = isOrdered === true ? FLAG_ORDERED : 0;
  return ordered | (partial ? FLAG_PARTIAL : 0) | (lastOfInterval ? FLAG_LAST : 0);
}

/** Reads a head; undefined where there is none, or a damaged one. */
export function decodeHead(head: Buffer): RecordHead | undefined {
  if (head.length < RECORD_HEAD_BYTES || head.readUInt32LE(0) !== MAGIC) return undefined;
  if (head.readUInt32LE(HEAD_CRC) !== crc32(head.subarray(0, HEAD_CRC))) return undefined;
  const byteLength = head.readUInt32LE(BYTES);
  if (byteLength > BATCH_BYTES_MAX) return undefined;
  const flags = head.readUInt32LE(FLAGS);
  return {
    fields: {
      interval: head.readDoubleLE(INTERVAL),
      revision: head.readUInt32LE(REVISION),
      timestampSec: head.readDoubleLE(TIMESTAMP),
      partial: (flags & FLAG_PARTIAL) !== 0,
      rowCount: head.readUInt32LE(ROWS),
      lastOfInterval: (flags & FLAG_LAST) !== 0,
      ...((flags & FLAG_ORDERED) === 0 ? {} : { isOrdered: true }),
    },
    acceptedMs: head.readDoubleLE(ACCEPTED),
    byteLength,
    crc: head.readUInt32LE(BYTES_CRC),
    isHandedOver: (flags & FLAG_HANDED_OVER) !== 0,
  };
}

/** Notes in a record that its rows are handed over. Throws what the file system says. */
export function markHandedOver(fd: number, offset: number): void {
  const head = readAt(fd, offset, RECORD_HEAD_BYTES);
  head.writeUInt32LE(head.readUInt32LE(FLAGS) | FLAG_HANDED_OVER, FLAGS);
  head.writeUInt32LE(crc32(head.subarray(0, HEAD_CRC)), HEAD_CRC);
  writeSync(fd, head, 0, head.length, offset);
}

/** Joins a head and its bytes; undefined where the bytes are damaged. receipt: of this process's batches. */
export function decodeBatch(
  { fields, acceptedMs, crc }: RecordHead,
  bytes: Buffer,
  receipt: DeliveryReceipt | undefined,
): SpoolBatch | undefined {
  if (crc32(bytes) !== crc) return undefined;
  return { batch: { ...fields, bytes, ...(receipt === undefined ? {} : { receipt }) }, acceptedMs };
}

/** A record's place in a segment. */
export interface RecordPlace {
  readonly offset: number;
  /** Where the next record begins. */
  readonly end: number;
  readonly head: RecordHead;
}

/**
 * Goes from record to record by their heads, from an offset to the first that is not whole. size: of the
 * file. Throws what the file system says.
 */
export function* recordsOf(fd: number, offset: number, size: number): Generator<RecordPlace, void, void> {
  for (let at = offset; ; ) {
    const head = decodeHead(readAt(fd, at, RECORD_HEAD_BYTES));
    if (head === undefined) return;
    const end = at + RECORD_HEAD_BYTES + head.byteLength;
    if (end > size) return;
    yield { offset: at, end, head };
    at = end;
  }
}
