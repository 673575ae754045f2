/**
 * Series that outlive their interval: levels of gauges, and whatever is still to be written when it is idle.
 * A table of its own, in a kernel of its own; see shared/kernel/keep.ts.
 */
import { randomBytes } from "node:crypto";
import { METRIC_TYPES } from "../shared/metric.ts";
import type { IdleSpans } from "./idle.ts";
import { type Interval, SEEN_PART_BYTES } from "./interval.ts";
import {
  type AggregatorKernel,
  addressOf,
  loadAggregatorKernel,
  RECORD_KEY,
  RECORD_KEY_BYTES,
  RECORD_TYPE,
} from "./kernel.ts";

/** Room for a record with the longest key, behind the input. */
const SCRATCH_BYTES = 128 << 10;
/** Room beside the heap: input, and index at its largest. */
const MEMORY_BESIDE_HEAP_BYTES = 576 << 20;
/** Fewer forgotten series than this are not worth moving the others. */
const FORGOTTEN_MIN = 1024;
const ENTRY_KEY_BYTES = 12;
/** Most of the index that is in use for each series. */
const INDEX_BYTES_OF_SERIES = 32;
const GAUGE = METRIC_TYPES.indexOf("gauge");

export interface KeptOptions {
  /** Series that are kept. */
  readonly seriesMax: number;
  readonly memoryBytesMax: number;
  readonly debug?: boolean;
}

/** An idle series: its key as bytes source[start, end), its type code, and a gauge's level. */
export interface IdleView {
  source: Buffer;
  start: number;
  end: number;
  type: number;
  level: number;
  record: number;
}

export class Kept {
  readonly #kernel: AggregatorKernel;
  #seriesMax: number;
  #heapBytesMax: number;
  #heldBytesMet = 0;
  /** Those that idle() was told last. */
  #spans: IdleSpans | undefined;
  /** Changes whenever records move: those that were found before mean nothing then. */
  generation = 0;

  private constructor(kernel: AggregatorKernel, seriesMax: number, heapBytesMax: number) {
    this.#kernel = kernel;
    this.#seriesMax = seriesMax;
    this.#heapBytesMax = heapBytesMax;
  }

  static async create({ seriesMax, memoryBytesMax, debug }: KeptOptions): Promise<Kept> {
    const kernel = await loadAggregatorKernel(memoryBytesMax + MEMORY_BESIDE_HEAP_BYTES, debug);
    const heapMax = Math.min(memoryBytesMax, 0xffff_0000 - MEMORY_BESIDE_HEAP_BYTES);
    const seed = randomBytes(8).readBigUInt64LE();
    kernel.exports.setupStore(seed, seriesMax, heapMax, SEEN_PART_BYTES + SCRATCH_BYTES);
    kernel.exports.forgetAllKept();
    return new Kept(kernel, seriesMax, heapMax);
  }

  /** Series that are kept. */
  get seriesCount(): number {
    const { exports } = this.#kernel;
    return exports.tableSeries() - exports.forgottenCount();
  }

  /** Memory that it has touched since it was made, in bytes. */
  get heldBytes(): number {
    const { exports } = this.#kernel;
    const bytes = addressOf(exports.heapBytes()) + exports.tableSeries() * INDEX_BYTES_OF_SERIES;
    this.#heldBytesMet = Math.max(this.#heldBytesMet, bytes);
    return this.#heldBytesMet;
  }

  /** Bounds it anew; what it holds already stays. */
  setBounds(seriesMax: number, tableBytesMax: number): void {
    this.#seriesMax = seriesMax;
    this.#heapBytesMax = Math.max(0, Math.min(tableBytesMax, 0xffff_0000 - MEMORY_BESIDE_HEAP_BYTES));
    this.#kernel.exports.setHeapMax(this.#heapBytesMax);
  }

  /** Gives the gauges of interval k that were changed, but not set, the levels to start from, in parts. */
  *giveLevels(interval: Interval, k: number, spans: IdleSpans): Generator<void, void, void> {
    for (const part of this.levels(interval, k, spans)) {
      interval.adoptLevels(part);
      yield;
    }
  }

  /**
   * Visits the levels that gauges of interval k start from, where they were changed but not set: parts of
   * entries (see kernel/keep.ts), with NaN where none is known.
   */
  *levels(interval: Interval, k: number, spans: IdleSpans): Generator<Uint8Array, void, void> {
    const { exports, memory } = this.#kernel;
    if (exports.tableSeries() === 0) return;
    for (const part of interval.seenSeries([GAUGE], "baseless")) {
      const start = this.#putInput(part);
      exports.fillLevels(start, start + part.length, k - spans.kept[GAUGE]!);
      part.set(new Uint8Array(memory.buffer, start, part.length));
      yield part;
    }
  }

