/** The rows of a chunk, one after the other, as both of carbon's formats need them. */
import { type RowBatch, RowReader } from "../row.ts";
import { CARBON_NAME_BYTES_MAX, copyCarbonName } from "./carbon-name.ts";

/** Rows are encoded in slices of at most this many bytes, so that the event loop gets its turns. */
export const SLICE_BYTES = 64 * 1024;

/** What became of the rows of a chunk. */
export interface RowTally {
  /** Rows encoded. */
  written: number;
  /** Rows with a name that carbon must not see. */
  invalidName: number;
  /** Rows whose value is no finite number. */
  notFinite: number;
}

/** Turns a chunk's rows into what carbon reads. */
export interface CarbonEncoder {
  /** Complete once `fill` returned 0. */
  readonly tally: Readonly<RowTally>;
  /** The first refused name, for the log; at most 200 bytes, one character per byte. */
  readonly refusedName: string | undefined;
  /** Writes the next whole lines or messages into target, of SLICE_BYTES. Returns bytes; 0 at the end. */
  fill(target: Buffer): number;
}

/** Walks over batches: `peek` at a row, then `take` or leave it. */
export class CarbonRows {
  readonly #batches: readonly RowBatch[];
  #batchIndex = 0;
  #reader: RowReader | undefined;
  /** Whether the reader stands on a row that was not taken. */
  #hasRow = false;
  /** Timestamp of the present row in seconds since 1970, whole. */
  timestampSec = 0;
  readonly tally: RowTally = { written: 0, invalidName: 0, notFinite: 0 };
  /** As of CarbonEncoder. */
  refusedName: string | undefined;

  constructor(batches: readonly RowBatch[]) {
    this.#batches = batches;
  }

  /** The next row, or undefined after the last of the last batch. Rows with no finite number are left out. */
  peek(): RowReader | undefined {
    for (;;) {
      if (this.#reader === undefined) {
        const batch = this.#batches[this.#batchIndex];
        if (batch === undefined) return undefined;
        this.#batchIndex++;
        this.#reader = new RowReader(batch.bytes);
        this.timestampSec = Math.trunc(batch.timestampSec);
      }
      if (this.#hasRow) return this.#reader;
      if (!this.#reader.next()) this.#reader = undefined;
      else if (Number.isFinite(this.#reader.value)) this.#hasRow = true;
      else this.tally.notFinite++;
    }
  }

  /**
   * Takes the row that peek returned: copies its name. target: has room for it. Returns the offset behind the
   * name; -1 where it is refused, which is counted.
   */
  take(reader: RowReader, target: Buffer, offset: number): number {
    this.#hasRow = false;
    const { bytes, nameStart, nameEnd } = reader;
    const to = copyCarbonName(target, offset, bytes, nameStart, nameEnd);
    if (to < 0) {
      this.tally.invalidName++;
      this.refusedName ??= bytes.toString("latin1", nameStart, Math.min(nameEnd, nameStart + 200));
    } else {
      this.tally.written++;
    }
    return to;
  }
}

/** Room that a row's name needs: none where it will be refused for its length. */
export function nameBytes({ nameStart, nameEnd }: RowReader): number {
  const bytes = nameEnd - nameStart;
  return bytes > CARBON_NAME_BYTES_MAX ? 0 : bytes;
}
