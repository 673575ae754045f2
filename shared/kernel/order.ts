/**
 * What is read off a timer's samples in order (see sorted-samples.ts): sums, percentiles, and what etsy tells
 * of the lowest or highest part of them. Sums run over the sorted samples, so the order of arrival does not
 * show in the last digit.
 */
import { reserve } from "./arena";
import {
  hasWeights,
  sampleAt,
  sampleCount,
  scratchFor,
  setupSortedSamples,
  weightAt,
} from "./sorted-samples";

let areWeightsEqual = true;
export let weightSum: f64 = 0;
/** Of value times weight. */
export let sum: f64 = 0;

/** Where each sample lies between first and last, by weight; 0 as long as nobody asked. */
let positions: usize = 0;

/** Parts of the samples, the lowest or the highest; a part's numbers are good for one timer. */
const PARTS_MAX: u32 = 1024;
const PART_BYTES: usize = 48;
const PART_IS_TOP = 8;
const PART_TIMER = 12;
const PART_WEIGHT = 16;
const PART_SUM = 24;
const PART_SQUARES = 32;
const PART_EDGE = 40;
let parts: usize = 0;
let partCount: u32 = 0;
/** Tells the timer whose samples these are from those before. */
let timer: u32 = 0;

/** Reserves the tables. */
export function setupOrder(): void {
  setupSortedSamples();
  parts = reserve(usize(PARTS_MAX) * PART_BYTES);
}

/** Adds up the samples that are in order now. To be called before anything else here is asked for. */
export function startOrder(): void {
  positions = 0;
  timer += 1;
  sum = 0;
  weightSum = f64(sampleCount);
  areWeightsEqual = true;
  if (!hasWeights) {
    for (let i: usize = 0; i < sampleCount; i++) sum += sampleAt(i);
    return;
  }
  weightSum = 0;
  const first = weightAt(0);
  for (let i: usize = 0; i < sampleCount; i++) {
    const weight = weightAt(i);
    sum += sampleAt(i) * weight;
    weightSum += weight;
    if (weight != first) areWeightsEqual = false;
  }
}

/** Sum of the squares, each by its weight. */
export function sumSquares(): f64 {
  let squares: f64 = 0;
  for (let i: usize = 0; i < sampleCount; i++) {
    const value = sampleAt(i);
    squares += value * value * weightAt(i);
  }
  return squares;
}

/** Standard deviation of the population, in a second pass: a difference of large sums would tell nothing. */
export function deviation(): f64 {
  const mean = sum / weightSum;
  let squares: f64 = 0;
  for (let i: usize = 0; i < sampleCount; i++) {
    const distance = sampleAt(i) - mean;
    squares += distance * distance * weightAt(i);
  }
  return Math.sqrt(squares / weightSum);
}

/** Harmonic mean. */
export function harmonicMean(): f64 {
  let reciprocals: f64 = 0;
  for (let i: usize = 0; i < sampleCount; i++) reciprocals += weightAt(i) / sampleAt(i);
  return weightSum / reciprocals;
}

/** Weight of the samples from one bound on and below another. */
export function weightBetween(lower: f64, upper: f64): f64 {
  const first = countBelow(lower);
  const end = countBelow(upper);
  if (!hasWeights) return f64(end - first);
  let weight: f64 = 0;
  for (let i = first; i < end; i++) weight += weightAt(i);
  return weight;
}

function countBelow(bound: f64): usize {
  let low: usize = 0;
  let high = sampleCount;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sampleAt(middle) < bound) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * Exact order statistic with linear interpolation (type 7 of Hyndman and Fan, 1996). With weights,
 * neighbours lie the mean of their weights apart, which is the same thing when all weights are equal.
 */
export function percentile(fraction: f64): f64 {
  const last = sampleCount - 1;
  if (last == 0) return sampleAt(0);
  if (!areWeightsEqual) return weightedPercentile(fraction);
  const position = fraction * f64(last);
  const below = Math.floor(position);
  const above = Math.ceil(position);
  if (below == above) return sampleAt(usize(below));
  return sampleAt(usize(below)) * (above - position) + sampleAt(usize(above)) * (position - below);
}

function weightedPercentile(fraction: f64): f64 {
  const last = sampleCount - 1;
  const target = fraction * (weightSum - (weightAt(0) + weightAt(last)) / 2);
  if (positions == 0) layPositions();
  if (positions == 0) return walkTo(target);
  // The first sample that lies at the target or beyond.
  let low: usize = 0;
  let high = last;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (load<f64>(positions + (middle << 3)) >= target) high = middle;
    else low = middle + 1;
  }
  const position = load<f64>(positions + (low << 3));
  return low == 0 ? sampleAt(0) : between(low, load<f64>(positions + ((low - 1) << 3)), position, target);
}

