/**
 * Parsed lines on their way to the table. They are gathered first and accumulated together, so that the
 * table's cache misses of several lines overlap.
 *
 *   sample   0 u32 key   4 u32 key bytes   8 u32 type   12 u32 is relative   16 f64 value   24 f64 weight
 *           32 u32 member   36 u32 member bytes   40 u32 hash
 */
import { reserve } from "./arena";

export const SAMPLE_KEY = 0;
export const SAMPLE_KEY_BYTES = 4;
export const SAMPLE_TYPE = 8;
/** A gauge with a sign: a change, not a level. */
export const SAMPLE_IS_RELATIVE = 12;
/** A counter's value is scaled by its rate already; the others carry theirs in the weight. */
export const SAMPLE_VALUE = 16;
/** 1 / rate. */
export const SAMPLE_WEIGHT = 24;
export const SAMPLE_MEMBER = 32;
export const SAMPLE_MEMBER_BYTES = 36;
export const SAMPLE_HASH = 40;
export const SAMPLE_BYTES = 48;

/** Samples gathered before they are accumulated. */
export const SAMPLES_MAX = 64;

export let samples: usize = 0;

/** Reserves the buffer. */
export function setupSamples(): void {
  samples = reserve(SAMPLES_MAX * SAMPLE_BYTES);
}
