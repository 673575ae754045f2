/**
 * Counters: a = sum of value / rate.
 *
 *   payload   sum f64
 */
import { RECORD_A } from "./table";

export const COUNTER_PAYLOAD_BYTES: usize = 8;

/** Adds a scaled value. Returns false, changing nothing, where the sum would not be finite. */
export function addToCounter(record: usize, value: f64): bool {
  const sum = load<f64>(record, RECORD_A) + value;
  if (!isFinite(sum)) return false;
  store<f64>(record, sum, RECORD_A);
  return true;
}

export function counterIsValid(payload: usize, bytes: usize): bool {
  return bytes == COUNTER_PAYLOAD_BYTES && isFinite(load<f64>(payload));
}

export function writeCounter(record: usize, payload: usize): void {
  store<f64>(payload, load<f64>(record, RECORD_A));
}

export function mergeCounter(record: usize, payload: usize): bool {
  return addToCounter(record, load<f64>(payload));
}
