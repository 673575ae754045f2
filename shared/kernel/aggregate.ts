/**
 * From a record to numbers. The host names, for each type, the aggregates it wants; aggregateSeries() then
 * leaves one double for each, NaN where there is nothing to say.
 */
import { reserve } from "./arena";
import { resolveGauge } from "./gauge";
import { allocateScratch, release } from "./heap";
import { sortSamples } from "./sort";
import {
  RECORD_A,
  RECORD_COUNT,
  RECORD_TYPE,
  RECORD_UPDATES,
  RECORD_WEIGHT,
  RECORD_WEIGHTED_COUNT,
  TYPE_COUNT,
  TYPE_COUNTER,
  TYPE_GAUGE,
  TYPE_SET,
  TYPE_TIMER,
} from "./table";
import { copySamples } from "./timer";

/** Aggregates that one type may have. */
export const AGGREGATES_MAX: u32 = 64;

// The order of AGGREGATES in shared/metric.ts.
const VALUE = 0;
const COUNT = 1;
const LAST = 2;
const MIN = 3;
const MAX = 4;
const SUM = 5;
const MEAN = 6;
const MEDIAN = 7;
const UPDATES = 8;
const RATE = 9;
const PERCENTILE = 10;

/** What is wanted: for each type AGGREGATES_MAX entries of kind (u32), padding, fraction (f64). */
let wanted: usize = 0;
let wantedCounts: usize = 0;
/** AGGREGATES_MAX doubles. */
export let results: usize = 0;

let intervalSeconds: f64 = 1;
let updatesMin: u32 = 0;

/** Reserves the lists. */
export function setupAggregates(): void {
  wanted = reserve(TYPE_COUNT * AGGREGATES_MAX * 16);
  wantedCounts = reserve(TYPE_COUNT * 4);
  results = reserve(AGGREGATES_MAX * 8);
}

/** Adds an aggregate to a type's list. fraction: 0..1 for percentiles. Traps beyond AGGREGATES_MAX. */
export function wantAggregate(type: u32, kind: u32, fraction: f64): void {
  const counter = wantedCounts + (usize(type) << 2);
  const count = load<u32>(counter);
  assert(count < AGGREGATES_MAX && type < TYPE_COUNT);
  const entry = wanted + (usize(type * AGGREGATES_MAX + count) << 4);
  store<u32>(entry, kind);
  store<f64>(entry, fraction, 8);
  store<u32>(counter, count + 1);
}

/** Sets the length of the interval in seconds, for rates, and how many updates make them worth a row. */
export function setAggregation(seconds: f64, updates: u32): void {
  intervalSeconds = seconds;
  updatesMin = updates;
}

let sorted: usize = 0;
let sortedCount: usize = 0;
let hasWeights = false;
let sum: f64 = 0;
let weightSum: f64 = 0;

/** Computes a series' aggregates into results. Returns how many there are. */
export function aggregateSeries(record: usize): u32 {
  const type = u32(load<u8>(record, RECORD_TYPE));
  const count = load<u32>(wantedCounts + (usize(type) << 2));
  let mark: usize = 0;
  if (type == TYPE_TIMER && count > 0) mark = sortTimer(record);
  for (let i: u32 = 0; i < count; i++) {
    const entry = wanted + (usize(type * AGGREGATES_MAX + i) << 4);
    const value = compute(record, type, load<u32>(entry), load<f64>(entry, 8));
    store<f64>(results + (usize(i) << 3), isFinite(value) ? value : NaN);
  }
  if (mark != 0) release(mark);
  return count;
}

