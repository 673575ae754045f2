/**
 * Rows and events as lines of a file. Names may come from peers, so they are checked here: no name may end a
 * line or a field.
 *
 *   tsv    name TAB value TAB seconds LF
 *   json   {"name":"a.b","value":1.5,"timestamp":1700000000,"interval":56666666} LF
 *          with "revision" for an amendment, and "partial" where members were missing; events and checks
 *          have a "kind"
 */
import { isUtf8 } from "node:buffer";
import type { DogItem } from "../event/event.ts";
import { type RowBatch, RowReader } from "../row.ts";

export type FileFormat = "tsv" | "json";

/** A slice ends with the first line that brings it to this many bytes, so that it is written in one go. */
export const SLICE_BYTES = 32 << 10;
/** Longest name, each byte of it escaped as `\u00XX`, and what surrounds it. */
const LINE_BYTES_MAX = 0xffff * 6 + 256;
/** What `fill` needs to write into. */
export const SLICE_BUFFER_BYTES = SLICE_BYTES + LINE_BYTES_MAX;

const SPACE = 0x20;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const DELETE = 0x7f;

/** What became of the rows that one call of `fill` has passed. */
export interface SliceTally {
  readonly bytes: number;
  written: number;
  /** Rows with a name that would break the file's format, or is no UTF-8. */
  invalidName: number;
  notFinite: number;
}

/** Encodes a batch slice by slice. */
export class FileLines {
  readonly #reader: RowReader;
  readonly #isJson: boolean;
  readonly #head: string;
  readonly #middle: string;
  readonly #end: string;

  constructor(batch: RowBatch, format: FileFormat) {
    this.#reader = new RowReader(batch.bytes);
    this.#isJson = format === "json";
    const timestamp = Math.trunc(batch.timestampSec);
    const revision = batch.revision > 0 ? `,"revision":${batch.revision}` : "";
    const notes = `${revision}${batch.partial ? ',"partial":true' : ""}`;
    this.#head = this.#isJson ? '{"name":"' : "";
    this.#middle = this.#isJson ? '","value":' : "\t";
    this.#end = this.#isJson
      ? `,"timestamp":${timestamp},"interval":${batch.interval}${notes}}\n`
      : `\t${timestamp}\n`;
  }

  /**
   * Writes the next whole lines into target, of at least SLICE_BUFFER_BYTES bytes. Undefined after the last
   * row; a tally without bytes is one of rows that were all refused.
   */
  fill(target: Buffer): SliceTally | undefined {
    const tally = { bytes: 0, written: 0, invalidName: 0, notFinite: 0 };
    while (tally.bytes < SLICE_BYTES && this.#reader.next()) {
      if (!Number.isFinite(this.#reader.value)) {
        tally.notFinite++;
        continue;
      }
      const end = this.#line(target, tally.bytes);
      if (end < 0) {
        tally.invalidName++;
        continue;
      }
      tally.written++;
      tally.bytes = end;
    }
    return tally.written + tally.invalidName + tally.notFinite === 0 ? undefined : tally;
  }

  /** Writes the reader's row. Returns the offset behind it, or -1 for a name to refuse. */
  #line(target: Buffer, offset: number): number {
    const { bytes, nameStart, nameEnd, value } = this.#reader;
    const to = offset + target.write(this.#head, offset, "latin1");
    const nameTo = copyPlain(target, to, bytes, nameStart, nameEnd);
    const end = nameTo < 0 ? this.#writeOddName(target, to) : nameTo;
    return end < 0 ? -1 : end + target.write(`${this.#middle}${value}${this.#end}`, end, "latin1");
  }

  /** A name of more than plain characters. Returns the offset behind it, or -1. */
  #writeOddName(target: Buffer, offset: number): number {
    const { bytes, nameStart, nameEnd } = this.#reader;
    const name = bytes.subarray(nameStart, nameEnd);
    if (name.length === 0 || !isUtf8(name)) return -1;
    if (this.#isJson)
      return offset + target.write(JSON.stringify(name.toString("utf8")).slice(1, -1), offset, "utf8");
    if (name.some((byte) => byte < SPACE || byte === DELETE)) return -1;
    return offset + name.copy(target, offset);
  }
}

/**
 * Copies source[start, end) where it consists of printable ASCII that needs no escape in either format.
 * Returns the offset behind it, or -1.
 */
function copyPlain(target: Buffer, offset: number, source: Buffer, start: number, end: number): number {
  let to = offset;
  for (let from = start; from < end; from++) {
    const byte = source[from]!;
    if (byte < SPACE || byte >= DELETE || byte === QUOTE || byte === BACKSLASH) return -1;
    target[to++] = byte;
  }
  return start === end ? -1 : to;
}

/** Encodes an event or a check as a line of JSON. */
export function itemLine(item: DogItem): Buffer {
  const { timestampSec, ...others } = item;
  return Buffer.from(`${JSON.stringify({ ...others, timestamp: timestampSec })}\n`);
}
