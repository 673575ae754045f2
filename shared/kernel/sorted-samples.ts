/**
 * A timer's samples in order, in scratch memory: all at once where there is room, else the window of them
 * that was asked for last. One timer at a time.
 */
import { allocateScratch, release } from "./heap";
import { countBelowKey, keyAtRank, setupSelect } from "./select";
import { DEALT_ELEMENTS_MIN, orderedBits, setupSort, sortInPlace, sortSamples } from "./sort";
import { RECORD_COUNT, RECORD_WEIGHTED_COUNT } from "./table";
import { copySamples, copyValues, firstRun, heldBy, isWeightedRun, nextRun, RUN_SAMPLES } from "./timer";

/** Fewest samples of a window: with less room than that nothing is computed. */
const WINDOW_SAMPLES_MIN: usize = 4096;

let timer: usize = 0;
let mark: usize = 0;
let shift: usize = 3;
export let sampleCount: usize = 0;
/** Without weights all weigh 1. */
export let hasWeights = false;

/** The samples windowFirst..windowFirst+windowCount-1 lie at windowAt; windowMax is what has room. */
let windowAt: usize = 0;
let windowFirst: usize = 0;
let windowCount: usize = 0;
let windowMax: usize = 0;
/** The key of the sample behind the window; 0, which no finite double has, where it is not known. */
let nextKey: u64 = 0;

let scratchMax: usize = 128 << 20;

/** Reserves the tables. */
export function setupSortedSamples(): void {
  setupSort();
  setupSelect();
}

/** Bounds the memory in which samples are brought in order, in bytes: less makes large timers slower. */
export function setScratchMax(bytesMax: usize): void {
  scratchMax = bytesMax;
}

/**
 * Brings a timer's samples in order, each of weight 1 where weights are to be ignored. Returns false without
 * memory; then nothing is to be released.
 */
export function orderSamples(record: usize, ignoresWeights: bool): bool {
  const plain = usize(load<u32>(record, RECORD_COUNT));
  const pairs = usize(load<u32>(record, RECORD_WEIGHTED_COUNT));
  timer = record;
  hasWeights = pairs > 0 && !ignoresWeights;
  shift = 3 + usize(hasWeights);
  sampleCount = plain + pairs;
  windowFirst = 0;
  const areas = sampleCount < DEALT_ELEMENTS_MIN ? 2 : 1;
  mark = scratchFor(u64(sampleCount * areas) << shift);
  if (mark == 0) return openWindow();
  windowCount = sampleCount;
  copySamples(record, 0, mark);
  if (hasWeights) {
    // Spread the bare values into pairs, from the last one on, so that none is overwritten unread.
    for (let i = plain; i > 0; i--) {
      const value = load<f64>(mark + ((i - 1) << 3));
      store<f64>(mark + ((i - 1) << 4), value);
      store<f64>(mark + ((i - 1) << 4), 1, 8);
    }
    copySamples(record, 1, mark + (plain << 4));
  } else if (pairs > 0) {
    copyValues(record, mark + (plain << 3));
  }
  windowAt = sortSamples(mark, mark + (sampleCount << shift), sampleCount, shift);
  return true;
}

/** Returns memory that releaseSamples() gives back, 0 where there is none. */
export function scratchFor(bytes: u64): usize {
  return bytes > u64(scratchMax) ? 0 : allocateScratch(usize(bytes));
}

/** Takes the largest window that there is room for; it is filled when a sample is asked for. */
function openWindow(): bool {
  windowCount = 0;
  nextKey = 0;
  windowMax = sampleCount;
  while (windowMax > WINDOW_SAMPLES_MIN) {
    windowMax >>= 1;
    mark = scratchFor(u64(windowMax) << shift);
    if (mark != 0) return true;
  }
  return false;
}

/** Gives back the memory of the samples. */
export function releaseSamples(): void {
  release(mark);
}

/** The sample of a rank, 0 for the smallest. */
export function sampleAt(rank: usize): f64 {
  if (rank - windowFirst >= windowCount) fillWindow(rank);
  return load<f64>(windowAt + ((rank - windowFirst) << shift));
}

/** The weight of the sample of a rank. */
export function weightAt(rank: usize): f64 {
  if (!hasWeights) return 1;
  if (rank - windowFirst >= windowCount) fillWindow(rank);
  return load<f64>(windowAt + ((rank - windowFirst) << shift), 8);
}

/**
 * Fills the window with the sample of a rank and those behind it. Of more equal values than have room some go
 * into each window, as they come: only they may then not be in the order of their weights.
 */
function fillWindow(rank: usize): void {
  let low = nextKey;
  if (low != 0 && rank == windowFirst + windowCount) {
    windowFirst = rank;
  } else {
    low = keyAtRank(timer, rank);
    windowFirst = countBelowKey;
  }
  const end = windowFirst + windowMax;
  const high = end < sampleCount ? keyAtRank(timer, end) : u64.MAX_VALUE;
  windowAt = mark;
  if (high == low) {
    const skipped = rank - windowFirst;
    windowFirst = rank;
    windowCount = gather(low, low, skipped);
    nextKey = 0;
  } else {
    // No double that is finite has the highest key.
    windowCount = gather(low, high - 1, 0);
    nextKey = high;
  }
  sortInPlace(mark, windowCount, shift);
}

/** Copies the samples from one key to another into the window, but the first `skipped`. Returns how many. */
function gather(low: u64, high: u64, skipped: usize): usize {
  let met: usize = 0;
  let to = mark;
  const end = mark + (windowMax << shift);
  for (let run = firstRun(timer); run != 0; run = nextRun(run)) {
    const isWeighted = isWeightedRun(run);
    const step: usize = 8 << isWeighted;
    const stop = run + RUN_SAMPLES + usize(heldBy(run)) * step;
    for (let at = run + RUN_SAMPLES; at < stop && to < end; at += step) {
      const bits = load<u64>(at);
      const key = orderedBits(bits);
      if (key < low || key > high) continue;
      met += 1;
      if (met <= skipped) continue;
      store<u64>(to, bits);
      if (hasWeights) store<f64>(to, isWeighted != 0 ? load<f64>(at, 8) : 1, 8);
      to += 1 << shift;
    }
  }
  return (to - mark) >> shift;
}
