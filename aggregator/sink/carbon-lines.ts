/**
 * Rows as lines of carbon's plaintext protocol: `name SP value SP seconds LF`.
 *
 * Names may come from peers, so they are checked here, whatever was checked before. Carbon drops the
 * connection, with all lines behind, at invalid UTF-8 and at lines over 16,384 bytes; it splits at every
 * blank that Python's str.split() knows; and it writes a file per name, whose path must be one that the
 * system takes.
 */
import { isUtf8 } from "node:buffer";
import { type RowBatch, RowReader } from "../row.ts";

/** Lines are encoded in slices of at most this many bytes, so that the event loop gets its turns. */
export const SLICE_BYTES = 64 * 1024;
/** Longest line, LF included. */
export const LINE_BYTES_MAX = 16_000;

/** Longest number that JavaScript prints (25), the two blanks, a timestamp and LF, with some to spare. */
const TAIL_BYTES_MAX = 64;
/** Longest name of a directory. */
const COMPONENT_BYTES_MAX = 255;
/** The last component gets `.wsp` appended. */
const LEAF_BYTES_MAX = COMPONENT_BYTES_MAX - 4;

const SPACE = 0x20;
const DOT = 0x2e;
const SEMICOLON = 0x3b;
const DELETE = 0x7f;

/** Blanks of Python's str.split() outside ASCII. */
const UNICODE_BLANK = /[\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/u;

/** What became of the rows of a chunk. */
export interface LineTally {
  /** Lines written. */
  written: number;
  /** Rows with a name that carbon must not see. */
  invalidName: number;
  /** Rows whose value is no finite number. */
  notFinite: number;
}

/** Encodes batches lazily: the same batches always give the same bytes. */
export class CarbonLines {
  readonly #batches: readonly RowBatch[];
  #batchIndex = 0;
  #reader: RowReader | undefined;
  /** End of every line of the present batch. */
  #lineEnd = "";
  /** Whether the reader stands on a row that did not fit into the last slice. */
  #hasRow = false;
  /** Complete once `fill` returned 0. */
  readonly tally: LineTally = { written: 0, invalidName: 0, notFinite: 0 };
  /** The first refused name, for the log; at most 200 bytes, one character per byte. */
  refusedName: string | undefined;

  constructor(batches: readonly RowBatch[]) {
    this.#batches = batches;
  }

  /**
   * Writes the next whole lines into target, of at least LINE_BYTES_MAX bytes. Returns bytes; 0 at the end.
   */
  fill(target: Buffer): number {
    let to = 0;
    for (;;) {
      const reader = this.#row();
      if (reader === undefined) return to;
      const lineBytesMax = reader.nameEnd - reader.nameStart + TAIL_BYTES_MAX;
      if (lineBytesMax <= LINE_BYTES_MAX && to + lineBytesMax > target.length) return to;
      this.#hasRow = false;
      to = this.#encode(reader, target, to);
    }
  }

  /** The row to encode next, or undefined after the last of the last batch. */
  #row(): RowReader | undefined {
    for (;;) {
      if (this.#reader === undefined) {
        const batch = this.#batches[this.#batchIndex];
        if (batch === undefined) return undefined;
        this.#batchIndex++;
        this.#reader = new RowReader(batch.bytes);
        this.#lineEnd = ` ${Math.trunc(batch.timestampSec)}\n`;
      }
      if (this.#hasRow || this.#reader.next()) {
        this.#hasRow = true;
        return this.#reader;
      }
      this.#reader = undefined;
    }
  }

  /** Encodes a row, or counts it as refused. Returns the offset behind it. */
  #encode(reader: RowReader, target: Buffer, offset: number): number {
    const { bytes, nameStart, nameEnd, value } = reader;
    if (!Number.isFinite(value)) {
      this.tally.notFinite++;
      return offset;
    }
    const isShort = nameEnd - nameStart + TAIL_BYTES_MAX <= LINE_BYTES_MAX;
    const to = isShort ? copyName(target, offset, bytes, nameStart, nameEnd) : -1;
    if (to < 0) {
      this.tally.invalidName++;
      this.refusedName ??= bytes.toString("latin1", nameStart, Math.min(nameEnd, nameStart + 200));
      return offset;
    }
    this.tally.written++;
    return appendAscii(target, appendAscii(target, to, ` ${value}`), this.#lineEnd);
  }
}

/**
 * Copies and checks source[start, end) in one pass. Returns the offset behind, or -1 for a name to refuse.
 */
function copyName(target: Buffer, offset: number, source: Buffer, start: number, end: number): number {
  let to = offset;
  let componentBytes = 0;
  let isAscii = true;
  let isTagged = false;
  for (let from = start; from < end; from++) {
    const byte = source[from]!;
    if (byte <= SPACE || byte === DELETE) return -1;
    if (byte > DELETE) isAscii = false;
    if (byte === DOT) componentBytes = 0;
    else if (byte === SEMICOLON) isTagged = true;
    else if (!isTagged && ++componentBytes > COMPONENT_BYTES_MAX) return -1;
    target[to++] = byte;
  }
  if (start === end || source[start] === SEMICOLON) return -1;
  // Tagged names become files that are named by a hash.
  if (!isTagged && componentBytes > LEAF_BYTES_MAX) return -1;
  return isAscii || isCleanUtf8(source.subarray(start, end)) ? to : -1;
}

function isCleanUtf8(name: Buffer): boolean {
  return isUtf8(name) && !UNICODE_BLANK.test(name.toString("utf8"));
}

function appendAscii(target: Buffer, offset: number, text: string): number {
  for (let index = 0; index < text.length; index++) target[offset + index] = text.charCodeAt(index);
  return offset + text.length;
}