function compute(record: usize, type: u32, kind: u32, fraction: f64): f64 {
  const updates = load<u32>(record, RECORD_UPDATES);
  if (kind == UPDATES) return updates >= updatesMin ? f64(updates) : NaN;
  if (kind == RATE) {
    const total = type == TYPE_COUNTER ? load<f64>(record, RECORD_A) : load<f64>(record, RECORD_WEIGHT);
    return total / intervalSeconds;
  }
  if (kind == VALUE) {
    if (type == TYPE_COUNTER) return load<f64>(record, RECORD_A);
    return type == TYPE_GAUGE ? resolveGauge(record) : NaN;
  }
  if (type == TYPE_SET) return kind == COUNT ? f64(load<u32>(record, RECORD_COUNT)) : NaN;
  if (type != TYPE_TIMER) return NaN;
  if (kind == COUNT) return load<f64>(record, RECORD_WEIGHT);
  if (kind == LAST) return load<f64>(record, RECORD_A);
  if (sortedCount == 0) return NaN;
  if (kind == MIN) return sample(0);
  if (kind == MAX) return sample(sortedCount - 1);
  if (kind == SUM) return sum;
  if (kind == MEAN) return sum / weightSum;
  if (kind == MEDIAN) return percentile(0.5);
  return kind == PERCENTILE ? percentile(fraction) : NaN;
}

function sample(index: usize): f64 {
  return load<f64>(sorted + (index << (3 + usize(hasWeights))));
}

function weightAt(index: usize): f64 {
  return load<f64>(sorted + (index << 4), 8);
}

/**
 * Brings a timer's samples in order, in scratch memory. Returns the mark to release, 0 where there was none.
 * Sums run over the sorted samples, so the order of arrival does not show in the last digit.
 */
function sortTimer(record: usize): usize {
  const plain = usize(load<u32>(record, RECORD_COUNT));
  const pairs = usize(load<u32>(record, RECORD_WEIGHTED_COUNT));
  hasWeights = pairs > 0;
  sortedCount = plain + pairs;
  const shift: usize = 3 + usize(hasWeights);
  const scratchBytes = u64(sortedCount) << (shift + 1);
  let mark: usize = 0;
  if (scratchBytes <= u64(u32.MAX_VALUE)) mark = allocateScratch(usize(scratchBytes));
  if (mark == 0) {
    sortedCount = 0;
    return 0;
  }
  copySamples(record, 0, mark);
  if (hasWeights) {
    // Spread the bare values into pairs, from the last one on, so that none is overwritten unread.
    for (let i = plain; i > 0; i--) {
      const value = load<f64>(mark + ((i - 1) << 3));
      store<f64>(mark + ((i - 1) << 4), value);
      store<f64>(mark + ((i - 1) << 4), 1, 8);
    }
    copySamples(record, 1, mark + (plain << 4));
  }
  sorted = sortSamples(mark, mark + (sortedCount << shift), sortedCount, shift);
  sum = 0;
  weightSum = 0;
  for (let i: usize = 0; i < sortedCount; i++) {
    const weight = hasWeights ? weightAt(i) : 1;
    sum += sample(i) * weight;
    weightSum += weight;
  }
  return mark;
}

/**
 * Exact order statistic with linear interpolation (type 7 of Hyndman and Fan, 1996). With weights,
 * neighbours lie the mean of their weights apart, which is the same thing when all weights are equal.
 */
function percentile(fraction: f64): f64 {
  const last = sortedCount - 1;
  if (last == 0) return sample(0);
  if (hasWeights && !areWeightsEqual()) return weightedPercentile(fraction);
  const position = fraction * f64(last);
  const below = Math.floor(position);
  const above = Math.ceil(position);
  if (below == above) return sample(usize(below));
  return sample(usize(below)) * (above - position) + sample(usize(above)) * (position - below);
}

function areWeightsEqual(): bool {
  const first = weightAt(0);
  for (let i: usize = 1; i < sortedCount; i++) if (weightAt(i) != first) return false;
  return true;
}

function weightedPercentile(fraction: f64): f64 {
  const last = sortedCount - 1;
  const target = fraction * (weightSum - (weightAt(0) + weightAt(last)) / 2);
  let position: f64 = 0;
  for (let i: usize = 0; i < last; i++) {
    const distance = (weightAt(i) + weightAt(i + 1)) / 2;
    if (position + distance >= target) {
      const share = (target - position) / distance;
      return sample(i) + (sample(i + 1) - sample(i)) * share;
    }
    position += distance;
  }
  return sample(last);
}
