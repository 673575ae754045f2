/**
 * Intervals that an intake fills besides the present one, for lines with a timestamp of their own. Each has
 * an age, a small number, until the next snapshot is cut.
 */
import { reserve } from "./arena";

/**
 * Earlier intervals that can be filled at a time: one more than the longest late window that a config may
 * have.
 */
export const AGE_MAX: u32 = 7;

/** The interval of each age, f64; that of age 0 is the present one. */
let intervals: usize = 0;
let intervalMs: f64 = 1;
let lateMax: f64 = 0;
/** Ages in use, the present one included. */
export let ageCount: u32 = 1;

/** Reserves the list. */
export function setupAges(): void {
  intervals = reserve(usize(AGE_MAX + 1) << 3);
}

/** Sets the length of intervals, and how many before the present one may still get lines. */
export function setLateness(milliseconds: f64, intervalsMax: f64): void {
  intervalMs = milliseconds;
  lateMax = intervalsMax;
}

/** Begins anew with `present` as the present interval. */
export function setInterval(present: f64): void {
  store<f64>(intervals, present);
  ageCount = 1;
}

/** Interval of an age. */
export function intervalOfAge(age: u32): f64 {
  return load<f64>(intervals + (usize(age) << 3));
}

/**
 * Returns the age of the interval that a time lies in, seconds since 1970: 0 also for a time to come, since
 * clocks differ; u32.MAX_VALUE when it is too late for it.
 */
export function ageOfTimestamp(seconds: f64): u32 {
  const present = load<f64>(intervals);
  const interval = Math.floor((seconds * 1000) / intervalMs);
  if (interval >= present) return 0;
  if (interval < present - lateMax) return u32.MAX_VALUE;
  for (let age: u32 = 1; age < ageCount; age++) if (intervalOfAge(age) == interval) return age;
  if (ageCount > AGE_MAX) return u32.MAX_VALUE;
  store<f64>(intervals + (usize(ageCount) << 3), interval);
  ageCount += 1;
  return ageCount - 1;
}
