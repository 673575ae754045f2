/**
 * From a record to numbers. The host names, for each type, the aggregates it wants; aggregateSeries() then
 * leaves one double for each, NaN where there is nothing to say.
 *
 *   wanted entry   0 u32 kind   4 u32 part, of the kinds that need one   8 f64 fraction
 */
import { reserve } from "./arena";
import { resolveGauge } from "./gauge";
import { binWeight, forgetBins, setupBins } from "./histogram";
import {
  deviation,
  forgetParts,
  harmonicMean,
  partEdge,
  partOf,
  partSquares,
  partSum,
  partWeight,
  percentile,
  setupOrder,
  startOrder,
  sum,
  sumSquares,
  weightSum,
} from "./order";
import { orderSamples, releaseSamples, sampleAt, sampleCount } from "./sorted-samples";
import {
  RECORD_A,
  RECORD_COUNT,
  RECORD_UPDATES,
  RECORD_WEIGHT,
  TYPE_COUNT,
  TYPE_COUNTER,
  TYPE_GAUGE,
  TYPE_SET,
  TYPE_TIMER,
  typeOf,
} from "./table";

/** Aggregates that one type may have. */
export const AGGREGATES_MAX: u32 = 256;

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
const STD = 11;
const SUM_SQUARES = 12;
const SAMPLE_RATE = 13;
const HMEAN = 14;
const BIN = 15;
/** From here on the kinds of parts: count, mean, edge, sum and squares of the lowest, then of the highest. */
const PART: u32 = 16;
const PART_TOP: u32 = 21;
const KIND_COUNT: u32 = 26;

/** The rate of a counter is that of its samples, not of its value. */
const RATE_OF_SAMPLES: u32 = 1;
/** Only counts and rates see what a sample weighs. */
const IGNORES_WEIGHTS: u32 = 2;

const ENTRY_PART = 4;
const ENTRY_FRACTION = 8;

/** What is wanted: for each type AGGREGATES_MAX entries. */
let wanted: usize = 0;
let wantedCounts: usize = 0;
/** AGGREGATES_MAX doubles. */
export let results: usize = 0;

let intervalSeconds: f64 = 1;
let updatesMin: u32 = 0;
let isRateOfSamples = false;
let ignoresWeights = false;
/** Whether something is wanted for which a timer's samples must be in order. */
let needsOrder = false;

/** Timers whose samples could not be brought in order, for want of memory. */
export let unsortedTimers: f64 = 0;

/** Reserves the lists. */
export function setupAggregates(): void {
  setupOrder();
  setupBins();
  wanted = reserve(usize(TYPE_COUNT * AGGREGATES_MAX) << 4);
  wantedCounts = reserve(TYPE_COUNT * 4);
  results = reserve(usize(AGGREGATES_MAX) << 3);
}

/** Empties the lists of aggregates, and the bins. */
export function forgetAggregates(): void {
  memory.fill(wantedCounts, 0, TYPE_COUNT * 4);
  forgetParts();
  forgetBins();
  needsOrder = false;
}

/**
 * Adds an aggregate to a type's list. fraction: a percentile's or part's share, 0..1; a bin's upper bound.
 * Traps beyond AGGREGATES_MAX.
 */
export function wantAggregate(type: u32, kind: u32, fraction: f64): void {
  const counter = wantedCounts + (usize(type) << 2);
  const count = load<u32>(counter);
  assert(count < AGGREGATES_MAX && type < TYPE_COUNT && kind < KIND_COUNT);
  const entry = entryOf(type, count);
  store<u32>(entry, kind);
  store<u32>(entry, kind < PART ? 0 : u32(partOf(fraction, kind >= PART_TOP)), ENTRY_PART);
  store<f64>(entry, fraction, ENTRY_FRACTION);
  store<u32>(counter, count + 1);
  const isUnordered =
    kind == VALUE || kind == COUNT || kind == LAST || kind == UPDATES || kind == RATE || kind == SAMPLE_RATE;
  if (type == TYPE_TIMER && !isUnordered) needsOrder = true;
}

