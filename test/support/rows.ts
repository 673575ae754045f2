/** Row batches for tests. */
import { type RowBatch, RowWriter } from "../../aggregator/row.ts";

/** A row as tests write it; a name may also be bytes. */
export type TestRow = readonly [name: string | Buffer, value: number];

/** Makes a batch of the given rows: interval 1, revision 0, timestamp 1700000000, complete, unless told. */
export function batchOf(rows: Iterable<TestRow>, fields: Partial<RowBatch> = {}): RowBatch {
  const writer = new RowWriter();
  for (const [name, value] of rows) {
    const bytes = typeof name === "string" ? Buffer.from(name) : name;
    const offset = writer.begin(bytes.length);
    bytes.copy(writer.buffer, offset);
    writer.end(bytes.length, value);
  }
  return {
    interval: 1,
    revision: 0,
    timestampSec: 1_700_000_000,
    partial: false,
    rowCount: writer.rowCount,
    bytes: writer.take(),
    lastOfInterval: true,
    ...fields,
  };
}

/** `count` rows named PREFIX.0, PREFIX.1, ..., each with its index as its value. */
export function numberedRows(prefix: string, count: number): TestRow[] {
  return Array.from({ length: count }, (_, index) => [`${prefix}.${index}`, index] as const);
}
