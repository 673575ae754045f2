/**
 * The store as a cluster drives it: the cluster's thread says which deltas are folded into which interval,
 * and when that is written, closed or dropped. Everything is done in the order in which it was said.
 */
import type { Counters } from "../shared/counters.ts";
import { FRAME_HEADER_BYTES, newFrame } from "../shared/wire.ts";
import type { StoreCounter } from "./counters.ts";
import { GaugeTrail } from "./gauge-trail.ts";
import { Interval } from "./interval.ts";
import { adoptKept, copyKept } from "./kept-copy.ts";
import { countEntries, withLevel } from "./level-entries.ts";
import type { OpenInterval } from "./open-intervals.ts";
import type { RowOrder } from "./row.ts";
import type { FlushReport, Store } from "./store.ts";
import { Turns } from "./turns.ts";

/** What the cluster's thread wants of the store. Frames are those of shared/wire.ts. */
export type StoreOrder =
  /** isAgain: whether its interval's table was dropped since it was folded first. */
  | { readonly kind: "fold"; readonly frame: Uint8Array; readonly isAgain: boolean }
  | { readonly kind: "drop"; readonly interval: number }
  | { readonly kind: "prepare"; readonly id: number; readonly interval: number }
  | WriteRows
  | { readonly kind: "close"; readonly interval: number }
  | { readonly kind: "export"; readonly id: number }
  | { readonly kind: "import"; readonly kept: Uint8Array };

/** Writes an interval. */
export interface WriteRows {
  readonly kind: "write";
  readonly order: RowOrder;
  readonly interval: number;
  /** 0 for the first writing of the interval. */
  readonly revision: number;
  readonly isPartial: boolean;
  /** Deltas that have been folded into it. */
  readonly deltas: number;
  /** Whether idle series and the aggregator's own rows belong to it, where it is the newest. */
  readonly isFirst: boolean;
  /** Only names that these frames have are written; all where it is absent. */
  readonly only?: readonly Uint8Array[];
}

/** What the store answers. */
export type StoreReply =
  | { readonly kind: "prepared"; readonly id: number; readonly levels: Uint8Array | undefined }
  | { readonly kind: "exported"; readonly id: number; readonly kept: Uint8Array | undefined }
  /** A table was not what the order had been made for. */
  | {
      readonly kind: "incomplete";
      readonly interval: number;
      readonly deltas: number;
      readonly found: number;
    };

/** Whose levels are sent. */
export interface LevelsLabel {
  readonly node: bigint;
  readonly incarnation: bigint;
  readonly intervalMs: number;
}

/** Origin of levels, beside those of the intakes. */
export const LEVELS_ORIGIN = 0xffff_ffff;
/** Levels are one delta, which has to fit into a message and a kernel's input. */
const LEVELS_BYTES_MAX = 32 << 20;

export class StoreOrders {
  readonly #store: Store;
  readonly #trail: GaugeTrail;
  readonly #label: LevelsLabel;
  readonly #counters: Counters<StoreCounter>;
  readonly #reply: (reply: StoreReply) => void;
  readonly #levelsBytesMax: number;
  /** Newest interval whose series are kept. */
  #keptThrough = Number.NEGATIVE_INFINITY;
  /** Newest interval that the trail of gauges knows of. */
  #trailThrough = Number.NEGATIVE_INFINITY;
  /** Interval whose table, as it is, has been kept while it was written. */
  #keptTable: number | undefined;
  #levelsSequence = 0;
  /** Told of each flush as soon as its rows are handed over. */
  onFlushed: ((report: FlushReport) => void) | undefined;

  constructor(
    store: Store,
    label: LevelsLabel,
    counters: Counters<StoreCounter>,
    reply: (reply: StoreReply) => void,
    levelsBytesMax: number = LEVELS_BYTES_MAX,
  ) {
    this.#store = store;
    this.#trail = new GaugeTrail(store.kept);
    this.#label = label;
    this.#counters = counters;
    this.#reply = reply;
    this.#levelsBytesMax = levelsBytesMax;
    store.drive();
  }

  /** Carries an order out; the next one has to wait for it. onRows: called before a writing's first rows. */
  async take(message: StoreOrder, onRows: (order: RowOrder) => void): Promise<void> {
    if (message.kind === "fold") {
      await this.#store.accept(message.frame);
      this.#keptTable = undefined;
      this.#counters.add("foldedBytes", message.frame.length);
    } else if (message.kind === "drop") this.#drop(message.interval);
    else if (message.kind === "prepare") await this.#prepare(message.id, message.interval);
    else if (message.kind === "close") await this.#close(message.interval);
    else if (message.kind === "export") await this.#export(message.id);
    else if (message.kind === "import") this.#import(message.kept);
    else {
      onRows(message.order);
      await this.#write(message);
    }
  }