function entryOf(type: u32, index: u32): usize {
  return wanted + (usize(type * AGGREGATES_MAX + index) << 4);
}

/**
 * Sets the length of the interval in seconds, for rates, and how many updates make them worth a row. flags:
 * RATE_OF_SAMPLES, IGNORES_WEIGHTS.
 */
export function setAggregation(seconds: f64, updates: u32, flags: u32): void {
  intervalSeconds = seconds;
  updatesMin = updates;
  isRateOfSamples = (flags & RATE_OF_SAMPLES) != 0;
  ignoresWeights = (flags & IGNORES_WEIGHTS) != 0;
}

/** Computes a series' aggregates into results. Returns how many there are. */
export function aggregateSeries(record: usize): u32 {
  const type = typeOf(record);
  const count = load<u32>(wantedCounts + (usize(type) << 2));
  let isOrdered = false;
  if (type == TYPE_TIMER && needsOrder) {
    isOrdered = orderSamples(record, ignoresWeights);
    if (isOrdered) startOrder();
    else unsortedTimers += 1;
  }
  for (let i: u32 = 0; i < count; i++) {
    const value = compute(record, type, entryOf(type, i), isOrdered);
    store<f64>(results + (usize(i) << 3), isFinite(value) ? value : NaN);
  }
  if (isOrdered) releaseSamples();
  return count;
}

function compute(record: usize, type: u32, entry: usize, isOrdered: bool): f64 {
  const kind = load<u32>(entry);
  if (kind == UPDATES) {
    const updates = load<u32>(record, RECORD_UPDATES);
    return updates >= updatesMin ? f64(updates) : NaN;
  }
  const weight = load<f64>(record, RECORD_WEIGHT);
  if (kind == SAMPLE_RATE) return weight / intervalSeconds;
  if (kind == RATE) {
    const total = type == TYPE_COUNTER && !isRateOfSamples ? load<f64>(record, RECORD_A) : weight;
    return total / intervalSeconds;
  }
  if (kind == VALUE) {
    if (type == TYPE_COUNTER) return load<f64>(record, RECORD_A);
    return type == TYPE_GAUGE ? resolveGauge(record) : NaN;
  }
  if (type == TYPE_SET) return kind == COUNT ? f64(load<u32>(record, RECORD_COUNT)) : NaN;
  if (type != TYPE_TIMER) return NaN;
  if (kind == COUNT) return weight;
  if (kind == LAST) return load<f64>(record, RECORD_A);
  if (!isOrdered || sampleCount == 0) return NaN;
  const fraction = load<f64>(entry, ENTRY_FRACTION);
  if (kind >= PART) return computePart(kind, usize(load<u32>(entry, ENTRY_PART)));
  return kind == BIN ? binWeight(fraction) : computeOrdered(kind, fraction);
}

/** An aggregate of all samples of the timer that is in order. */
function computeOrdered(kind: u32, fraction: f64): f64 {
  if (kind == MIN) return sampleAt(0);
  if (kind == MAX) return sampleAt(sampleCount - 1);
  if (kind == SUM) return sum;
  if (kind == MEAN) return sum / weightSum;
  if (kind == MEDIAN) return percentile(0.5);
  if (kind == STD) return deviation();
  if (kind == SUM_SQUARES) return sumSquares();
  if (kind == HMEAN) return harmonicMean();
  return kind == PERCENTILE ? percentile(fraction) : NaN;
}

/** An aggregate of a part of the samples; an empty part has none. */
function computePart(kind: u32, part: usize): f64 {
  const weight = partWeight(part);
  if (!(weight > 0)) return NaN;
  const statistic = kind < PART_TOP ? kind - PART : kind - PART_TOP;
  if (statistic == 0) return weight;
  if (statistic == 1) return partSum(part) / weight;
  if (statistic == 2) return partEdge(part);
  return statistic == 3 ? partSum(part) : partSquares(part);
}
