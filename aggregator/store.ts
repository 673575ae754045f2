/**
 * The store: keeps the open intervals, merges snapshots into them, and flushes each once every origin of
 * snapshots has closed it, in order. It owns no socket, timer or clock: its thread drives it.
 */

import type { Counters } from "../shared/counters.ts";
import { FRAME_HEADER_BYTES, readLabel, type SnapshotLabel } from "../shared/wire.ts";
import type { StoreCounter } from "./counters.ts";
import type { EmitRows, FlushLabel } from "./flush.ts";
import type { Interval } from "./interval.ts";
import { type FlushReport, IntervalWriter } from "./interval-writer.ts";
import { Kept } from "./kept.ts";
import type { Namer } from "./naming.ts";
import { type Notice, Notices } from "./notices.ts";
import { addUpOffenders, findClashes, listOffenders, mostRefusedPrefix } from "./offenders.ts";
import { type OpenInterval, OpenIntervals } from "./open-intervals.ts";
import type { Offenders } from "./questions.ts";
import { setBackIntervalsMax } from "./set-back.ts";
import { type StoreOptions, termsOf } from "./terms.ts";

export type { FlushReport } from "./interval-writer.ts";
export type { StoreOptions } from "./terms.ts";

/**
 * Intervals that may be open at a time beside those that wait for late lines; more are only needed when an
 * origin stands still for long.
 */
const OPEN_INTERVALS_MAX = 8;
/** In a cluster, which bounds them itself: what the store refused would be taken for written. */
const DRIVEN_INTERVALS_MAX = 16;
/** Most intervals that wait for late lines, whatever the window: each has a kernel of its own. */
const LATE_INTERVALS_MAX = 56;

export class Store {
  readonly #intervalMs: number;
  /** By how many intervals an origin may go back before it counts as a new start. */
  readonly #setBackMax: number;
  readonly #counters: Counters<StoreCounter>;
  /** Lowest interval that each origin may still send for. */
  readonly #origins = new Map<number, number>();
  readonly #notices = new Notices();
  readonly intervals: OpenIntervals;
  readonly kept: Kept;
  readonly writer: IntervalWriter;
  /** Told of each flush as soon as it is done. */
  onFlushed: ((report: FlushReport) => void) | undefined;
  /** The interval that had begun before its process did, if any: its flush is marked partial. */
  begunInterval: number | undefined;
  /** Those of the interval flushed last: right after a flush the open ones have little to tell. */
  #lastOffenders: Offenders | undefined;
  #nextFlush: number;
  /** Whether others say what is opened, written and dropped: see StoreOrders. */
  #isDriven = false;
  /** Index of the interval that is being flushed. */
  #flushing: number | undefined;

  private constructor(
    intervals: OpenIntervals,
    kept: Kept,
    counters: Counters<StoreCounter>,
    emit: EmitRows,
    firstInterval: number,
  ) {
    this.#intervalMs = intervals.terms.options.intervalMs;
    this.#setBackMax = setBackIntervalsMax(this.#intervalMs);
    this.#counters = counters;
    this.writer = new IntervalWriter(kept, counters, emit);
    this.intervals = intervals;
    this.kept = kept;
    this.#nextFlush = firstInterval;
  }

  /** firstInterval: index of the interval that is open now; earlier ones are late. */
  static async create(
    options: StoreOptions,
    namer: Namer,
    counters: Counters<StoreCounter>,
    emit: EmitRows,
    firstInterval: number,
  ): Promise<Store> {
    const kept = await Kept.create(options);
    const intervals = await OpenIntervals.create(termsOf(options, namer), kept);
    return new Store(intervals, kept, counters, emit, firstInterval);
  }

  /** From now on nothing is too late, and nothing is flushed but by orders. */
  drive(): void {
    this.#isDriven = true;
  }

  /** Index of the interval that is flushed next. */
  get nextFlush(): number {
    return this.#nextFlush;
  }

  /** Whether nothing was received that has not been flushed. */
  get isEmpty(): boolean {
    return this.intervals.size === 0 && this.#flushing === undefined;
  }

