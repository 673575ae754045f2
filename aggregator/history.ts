/** The rows of the last flushed intervals, as bytes, within a bound. */
import { decodeName, nameEncoding, type Pattern } from "../shared/pattern.ts";
import { AnswerRoom } from "./answer-room.ts";
import type { HistoryInterval } from "./questions.ts";
import { type RowBatch, RowReader } from "./row.ts";
import { Turns } from "./turns.ts";

export interface HistoryOptions {
  /** Intervals that are remembered; 0 for none. */
  readonly intervalsMax: number;
  /** Bytes of rows. */
  readonly bytesMax: number;
}

interface Remembered {
  readonly interval: number;
  readonly revision: number;
  readonly timestampSec: number;
  readonly partial: boolean;
  rowCount: number;
  bytes: number;
  /** Undefined where the rows had no room, or had to make some. */
  batches: Uint8Array[] | undefined;
}

export class History {
  #options: HistoryOptions;
  /** Oldest first. */
  readonly #intervals: Remembered[] = [];
  #bytes = 0;

  constructor(options: HistoryOptions) {
    this.#options = options;
  }

  /** Bytes of rows that are remembered. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Bounds it anew. */
  configure(options: HistoryOptions): void {
    this.#options = options;
    this.#shrink();
  }

  /** Takes a copy of a batch, as it is emitted. */
  add(batch: RowBatch): void {
    if (this.#options.intervalsMax === 0) return;
    const remembered = this.#of(batch);
    remembered.rowCount += batch.rowCount;
    if (remembered.batches !== undefined && batch.rowCount > 0) {
      remembered.batches.push(batch.bytes.slice());
      remembered.bytes += batch.bytes.length;
      this.#bytes += batch.bytes.length;
    }
    this.#shrink();
  }

  /** Batches of one flush come one after the other. */
  #of({ interval, revision, timestampSec, partial }: RowBatch): Remembered {
    const last = this.#intervals.at(-1);
    if (last?.interval === interval && last.revision === revision) return last;
    const remembered = { interval, revision, timestampSec, partial, rowCount: 0, bytes: 0, batches: [] };
    this.#intervals.push(remembered);
    return remembered;
  }

  /** Forgets what is beyond the bounds, the oldest first; the last interval's own rows go last. */
  #shrink(): void {
    const { intervalsMax, bytesMax } = this.#options;
    while (this.#intervals.length > intervalsMax) {
      const gone = this.#intervals.shift()!;
      this.#bytes -= gone.bytes;
    }
    for (const remembered of this.#intervals) {
      if (this.#bytes <= bytesMax) return;
      this.#bytes -= remembered.bytes;
      remembered.bytes = 0;
      remembered.batches = undefined;
    }
  }

  /** Finds rows, newest interval first. limit: rows in all. */
  async find(pattern: Pattern, limit: number): Promise<HistoryInterval[]> {
    const turns = new Turns();
    const room = new AnswerRoom();
    const found: HistoryInterval[] = [];
    let left = limit;
    for (const remembered of this.#intervals.toReversed()) {
      const rows = await findRows(remembered.batches ?? [], pattern, { left, room, turns });
      left -= rows.length;
      const { interval, timestampSec, partial, rowCount, batches } = remembered;
      found.push({ interval, timestampSec, partial, rowCount, isKept: batches !== undefined, rows });
    }
    return found;
  }
}

async function findRows(
  batches: readonly Uint8Array[],
  pattern: Pattern,
  { left, room, turns }: { readonly left: number; readonly room: AnswerRoom; readonly turns: Turns },
): Promise<{ name: string; value: number }[]> {
  const rows: { name: string; value: number }[] = [];
  for (const batch of batches) {
    const reader = new RowReader(batch);
    while (rows.length < left && !room.isFull && reader.next()) {
      const bytes = reader.bytes.subarray(reader.nameStart, reader.nameEnd);
      const name = decodeName(bytes, nameEncoding(bytes));
      const row = { name, value: reader.value };
      if (pattern.matches(name) && room.take(row)) rows.push(row);
      if (turns.isDue()) await turns.next();
    }
  }
  return rows;
}