  #drop(interval: number): void {
    this.#keptTable = undefined;
    this.#store.closeTable(interval);
  }

  async #prepare(id: number, interval: number): Promise<void> {
    const open = this.#store.intervals.get(interval);
    const parts: Uint8Array[] = [];
    const turns = new Turns();
    let bytes = 0;
    if (open !== undefined) {
      const isClosed = interval <= this.#keptThrough;
      const found = isClosed
        ? this.#trail.levels(open.interval, interval)
        : this.#store.kept.levels(open.interval, interval, open.terms.spans);
      for (const part of found) {
        const levels = withLevel(part);
        if (bytes + levels.length > this.#levelsBytesMax) {
          this.#counters.add("forgottenBases", countEntries(levels));
        } else {
          parts.push(levels);
          bytes += levels.length;
        }
        await turns.next();
      }
    }
    const body = Buffer.concat(parts);
    this.#reply({
      kind: "prepared",
      id,
      levels: body.length === 0 ? undefined : this.#frame(interval, body),
    });
  }

  #frame(interval: number, body: Uint8Array): Uint8Array {
    const frame = newFrame(
      {
        ...this.#label,
        origin: LEVELS_ORIGIN,
        sequence: this.#levelsSequence,
        interval,
        lowestOpen: interval,
        entries: countEntries(body),
        lines: 0,
        hasLevels: true,
      },
      body.length,
    );
    this.#levelsSequence += 1;
    frame.set(body, FRAME_HEADER_BYTES);
    return frame;
  }

  async #write(message: WriteRows): Promise<void> {
    const { interval: index, revision, isPartial, isFirst, only } = message;
    const { intervals, writer } = this.#store;
    const open = intervals.get(index);
    const found = open?.interval.deltaCount ?? 0;
    if (found !== message.deltas) {
      this.#reply({ kind: "incomplete", interval: index, deltas: message.deltas, found });
    }
    const terms = open?.terms ?? intervals.terms;
    // Who takes over may have closed it as what some of the sinks have; the others get idle series as well.
    const isAgain = index === this.#keptThrough;
    const isPresent = isFirst && index >= this.#keptThrough;
    const report = await writer.write({
      label: this.#store.labelOf(index, revision, isPartial),
      open,
      terms,
      isPresent,
      isAgain,
      isUnleveled: false,
      keptAs: isPresent ? index : undefined,
      only: only === undefined ? undefined : await this.#filter(only),
    });
    if (isPresent) {
      this.#keptThrough = index;
      this.#keptTable = index;
    }
    this.onFlushed?.(report);
  }

  /** A table of the names that some frames have. */
  async #filter(frames: readonly Uint8Array[]): Promise<Interval> {
    const filter = await Interval.create(this.#store.intervals.terms.options);
    for (const frame of frames) filter.merge(frame);
    return filter;
  }

  async #close(index: number): Promise<void> {
    const open = this.#store.intervals.get(index);
    if (this.#keptTable !== index) await this.#keep(index, open);
    this.#keptTable = undefined;
    if (index > this.#trailThrough) {
      this.#trailThrough = index;
      if (open !== undefined) this.#trail.close(index, open.interval);
    } else if (open !== undefined) this.#trail.closeLate(index, open.interval);
    this.#store.closeTable(index);
  }

  async #keep(index: number, open: OpenInterval | undefined): Promise<void> {
    const { kept, writer, intervals } = this.#store;
    const turns = new Turns();
    const isLate = index <= this.#keptThrough;
    if (open !== undefined) await writer.keep(open, index, () => turns.next(), isLate);
    if (isLate) return;
    this.#keptThrough = index;
    writer.passOwn();
    // Nothing of it is written; but those whose time is over are forgotten, here as on every other node.
    for (const _ of kept.idle(index, (open?.terms ?? intervals.terms).spans)) {
      if (turns.isDue()) await turns.next();
    }
  }

  async #export(id: number): Promise<void> {
    const isAny = Number.isFinite(this.#keptThrough);
    const kept = isAny ? await copyKept(this.#store.kept, this.#keptThrough) : undefined;
    this.#reply({ kind: "exported", id, kept });
  }

  #import(kept: Uint8Array): void {
    const through = adoptKept(this.#store.kept, kept);
    if (through === undefined) this.#counters.add("invalidFrames", 1);
    else {
      this.#keptThrough = Math.max(this.#keptThrough, through);
      this.#trailThrough = Math.max(this.#trailThrough, through);
    }
  }
}