  /**
   * Keeps a part of Interval.seenSeries() as seen in interval k. Where there is no room, what was seen
   * longest ago goes. isLate: what a later interval has said stays. Returns how many series had to be
   * forgotten, or found no room.
   */
  keep(part: Uint8Array, k: number, isLate = false): number {
    const { exports } = this.#kernel;
    const end = this.#putInput(part) + part.length;
    let at = end - part.length;
    let forgotten = 0;
    for (;;) {
      at = addressOf(exports.keepSeries(at, end, k, this.#seriesMax, isLate));
      if (at === end) return forgotten;
      const before = this.seriesCount;
      if (!this.#makeRoom(k)) return forgotten + this.#countEntries(at, end);
      forgotten += before - this.seriesCount;
    }
  }

  /** Returns false when only series of interval k are left. */
  #makeRoom(k: number): boolean {
    const { exports } = this.#kernel;
    if (exports.forgottenCount() === 0) {
      const earliest = exports.earliestSeen(k);
      if (earliest >= k) return false;
      // The older half of the time, so that this is not done again for the next series.
      exports.forgetKeptBefore(Math.ceil((earliest + k) / 2));
    }
    this.compact();
    return true;
  }

  /** Moves what is kept together. */
  compact(): void {
    const { exports } = this.#kernel;
    // Moving needs no more room than there is, whatever the bound has become meanwhile.
    exports.setHeapMax(exports.heapBytes());
    exports.compactKept(addressOf(exports.inputAddress()) + SEEN_PART_BYTES);
    exports.setHeapMax(this.#heapBytesMax);
    this.generation += 1;
  }

  /**
   * Visits the kept series that were not seen in interval k and are to be written in it, and forgets those
   * whose time is over. The view is reused. Ends early where records have moved between two steps.
   */
  *idle(k: number, spans: IdleSpans): Generator<IdleView, void, void> {
    // Spans that a reload has changed may have left types behind that are not kept any more.
    const isChanged = spans !== this.#spans;
    this.#spans = spans;
    if (spans.isUneventful && !isChanged) return;
    const { exports } = this.#kernel;
    for (const view of this.#walk((record) => exports.nextIdle(record, k))) {
      const seen = exports.seenIn(view.record);
      // Seen before the clock was set back: it has been idle since now.
      if (seen > k) exports.setSeenIn(view.record, k - 1);
      const idleFor = seen > k ? 1 : k - seen;
      if (idleFor > spans.kept[view.type]!) exports.forgetKept(view.record);
      else if (idleFor <= spans.shown[view.type]!) yield view;
    }
    const forgotten = exports.forgottenCount();
    if (forgotten >= FORGOTTEN_MIN && forgotten * 2 > exports.tableSeries()) this.compact();
  }

  /** Returns the level of a gauge as interval k would start from it; 0 where none is known. */
  levelOf(key: Uint8Array, k: number, spans: IdleSpans): number {
    const { exports } = this.#kernel;
    const record = addressOf(exports.lookUp(this.#putInput(key), key.length, GAUGE));
    if (record === 0 || !exports.isKept(record)) return 0;
    return exports.seenIn(record) >= k - spans.kept[GAUGE]! ? exports.keptLevel(record) : 0;
  }

  /** Visits everything that is kept. The view is reused. */
  series(): Generator<IdleView, void, void> {
    return this.#walk((record) => this.#kernel.exports.nextIdle(record, Number.NaN));
  }

  *#walk(next: (record: number) => number): Generator<IdleView, void, void> {
    const { exports, memory } = this.#kernel;
    const { generation } = this;
    const view: IdleView = {
      source: Buffer.from(memory.buffer),
      start: 0,
      end: 0,
      type: 0,
      level: 0,
      record: 0,
    };
    for (;;) {
      view.record = addressOf(next(view.record));
      if (view.record === 0) return;
      if (view.source.buffer !== memory.buffer) view.source = Buffer.from(memory.buffer);
      view.type = view.source.readUInt8(view.record + RECORD_TYPE);
      view.start = view.record + RECORD_KEY;
      view.end = view.start + view.source.readUInt16LE(view.record + RECORD_KEY_BYTES);
      view.level = exports.keptLevel(view.record);
      yield view;
      if (this.generation !== generation) return;
    }
  }

  /** Returns the interval in which a series that is being visited was seen last. */
  seenIn(view: IdleView): number {
    return this.#kernel.exports.seenIn(view.record);
  }

  /** Returns the interval in which a gauge that is being visited was set last; minus infinity for none. */
  setIn(view: IdleView): number {
    return this.#kernel.exports.keptSetIn(view.record);
  }

  /** What is kept of a gauge: minus infinity and NaN where nothing is. */
  gauge(key: Uint8Array): { readonly seenIn: number; readonly setIn: number; readonly level: number } {
    const { exports } = this.#kernel;
    const record = this.#findGauge(key);
    if (record === 0) {
      return { seenIn: Number.NEGATIVE_INFINITY, setIn: Number.NEGATIVE_INFINITY, level: Number.NaN };
    }
    return {
      seenIn: exports.seenIn(record),
      setIn: exports.keptSetIn(record),
      level: exports.keptLevel(record),
    };
  }

  /** Changes the level of a gauge, if one is kept. */
  change(key: Uint8Array, change: number): void {
    const record = this.#findGauge(key);
    if (record !== 0) this.#kernel.exports.changeKept(record, change);
  }

  #findGauge(key: Uint8Array): number {
    const { exports } = this.#kernel;
    const record = addressOf(exports.lookUp(this.#putInput(key), key.length, GAUGE));
    return record !== 0 && exports.isKept(record) ? record : 0;
  }

  /** Forgets a series that is being visited. */
  forget(view: IdleView): void {
    this.#kernel.exports.forgetKept(view.record);
  }

  #countEntries(start: number, end: number): number {
    const words = new DataView(this.#kernel.memory.buffer);
    let count = 0;
    for (let at = start; at < end; at += ENTRY_KEY_BYTES + words.getUint16(at, true)) count += 1;
    return count;
  }

  #putInput(part: Uint8Array): number {
    const start = addressOf(this.#kernel.exports.inputAddress());
    new Uint8Array(this.#kernel.memory.buffer).set(part, start);
    return start;
  }
}
