/** From a closed interval to rows: every aggregate of every series, under its output name, in batches. */

import type { OwnRow } from "./etsy-stats.ts";
import type { Interval } from "./interval.ts";
import type { IdleView } from "./kept.ts";
import type { Namer } from "./naming.ts";
import { ROW_BATCH_BYTES, type RowBatch, RowWriter } from "./row.ts";
import type { Terms } from "./terms.ts";
import { stepsOf, Turns } from "./turns.ts";

/** What all batches of one flush have in common. */
export interface FlushLabel {
  readonly interval: number;
  readonly revision: number;
  readonly timestampSec: number;
  readonly partial: boolean;
}

/** Emits a batch of rows, whose bytes may be transferred; resolves when there is room for the next. */
export type EmitRows = (batch: RowBatch & { readonly bytes: Uint8Array<ArrayBuffer> }) => Promise<void>;

/** Writes an interval and nothing else; emits a last batch also where there is nothing to write. */
export async function flushInterval(
  interval: Interval,
  namer: Namer,
  label: FlushLabel,
  emit: EmitRows,
): Promise<{ series: number; rows: number }> {
  const flush = new Flush(label, emit);
  await flush.writeInterval(interval, namer);
  await flush.end();
  return { series: flush.series, rows: flush.rows };
}

/** One flush. What it writes goes out in batches; end() must come last. */
export class Flush {
  readonly #label: FlushLabel;
  readonly #emit: EmitRows;
  readonly #writer = new RowWriter();
  readonly #turns = new Turns();
  #emittedRows = 0;
  #emittedBytes = 0;
  /** Series written, idle ones apart. */
  series = 0;
  idleRows = 0;
  idleSeries = 0;

  constructor(label: FlushLabel, emit: EmitRows) {
    this.#label = label;
    this.#emit = emit;
  }

  get rows(): number {
    return this.#emittedRows + this.#writer.rowCount;
  }

  /** Bytes of all rows so far. */
  get byteLength(): number {
    return this.#emittedBytes + this.#writer.byteLength;
  }

  /**
   * Writes an interval, which must not be merged into or emptied until this has resolved. only: series that
   * this one has, and no others.
   */
  async writeInterval(interval: Interval, namer: Namer, only?: Interval): Promise<void> {
    for (const view of interval.series(only !== undefined)) {
      if (only !== undefined) {
        if (!only.has(view.source.subarray(view.start, view.end), view.type)) continue;
        interval.aggregate(view);
      }
      const { source, start, end, type, values, updates } = view;
      for (let aggregate = 0; aggregate < values.length; aggregate++) {
        const value = values[aggregate]!;
        if (!Number.isNaN(value)) this.#write(namer, source, start, end, type, aggregate, value);
      }
      this.series += 1;
      if (this.#isPauseDue(stepsOf(updates))) await this.pause();
    }
  }

  /** Writes what idle series have. */
  async writeIdle(idle: Iterable<IdleView>, { namer, idleAggregates }: Terms): Promise<void> {
    const before = this.rows;
    for (const { source, start, end, type, level } of idle) {
      for (const { index, isLevel } of idleAggregates[type]!) {
        this.#write(namer, source, start, end, type, index, isLevel ? level : 0);
      }
      this.idleSeries += 1;
      if (this.#isPauseDue()) await this.pause();
    }
    this.idleRows += this.rows - before;
  }

  /** Writes rows whose names are made already. */
  writeOwn(rows: Iterable<OwnRow>): void {
    for (const { name, value } of rows) {
      const offset = this.#writer.begin(name.length);
      name.copy(this.#writer.buffer, offset);
      this.#writer.end(name.length, value);
    }
  }

  #write(
    namer: Namer,
    source: Buffer,
    start: number,
    end: number,
    type: number,
    aggregate: number,
    value: number,
  ): void {
    const writer = this.#writer;
    const offset = writer.begin(end - start + namer.maxExtraBytes);
    const bytes = namer.write(writer.buffer, offset, source, start, end, type, aggregate);
    // Without a name there is no row, and what was begun leaves no trace.
    if (bytes > 0) writer.end(bytes, value);
  }

  #isPauseDue(steps = 1): boolean {
    return this.#writer.byteLength >= ROW_BATCH_BYTES || this.#turns.isDue(steps);
  }

  /** Lets others of the thread have their turn, and passes on what is there to be. */
  async pause(): Promise<void> {
    if (this.#writer.byteLength >= ROW_BATCH_BYTES) await this.#emitBatch(false);
    await this.#turns.next();
  }

  /** Emits the last batch, also an empty one, so that sinks know. */
  end(): Promise<void> {
    return this.#emitBatch(true);
  }

  #emitBatch(lastOfInterval: boolean): Promise<void> {
    const { rowCount } = this.#writer;
    this.#emittedRows += rowCount;
    this.#emittedBytes += this.#writer.byteLength;
    return this.#emit({ ...this.#label, rowCount, bytes: this.#writer.take(), lastOfInterval });
  }
}
