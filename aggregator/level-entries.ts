/**
 * Entries of series that outlive their interval, as kernel/keep.ts writes them, one behind the other:
 *
 *   0 u16 key bytes   2 u8 type   3 u8 1 for a gauge that was set   4 f64 level, NaN for none   12 key
 */
import { METRIC_TYPES } from "../shared/metric.ts";

export const ENTRY_KEY = 12;
export const ENTRY_LEVEL = 4;
export const ENTRY_TYPE = 2;
export const ENTRY_IS_SET = 3;
const GAUGE = METRIC_TYPES.indexOf("gauge");

/** Whether bytes from anywhere are whole entries of types that there are. */
export function areEntries(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  while (at + ENTRY_KEY <= bytes.length) {
    const keyBytes = view.getUint16(at, true);
    if (keyBytes === 0 || view.getUint8(at + ENTRY_TYPE) >= METRIC_TYPES.length) return false;
    if (view.getUint8(at + ENTRY_IS_SET) > 1) return false;
    at += ENTRY_KEY + keyBytes;
  }
  return at === bytes.length;
}

/** Whether bytes from anywhere are entries of gauges with levels. */
export function areLevels(bytes: Uint8Array): boolean {
  if (!areEntries(bytes)) return false;
  for (const { type, level } of entriesOf(bytes)) if (type !== GAUGE || !Number.isFinite(level)) return false;
  return true;
}

/** Returns a copy of the entries that have a level. */
export function withLevel(part: Uint8Array): Uint8Array {
  const kept: Uint8Array[] = [];
  for (const { start, end, level } of entriesOf(part)) {
    if (Number.isFinite(level)) kept.push(part.slice(start, end));
  }
  return Buffer.concat(kept);
}

/** Returns the number of entries. */
export function countEntries(bytes: Uint8Array): number {
  let count = 0;
  for (const _ of entriesOf(bytes)) count += 1;
  return count;
}

/** An entry: bytes [start, end), of which [keyStart, end) are its key. */
export interface EntryView {
  readonly start: number;
  readonly keyStart: number;
  readonly end: number;
  readonly type: number;
  readonly level: number;
  /** Whether it is a gauge that was set, and not only changed. */
  readonly isSet: boolean;
}

/** Visits entries that are whole. */
export function* entriesOf(bytes: Uint8Array): Generator<EntryView, void, void> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let start = 0; start < bytes.length; ) {
    const keyStart = start + ENTRY_KEY;
    const end = keyStart + view.getUint16(start, true);
    yield {
      start,
      keyStart,
      end,
      type: view.getUint8(start + ENTRY_TYPE),
      level: view.getFloat64(start + ENTRY_LEVEL, true),
      isSet: view.getUint8(start + ENTRY_IS_SET) !== 0,
    };
    start = end;
  }
}

/** Makes an entry with a level; key: one character a byte. */
export function levelEntry(key: string, level: number): Buffer {
  const entry = Buffer.alloc(ENTRY_KEY + key.length);
  entry.writeUInt16LE(key.length, 0);
  entry.writeUInt8(GAUGE, ENTRY_TYPE);
  entry.writeDoubleLE(level, ENTRY_LEVEL);
  entry.write(key, ENTRY_KEY, "latin1");
  return entry;
}
