/**
 * The deltas that a member holds, by interval. What is delivered is kept for a while, for amendments and for
 * members that begin; what is not, as long as there is memory.
 *
 * `forgottenBelow` tells what was forgotten from what was never there: intervals below it that are not held
 * were delivered, and nothing may be added to them. The newest complete interval is always kept, so that a
 * member that begins again knows from its registers how far that was.
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

/**
 * What becomes of a delta. `late`: its interval is forgotten. `refused`: its interval is far ahead.
 * `full`: there is no room even for those of its interval alone.
 */
export type Holding = "held" | "repeated" | "late" | "refused" | "full";

export class Holdings {
  readonly #settings: Settings;
  readonly #counts: ClusterCounts;
  /** Told when deltas are not held any more. */
  readonly #onGone: (entry: HeldInterval) => void;
  readonly #entries = new Map<number, HeldInterval>();
  /** The same, the oldest first; another array after each change. */
  #sorted: readonly HeldInterval[] = [];
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

  /** Entries, the oldest first, as they are now; some may be forgotten while they are read. */
  entries(): readonly HeldInterval[] {
    return this.#sorted;
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
    const next = this.#sorted.findIndex((other) => other.interval > interval);
    this.#sorted = next < 0 ? [...this.#sorted, entry] : this.#sorted.toSpliced(next, 0, entry);
    return entry;
  }

  /** now: interval of the cluster clock. isOwn: whether this member is the first to hold it. */
  add(delta: Delta, isOwn: boolean, now: number): Holding {
    if (this.#isFarAhead(delta.interval, now)) return "refused";
    const entry = this.open(delta.interval);
    if (entry === undefined) {
      if (isOwn) this.#counts.lateSamples += delta.samples;
      return "late";
    }
    if (entry.has(delta)) return "repeated";
    if (!this.#makeRoom(delta.bytes.length, entry)) {
      if (isOwn) this.#counts.forgottenSamples += delta.samples;
      return "full";
    }
    entry.add(delta, isOwn);
    this.#bytes += delta.bytes.length;
    return "held";
  }

  /** Makes room: complete intervals go first, then what nobody has written; one entry is spared. */
  #makeRoom(bytes: number, spared: HeldInterval): boolean {
    const max = this.#settings.holdBytesMax - bytes;
    if (this.#bytes <= max) return true;
    const entries = this.#sorted.filter((entry) => entry !== spared);
    for (const entry of entries) {
      if (this.#bytes <= max) return true;
      if (entry.isComplete && entry !== this.#newestComplete()) this.#forgetComplete(entry);
    }
    for (const entry of entries) {
      if (this.#bytes <= max) return true;
      if (entry.size > 0) this.#shed(entry);
    }
    return this.#bytes <= max;
  }

  #shed(entry: HeldInterval): void {
    for (const delta of entry.deltas()) {
      if (entry.isOwn(delta) && !isDelivered(entry, delta)) this.#counts.forgottenSamples += delta.samples;
    }
    entry.isShed = true;
    this.#release(entry);
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
    const isLost = entry.delivered !== undefined && entry.delivered.missing > 0;
    this.#countUndelivered(entry, isLost ? "unmergeableSamples" : "lateSamples");
    this.#remove(entry);
    this.#forgottenBelow = Math.max(this.#forgottenBelow, entry.interval + 1);
  }

  #newestComplete(): HeldInterval | undefined {
    return this.#sorted.findLast((entry) => entry.isComplete);
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

  /**
   * Drops entries above an interval that are empty, or so far ahead that nobody else takes them: this
   * member's clock had been ahead.
   */
  dropAhead(interval: number): void {
    for (const entry of this.entries()) {
      if (entry.interval <= interval || entry.register !== undefined) continue;
      const isFar = this.#isFarAhead(entry.interval, interval);
      if (isFar) this.#countUndelivered(entry, "lateSamples");
      if (isFar || entry.size === 0) this.#remove(entry);
    }
  }

  #isFarAhead(interval: number, now: number): boolean {
    return interval > now + 2 * this.#settings.retainIntervals;
  }

  /** Intervals below it that are not held were delivered. */
  get forgottenBelow(): number {
    return this.#forgottenBelow;
  }

  /**
   * Learns what somebody else has forgotten: intervals below `below` that it does not name. Where they are
   * not complete here, it is too late for that.
   */
  learnForgotten(below: number, registers: Rows<Register>, held: Rows<Manifest>): void {
    // What this member forgot itself says nothing of what it still holds: that was never delivered here.
    const known = new Set([...registers, ...held].map(([interval]) => interval));
    for (const entry of this.entries()) {
      if (entry.interval >= below) break;
      if (known.has(entry.interval) || entry.isComplete) continue;
      this.#countUndelivered(entry, "lateSamples");
      this.#remove(entry);
    }
    this.#forgottenBelow = Math.max(this.#forgottenBelow, below);
  }

  /** Takes over what was on disk. */
  restore(registers: Rows<Register>): void {
    for (const [interval, register] of registers) this.open(interval)?.setRegister(register);
    const newest = this.#newestComplete();
    if (newest === undefined) return;
    this.#forgottenBelow = Math.max(0, newest.interval - this.#settings.retainIntervals);
  }

  /** Registers below it are of no more use. */
  get lowest(): number {
    return this.#sorted[0]?.interval ?? this.#forgottenBelow;
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
    this.#sorted = this.#sorted.filter((other) => other !== entry);
  }
}

function isDelivered(entry: HeldInterval, delta: Delta): boolean {
  return entry.delivered?.set.has(delta) === true;
}
