/**
 * One open interval of the store: a table that snapshots are merged into, and from which its aggregates are
 * read. Each has kernel memory of its own, which is used again for later intervals.
 */
import { randomBytes } from "node:crypto";
import { assert } from "../shared/errors.ts";
import { METRIC_TYPES } from "../shared/metric.ts";
import { frameBody, readLabel, type SnapshotLabel, snapshotIdentity } from "../shared/wire.ts";
import { type AggregationOptions, applyAggregation } from "./aggregation.ts";
import type { Histograms } from "./histogram.ts";
import {
  type AggregatorKernel,
  addressOf,
  loadAggregatorKernel,
  RECORD_KEY,
  RECORD_KEY_BYTES,
  RECORD_TYPE,
  RECORD_UPDATES,
  SNAPSHOT_BODY_BYTES_MAX,
} from "./kernel.ts";
import { areLevels } from "./level-entries.ts";
import { applyLimits, type LimitOptions, REFUSALS } from "./limits.ts";

/** Room beside table and input: index, tallies, and scratch to sort a large timer in. */
const MEMORY_BESIDE_HEAP_BYTES = 576 << 20;
/** What outlives an interval is handed over in parts of this size: all together it may be too much. */
export const SEEN_PART_BYTES = 1 << 20;
/**
 * Which gauges seenSeries() visits: all, those that were changed and have nothing to start from, and those
 * that were changed and not set: with their level, or with the one that they started from.
 */
export type SeenGauges = (typeof SEEN_GAUGES)[number];
// The order is the code of SEEN_* in kernel/keep.ts.
const SEEN_GAUGES = ["all", "baseless", "changed", "bases"] as const;
/** Behind a part of levels that are adopted the kernel needs a little room. */
const ADOPTING_BYTES = 64;
/** Memory grows by steps; what the last one is ahead of the need is not counted as held. */
const MEMORY_STEP_BYTES = 1 << 20;
// Of kernel/table.ts and kernel/gauge.ts.
const RECORD_FLAGS = 7;
const HAS_ABSOLUTE = 1;
const TIMER = METRIC_TYPES.indexOf("timer");
/** Where timers are sorted: a quarter of what tables may have, within these; larger ones go in parts. */
const SCRATCH_BYTES_MIN = 8 << 20;
const SCRATCH_BYTES_MAX = 512 << 20;
/** Most of the index that is in use for each series. */
const INDEX_BYTES_OF_SERIES = 32;

export interface IntervalOptions extends LimitOptions, AggregationOptions {
  /** Bound of the table in bytes. */
  readonly memoryBytesMax: number;
  /** Largest snapshot body that is taken; without it, the largest that an intake makes. */
  readonly inputBytesMax?: number;
  readonly debug?: boolean;
}

/** What became of a snapshot's lines. */
export type MergeResult =
  | { readonly kind: "merged"; readonly takenLines: number; readonly refusedLines: number }
  | { readonly kind: "repeated" }
  | { readonly kind: "invalid" };

/** A series as the kernel has it: its key as bytes source[start, end), its type and its aggregates. */
export interface SeriesView {
  source: Buffer;
  start: number;
  end: number;
  /** Index in METRIC_TYPES. */
  type: number;
  /** One for each aggregate of the type, NaN where there is nothing to say. */
  values: Float64Array;
  /** Samples in this interval. */
  updates: number;
  /** Where the kernel has it. */
  record: number;
}

export class Interval {
  readonly kernel: AggregatorKernel;
  readonly #inputBytesMax: number;
  readonly #histograms: Histograms | undefined;
  /** Memory that the kernel had before it held anything. */
  readonly #fixedBytes: number;
  readonly #seen = new Set<string>();
  /** The most that it ever held: memory is never given back. */
  #heapBytesMet = 0;
  #inputBytesMet = 0;
  #seriesMet = 0;
  /** Samples that bounds kept from their own series, by REFUSALS: as they were told last. */
  readonly #refused = new Float64Array(REFUSALS.length);
  #clashes = 0;
  /** Index k. */
  index = 0;
  /** Lines merged. */
  lines = 0;
  /** Changes whenever the table is emptied: records that were found before mean nothing then. */
  generation = 0;

  private constructor(kernel: AggregatorKernel, inputBytesMax: number, histograms: Histograms | undefined) {
    this.kernel = kernel;
    this.#histograms = histograms;
    this.#inputBytesMax = inputBytesMax;
    this.#fixedBytes = kernel.memory.buffer.byteLength;
  }