/** Notes where each sample lies, once for all percentiles, if there is memory. */
function layPositions(): void {
  positions = scratchFor(u64(sampleCount) << 3);
  if (positions == 0) return;
  let position: f64 = 0;
  store<f64>(positions, 0);
  for (let i: usize = 1; i < sampleCount; i++) {
    position += (weightAt(i - 1) + weightAt(i)) / 2;
    store<f64>(positions + (i << 3), position);
  }
}

/** What a search among the positions finds, without them. */
function walkTo(target: f64): f64 {
  if (target <= 0) return sampleAt(0);
  let position: f64 = 0;
  for (let i: usize = 1; i < sampleCount; i++) {
    const before = position;
    position += (weightAt(i - 1) + weightAt(i)) / 2;
    if (position >= target) return between(i, before, position, target);
  }
  return sampleAt(sampleCount - 1);
}

/** Value at the target, which lies between a sample at `position` and the one before. */
function between(rank: usize, before: f64, position: f64, target: f64): f64 {
  // Rounding may leave the target a little behind the last sample.
  const share = min<f64>(1, (target - before) / (position - before));
  const low = sampleAt(rank - 1);
  return low + (sampleAt(rank) - low) * share;
}

/** Forgets all parts. */
export function forgetParts(): void {
  partCount = 0;
}

/** Returns the part of the lowest or highest samples of this share of all, 0..1; new where need be. */
export function partOf(fraction: f64, isTop: bool): usize {
  for (let i: u32 = 0; i < partCount; i++) {
    const part = parts + usize(i) * PART_BYTES;
    if (load<f64>(part) == fraction && load<u32>(part, PART_IS_TOP) == u32(isTop)) return part;
  }
  assert(partCount < PARTS_MAX);
  const part = parts + usize(partCount) * PART_BYTES;
  partCount += 1;
  store<f64>(part, fraction);
  store<u32>(part, u32(isTop), PART_IS_TOP);
  store<u32>(part, 0, PART_TIMER);
  return part;
}

/** Weight of a part's samples, 0 where there are none. */
export function partWeight(part: usize): f64 {
  return load<f64>(filled(part), PART_WEIGHT);
}

export function partSum(part: usize): f64 {
  return load<f64>(filled(part), PART_SUM);
}

export function partSquares(part: usize): f64 {
  return load<f64>(filled(part), PART_SQUARES);
}

/** The highest of the lowest samples, or the lowest of the highest. */
export function partEdge(part: usize): f64 {
  return load<f64>(filled(part), PART_EDGE);
}

/**
 * Fills a part with the numbers of this timer. After etsy, each sample counting as often as it weighs: of n
 * samples round(share * n) are in the part, and a single one is in any part. Source: lib/process_metrics.js
 * of etsy's statsd.
 */
function filled(part: usize): usize {
  if (load<u32>(part, PART_TIMER) == timer) return part;
  store<u32>(part, timer, PART_TIMER);
  const wanted = sampleCount == 1 ? weightSum : Math.round(load<f64>(part) * weightSum);
  // What weights lose in their last digits must not take another sample in.
  const enough = wanted * (1 - 1e-12);
  const isTop = load<u32>(part, PART_IS_TOP) != 0;
  let first: usize = 0;
  if (isTop && wanted > 0) {
    first = sampleCount - 1;
    for (let held = weightAt(first); held < enough && first > 0; held += weightAt(first)) first -= 1;
  }
  let weight: f64 = 0;
  let total: f64 = 0;
  let squares: f64 = 0;
  let edge = isTop ? sampleAt(first) : NaN;
  // In ascending order in both cases; the sample at the inner end may be in it with a part of its weight.
  let spare = isTop ? -wanted : 0;
  if (isTop) for (let i = first; i < sampleCount; i++) spare += weightAt(i);
  for (let i = first; i < sampleCount && weight < enough; i++) {
    let share = min(weightAt(i), wanted - weight);
    if (i == first && spare > 0) share = weightAt(i) - spare;
    const value = sampleAt(i);
    weight += share;
    total += value * share;
    squares += value * value * share;
    if (!isTop) edge = value;
  }
  store<f64>(part, weight, PART_WEIGHT);
  store<f64>(part, total, PART_SUM);
  store<f64>(part, squares, PART_SQUARES);
  store<f64>(part, edge, PART_EDGE);
  return part;
}
