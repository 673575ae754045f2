/**
 * The aggregator's kernel. An intake thread consumes datagrams and cuts snapshots; a store merges snapshots
 * and reads aggregates. Both work on the same table, so one module serves both.
 */
import { aggregateSeries, results, setAggregation, setupAggregates, wantAggregate } from "./aggregate";
import { reserve } from "./arena";
import { batchHeaders, batchSlots, dropCutLine, setupBatch, slotBytes, slotStart } from "./batch";
import { addToCounter } from "./counter";
import { setupDecimal } from "./decimal";
import { changeGauge, isChangeFinite, setGauge } from "./gauge";
import { allocateScratch, heapBytes, release, setupHeap } from "./heap";
import { forgetRewritten, isRewrittenFull, lineEnd, parseLine, setupParse } from "./parse";
import { DROP_CUT_OFF, DROP_NONE, DROP_NOT_FINITE, DROP_REASON_COUNT } from "./reasons";
import {
  SAMPLE_BYTES,
  SAMPLE_HASH,
  SAMPLE_IS_RELATIVE,
  SAMPLE_KEY,
  SAMPLE_KEY_BYTES,
  SAMPLE_MEMBER,
  SAMPLE_MEMBER_BYTES,
  SAMPLE_TYPE,
  SAMPLE_VALUE,
  SAMPLE_WEIGHT,
  SAMPLES_MAX,
  samples,
  setupSamples,
} from "./sample";
import {
  entryCount,
  isValidSnapshot,
  mergedLines,
  mergeSnapshot,
  nextBase,
  refusedLines,
  snapshotBytes,
  writeGaugeBases,
  writeSnapshot,
} from "./snapshot";
import {
  addMember,
  findOrInsertSeries,
  firstSeries,
  hashKey,
  RECORD_NEXT,
  RECORD_UPDATES,
  RECORD_WEIGHT,
  resetTable,
  seriesCount,
  setupTable,
  TYPE_COUNTER,
  TYPE_GAUGE,
  TYPE_TIMER,
  touch,
} from "./table";
import { addToTimer } from "./timer";

export { aggregateSeries, batchHeaders, batchSlots, heapBytes, resetTable, setAggregation, wantAggregate };

const LF: u8 = 10;
const CR: u32 = 13;

/** Everything in the batch was taken. */
const CONSUMED = 0;
/** The table is full: cut a snapshot and call consume again. */
const FULL = 1;

/** DROP_REASON_COUNT doubles; the first counts accepted lines. */
let lineCounts: usize = 0;
let linesReceived: f64 = 0;
let datagrams: f64 = 0;
let bytesReceived: f64 = 0;

let origin: u32 = 0;
let stamp: f64 = 0;

/** Where consume() goes on: slot and address of the next line, and the samples not yet accumulated. */
let nextSlot = 0;
let nextLine: usize = 0;
let firstSample = 0;
let sampleCount = 0;

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
  origin = originId;
  setupBatch(memoryBase);
  setupSamples();
  setupDecimal();
  setupParse(nameMax, tagsMax);
  lineCounts = reserve(DROP_REASON_COUNT * 8);
  setupTable(seriesMax, hashSeed);
  setupHeap(heapMax);
}

/** Sets a store up. inputBytesMax: largest snapshot body it can take. */
export function setupStore(hashSeed: u64, seriesMax: u32, heapMax: u32, inputBytesMax: u32): void {
  setupAggregates();
  inputMax = inputBytesMax;
  input = reserve(inputBytesMax);
  setupTable(seriesMax, hashSeed);
  setupHeap(heapMax);
}

/**
 * Takes the datagrams in slots 0..received-1. nowMs: wall clock.
 * Returns CONSUMED, or FULL: then the host cuts a snapshot and calls again with the same arguments.
 */
export function consume(received: i32, nowMs: f64): i32 {
  // Later calls must win over earlier ones also within a millisecond, and when the clock steps back.
  stamp = nowMs > stamp ? nowMs : stamp + 1.0 / 1024;
  if (!accumulate()) return FULL;
  while (nextSlot < received) {
    if (nextLine == 0) openDatagram(nextSlot);
    if (!consumeDatagram(slotStart(nextSlot) + slotBytes(nextSlot))) return FULL;
    nextSlot += 1;
    nextLine = 0;
  }
  if (!accumulate()) return FULL;
  nextSlot = 0;
  return CONSUMED;
}

/** Counts a datagram and gives it the line feed at its end that it may lack. */
function openDatagram(slot: i32): void {
  datagrams += 1;
  bytesReceived += f64(slotBytes(slot));
  if (dropCutLine(slot)) {
    linesReceived += 1;
    countLine(DROP_CUT_OFF);
  }
  nextLine = slotStart(slot);
  store<u8>(nextLine + slotBytes(slot), LF);
}

/** Reads lines from nextLine to end. Returns false when the table is full. */
function consumeDatagram(end: usize): bool {
  let line = nextLine;
  while (line < end) {
    const byte = u32(load<u8>(line));
    if (byte == LF || (byte == CR && load<u8>(line + 1) == LF)) {
      line += 1;
      continue;
    }
    linesReceived += 1;
    const reason = parseLine(line, samples + usize(sampleCount) * SAMPLE_BYTES);
    line = lineEnd + 1;
    if (reason != DROP_NONE) {
      countLine(reason);
      continue;
    }
    sampleCount += 1;
    if (sampleCount == SAMPLES_MAX || isRewrittenFull()) {
      nextLine = line;
      if (!accumulate()) return false;
    }
  }
  nextLine = line;
  return true;
}