  static async create(options: IntervalOptions): Promise<Interval> {
    const { inputBytesMax = SNAPSHOT_BODY_BYTES_MAX } = options;
    const besideBytes = inputBytesMax + MEMORY_BESIDE_HEAP_BYTES;
    const kernel = await loadAggregatorKernel(options.memoryBytesMax + besideBytes, options.debug);
    const { exports } = kernel;
    // An unsigned 32-bit bound: the largest heap is a little under 4 GiB.
    const heapMax = Math.min(options.memoryBytesMax, 0xffff_0000 - besideBytes);
    exports.setupStore(randomBytes(8).readBigUInt64LE(), options.seriesMax, heapMax, inputBytesMax);
    applyLimits(kernel, options);
    applyAggregation(exports, options);
    const scratchBytes = Math.min(options.memoryBytesMax / 4, SCRATCH_BYTES_MAX);
    exports.setScratchMax(Math.max(scratchBytes, SCRATCH_BYTES_MIN));
    exports.resetTable();
    const { histograms } = options;
    return new Interval(kernel, inputBytesMax, histograms?.isEmpty === true ? undefined : histograms);
  }

  /** Empties the interval for index k. */
  open(index: number): void {
    this.kernel.exports.resetTable();
    this.#seen.clear();
    this.#refused.fill(0);
    this.#clashes = 0;
    this.index = index;
    this.lines = 0;
    this.generation += 1;
  }

  /** Frames that have been merged into it. */
  get deltaCount(): number {
    return this.#seen.size;
  }

  get seriesCount(): number {
    return this.kernel.exports.tableSeries();
  }

  /** Memory that the table uses, in bytes. */
  get tableBytes(): number {
    return addressOf(this.kernel.exports.heapBytes());
  }

  /** Memory that it has touched since it was made, in bytes, and holds until it is dropped. */
  get heldBytes(): number {
    return this.#heapBytesHeld + this.#besideBytes;
  }

  /** Table, and scratch where that went further. */
  get #heapBytesHeld(): number {
    this.#heapBytesMet = Math.max(this.#heapBytesMet, this.tableBytes);
    const grownBytes = this.kernel.memory.buffer.byteLength - this.#fixedBytes - MEMORY_STEP_BYTES;
    return Math.max(this.#heapBytesMet, grownBytes);
  }

