/**
 * Gauges. The newest absolute value wins, with the changes made after it where it was seen. Changes made
 * where no absolute was seen are free: each keeps its time, and counts when it is younger than the winning
 * absolute.
 *
 *   record    a = absolute   b = its stamp   c = changes after it   count = its origin
 *             flags bit 0 = has absolute
 *             head = list of free changes: 0 u32 next   8 f64 stamp   16 f64 change
 *   payload   u32 has absolute   u32 origin   absolute f64   stamp f64   changes f64
 *             u32 n   n x (stamp f64, change f64)
 */
import { allocate } from "./heap";
import { RECORD_A, RECORD_B, RECORD_C, RECORD_COUNT, RECORD_FLAGS, RECORD_HEAD } from "./table";

const HAS_ABSOLUTE: u8 = 1;
const FREE_BYTES: usize = 24;
const PAYLOAD_FIXED_BYTES: usize = 36;
const PAYLOAD_FREE_BYTES: usize = 16;

/** Sets an absolute value. What came before from the same origin no longer matters. */
export function setGauge(record: usize, value: f64, stamp: f64, origin: u32): void {
  store<f64>(record, value, RECORD_A);
  store<f64>(record, stamp, RECORD_B);
  store<f64>(record, 0, RECORD_C);
  store<u32>(record, origin, RECORD_COUNT);
  store<u32>(record, 0, RECORD_HEAD);
  store<u8>(record, HAS_ABSOLUTE, RECORD_FLAGS);
}

/** Whether a change would leave a number, both as the level and as the sum of changes that is kept apart. */
export function isChangeFinite(record: usize, change: f64): bool {
  return isFinite(load<f64>(record, RECORD_C) + change) && isFinite(resolveGauge(record) + change);
}

/** Changes a gauge by a relative value. Returns whether there was room. */
export function changeGauge(record: usize, change: f64, stamp: f64): bool {
  if ((load<u8>(record, RECORD_FLAGS) & HAS_ABSOLUTE) != 0) {
    store<f64>(record, load<f64>(record, RECORD_C) + change, RECORD_C);
    return true;
  }
  const free = usize(load<u32>(record, RECORD_HEAD));
  if (free == 0) return addFree(record, stamp, change);
  store<f64>(free, stamp, 8);
  store<f64>(free, load<f64>(free, 16) + change, 16);
  return true;
}

function addFree(record: usize, stamp: f64, change: f64): bool {
  const free = allocate(FREE_BYTES);
  if (free == 0) return false;
  store<u32>(free, load<u32>(record, RECORD_HEAD));
  store<f64>(free, stamp, 8);
  store<f64>(free, change, 16);
  store<u32>(record, u32(free), RECORD_HEAD);
  return true;
}

/** Returns the gauge's level: the absolute value, or 0, and all changes that count. */
export function resolveGauge(record: usize): f64 {
  const hasAbsolute = (load<u8>(record, RECORD_FLAGS) & HAS_ABSOLUTE) != 0;
  const since = hasAbsolute ? load<f64>(record, RECORD_B) : -Infinity;
  let level = hasAbsolute ? load<f64>(record, RECORD_A) + load<f64>(record, RECORD_C) : 0;
  let free = usize(load<u32>(record, RECORD_HEAD));
  for (; free != 0; free = usize(load<u32>(free)))
    if (load<f64>(free, 8) > since) level += load<f64>(free, 16);
  return level;
}

function freeCount(record: usize): u32 {
  let count: u32 = 0;
  for (let free = usize(load<u32>(record, RECORD_HEAD)); free != 0; free = usize(load<u32>(free))) count += 1;
  return count;
}

export function gaugePayloadBytes(record: usize): usize {
  return PAYLOAD_FIXED_BYTES + usize(freeCount(record)) * PAYLOAD_FREE_BYTES;
}

export function gaugeIsValid(payload: usize, bytes: usize): bool {
  if (bytes < PAYLOAD_FIXED_BYTES) return false;
  const count = usize(load<u32>(payload, 32));
  if (count > bytes || bytes != PAYLOAD_FIXED_BYTES + count * PAYLOAD_FREE_BYTES) return false;
  for (let at: usize = 8; at < 32; at += 8) if (!isFinite(load<f64>(payload + at))) return false;
  for (let at = PAYLOAD_FIXED_BYTES; at < bytes; at += 8)
    if (!isFinite(load<f64>(payload + at))) return false;
  return true;
}

export function writeGauge(record: usize, payload: usize): void {
  store<u32>(payload, u32(load<u8>(record, RECORD_FLAGS) & HAS_ABSOLUTE));
  store<u32>(payload, load<u32>(record, RECORD_COUNT), 4);
  store<f64>(payload, load<f64>(record, RECORD_A), 8);
  store<f64>(payload, load<f64>(record, RECORD_B), 16);
  store<f64>(payload, load<f64>(record, RECORD_C), 24);
  store<u32>(payload, freeCount(record), 32);
  let at = payload + PAYLOAD_FIXED_BYTES;
  for (let free = usize(load<u32>(record, RECORD_HEAD)); free != 0; free = usize(load<u32>(free))) {
    store<f64>(at, load<f64>(free, 8));
    store<f64>(at, load<f64>(free, 16), 8);
    at += PAYLOAD_FREE_BYTES;
  }
}

/**
 * Whether the payload's absolute is newer than the record's; equal stamps are decided by origin, then
 * value.
 */
function isNewer(record: usize, payload: usize): bool {
  if ((load<u8>(record, RECORD_FLAGS) & HAS_ABSOLUTE) == 0) return true;
  const stamp = load<f64>(payload, 16);
  const ownStamp = load<f64>(record, RECORD_B);
  if (stamp != ownStamp) return stamp > ownStamp;
  const origin = load<u32>(payload, 4);
  const ownOrigin = load<u32>(record, RECORD_COUNT);
  if (origin != ownOrigin) return origin > ownOrigin;
  return load<f64>(payload, 8) > load<f64>(record, RECORD_A);
}

export function mergeGauge(record: usize, payload: usize): bool {
  // Room first: a merge must happen whole or not at all.
  const count = load<u32>(payload, 32);
  for (let i: u32 = 0; i < count; i++) {
    const at = payload + PAYLOAD_FIXED_BYTES + usize(i) * PAYLOAD_FREE_BYTES;
    if (!addFree(record, load<f64>(at), load<f64>(at, 8))) {
      for (; i > 0; i--) store<u32>(record, load<u32>(load<u32>(record, RECORD_HEAD)), RECORD_HEAD);
      return false;
    }
  }
  if (load<u32>(payload) == 0 || !isNewer(record, payload)) return true;
  store<f64>(record, load<f64>(payload, 8), RECORD_A);
  store<f64>(record, load<f64>(payload, 16), RECORD_B);
  store<f64>(record, load<f64>(payload, 24), RECORD_C);
  store<u32>(record, load<u32>(payload, 4), RECORD_COUNT);
  store<u8>(record, HAS_ABSOLUTE, RECORD_FLAGS);
  return true;
}
