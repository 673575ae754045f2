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
  consume(received: number, nowMs: number): number;
  resetTable(): void;
  encode(): number;
  encodeGaugeBases(stamp: number, from: number, bytesMax: number): number;
  nextGaugeBase(): number;
  snapshotAddress(): number;
  snapshotEntries(): number;
  inputAddress(): number;
  merge(bytes: number, entries: number, onlyKnown: boolean): number;
  mergeRefusedLines(): number;
  mergeTakenLines(): number;
  tableSeries(): number;
  heapBytes(): number;
  firstRecord(): number;
  nextRecord(record: number): number;
  wantAggregate(type: number, kind: number, fraction: number): void;
  setAggregation(seconds: number, updatesMin: number): void;
  aggregateSeries(record: number): number;
  resultsAddress(): number;
  lineCountsAddress(): number;
  receivedCount(): number;
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
export const RECORD_KEY = 64;

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
