/**
 * The store: keeps the open intervals, merges snapshots into them, and flushes each once every origin of
 * snapshots has closed it, in order. It owns no socket, timer or clock: its thread drives it.
 */

import type { Counters } from "../shared/counters.ts";
import { FRAME_HEADER_BYTES, readLabel, type SnapshotLabel } from "../shared/wire.ts";
import type { STORE_COUNTERS, StoreCounter } from "./counters.ts";
import { type EmitRows, type FlushLabel, flushInterval } from "./flush.ts";
import { Interval, type IntervalOptions } from "./interval.ts";
import type { Namer } from "./naming.ts";
import { setBackIntervalsMax } from "./set-back.ts";

/** Intervals that may be open at a time; more are only needed when an origin stands still for long. */
const OPEN_INTERVALS_MAX = 8;

export interface StoreOptions extends IntervalOptions {
  readonly roundTimestamp: "no" | "up" | "down";
}

/** What is done with an interval that has been flushed. */
export interface FlushReport extends FlushLabel {
  readonly series: number;
  readonly rows: number;
  readonly lines: number;
  readonly durationMs: number;
}

export class Store {
  readonly #options: StoreOptions;
  /** By how many intervals an origin may go back before it counts as a new start. */
  readonly #setBackMax: number;
  readonly #namer: Namer;
  readonly #counters: Counters<StoreCounter>;
  readonly #emit: EmitRows;
  /** Lowest interval that each origin may still send for. */
  readonly #origins = new Map<number, number>();
  readonly #open = new Map<number, Interval>();
  readonly #spare: Interval[] = [];
  /** Levels of all gauges as of the last flush. */
  readonly #bases: Interval;
  #nextFlush: number;
  /** Index of the interval that is being flushed. */
  #flushing: number | undefined;
  /** Orders gauge levels of different flushes, whatever the clock does. */
  #flushCount = 0;

  private constructor(
    options: StoreOptions,
    namer: Namer,
    counters: Counters<StoreCounter>,
    emit: EmitRows,
    tables: readonly [Interval, Interval],
    firstInterval: number,
  ) {
    this.#options = options;
    this.#setBackMax = setBackIntervalsMax(options.intervalMs);
    this.#namer = namer;
    this.#counters = counters;
    this.#emit = emit;
    [this.#bases] = tables;
    this.#spare.push(tables[1]);
    this.#nextFlush = firstInterval;
  }

  /** firstInterval: index of the interval that is open now; earlier ones are late. */
  static async create(
    options: StoreOptions,
    namer: Namer,
    counters: Counters<(typeof STORE_COUNTERS)[number]>,
    emit: EmitRows,
    firstInterval: number,
  ): Promise<Store> {
    const tables = [await Interval.create(options), await Interval.create(options)] as const;
    return new Store(options, namer, counters, emit, tables, firstInterval);
  }

  /** Index of the interval that is flushed next. */
  get nextFlush(): number {
    return this.#nextFlush;
  }

  /** Whether something was received that has not been flushed. */
  get isEmpty(): boolean {
    return this.#open.size === 0 && this.#flushing === undefined;
  }

  /**
   * Tells of an origin whose closing of intervals is waited for. lowestOpen: first interval that it sends
   * for.
   */
  addOrigin(origin: number, lowestOpen: number): void {
    this.#origins.set(origin, lowestOpen);
  }

  /** Tells that an origin sends nothing any more. */
  removeOrigin(origin: number): void {
    this.#origins.delete(origin);
  }

  /** Takes a frame: merges it, or counts its lines under the reason why not. */
  async accept(frame: Uint8Array): Promise<void> {
    const label = readLabel(frame);
    if (label === undefined || label.intervalMs !== this.#options.intervalMs) {
      this.#counters.add("invalidFrames", 1);
      return;
    }
    if (frame.length > FRAME_HEADER_BYTES) await this.#merge(frame, label);
    const known = this.#origins.get(label.origin);
    if (known === undefined) return;
    const isSetBack = label.lowestOpen < known - this.#setBackMax;
    this.#origins.set(label.origin, isSetBack ? label.lowestOpen : Math.max(known, label.lowestOpen));
    if (isSetBack) this.#nextFlush = Math.min(this.#nextFlush, label.lowestOpen);
  }

  async #merge(frame: Uint8Array, label: SnapshotLabel): Promise<void> {
    const interval = await this.#intervalFor(label.interval);
    if (interval === undefined) {
      this.#counters.add("lateLines", label.lines);
      return;
    }
    const result = interval.merge(frame, label);
    if (result.kind === "merged") {
      this.#counters.add("mergedLines", result.takenLines);
      this.#counters.add("refusedLines", result.refusedLines);
    } else if (result.kind === "repeated") {
      this.#counters.add("repeatedFrames", 1);
    } else {
      this.#counters.add("invalidFrames", 1);
      this.#counters.add("invalidLines", label.lines);
    }
    this.#publish();
  }

