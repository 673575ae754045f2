/**
 * Rows as bytes. An interval becomes a lot of rows; as bytes they move between threads without a copy, and a
 * queue of them can be bounded in memory. A frame holds any number of rows, one after the other:
 *
 *   | u16 LE: bytes of the name | name, UTF-8 | f64 LE: value | u16 ...
 */
import type { WriteCause } from "../cluster/world.ts";
import { assert } from "../shared/errors.ts";
import type { DeliveryReceipt, DeliveryTicket } from "./sink/delivery-ticket.ts";

/** Which order of a cluster rows belong to: who gets them, and whose delivery is told. */
export interface RowOrder {
  /** Tells it from the process's other orders. */
  readonly id: number;
  readonly cause: WriteCause;
  /** Sinks that have all of it already. */
  readonly deliveredTo: readonly string[];
  readonly isInDoubt: boolean;
  /** How often the sinks had been told to drop another leader's intervals when the order was made. */
  readonly yieldCount: number;
}

/** Rows of one interval for the sinks; a long interval comes as several batches. */
export interface RowBatch {
  /** Index k of the interval. */
  readonly interval: number;
  /** 0 for the first flush of the interval, one more for each amendment. */
  readonly revision: number;
  /** Timestamp of all rows, in seconds since 1970. */
  readonly timestampSec: number;
  /** Whether members were missing when the interval was flushed. */
  readonly partial: boolean;
  /** Rows in `bytes`; may be 0, to say that an interval is over. */
  readonly rowCount: number;
  /** A frame of whole rows. */
  readonly bytes: Uint8Array;
  /** Whether this is the last batch of this interval and revision. */
  readonly lastOfInterval: boolean;
  /** In a cluster: what is told of its delivery; the same for all batches of an order. */
  readonly ticket?: DeliveryTicket;
  /** In a sink, of a batch with a ticket: told what became of it there. */
  readonly receipt?: DeliveryReceipt;
  /** In a sink: whether a cluster's leader wrote it, so that another may take it over; also of old ones. */
  readonly isOrdered?: boolean;
}

/** Size that a batch should have about: a writer is emptied when it has reached it. */
export const ROW_BATCH_BYTES = 1 << 20;
/** Longest name that a frame can hold. */
export const ROW_NAME_BYTES_MAX = 0xffff;

const LENGTH_BYTES = 2;
const VALUE_BYTES = 8;
const BYTES_MIN = 4096;

/**
 * Builds frames in one buffer that is used again for the next. Per row: `begin`, write the name into
 * `buffer` at the returned offset, `end`.
 */
export class RowWriter {
  #buffer: Buffer;
  #view: DataView;
  #nameStart = LENGTH_BYTES;
  #byteLength = 0;
  #rowCount = 0;

  constructor(bytesInitial: number = ROW_BATCH_BYTES + ROW_BATCH_BYTES / 8) {
    this.#buffer = Buffer.allocUnsafe(Math.max(bytesInitial, BYTES_MIN));
    this.#view = viewOf(this.#buffer);
  }

  /** Where names are written. `begin` may replace it, so it must be read again after each `begin`. */
  get buffer(): Buffer {
    return this.#buffer;
  }

  /** Bytes of the rows so far. */
  get byteLength(): number {
    return this.#byteLength;
  }

  /** Rows so far. */
  get rowCount(): number {
    return this.#rowCount;
  }

  /**
   * Makes room for a row whose name has at most `nameBytesMax` bytes. Returns the offset in `buffer` at
   * which the name begins. A row that is begun and not ended leaves no trace.
   */
  begin(nameBytesMax: number): number {
    const wanted = this.#byteLength + LENGTH_BYTES + nameBytesMax + VALUE_BYTES;
    if (wanted > this.#buffer.length) this.#grow(wanted);
    this.#nameStart = this.#byteLength + LENGTH_BYTES;
    return this.#nameStart;
  }

  /**
   * Completes the row: its name of `nameBytes` bytes has been written. Throws when that is over the
   * maximum.
   */
  end(nameBytes: number, value: number): void {
    assert(nameBytes <= ROW_NAME_BYTES_MAX, `a row's name has ${nameBytes} bytes`);
    this.#view.setUint16(this.#byteLength, nameBytes, true);
    this.#view.setFloat64(this.#nameStart + nameBytes, value, true);
    this.#byteLength = this.#nameStart + nameBytes + VALUE_BYTES;
    this.#rowCount++;
  }

  /**
   * Returns a copy of the frame, of its own exact memory (so it can be transferred), and starts a new one.
   */
  take(): Uint8Array<ArrayBuffer> {
    const frame = new Uint8Array(this.#byteLength);
    frame.set(this.#buffer.subarray(0, this.#byteLength));
    this.#byteLength = 0;
    this.#rowCount = 0;
    return frame;
  }

  #grow(wanted: number): void {
    const grown = Buffer.allocUnsafe(Math.max(wanted, this.#buffer.length * 2));
    this.#buffer.copy(grown, 0, 0, this.#byteLength);
    this.#buffer = grown;
    this.#view = viewOf(grown);
  }
}

/**
 * Walks over a frame row by row; a sink can stop anywhere and go on later. After `next` returned true,
 * `nameStart`, `nameEnd` (offsets in `bytes`) and `value` are the row's.
 */
export class RowReader {
  readonly bytes: Buffer;
  readonly #view: DataView;
  #offset = 0;
  nameStart = 0;
  nameEnd = 0;
  value = 0;

  constructor(frame: Uint8Array) {
    this.bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength);
    this.#view = viewOf(frame);
  }

  /** Goes to the next row. Returns false after the last. Throws when the frame is cut off within a row. */
  next(): boolean {
    const start = this.#offset;
    if (start === this.bytes.length) return false;
    assert(start + LENGTH_BYTES <= this.bytes.length, "a row frame ends within a length");
    const nameStart = start + LENGTH_BYTES;
    const nameEnd = nameStart + this.#view.getUint16(start, true);
    assert(nameEnd + VALUE_BYTES <= this.bytes.length, "a row frame ends within a row");
    this.nameStart = nameStart;
    this.nameEnd = nameEnd;
    this.value = this.#view.getFloat64(nameEnd, true);
    this.#offset = nameEnd + VALUE_BYTES;
    return true;
  }

  /** The present row's name, one character per byte, so that comparing names compares their bytes. */
  nameLatin1(): string {
    return this.bytes.toString("latin1", this.nameStart, this.nameEnd);
  }
}

/**
 * Calls `visit` with each row of a frame; the name has one character per byte. Throws on a frame cut off.
 */
export function forEachRow(frame: Uint8Array, visit: (name: string, value: number) => void): void {
  const reader = new RowReader(frame);
  while (reader.next()) visit(reader.nameLatin1(), reader.value);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
