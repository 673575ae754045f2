/**
 * The deltas that a member holds, by interval. What is delivered is kept for a while, for amendments and for
 * members that begin; what is not, as long as there is memory.
 *
 * `forgottenBelow` tells what was forgotten from what was never there: intervals below it that are not held
 * were delivered, and nothing may be added to them. It is not sent. Since the newest complete interval is
 * always kept, a member's lowest complete register tells it.
 */
import type { Delta } from "./delta.ts";
import { HeldInterval } from "./held-interval.ts";
import type { Manifest } from "./manifest.ts";
import type { Register } from "./register.ts";
import type { Settings } from "./settings.ts";
import type { ClusterCounts } from "./view.ts";

/** Beyond these even what nobody delivered is forgotten. */
const INTERVALS_MAX = 8192;

export type Rows<T> = readonly (readonly [interval: number, value: T])[];

/** What becomes of a delta. `late`: its interval is forgotten. `refused`: its interval is far ahead. */
export type Holding = "held" | "repeated" | "late" | "refused";

export class Holdings {
  readonly #settings: Settings;
  readonly #counts: ClusterCounts;
  /** Told when deltas are not held any more. */
  readonly #onGone: (entry: HeldInterval) => void;
  readonly #entries = new Map<number, HeldInterval>();
  /** Intervals of the entries, ascending. */
  readonly #intervals: number[] = [];
  #bytes = 0;
  #forgottenBelow = 0;

  constructor(settings: Settings, counts: ClusterCounts, onGone: (entry: HeldInterval) => void) {
    this.#settings = settings;
    this.#counts = counts;
    this.#onGone = onGone;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get(interval: number): HeldInterval | undefined {
    return this.#entries.get(interval);
  }

  /** Entries, the oldest first. They may be forgotten while this is read. */
  entries(): HeldInterval[] {
    return this.#intervals.map((interval) => this.#entries.get(interval)!);
  }

  isForgotten(interval: number): boolean {
    return interval < this.#forgottenBelow && !this.#entries.has(interval);
  }

