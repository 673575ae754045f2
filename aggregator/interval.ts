/**
 * One open interval of the store: a table that snapshots are merged into, and from which its aggregates are
 * read. Each has kernel memory of its own, which is used again for later intervals.
 */
import { randomBytes } from "node:crypto";
import type { Aggregate, MetricType } from "../shared/metric.ts";
import { AGGREGATES, METRIC_TYPES } from "../shared/metric.ts";
import { frameBody, readLabel, type SnapshotLabel, snapshotIdentity } from "../shared/wire.ts";
import {
  type AggregatorKernel,
  addressOf,
  loadAggregatorKernel,
  RECORD_KEY,
  RECORD_KEY_BYTES,
  RECORD_TYPE,
  SNAPSHOT_BODY_BYTES_MAX,
} from "./kernel.ts";

/** Room beside table and input: index, scratch to sort a large timer in, or for gauge levels. */
const MEMORY_BESIDE_HEAP_BYTES = 576 << 20;
/** Gauge levels are handed over in parts of this size: all together they may be more than fits anywhere. */
const GAUGE_BASES_BYTES = 8 << 20;

export interface IntervalOptions {
  readonly intervalMs: number;
  /** Series that one interval may have. */
  readonly seriesMax: number;
  /** Bound of the table in bytes. */
  readonly memoryBytesMax: number;
  readonly aggregates: Readonly<Record<MetricType, readonly Aggregate[]>>;
  readonly updateCountThreshold: number;
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
}

export class Interval {
  readonly #kernel: AggregatorKernel;
  readonly #inputBytesMax: number;
  readonly #seen = new Set<string>();
  /** Index k. */
  index = 0;
  /** Lines merged. */
  lines = 0;

  private constructor(kernel: AggregatorKernel, inputBytesMax: number) {
    this.#kernel = kernel;
    this.#inputBytesMax = inputBytesMax;
  }

  static async create(options: IntervalOptions): Promise<Interval> {
    const { inputBytesMax = SNAPSHOT_BODY_BYTES_MAX } = options;
    const besideBytes = inputBytesMax + MEMORY_BESIDE_HEAP_BYTES;
    const kernel = await loadAggregatorKernel(options.memoryBytesMax + besideBytes, options.debug);
    const { exports } = kernel;
    // An unsigned 32-bit bound: the largest heap is a little under 4 GiB.
    const heapMax = Math.min(options.memoryBytesMax, 0xffff_0000 - besideBytes);
    exports.setupStore(randomBytes(8).readBigUInt64LE(), options.seriesMax, heapMax, inputBytesMax);
    exports.setAggregation(options.intervalMs / 1000, options.updateCountThreshold);
    METRIC_TYPES.forEach((type, code) => {
      for (const aggregate of options.aggregates[type]) {
        exports.wantAggregate(code, AGGREGATES.indexOf(aggregate.kind), aggregate.fraction ?? 0);
      }
    });
    return new Interval(kernel, inputBytesMax);
  }

  /** Empties the interval for index k. */
  open(index: number): void {
    this.#kernel.exports.resetTable();
    this.#seen.clear();
    this.index = index;
    this.lines = 0;
  }

  get seriesCount(): number {
    return this.#kernel.exports.tableSeries();
  }

  /** Memory that the table uses, in bytes. */
  get tableBytes(): number {
    return addressOf(this.#kernel.exports.heapBytes());
  }

  /** Merges a frame. A frame that was merged before changes nothing, and neither does a broken one. */
  merge(frame: Uint8Array, label: SnapshotLabel | undefined = readLabel(frame)): MergeResult {
    if (label === undefined) return { kind: "invalid" };
    const identity = snapshotIdentity(label);
    if (this.#seen.has(identity)) return { kind: "repeated" };
    if (!this.#mergeBody(frameBody(frame), label.entries, false)) return { kind: "invalid" };
    this.#seen.add(identity);
    const { exports } = this.#kernel;
    const takenLines = exports.mergeTakenLines();
    this.lines += takenLines;
    return { kind: "merged", takenLines, refusedLines: exports.mergeRefusedLines() };
  }

  /**
   * Gives the gauges that were changed here, but not set, the levels of an earlier interval to start from.
   */
  mergeBases(bases: GaugeBases): void {
    this.#mergeBody(bases.body, bases.entries, true);
  }

  /**
   * Adds gauge levels as series of their own; equal names take the newer level. Returns whether all found
   * room.
   */
  keepBases(bases: GaugeBases): boolean {
    return (
      this.#mergeBody(bases.body, bases.entries, false) && this.#kernel.exports.mergeRefusedLines() === 0
    );
  }

  /**
   * Visits the levels of all gauges, part by part. A part is readable until the next, or until this interval
   * is changed. stamp: a later one wins over an earlier one when they are merged.
   */
  *gaugeBases(stamp: number): Generator<GaugeBases, void, void> {
    const { exports, memory } = this.#kernel;
    let from = 0;
    do {
      const bytes = exports.encodeGaugeBases(stamp, from, GAUGE_BASES_BYTES);
      from = exports.nextGaugeBase();
      const body = new Uint8Array(memory.buffer, addressOf(exports.snapshotAddress()), bytes);
      yield { body, entries: exports.snapshotEntries() };
    } while (from !== 0);
  }

  #mergeBody(body: Uint8Array, entries: number, onlyKnown: boolean): boolean {
    if (body.length > this.#inputBytesMax) return false;
    const { exports, memory } = this.#kernel;
    new Uint8Array(memory.buffer).set(body, addressOf(exports.inputAddress()));
    return exports.merge(body.length, entries, onlyKnown) !== 0;
  }

  /**
   * Visits every series with its aggregates, in the order in which they were first seen. The view is
   * reused: what is wanted of it must be copied. Nothing may be merged meanwhile.
   */
  *series(): Generator<SeriesView, void, void> {
    const { exports, memory } = this.#kernel;
    const results = addressOf(exports.resultsAddress());
    const view: SeriesView = {
      source: Buffer.alloc(0),
      start: 0,
      end: 0,
      type: 0,
      values: new Float64Array(0),
    };
    let words = new DataView(memory.buffer);
    let record = addressOf(exports.firstRecord());
    for (; record !== 0; record = addressOf(exports.nextRecord(record))) {
      const count = exports.aggregateSeries(record);
      // Sorting may have grown the memory, which detaches the views on it.
      if (view.source.buffer !== memory.buffer) {
        view.source = Buffer.from(memory.buffer);
        words = new DataView(memory.buffer);
      }
      if (view.values.length !== count || view.values.buffer !== memory.buffer) {
        view.values = new Float64Array(memory.buffer, results, count);
      }
      view.type = words.getUint8(record + RECORD_TYPE);
      view.start = record + RECORD_KEY;
      view.end = view.start + words.getUint16(record + RECORD_KEY_BYTES, true);
      yield view;
    }
  }
}

/** Levels of gauges, as the body of a snapshot. */
export interface GaugeBases {
  readonly body: Uint8Array;
  readonly entries: number;
}
