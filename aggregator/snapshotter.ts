/**
 * The intake side of the aggregator: datagrams go in, and at every snapshot boundary of the wall clock, and
 * always at an interval's end, a labelled snapshot comes out. It belongs to one thread, which drives it.
 */
import { randomBytes } from "node:crypto";
import { DROP_REASON_COUNT } from "../shared/kernel/reasons.ts";
import type { ReceiveBatch } from "../shared/udp.ts";
import { newFrame } from "../shared/wire.ts";
import {
  type AggregatorKernel,
  addressOf,
  FULL,
  loadAggregatorKernel,
  SNAPSHOT_BODY_BYTES_MAX,
} from "./kernel.ts";
import { DEFAULT_READING, type ReadingOptions, readingCodes } from "./reading.ts";
import { setBackIntervalsMax } from "./set-back.ts";

/** Room beside the heap and the encoded snapshot: the index at its largest (256 MiB), slots and scratch. */
const MEMORY_BESIDE_HEAP_BYTES = 272 << 20;

export interface SnapshotterOptions {
  readonly node: bigint;
  readonly incarnation: bigint;
  /** Tells this intake from the node's others. */
  readonly origin: number;
  readonly intervalMs: number;
  readonly snapshotIntervalMs: number;
  /** A snapshot is cut early when it would have more series than this. */
  readonly seriesMax: number;
  readonly nameBytesMax: number;
  readonly tagsBytesMax: number;
  /** DEFAULT_READING by default. */
  readonly reading?: ReadingOptions;
  /** How long an interval waits for late lines after its end; 0 by default. */
  readonly lateWindowMs?: number;
  /** Address of the kernel's memory for system calls; see memoryAddress() in udp.ts. */
  readonly memoryBase: (memory: WebAssembly.Memory) => Promise<bigint>;
  /** Bound of the table in bytes; a snapshot is cut early when it is reached. */
  readonly heapBytesMax?: number;
  readonly debug?: boolean;
  /** Whether its clock is a cluster's. */
  readonly isOfCluster?: boolean;
}

/** Takes a finished frame; returns false when there is no room for it, and then its lines are lost. */
export type PostSnapshot = (frame: Uint8Array<ArrayBuffer>) => boolean;

/** What an intake has seen since it started. */
export interface IntakeCounts {
  datagrams: number;
  bytes: number;
  /** Lines received: accepted and dropped ones together. */
  received: number;
  accepted: number;
  /** Values of accepted lines: packed ones count each. */
  samples: number;
  /** Sections of lines that were passed over because nobody knows them. */
  skippedSections: number;
  /** By code of kernel/reasons.ts. */
  readonly dropped: Float64Array;
  snapshots: number;
  snapshotBytes: number;
  /** Samples in snapshots that found no room on the way to the store. */
  lostLines: number;
}

export class Snapshotter {
  readonly batch: ReceiveBatch;
  readonly counts: IntakeCounts = {
    datagrams: 0,
    bytes: 0,
    received: 0,
    accepted: 0,
    samples: 0,
    skippedSections: 0,
    dropped: new Float64Array(DROP_REASON_COUNT),
    snapshots: 0,
    snapshotBytes: 0,
    lostLines: 0,
  };
  readonly #kernel: AggregatorKernel;
  readonly #options: SnapshotterOptions;
  readonly #post: PostSnapshot;
  #interval: number;
  #nextCutMs: number;
  #sequence = 0;
  #samplesBefore = 0;