  /** Returns the entry, a new one where there was none; undefined where that interval is forgotten. */
  open(interval: number): HeldInterval | undefined {
    const known = this.#entries.get(interval);
    if (known !== undefined) return known;
    if (interval < this.#forgottenBelow) return undefined;
    const entry = new HeldInterval(interval);
    this.#entries.set(interval, entry);
    let index = this.#intervals.length;
    while (index > 0 && this.#intervals[index - 1]! > interval) index -= 1;
    this.#intervals.splice(index, 0, interval);
    return entry;
  }

  /** now: interval of the cluster clock. isOwn: whether this member is the first to hold it. */
  add(delta: Delta, isOwn: boolean, now: number): Holding {
    if (delta.interval > now + 2 * this.#settings.retainIntervals) return "refused";
    const entry = this.open(delta.interval);
    if (entry === undefined) {
      if (isOwn) this.#counts.lateSamples += delta.samples;
      return "late";
    }
    if (!entry.add(delta, isOwn)) return "repeated";
    this.#bytes += delta.bytes.length;
    if (this.#bytes > this.#settings.holdBytesMax) this.#shed(entry);
    return "held";
  }

  /** Makes room: complete intervals first, then what nobody has written; `newest` is spared. */
  #shed(newest: HeldInterval): void {
    const entries = this.entries().filter((entry) => entry !== newest);
    for (const entry of entries) {
      if (this.#bytes <= this.#settings.holdBytesMax) return;
      if (entry.isComplete && entry !== this.#newestComplete()) this.#forgetComplete(entry);
    }
    for (const entry of entries) {
      if (this.#bytes <= this.#settings.holdBytesMax) return;
      if (entry.size === 0) continue;
      for (const delta of entry.deltas()) {
        if (entry.isOwn(delta) && !isDelivered(entry, delta)) this.#counts.forgottenSamples += delta.samples;
      }
      entry.isShed = true;
      this.#release(entry);
    }
  }

  /** Forgets what is old. now: interval of the cluster clock. */
  retain(now: number): void {
    const oldest = now - this.#settings.retainIntervals;
    for (const entry of this.entries()) {
      const isSurplus = this.#entries.size > INTERVALS_MAX;
      if (entry.interval >= oldest && !isSurplus) return;
      if (entry.isComplete) {
        if (entry !== this.#newestComplete()) this.#forgetComplete(entry);
      } else if ((entry.size === 0 && entry.register === undefined) || isSurplus) {
        this.#countUndelivered(entry, "forgottenSamples");
        this.#remove(entry);
      }
    }
  }

  #forgetComplete(entry: HeldInterval): void {
    this.#countUndelivered(entry, "unmergeableSamples");
    this.#remove(entry);
    this.#forgottenBelow = Math.max(this.#forgottenBelow, entry.interval + 1);
  }

  #newestComplete(): HeldInterval | undefined {
    for (let index = this.#intervals.length - 1; index >= 0; index--) {
      const entry = this.#entries.get(this.#intervals[index]!)!;
      if (entry.isComplete) return entry;
    }
    return undefined;
  }

  #countUndelivered(
    entry: HeldInterval,
    count: "lateSamples" | "forgottenSamples" | "unmergeableSamples",
  ): void {
    if (entry.delivered !== undefined && entry.surplus === 0) return;
    for (const delta of entry.deltas()) {
      if (entry.isOwn(delta) && !isDelivered(entry, delta)) this.#counts[count] += delta.samples;
    }
  }

  /** Drops empty entries above an interval: this member's clock had been ahead. */
  dropEmptyAbove(interval: number): void {
    for (const entry of this.entries()) {
      if (entry.interval > interval && entry.size === 0 && entry.register === undefined) this.#remove(entry);
    }
  }

  /**
   * Learns from what somebody else knows: what is below its lowest complete interval, and not with it, was
   * delivered and forgotten there. Where it is not complete here, it is too late for that.
   * since: first interval that the other one can speak for.
   */
  learnForgotten(registers: Rows<Register>, held: Rows<Manifest>, since: number): void {
    const below = lowestComplete(registers);
    if (below === undefined || below <= this.#forgottenBelow || since > this.#forgottenBelow) return;
    const known = new Set([...registers, ...held].map(([interval]) => interval));
    for (const entry of this.entries()) {
      if (entry.interval >= below) break;
      if (known.has(entry.interval) || entry.isComplete) continue;
      this.#countUndelivered(entry, "lateSamples");
      this.#remove(entry);
    }
    this.#forgottenBelow = below;
  }

  /** Takes over what was on disk. */
  restore(registers: Rows<Register>): void {
    for (const [interval, register] of registers) this.open(interval)?.setRegister(register);
    this.#forgottenBelow = lowestComplete(registers) ?? 0;
  }

  /** Registers below it are of no more use. */
  get lowest(): number {
    return this.#intervals[0] ?? this.#forgottenBelow;
  }

  registers(): Rows<Register> {
    return this.entries().flatMap(({ interval, register }) =>
      register === undefined ? [] : [[interval, register] as const],
    );
  }

  inventory(): Rows<Manifest> {
    return this.entries().map((entry) => [entry.interval, entry.inventory()] as const);
  }

  #release(entry: HeldInterval): void {
    this.#onGone(entry);
    this.#bytes -= entry.bytes;
    entry.clear();
  }

  #remove(entry: HeldInterval): void {
    this.#release(entry);
    this.#entries.delete(entry.interval);
    this.#intervals.splice(this.#intervals.indexOf(entry.interval), 1);
  }
}

function isDelivered(entry: HeldInterval, delta: Delta): boolean {
  return entry.delivered?.set.has(delta) === true;
}

function lowestComplete(registers: Rows<Register>): number | undefined {
  let lowest: number | undefined;
  for (const [interval, { pending, delivered }] of registers) {
    const isComplete =
      delivered?.isComplete === true &&
      delivered.term === pending.term &&
      delivered.revision === pending.revision;
    if (isComplete && (lowest === undefined || interval < lowest)) lowest = interval;
  }
  return lowest;
}