  /** Returns the open interval k, opened where need be; undefined when it is too late for it. */
  async #intervalFor(index: number): Promise<Interval | undefined> {
    if (index < this.#nextFlush || index === this.#flushing) return undefined;
    const open = this.#open.get(index);
    if (open !== undefined) return open;
    if (this.#open.size >= OPEN_INTERVALS_MAX) return undefined;
    const interval = this.#spare.pop() ?? (await Interval.create(this.#options));
    interval.open(index);
    this.#open.set(index, interval);
    return interval;
  }

  /** Flushes all intervals that every origin has closed. Returns what was flushed. One call at a time. */
  async flushClosed(): Promise<FlushReport[]> {
    const closedBelow = Math.min(...this.#origins.values());
    const furthest = Math.max(...this.#origins.values());
    const reports: FlushReport[] = [];
    // Intervals of a clock that was ahead until it was set back: nobody sends for them any more.
    const stranded = [...this.#open.keys()].filter((index) => index > furthest + this.#setBackMax);
    for (const index of stranded) reports.push(await this.#flush(index, index));
    return [...reports, ...(await this.#flushBelow(closedBelow, closedBelow))];
  }

  /** Flushes everything that is left; intervals from openFrom on are marked partial. */
  async flushAll(openFrom: number): Promise<FlushReport[]> {
    const last = Math.max(this.#nextFlush - 1, ...this.#open.keys());
    return this.#flushBelow(last + 1, openFrom);
  }

  async #flushBelow(end: number, openFrom: number): Promise<FlushReport[]> {
    const reports: FlushReport[] = [];
    while (this.#nextFlush < end && Number.isFinite(end)) {
      // After a long sleep or a step of the clock, the empty stretch is passed over at once.
      const next = Math.min(end - 1, ...this.#open.keys());
      if (next - this.#nextFlush > OPEN_INTERVALS_MAX) this.#nextFlush = next;
      reports.push(await this.#flush(this.#nextFlush, openFrom));
      this.#nextFlush += 1;
    }
    return reports;
  }

  async #flush(index: number, openFrom: number): Promise<FlushReport> {
    const startedMs = performance.now();
    this.#flushing = index;
    const { intervalMs, roundTimestamp } = this.#options;
    const stampMs = (roundTimestamp === "down" ? index : index + 1) * intervalMs;
    const label: FlushLabel = {
      interval: index,
      revision: 0,
      timestampSec: Math.floor(stampMs / 1000),
      partial: index >= openFrom,
    };
    const interval = this.#open.get(index);
    if (interval !== undefined) for (const bases of this.#bases.gaugeBases(0)) interval.mergeBases(bases);
    const { series, rows } = await flushInterval(interval, this.#namer, label, this.#emit);
    const lines = interval?.lines ?? 0;
    if (interval !== undefined) {
      this.#flushCount += 1;
      this.#keepBases(interval, this.#flushCount);
      this.#open.delete(index);
      this.#spare.push(interval);
    }
    this.#flushing = undefined;
    this.#publish();
    const durationMs = performance.now() - startedMs;
    this.#counters.add("flushedIntervals", 1);
    this.#counters.add("flushedSeries", series);
    this.#counters.add("flushedRows", rows);
    this.#counters.add("flushedLines", lines);
    this.#counters.set("flushMs", durationMs);
    return { ...label, series, rows, lines, durationMs };
  }

  /** Keeps the levels of an interval's gauges for the intervals to come. */
  #keepBases(interval: Interval, stamp: number): void {
    if (this.#addBases(interval, stamp)) return;
    this.#counters.add("forgottenBases", 1);
    // Gauges that have fallen silent would hold their places for ever, so those of this interval go first.
    this.#bases.open(0);
    this.#addBases(interval, stamp);
  }

  /** Returns whether there was room for all. */
  #addBases(interval: Interval, stamp: number): boolean {
    for (const bases of interval.gaugeBases(stamp)) if (!this.#bases.keepBases(bases)) return false;
    return true;
  }

  #publish(): void {
    let series = 0;
    let bytes = 0;
    for (const interval of this.#open.values()) {
      series += interval.seriesCount;
      bytes += interval.tableBytes;
    }
    this.#counters.set("openIntervals", this.#open.size);
    this.#counters.set("openSeries", series);
    this.#counters.set("openBytes", bytes);
  }
}