function countLine(reason: i32): void {
  const counter = lineCounts + (usize(reason) << 3);
  store<f64>(counter, load<f64>(counter) + 1);
}

/** Puts the gathered samples into the table. Returns false, keeping the rest, when it is full. */
function accumulate(): bool {
  if (firstSample == 0) {
    // Two rounds: the loads of one sample do not wait for those of the next.
    for (let i = 0; i < sampleCount; i++) {
      const sample = samples + usize(i) * SAMPLE_BYTES;
      const hash = hashKey(load<u32>(sample, SAMPLE_KEY), load<u32>(sample, SAMPLE_KEY_BYTES));
      store<u32>(sample, hash, SAMPLE_HASH);
      touched |= touch(hash);
    }
  }
  while (firstSample < sampleCount) {
    const reason = accumulateSample(samples + usize(firstSample) * SAMPLE_BYTES);
    if (reason < 0) return false;
    countLine(reason);
    firstSample += 1;
  }
  firstSample = 0;
  sampleCount = 0;
  forgetRewritten();
  return true;
}

/** Keeps the loads of touch() from being optimised away. */
export let touched: u32 = 0;

/** Returns DROP_NONE, a reason to drop the line, or -1 when the table is full. */
function accumulateSample(sample: usize): i32 {
  const type = load<u32>(sample, SAMPLE_TYPE);
  const keyBytes = usize(load<u32>(sample, SAMPLE_KEY_BYTES));
  const record = findOrInsertSeries(
    load<u32>(sample, SAMPLE_KEY),
    keyBytes,
    load<u32>(sample, SAMPLE_HASH),
    type,
  );
  if (record == 0) return -1;
  const value = load<f64>(sample, SAMPLE_VALUE);
  const weight = load<f64>(sample, SAMPLE_WEIGHT);
  const weightSum = load<f64>(record, RECORD_WEIGHT) + weight;
  if (!isFinite(weightSum)) return DROP_NOT_FINITE;
  if (type == TYPE_COUNTER) {
    if (!addToCounter(record, value)) return DROP_NOT_FINITE;
  } else if (type == TYPE_GAUGE) {
    if (load<u32>(sample, SAMPLE_IS_RELATIVE) == 0) setGauge(record, value, stamp, origin);
    else if (!isChangeFinite(record, value)) return DROP_NOT_FINITE;
    else if (!changeGauge(record, value, stamp)) return -1;
  } else if (type == TYPE_TIMER) {
    if (!addToTimer(record, value, weight, stamp, origin)) return -1;
  } else if (!addMember(record, load<u32>(sample, SAMPLE_MEMBER), load<u32>(sample, SAMPLE_MEMBER_BYTES))) {
    return -1;
  }
  store<u32>(record, load<u32>(record, RECORD_UPDATES) + 1, RECORD_UPDATES);
  store<f64>(record, weightSum, RECORD_WEIGHT);
  return DROP_NONE;
}

/**
 * Writes the table as a snapshot body. Returns its size in bytes; snapshotAddress() and snapshotEntries()
 * tell where and how many. It stays readable until the next call into the kernel. Traps without memory.
 */
export function encode(): u32 {
  const bytes = snapshotBytes();
  output = allocateScratch(bytes);
  assert(output != 0);
  writeSnapshot(output);
  release(output);
  return u32(bytes);
}

/**
 * Like encode(), with the gauges only, each as an absolute value of the given stamp: as many as fit into
 * bytesMax, which must be enough for one with the longest key. from: record to begin with, 0 for the first.
 * nextGaugeBase() tells where to go on.
 */
export function encodeGaugeBases(baseStamp: f64, from: usize, bytesMax: u32): u32 {
  output = allocateScratch(bytesMax);
  assert(output != 0);
  const end = writeGaugeBases(output, output + bytesMax, from, baseStamp);
  release(output);
  return u32(end - output);
}

/** Record that the next encodeGaugeBases() must begin with, 0 when all gauges have been written. */
export function nextGaugeBase(): usize {
  return nextBase;
}

export function snapshotAddress(): usize {
  return output;
}

export function snapshotEntries(): u32 {
  return entryCount;
}

/** Where the host puts a snapshot body to merge; as large as setupStore was told. */
export function inputAddress(): usize {
  return input;
}

/**
 * Merges the snapshot body of `bytes` bytes and `count` entries at inputAddress(). onlyKnown: see
 * mergeSnapshot. Returns whether it was valid; an invalid one changes nothing.
 */
export function merge(bytes: u32, count: u32, onlyKnown: bool): bool {
  if (bytes > u32(inputMax) || !isValidSnapshot(input, input + bytes, count)) return false;
  mergeSnapshot(input, input + bytes, onlyKnown);
  return true;
}

/** Lines of the last merge that found no room. */
export function mergeRefusedLines(): u32 {
  return refusedLines;
}

/** Lines of the last merge that were taken. */
export function mergeTakenLines(): u32 {
  return mergedLines;
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

/** Address of DROP_REASON_COUNT doubles: lines accepted, then lines dropped by reason. */
export function lineCountsAddress(): usize {
  return lineCounts;
}

/** Lines met, blank ones apart; each ends up accepted or dropped. */
export function receivedCount(): f64 {
  return linesReceived;
}

export function datagramCount(): f64 {
  return datagrams;
}

export function byteCount(): f64 {
  return bytesReceived;
}
