/** Lines that the relay does not send on, by reason. */
import { reserve } from "./arena";
import { DROP_COUNT } from "./relay-codes";

let counts: usize = 0;

/** Reserves the counts. */
export function setupDrops(): void {
  counts = reserve(usize(DROP_COUNT) * 8);
}

/** Counts a line. reason: a DROP code. */
export function countDrop(reason: u32): void {
  const count = counts + usize(reason) * 8;
  store<f64>(count, load<f64>(count) + 1);
}

/** Lines dropped for a reason since the start. */
export function linesDropped(reason: u32): f64 {
  assert(reason < u32(DROP_COUNT));
  return load<f64>(counts + usize(reason) * 8);
}
