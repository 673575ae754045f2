/**
 * Finds by counting, without any memory, which of a timer's samples has a rank: its bits are found 16 at a
 * time, the highest first. Values are compared as integers of the same order: see sort.ts.
 */
import { reserve } from "./arena";
import { orderedBits } from "./sort";
import { firstRun, heldBy, isWeightedRun, nextRun, RUN_SAMPLES } from "./timer";

const DIGIT_BITS: u64 = 16;
const DIGITS: usize = 1 << 16;

/** DIGITS counts. */
let counts: usize = 0;

/** How many samples are below the one that keyAtRank() found. */
export let countBelowKey: usize = 0;

/** Reserves the counts. */
export function setupSelect(): void {
  counts = reserve(DIGITS << 2);
}

/** Returns the sample of a rank, 0 for the smallest, as an ordered integer. rank: below the sample count. */
export function keyAtRank(record: usize, rank: usize): u64 {
  let key: u64 = 0;
  countBelowKey = 0;
  let shift: u64 = 64;
  while (shift > 0) {
    shift -= DIGIT_BITS;
    countDigits(record, key, shift);
    let digit: usize = 0;
    let left = rank - countBelowKey;
    for (let count = countOf(0); left >= count; count = countOf(digit)) {
      left -= count;
      digit += 1;
    }
    countBelowKey = rank - left;
    key |= u64(digit) << shift;
  }
  return key;
}

function countOf(digit: usize): usize {
  return load<u32>(counts + (digit << 2));
}

/** Counts, by the digit at `shift`, the samples whose higher digits are those of the key. */
function countDigits(record: usize, key: u64, shift: u64): void {
  memory.fill(counts, 0, DIGITS << 2);
  const higher: u64 = shift == 64 - DIGIT_BITS ? 0 : u64.MAX_VALUE << (shift + DIGIT_BITS);
  for (let run = firstRun(record); run != 0; run = nextRun(run)) {
    const step: usize = 8 << isWeightedRun(run);
    const end = run + RUN_SAMPLES + usize(heldBy(run)) * step;
    for (let at = run + RUN_SAMPLES; at < end; at += step) {
      const bits = orderedBits(load<u64>(at));
      if ((bits & higher) != key) continue;
      const counter = counts + (usize((bits >> shift) & (DIGITS - 1)) << 2);
      store<u32>(counter, load<u32>(counter) + 1);
    }
  }
}
