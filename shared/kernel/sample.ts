/**
 * Parsed lines on their way to the table. They are gathered first and accumulated together, so that the
 * table's cache misses of several lines overlap.
 *
 *   sample   0 u32 key   4 u32 key bytes   8 u32 type   12 u32 is relative   16 f64 value   24 f64 weight
 *           32 u32 member   36 u32 member bytes   40 u32 hash   44 u32 ends its line   48 u32 sender
 *           52 u32 record that its hash leads to first
 */
import { reserve } from "./arena";

export const SAMPLE_KEY = 0;
export const SAMPLE_KEY_BYTES = 4;
/** With the age of its interval in the upper bits; see table.ts. */
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
/** 1 for the last sample of a line. */
export const SAMPLE_ENDS_LINE = 44;
export const SAMPLE_SENDER = 48;
/** The first record that its hash leads to, most often its own; 0 for none. Once accumulated, its own. */
export const SAMPLE_RECORD = 52;
export const SAMPLE_BYTES = 56;

/** Samples after which all that were gathered are accumulated. */
export const SAMPLES_ENOUGH = 64;
/** Samples that one line can bring: two bytes for each, and a copy of each without its tags. */
export const SAMPLES_OF_LINE_MAX = 65_536;

export let samples: usize = 0;

/** Reserves the buffer. */
export function setupSamples(): void {
  samples = reserve((SAMPLES_ENOUGH + SAMPLES_OF_LINE_MAX) * SAMPLE_BYTES);
}