  /** Input, and the table's index. */
  get #besideBytes(): number {
    this.#seriesMet = Math.max(this.#seriesMet, this.seriesCount);
    return this.#inputBytesMet + this.#seriesMet * INDEX_BYTES_OF_SERIES;
  }

  /** Lets the table hold so much more than it ever did, or `bytesMin` in any case. */
  setRoom(moreBytes: number, bytesMin: number): void {
    const bytesMax = Math.max(this.#heapBytesHeld + moreBytes, bytesMin);
    this.kernel.exports.setHeapMax(Math.min(bytesMax, 0xffff_0000));
  }

  /** Merges a frame. A frame that was merged before changes nothing, and neither does a broken one. */
  merge(frame: Uint8Array, label: SnapshotLabel | undefined = readLabel(frame)): MergeResult {
    if (label === undefined) return { kind: "invalid" };
    const identity = snapshotIdentity(label);
    if (this.#seen.has(identity)) return { kind: "repeated" };
    const body = frameBody(frame);
    if (body.length > this.#inputBytesMax) return { kind: "invalid" };
    const { exports } = this.kernel;
    if (label.hasLevels === true) return this.#takeLevels(body, identity);
    this.#putInput(body);
    if (!exports.merge(body.length, label.entries)) return { kind: "invalid" };
    this.#seen.add(identity);
    const takenLines = exports.mergeTakenLines();
    this.lines += takenLines;
    return { kind: "merged", takenLines, refusedLines: exports.mergeRefusedLines() };
  }

  /** Levels that were decided before: gauges which were only changed start from them. */
  #takeLevels(body: Uint8Array, identity: string): MergeResult {
    if (!areLevels(body) || body.length > this.#inputBytesMax - ADOPTING_BYTES) return { kind: "invalid" };
    this.#putInput(body);
    this.adoptLevels(body);
    this.#seen.add(identity);
    return { kind: "merged", takenLines: 0, refusedLines: 0 };
  }

  /** Puts bytes where the kernel reads them; returns their address. */
  #putInput(bytes: Uint8Array): number {
    assert(bytes.length <= this.#inputBytesMax, "the kernel's input is large enough");
    const address = addressOf(this.kernel.exports.inputAddress());
    new Uint8Array(this.kernel.memory.buffer).set(bytes, address);
    this.#inputBytesMet = Math.max(this.#inputBytesMet, bytes.length);
    return address;
  }

  /** Tells how many more samples than before each bound kept from their own series, where it is any. */
  tellRefusals(tell: (refusal: (typeof REFUSALS)[number], samples: number) => void): void {
    const { exports } = this.kernel;
    REFUSALS.forEach((refusal, code) => {
      const samples = exports.refusedSamples(code) + exports.overflowedSamples(code);
      const more = samples - this.#refused[code]!;
      this.#refused[code] = samples;
      if (more > 0) tell(refusal, more);
    });
  }

  /**
   * Visits entries of the series that have updates (see kernel/keep.ts), part by part. types: their codes.
   * wanted: of gauges. A part is readable and may be changed until the
   * next, or until something is merged.
   */
  *seenSeries(types: readonly number[], wanted: SeenGauges = "all"): Generator<Uint8Array, void, void> {
    const { exports, memory } = this.kernel;
    const start = addressOf(exports.inputAddress());
    const bytesMax = Math.min(SEEN_PART_BYTES, this.#inputBytesMax - ADOPTING_BYTES);
    const mask = types.reduce((sum, type) => sum | (1 << type), 0);
    let from = 0;
    do {
      const end = addressOf(
        exports.writeSeen(start, start + bytesMax, from, mask, SEEN_GAUGES.indexOf(wanted)),
      );
      from = exports.nextSeenRecord();
      this.#inputBytesMet = Math.max(this.#inputBytesMet, end - start);
      yield new Uint8Array(memory.buffer, start, end - start);
    } while (from !== 0);
  }

  /** Sets gauges that were changed, and not set, to levels that were before. part: of seenSeries(). */
  adoptLevels(part: Uint8Array): void {
    const start = addressOf(this.kernel.exports.inputAddress());
    this.kernel.exports.adoptLevels(start, start + part.length);
  }

  /** Whether it has a series of this key and type, also one without updates. */
  has(key: Uint8Array, type: number): boolean {
    if (key.length > this.#inputBytesMax) return false;
    return this.kernel.exports.lookUp(this.#putInput(key), key.length, type) !== 0;
  }

  /** Whether a gauge was set in this interval, and not only changed. */
  isGaugeSet(record: number): boolean {
    return (new DataView(this.kernel.memory.buffer).getUint8(record + RECORD_FLAGS) & HAS_ABSOLUTE) !== 0;
  }

  /** Makes a series as it was before its first line. */
  forget(record: number): void {
    this.kernel.exports.forgetSeries(record);
  }

  /** Timers since it was made whose samples could not be brought in order, for want of memory. */
  get unsortedTimers(): number {
    return this.kernel.exports.unsortedTimers();
  }

  /** Returns how many more series than before have a key that was there with another type. */
  newClashes(): number {
    const clashes = this.kernel.exports.clashCount();
    const more = clashes - this.#clashes;
    this.#clashes = clashes;
    return more;
  }

  /**
   * Visits every series that has updates, with its aggregates, in the order in which they were first seen.
   * The view is reused: what is wanted of it must be copied at once. isQuick leaves the aggregates out, until
   * aggregate() is called. Ends early where the table is emptied between two steps.
   */
  *series(isQuick = false): Generator<SeriesView, void, void> {
    const { exports, memory } = this.kernel;
    const view: SeriesView = {
      source: Buffer.alloc(0),
      start: 0,
      end: 0,
      type: 0,
      values: new Float64Array(0),
      updates: 0,
      record: 0,
    };
    let words = new DataView(memory.buffer);
    const { generation } = this;
    let record = addressOf(exports.firstRecord());
    for (; record !== 0; record = addressOf(exports.nextRecord(record))) {
      if (words.buffer !== memory.buffer) words = new DataView(memory.buffer);
      view.updates = words.getUint32(record + RECORD_UPDATES, true);
      if (view.updates === 0) continue;
      view.record = record;
      if (view.source.buffer !== memory.buffer) view.source = Buffer.from(memory.buffer);
      view.type = words.getUint8(record + RECORD_TYPE);
      view.start = record + RECORD_KEY;
      view.end = view.start + words.getUint16(record + RECORD_KEY_BYTES, true);
      if (!isQuick) this.aggregate(view);
      yield view;
      if (this.generation !== generation) return;
    }
  }

  /** Computes the aggregates of a series that is being visited. */
  aggregate(view: SeriesView): void {
    const { exports, memory } = this.kernel;
    if (this.#histograms !== undefined && view.type === TIMER) {
      exports.useBins(this.#histograms.ruleOf(view.source, view.start, view.end));
    }
    const count = exports.aggregateSeries(view.record);
    // Sorting may have grown the memory, which detaches the views on it.
    if (view.source.buffer !== memory.buffer) view.source = Buffer.from(memory.buffer);
    if (view.values.length !== count || view.values.buffer !== memory.buffer) {
      view.values = new Float64Array(memory.buffer, addressOf(exports.resultsAddress()), count);
    }
  }
}