  private constructor(
    kernel: AggregatorKernel,
    options: SnapshotterOptions,
    nowMs: number,
    post: PostSnapshot,
  ) {
    this.#kernel = kernel;
    this.#options = options;
    this.#post = post;
    this.batch = {
      memory: kernel.memory,
      headers: kernel.exports.batchHeaders(),
      slots: kernel.exports.batchSlots(),
    };
    this.#interval = Math.floor(nowMs / options.intervalMs);
    this.#nextCutMs = this.#cutAfter(nowMs);
    const { intervalMs, lateWindowMs = 0, reading = DEFAULT_READING } = options;
    const { dialect, sanitize, flags } = readingCodes(reading);
    kernel.exports.setReading(dialect, sanitize, flags);
    // One more than fits the window: at an interval's end the one before is not flushed yet.
    kernel.exports.setLateness(intervalMs, Math.ceil(lateWindowMs / intervalMs) + 1);
    kernel.exports.setInterval(this.#interval);
  }

  /** The kernel, for those who look at the batch before or after consume(). */
  get kernel(): AggregatorKernel {
    return this.#kernel;
  }

  /** nowMs: wall clock, which decides the first interval. */
  static async create(options: SnapshotterOptions, nowMs: number, post: PostSnapshot): Promise<Snapshotter> {
    const heapMax = options.heapBytesMax ?? SNAPSHOT_BODY_BYTES_MAX;
    const kernel = await loadAggregatorKernel(2 * heapMax + MEMORY_BESIDE_HEAP_BYTES, options.debug);
    kernel.exports.setupIntake(
      await options.memoryBase(kernel.memory),
      randomBytes(8).readBigUInt64LE(),
      options.origin,
      options.seriesMax,
      heapMax,
      options.nameBytesMax,
      options.tagsBytesMax,
    );
    return new Snapshotter(kernel, options, nowMs, post);
  }

  /** Index of the interval that lines now fall in. */
  get interval(): number {
    return this.#interval;
  }

  /** Takes `received` datagrams lying in the batch's slots, 0 where only time has passed. */
  consume(received: number, nowMs: number): void {
    // The boundary comes first: a receiver that waits wakes at once, so what it brings is of the new
    // interval. A clock that was set back must not hold snapshots up until it has caught up.
    const isSetBack = nowMs < this.#nextCutMs - this.#options.snapshotIntervalMs;
    if (nowMs >= this.#nextCutMs || isSetBack) this.cut(nowMs);
    if (received === 0) return;
    while (this.#kernel.exports.consume(received, nowMs) === FULL) this.#send(this.#interval);
  }

  /**
   * Cuts a snapshot now, and goes on to the interval that nowMs lies in; not back to an earlier one, unless
   * the clock was set back so far that waiting for it makes no sense.
   */
  cut(nowMs: number): void {
    const { intervalMs, isOfCluster } = this.#options;
    const wanted = Math.floor(nowMs / intervalMs);
    const isSetBack = wanted < this.#interval - setBackIntervalsMax(intervalMs, isOfCluster);
    const next = isSetBack ? wanted : Math.max(this.#interval, wanted);
    this.#send(next);
    this.#interval = next;
    this.#kernel.exports.setInterval(next);
    // Otherwise its gauges would be newer than everybody's for as long as the clock was ahead.
    if (isSetBack) this.#kernel.exports.restartStamps();
    this.#nextCutMs = this.#cutAfter(nowMs);
  }

  /** Cuts the last snapshot and declares its interval closed. */
  close(): void {
    this.#send(this.#interval + 1);
    this.#interval += 1;
  }

  /** The next snapshot boundary, or the interval's end where that comes first. */
  #cutAfter(nowMs: number): number {
    const { snapshotIntervalMs, intervalMs } = this.#options;
    const boundary = (Math.floor(nowMs / snapshotIntervalMs) + 1) * snapshotIntervalMs;
    const end = (Math.floor(nowMs / intervalMs) + 1) * intervalMs;
    return Math.min(boundary, end);
  }

  /**
   * Sends what the table holds, one snapshot for each interval, and empties it. Nothing is sent when there is
   * neither a sample nor a closed interval.
   */
  #send(lowestOpen: number): void {
    const { exports } = this.#kernel;
    this.refreshCounts();
    const hasSamples = this.counts.samples > this.#samplesBefore;
    if (!hasSamples && lowestOpen === this.#interval) return;
    // The present interval comes last: its label says what is closed.
    for (let age = exports.agesInUse() - 1; age > 0; age--) {
      this.#sendAge(age, exports.ageInterval(age), this.#interval);
    }
    const isTaken = this.#sendAge(0, this.#interval, lowestOpen);
    // Ages stay as they are: lines of the batch at hand may have been read already, and carry them.
    exports.resetTable();
    this.#samplesBefore = this.counts.samples;
    // The store must still learn which intervals are closed; an empty frame is small enough to be let
    // through.
    if (!isTaken && lowestOpen !== this.#interval) {
      this.#post(newFrame(this.#label(this.#interval, lowestOpen, 0, 0), 0));
      this.#sequence += 1;
    }
  }

  /** Sends the series of an age. Returns whether there was room for them. */
  #sendAge(age: number, interval: number, lowestOpen: number): boolean {
    const { exports, memory } = this.#kernel;
    const bodyBytes = exports.encode(age);
    if (age > 0 && bodyBytes === 0) return true;
    const samples = exports.snapshotSamples();
    const frame = newFrame(this.#label(interval, lowestOpen, exports.snapshotEntries(), samples), bodyBytes);
    frame.set(
      new Uint8Array(memory.buffer, addressOf(exports.snapshotAddress()), bodyBytes),
      frame.length - bodyBytes,
    );
    this.#sequence += 1;
    const frameBytes = frame.length;
    // Posting may hand the memory over, so the frame is not looked at afterwards.
    if (this.#post(frame)) {
      this.counts.snapshots += 1;
      this.counts.snapshotBytes += frameBytes;
      return true;
    }
    this.counts.lostLines += samples;
    return false;
  }

  #label(interval: number, lowestOpen: number, entries: number, lines: number) {
    const { node, incarnation, origin, intervalMs } = this.#options;
    const sequence = this.#sequence;
    return { node, incarnation, origin, sequence, interval, lowestOpen, intervalMs, entries, lines };
  }

  /** Brings `counts` up to date with the kernel. */
  refreshCounts(): void {
    const { exports, memory } = this.#kernel;
    const lines = new Float64Array(memory.buffer, exports.lineCountsAddress(), DROP_REASON_COUNT);
    this.counts.datagrams = exports.datagramCount();
    this.counts.bytes = exports.byteCount();
    this.counts.received = exports.receivedCount();
    this.counts.accepted = lines[0]!;
    this.counts.samples = exports.sampleCount();
    this.counts.skippedSections = exports.skippedSectionCount();
    this.counts.dropped.set(lines);
    this.counts.dropped[0] = 0;
  }
}
