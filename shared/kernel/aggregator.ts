/**
 * The aggregator's kernel. An intake thread consumes datagrams and cuts snapshots; a store merges snapshots
 * and reads aggregates. Both work on the same table, so one module serves both.
 */
import { ageCount, intervalOfAge, setInterval, setLateness, setupAges } from "./age";
import {
  aggregateSeries,
  forgetAggregates,
  results,
  setAggregation,
  setupAggregates,
  unsortedTimers as unsorted,
  wantAggregate,
} from "./aggregate";
import { reserve } from "./arena";
import { batchHeaders, batchSlots, setupBatch } from "./batch";
import { setupDecimal } from "./decimal";
import { allocateScratch, heapBytes, release, setHeapMax, setupHeap } from "./heap";
import { addBin, useBins } from "./histogram";
import { startIntake } from "./intake";
import { addLimit, resetLimits, setLimits, setupLimits } from "./limits";
import { setReading, setupParse } from "./parse";
import { setupSamples } from "./sample";
import {
  clashCount as clashes,
  entryCount,
  isValidSnapshot,
  mergedSamples,
  mergeSnapshot,
  nameOverflow,
  refusedSamplesOfMerge,
  resetMerge,
  setupMerge,
  snapshotBytes,
  writeSnapshot,
  writtenSamples,
} from "./snapshot";
import { resetTable as emptyTable, firstSeries, RECORD_NEXT, seriesCount, setupTable } from "./table";

export {
  batchSenders,
  byteCount,
  consume,
  countEvent,
  datagramCount,
  eventAddress,
  eventBytes,
  eventCount,
  lineCountsAddress,
  receivedCount,
  restartStamps,
  sampleCount,
  skippedSectionCount,
  touched,
} from "./intake";
export {
  adoptLevels,
  changeKept,
  compactKept,
  earliestSeen,
  fillLevels,
  forgetAllKept,
  forgetKept,
  forgetKeptBefore,
  forgetSeries,
  forgottenCount,
  isKept,
  keepSeries,
  keptLevel,
  keptSetIn,
  lookUp,
  nextIdle,
  nextSeenRecord,
  seenIn,
  setSeenIn,
  writeSeen,
} from "./keep";
export {
  firstPrefix,
  firstSender,
  nextPrefix,
  nextSender,
  overflowedSamples,
  refusedSamples,
  setLimits,
} from "./limits";
export { clashRecord } from "./snapshot";
export { setScratchMax } from "./sorted-samples";
export {
  addBin,
  aggregateSeries,
  batchHeaders,
  batchSlots,
  forgetAggregates,
  heapBytes,
  setAggregation,
  setHeapMax,
  setInterval,
  setLateness,
  setReading,
  useBins,
  wantAggregate,
};

let isStore = false;
let input: usize = 0;
let inputMax: usize = 0;
let output: usize = 0;

/**
 * Sets an intake up. memoryBase: see setupBatch. originId: tells intakes apart where stamps are equal.
 * seriesMax, heapMax: when either is reached a snapshot must be cut. nameMax, tagsMax: bytes.
 */
export function setupIntake(
  memoryBase: u64,
  hashSeed: u64,
  originId: u32,
  seriesMax: u32,
  heapMax: u32,
  nameMax: u32,
  tagsMax: u32,
): void {
  setupBatch(memoryBase);
  setupSamples();
  setupDecimal();
  setupParse(nameMax, tagsMax);
  setupAges();
  startIntake(originId);
  setupTable(seriesMax, hashSeed);
  setupHeap(heapMax);
}

/** Sets a store up. inputBytesMax: largest snapshot body it can take. */
export function setupStore(hashSeed: u64, seriesMax: u32, heapMax: u32, inputBytesMax: u32): void {
  setupAggregates();
  setupLimits();
  setupMerge();
  setLimits(seriesMax, 0, 0, 2, 0);
  isStore = true;
  inputMax = inputBytesMax;
  input = reserve(inputBytesMax);
  setupTable(seriesMax, hashSeed);
  setupHeap(heapMax);
}

/** Empties the table. */
export function resetTable(): void {
  emptyTable();
  if (!isStore) return;
  resetLimits();
  resetMerge();
}

/**
 * Writes the series of an age as a snapshot body. Returns its size in bytes; snapshotAddress(),
 * snapshotEntries() and snapshotSamples() tell where and how many. It stays readable until the next call into
 * the kernel. Traps without memory.
 */
export function encode(age: u32): u32 {
  const bytes = snapshotBytes(age);
  output = allocateScratch(bytes);
  assert(output != 0);
  writeSnapshot(output, age);
  release(output);
  return u32(bytes);
}

export function snapshotAddress(): usize {
  return output;
}

export function snapshotEntries(): u32 {
  return entryCount;
}

/** Samples that the series of the last snapshot were made from. */
export function snapshotSamples(): f64 {
  return writtenSamples;
}

/** Ages in use since setInterval(): 1, and one more for each earlier interval that got lines. */
export function agesInUse(): u32 {
  return ageCount;
}

/** Interval of an age below agesInUse(). */
export function ageInterval(age: u32): f64 {
  return intervalOfAge(age);
}

/** Where the host puts a snapshot body to merge; as large as setupStore was told. */
export function inputAddress(): usize {
  return input;
}

/**
 * Merges the snapshot body of `bytes` bytes and `count` entries at inputAddress(). Returns whether it was
 * valid; an invalid one changes nothing.
 */
export function merge(bytes: u32, count: u32): bool {
  if (bytes > u32(inputMax) || !isValidSnapshot(input, input + bytes, count)) return false;
  mergeSnapshot(input, input + bytes);
  return true;
}

/** Samples of the last merge that were lost. */
export function mergeRefusedLines(): f64 {
  return refusedSamplesOfMerge;
}

/** Samples of the last merge that were taken, those of overflow series included. */
export function mergeTakenLines(): f64 {
  return mergedSamples;
}

/** Bounds the series whose name begins with the text of `bytes` bytes at inputAddress(). */
export function addCap(bytes: u32, count: u32): bool {
  return addLimit(input, bytes, count);
}

/** Names the series that gets what bounds refuse: the text of `bytes` bytes at inputAddress(); 0 for none. */
export function setOverflowName(bytes: u32): bool {
  return nameOverflow(input, bytes);
}

/** Series whose key was there with another type already; clashRecord() has the first 16. */
export function clashCount(): u32 {
  return clashes;
}

export function tableSeries(): u32 {
  return seriesCount;
}

/** Address of the first series' record, 0 in an empty table. */
export function firstRecord(): usize {
  return firstSeries;
}

/** Address of the next record, 0 behind the last. */
export function nextRecord(record: usize): usize {
  return load<u32>(record, RECORD_NEXT);
}

/** Address of the doubles that aggregateSeries() wrote. */
export function resultsAddress(): usize {
  return results;
}

/** Timers since the start whose samples could not be brought in order, for want of memory. */
export function unsortedTimers(): f64 {
  return unsorted;
}
