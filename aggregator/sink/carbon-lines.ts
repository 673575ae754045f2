/** Rows as lines of carbon's plaintext protocol: `name SP value SP seconds LF`. */
import type { RowBatch } from "../row.ts";
import { type CarbonEncoder, CarbonRows, nameBytes, type RowTally } from "./carbon-rows.ts";

/** Longest number that JavaScript prints (25), the two blanks, a timestamp and LF, with some to spare. */
const TAIL_BYTES_MAX = 64;

/** Encodes batches lazily: the same batches always give the same bytes. */
export class CarbonLines implements CarbonEncoder {
  readonly #rows: CarbonRows;
  #timestampSec = Number.NaN;
  /** End of every line of the present batch. */
  #lineEnd = "";

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
      const reader = this.#rows.peek();
      if (reader === undefined || at + nameBytes(reader) + TAIL_BYTES_MAX > target.length) return at;
      const { timestampSec } = this.#rows;
      if (timestampSec !== this.#timestampSec) {
        this.#timestampSec = timestampSec;
        this.#lineEnd = ` ${timestampSec}\n`;
      }
      const to = this.#rows.take(reader, target, at);
      if (to >= 0) at = appendAscii(target, appendAscii(target, to, ` ${reader.value}`), this.#lineEnd);
    }
  }
}

function appendAscii(target: Buffer, offset: number, text: string): number {
  for (let index = 0; index < text.length; index++) target[offset + index] = text.charCodeAt(index);
  return offset + text.length;
}
