/**
 * Rows as messages of carbon's pickle protocol: the length of a pickle as u32, big endian, and the pickle
 * (protocol 2) of [(name, (seconds, value)), ...]:
 *
 *   PROTO 2 | EMPTY_LIST | MARK | row ... | APPENDS | STOP
 *   row: BINUNICODE u32 LE name | BININT i32 LE seconds | BINFLOAT f64 BE value | TUPLE2 | TUPLE2
 *
 * It needs no memo and no class, so carbon's safe unpickler takes it.
 * Source: Lib/pickletools.py of Python; carbon/protocols.py of graphite.
 */
import type { RowBatch, RowReader } from "../row.ts";
import { type CarbonEncoder, CarbonRows, nameBytes, type RowTally } from "./carbon-rows.ts";

/** Rows of a message, as carbon's own relay has it. */
export const PICKLE_ROWS_MAX = 500;

const LENGTH_BYTES = 4;
const HEAD = Buffer.from([0x80, 2, 0x5d, 0x28]);
const TAIL = Buffer.from([0x65, 0x2e]);
const BINUNICODE = 0x58;
const BININT = 0x4a;
const BINFLOAT = 0x47;
const TUPLE2 = 0x86;
/** Opcode and length of the name, seconds as a float, value, both tuples. */
const ROW_BYTES_MAX = 5 + 9 + 9 + 2;
const INT32_MIN = -(2 ** 31);
const INT32_MAX = 2 ** 31 - 1;

/** Encodes batches lazily: the same batches always give the same bytes. */
export class CarbonPickle implements CarbonEncoder {
  readonly #rows: CarbonRows;

  constructor(batches: readonly RowBatch[]) {
    this.#rows = new CarbonRows(batches);
  }

  get tally(): Readonly<RowTally> {
    return this.#rows.tally;
  }

  get refusedName(): string | undefined {
    return this.#rows.refusedName;
  }

  fill(target: Buffer): number {
    let at = 0;
    for (;;) {
      const end = this.#fillMessage(target, at);
      if (end === at) return at;
      at = end;
    }
  }

  /** Writes one message, or nothing where no row is left or none fits. Returns the offset behind. */
  #fillMessage(target: Buffer, start: number): number {
    let at = start + LENGTH_BYTES + HEAD.length;
    let rowCount = 0;
    for (; rowCount < PICKLE_ROWS_MAX; ) {
      const reader = this.#rows.peek();
      if (reader === undefined || at + nameBytes(reader) + ROW_BYTES_MAX + TAIL.length > target.length) break;
      const end = this.#encode(reader, target, at);
      if (end < 0) continue;
      at = end;
      rowCount++;
    }
    if (rowCount === 0) return start;
    HEAD.copy(target, start + LENGTH_BYTES);
    at += TAIL.copy(target, at);
    target.writeUInt32BE(at - start - LENGTH_BYTES, start);
    return at;
  }

  /** Returns the offset behind the row, or -1 where its name is refused. */
  #encode(reader: RowReader, target: Buffer, offset: number): number {
    const { timestampSec } = this.#rows;
    const nameStart = offset + 5;
    let at = this.#rows.take(reader, target, nameStart);
    if (at < 0) return -1;
    target[offset] = BINUNICODE;
    target.writeUInt32LE(at - nameStart, offset + 1);
    if (timestampSec >= INT32_MIN && timestampSec <= INT32_MAX) {
      target[at] = BININT;
      at = target.writeInt32LE(timestampSec, at + 1);
    } else {
      target[at] = BINFLOAT;
      at = target.writeDoubleBE(timestampSec, at + 1);
    }
    target[at] = BINFLOAT;
    at = target.writeDoubleBE(reader.value, at + 1);
    target[at] = TUPLE2;
    target[at + 1] = TUPLE2;
    return at + 2;
  }
}
