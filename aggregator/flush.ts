/** From a closed interval to rows: every aggregate of every series, under its output name, in batches. */
import type { Interval } from "./interval.ts";
import type { Namer } from "./naming.ts";
import { ROW_BATCH_BYTES, type RowBatch, RowWriter } from "./row.ts";

/** Series handled before other work of the thread gets its turn. */
const SLICE_SERIES = 4096;

/** What all batches of one flush have in common. */
export interface FlushLabel {
  readonly interval: number;
  readonly revision: number;
  readonly timestampSec: number;
  readonly partial: boolean;
}

/** Emits a batch of rows, whose bytes may be transferred; resolves when there is room for the next. */
export type EmitRows = (batch: RowBatch & { readonly bytes: Uint8Array<ArrayBuffer> }) => Promise<void>;

/** Turns the event loop once, so that messages waiting for this thread are taken. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/**
 * Writes an interval as rows. interval: undefined when nothing was received in it; an empty last batch is
 * emitted all the same, so that sinks know. Returns the numbers of series and rows.
 * The interval must not be changed until this has resolved.
 */
export async function flushInterval(
  interval: Interval | undefined,
  namer: Namer,
  label: FlushLabel,
  emit: EmitRows,
): Promise<{ series: number; rows: number }> {
  const writer = new RowWriter();
  let series = 0;
  let rows = 0;
  const emitBatch = (lastOfInterval: boolean): Promise<void> => {
    const rowCount = writer.rowCount;
    rows += rowCount;
    return emit({ ...label, rowCount, bytes: writer.take(), lastOfInterval });
  };
  for (const { source, start, end, type, values } of interval?.series() ?? []) {
    for (let aggregate = 0; aggregate < values.length; aggregate++) {
      const value = values[aggregate]!;
      if (Number.isNaN(value)) continue;
      const offset = writer.begin(end - start + namer.maxExtraBytes);
      writer.end(namer.write(writer.buffer, offset, source, start, end, type, aggregate), value);
    }
    if (writer.byteLength >= ROW_BATCH_BYTES) await emitBatch(false);
    series += 1;
    if (series % SLICE_SERIES === 0) await nextTurn();
  }
  await emitBatch(true);
  return { series, rows };
}