  /**
   * Takes other aggregates, names and bounds for the intervals that are opened from now on. The length of
   * intervals stays. Resolves when the next interval can be opened.
   */
  configure(options: StoreOptions, namer: Namer): Promise<void> {
    this.intervals.terms = termsOf({ ...options, intervalMs: this.#intervalMs }, namer);
    return this.intervals.prepare();
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

  /**
   * Takes a frame: merges it, or counts its lines under the reason why not. Returns whether it was merged.
   * One call at a time; also during a flush.
   */
  async accept(frame: Uint8Array): Promise<boolean> {
    const label = readLabel(frame);
    if (label === undefined || label.intervalMs !== this.#intervalMs) {
      this.#counters.add("invalidFrames", 1);
      return false;
    }
    const isMerged = frame.length > FRAME_HEADER_BYTES && (await this.#merge(frame, label));
    const known = this.#origins.get(label.origin);
    if (known === undefined) return isMerged;
    const isSetBack = label.lowestOpen < known - this.#setBackMax;
    this.#origins.set(label.origin, isSetBack ? label.lowestOpen : Math.max(known, label.lowestOpen));
    if (isSetBack) this.#nextFlush = Math.min(this.#nextFlush, label.lowestOpen);
    return isMerged;
  }

  /** Returns what its thread shall tell the log. nowMs: a clock that never goes back. */
  takeNotices(nowMs: number): Notice[] {
    return this.#notices.take(nowMs, () => mostRefusedPrefix(this.#openIntervals()));
  }

  /** Who makes the most series, in the open intervals and the one flushed last. limit: of each list. */
  offenders(limit: number): Offenders {
    const open = this.#openIntervals().map(listOffenders);
    return addUpOffenders(this.#lastOffenders === undefined ? open : [...open, this.#lastOffenders], limit);
  }

  #openIntervals(): Interval[] {
    return [...this.intervals.values()].map(({ interval }) => interval);
  }

  async #merge(frame: Uint8Array, label: SnapshotLabel): Promise<boolean> {
    let open = this.#intervalFor(label.interval);
    while (open === "unready") {
      await this.intervals.prepare();
      // Meanwhile a flush may have come, so all is looked at again. Nothing may wait between that and
      // merging: what is merged into an interval that is being flushed would be lost.
      open = this.#intervalFor(label.interval);
    }
    if (open === undefined) {
      this.#counters.add("lateLines", label.lines);
      return false;
    }
    this.intervals.balance();
    const { interval } = open;
    const result = interval.merge(frame, label);
    if (result.kind === "merged") {
      this.#counters.add("mergedLines", result.takenLines);
      this.#counters.add("refusedLines", result.refusedLines);
      this.#countRefusals(open, result.refusedLines);
    } else if (result.kind === "repeated") {
      this.#counters.add("repeatedFrames", 1);
    } else {
      this.#counters.add("invalidFrames", 1);
      this.#counters.add("invalidLines", label.lines);
    }
    this.#publish();
    return result.kind === "merged";
  }

  /** lost: samples of the last merge that no overflow series took. */
  #countRefusals({ interval }: OpenInterval, lost: number): void {
    let refused = 0;
    interval.tellRefusals((refusal, samples) => {
      refused += samples;
      this.#counters.add(`refused.${refusal}`, samples);
      this.#notices.addRefusal(refusal, samples);
    });
    this.#counters.add("overflowedSamples", refused - lost);
    const clashes = interval.newClashes();
    if (clashes === 0) return;
    this.#counters.add("typeClashes", clashes);
    const clash = findClashes(interval).at(-1);
    if (clash !== undefined) this.#notices.addClash(clash, clashes);
  }

  /**
   * Returns the open interval k, opened where need be; undefined when it is too late for it, "unready" where
   * there is no kernel for it yet.
   */
  #intervalFor(index: number): OpenInterval | "unready" | undefined {
    if (!this.#isDriven && (index < this.#nextFlush || index === this.#flushing)) return undefined;
    const open = this.intervals.get(index);
    if (open !== undefined) return open;
    const most = this.#isDriven ? DRIVEN_INTERVALS_MAX : OPEN_INTERVALS_MAX;
    if (this.intervals.size >= most + this.#lateIntervals()) return undefined;
    return this.intervals.open(index) ?? "unready";
  }

  /** Intervals that wait for late lines. */
  #lateIntervals(): number {
    const { lateWindowMs = 0 } = this.intervals.terms.options;
    return Math.min(Math.ceil(lateWindowMs / this.#intervalMs), LATE_INTERVALS_MAX);
  }

  /** First interval whose late lines are still waited for. nowMs: wall clock. */
  #lowestWaiting(nowMs: number): number {
    const { lateWindowMs = 0 } = this.intervals.terms.options;
    if (lateWindowMs === 0) return Number.POSITIVE_INFINITY;
    const windowMs = Math.min(lateWindowMs, LATE_INTERVALS_MAX * this.#intervalMs);
    return Math.floor((nowMs - windowMs) / this.#intervalMs);
  }

  /**
   * Flushes all intervals that every origin has closed, and whose late lines are not waited for any more.
   * nowMs: wall clock; without it nothing late is waited for. Returns what was flushed. One call at a time.
   */
  async flushClosed(nowMs: number = Number.POSITIVE_INFINITY): Promise<FlushReport[]> {
    if (this.#origins.size === 0) return [];
    const furthest = Math.max(...this.#origins.values());
    const closedBelow = Math.min(...this.#origins.values(), this.#lowestWaiting(nowMs));
    const reports: FlushReport[] = [];
    // Intervals of a clock that was ahead until it was set back: nobody sends for them any more.
    const stranded = [...this.intervals.indices()].filter((index) => index > furthest + this.#setBackMax);
    for (const index of stranded) reports.push(await this.#flush(index, index, this.#nextFlush - 1));
    return [...reports, ...(await this.#flushBelow(closedBelow, closedBelow))];
  }

  /** Flushes everything that is left; intervals from openFrom on are marked partial. */
  async flushAll(openFrom: number): Promise<FlushReport[]> {
    const last = Math.max(this.#nextFlush - 1, ...this.intervals.indices());
    return this.#flushBelow(last + 1, openFrom);
  }

  async #flushBelow(end: number, openFrom: number): Promise<FlushReport[]> {
    const reports: FlushReport[] = [];
    while (this.#nextFlush < end && Number.isFinite(end)) {
      // After a long sleep or a step of the clock, the empty stretch is passed over at once.
      const next = Math.min(end - 1, ...this.intervals.indices());
      if (next - this.#nextFlush > OPEN_INTERVALS_MAX) this.#nextFlush = next;
      const index = this.#nextFlush;
      reports.push(await this.#flush(index, openFrom, index));
      // Meanwhile the clock may have been set back, and then this end means nothing any more.
      if (this.#nextFlush !== index + 1) break;
    }
    return reports;
  }

  /** presentIndex: the interval that it is now, as far as idle series are concerned. */
  async #flush(index: number, openFrom: number, presentIndex: number): Promise<FlushReport> {
    this.#flushing = index;
    const open = this.intervals.get(index);
    const terms = open?.terms ?? this.intervals.terms;
    const report = await this.writer.write({
      label: this.labelOf(index, 0, index >= openFrom || index === this.begunInterval),
      open,
      terms,
      isPresent: presentIndex === index,
      isUnleveled: true,
      keptAs: presentIndex,
    });
    this.closeTable(index);
    this.#flushing = undefined;
    // At once: a late line that came before would open the interval again.
    if (this.#nextFlush === index) this.#nextFlush = index + 1;
    this.onFlushed?.(report);
    return report;
  }

  /** What all rows of a flush have in common. */
  labelOf(index: number, revision: number, isPartial: boolean): FlushLabel {
    const { roundTimestamp } = (this.intervals.get(index)?.terms ?? this.intervals.terms).options;
    const stampMs = (roundTimestamp === "down" ? index : index + 1) * this.#intervalMs;
    return { interval: index, revision, timestampSec: Math.floor(stampMs / 1000), partial: isPartial };
  }

  /** Is done with an interval's table. */
  closeTable(index: number): void {
    const open = this.intervals.get(index);
    this.#lastOffenders = open === undefined ? undefined : listOffenders(open.interval);
    this.intervals.close(index);
    this.#publish();
  }

  #publish(): void {
    let series = 0;
    let bytes = 0;
    for (const { interval } of this.intervals.values()) {
      series += interval.seriesCount;
      bytes += interval.tableBytes;
    }
    this.#counters.set("openIntervals", this.intervals.size);
    this.#counters.set("openSeries", series);
    this.#counters.set("openBytes", bytes);
    this.#counters.set("heldBytes", this.intervals.heldBytes);
    this.#counters.set("keptSeries", this.kept.seriesCount);
  }
}
