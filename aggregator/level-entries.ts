/**
 * Entries of series that outlive their interval, as kernel/keep.ts writes them, one behind the other:
 *
 *   0 u16 key bytes   2 u8 type   3 u8 0   4 f64 level, NaN for none   12 key
 */
import { METRIC_TYPES } from "../shared/metric.ts";

export const ENTRY_KEY = 12;
export const ENTRY_LEVEL = 4;
const GAUGE = METRIC_TYPES.indexOf("gauge");

/** Whether bytes from anywhere are whole entries of types that there are. */
export function areEntries(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  while (at + ENTRY_KEY <= bytes.length) {
    const keyBytes = view.getUint16(at, true);
    if (keyBytes === 0 || view.getUint16(at + 2, true) >= METRIC_TYPES.length) return false;
    at += ENTRY_KEY + keyBytes;
  }
  return at === bytes.length;
}

/** Whether bytes from anywhere are entries of gauges with levels. */
export function areLevels(bytes: Uint8Array): boolean {
  if (!areEntries(bytes)) return false;
  for (const { type, level } of walk(bytes)) if (type !== GAUGE || !Number.isFinite(level)) return false;
  return true;
}

/** Returns a copy of the entries that have a level. */
export function withLevel(part: Uint8Array): Uint8Array {
  const kept: Uint8Array[] = [];
  for (const { start, end, level } of walk(part)) {
    if (Number.isFinite(level)) kept.push(part.slice(start, end));
  }
  return Buffer.concat(kept);
}

/** Returns the number of entries. */
export function countEntries(bytes: Uint8Array): number {
  let count = 0;
  for (const _ of walk(bytes)) count += 1;
  return count;
}

function* walk(bytes: Uint8Array): Generator<{
  readonly start: number;
  readonly end: number;
  readonly type: number;
  readonly level: number;
}> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let start = 0; start < bytes.length; ) {
    const end = start + ENTRY_KEY + view.getUint16(start, true);
    yield {
      start,
      end,
      type: view.getUint16(start + 2, true),
      level: view.getFloat64(start + ENTRY_LEVEL, true),
    };
    start = end;
  }
}
