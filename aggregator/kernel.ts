/**
 * What the aggregator's kernel exports: see shared/kernel/aggregator.ts. Addresses are byte offsets; beyond
 * 2 GiB they come out negative, and addressOf() puts them right.
 */
import { type Kernel, loadKernel } from "../shared/kernel.ts";

export interface AggregatorExports {
  setupIntake(
    memoryBase: bigint,
    hashSeed: bigint,
    originId: number,
    seriesMax: number,
    heapMax: number,
    nameMax: number,
    tagsMax: number,
  ): void;
  setupStore(hashSeed: bigint, seriesMax: number, heapMax: number, inputBytesMax: number): void;
  batchHeaders(): number;
  batchSlots(): number;
  /** dialect, sanitize: index in DIALECTS and SANITIZE_MODES of reading.ts. flags: see readingFlags(). */
  setReading(dialect: number, sanitize: number, flags: number): void;
  setLateness(intervalMs: number, intervalsMax: number): void;
  setInterval(index: number): void;
  batchSenders(): number;
  restartStamps(): void;
  consume(received: number, nowMs: number): number;
  eventCount(): number;
  eventAddress(index: number): number;
  eventBytes(index: number): number;
  countEvent(reason: number): void;
  resetTable(): void;
  encode(age: number): number;
  snapshotSamples(): number;
  agesInUse(): number;
  ageInterval(age: number): number;
  snapshotAddress(): number;
  snapshotEntries(): number;
  inputAddress(): number;
  merge(bytes: number, entries: number): number;
  setLimits(
    series: number,
    perSender: number,
    perPrefix: number,
    prefixParts: number,
    timerSamples: number,
  ): void;
  addCap(bytes: number, count: number): number;
  setOverflowName(bytes: number): number;
  setHeapMax(bytesMax: number): void;
  refusedSamples(reason: number): number;
  overflowedSamples(reason: number): number;
  firstPrefix(): number;
  nextPrefix(tally: number): number;
  firstSender(): number;
  nextSender(tally: number): number;
  clashCount(): number;
  clashRecord(index: number): number;
  mergeRefusedLines(): number;
  mergeTakenLines(): number;
  tableSeries(): number;
  heapBytes(): number;
  firstRecord(): number;
  nextRecord(record: number): number;
  wantAggregate(type: number, kind: number, fraction: number): void;
  /** flags: of setAggregation() in kernel/aggregate.ts; see aggregation.ts. */
  setAggregation(seconds: number, updatesMin: number, flags: number): void;
  forgetAggregates(): void;
  addBin(rule: number, bound: number): number;
  useBins(rule: number): void;
  unsortedTimers(): number;
  setScratchMax(bytesMax: number): void;
  aggregateSeries(record: number): number;
  resultsAddress(): number;
  writeSeen(target: number, end: number, from: number, types: number, wanted: number): number;
  nextSeenRecord(): number;
  adoptLevels(start: number, end: number): void;
  keepSeries(start: number, end: number, interval: number, most: number, isLate: boolean): number;
  fillLevels(start: number, end: number, earliest: number): void;
  nextIdle(record: number, interval: number): number;
  isKept(record: number): number;
  seenIn(record: number): number;
  setSeenIn(record: number, interval: number): void;
  keptLevel(record: number): number;
  keptSetIn(record: number): number;
  changeKept(record: number, change: number): void;
  forgetKept(record: number): void;
  forgetKeptBefore(interval: number): void;
  earliestSeen(present: number): number;
  forgottenCount(): number;
  compactKept(scratch: number): void;
  forgetAllKept(): void;
  lookUp(key: number, bytes: number, type: number): number;
  forgetSeries(record: number): void;
  lineCountsAddress(): number;
  receivedCount(): number;
  sampleCount(): number;
  skippedSectionCount(): number;
  datagramCount(): number;
  byteCount(): number;
}

export type AggregatorKernel = Kernel<AggregatorExports>;

/** consume() took the whole batch. */
export const CONSUMED = 0;
/** consume() wants a snapshot cut before it goes on. */
export const FULL = 1;

/** Offsets in a series' record that the host reads. */
export const RECORD_KEY_BYTES = 4;
export const RECORD_TYPE = 6;
export const RECORD_UPDATES = 12;
export const RECORD_SENDER = 64;
export const RECORD_KEY = 68;

/** Largest snapshot body; an intake cuts before its table could encode to more. */
export const SNAPSHOT_BODY_BYTES_MAX = 64 << 20;

const PAGE_BYTES = 65_536;

/** Turns what a kernel returned, signed to JavaScript, into the unsigned number that it is. */
export function addressOf(result: number): number {
  return result >>> 0;
}

/** Loads the kernel. memoryMax: bound of its memory in bytes, up to 4 GiB. */
export function loadAggregatorKernel(memoryMax: number, debug = false): Promise<AggregatorKernel> {
  const pagesMax = Math.min(65_536, Math.ceil(memoryMax / PAGE_BYTES));
  return loadKernel<AggregatorExports>("aggregator", { pagesMax, debug });
}
