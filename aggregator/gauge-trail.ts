/**
 * Levels of gauges that were changed and not set, interval by interval: where deltas come late, they start
 * from what the gauge was then, and what they change is missing from all that was written later.
 *
 *   closed intervals   k-1      k         k+1      ...  kept
 *   level at the end   10       10 + 5    15 + 2   ...  17 + ...
 *   late in k: +3               18        (20)          20 + ...
 */
import { METRIC_TYPES } from "../shared/metric.ts";
import type { Interval } from "./interval.ts";
import type { Kept } from "./kept.ts";
import { type EntryView, entriesOf, levelEntry } from "./level-entries.ts";

interface Step {
  /** Level that it started from, and that it had at the end. */
  base: number;
  level: number;
}

/** Closed intervals that are remembered, and gauges in all of them; the oldest intervals go first. */
const INTERVALS_MAX = 64;
const STEPS_MAX = 500_000;
const GAUGE = METRIC_TYPES.indexOf("gauge");

export class GaugeTrail {
  readonly #kept: Kept;
  /** By interval, then by key with one character a byte. */
  readonly #steps = new Map<number, Map<string, Step>>();
  #size = 0;
  /** The last step of each gauge. */
  readonly #latest = new Map<string, { readonly index: number; readonly step: Step }>();

  constructor(kept: Kept) {
    this.#kept = kept;
  }

  /** An interval is closed for the first time, the latest so far. */
  close(index: number, interval: Interval): void {
    const steps = stepsOf(interval);
    if (steps.size === 0) return;
    for (const [key, step] of steps) {
      this.#goOn(index, key, step);
      this.#latest.set(key, { index, step });
    }
    this.#forget(index);
    this.#steps.set(index, steps);
    this.#size += steps.size;
    for (const oldest of [...this.#steps.keys()].sort((one, other) => one - other)) {
      if (this.#steps.size <= INTERVALS_MAX && this.#size <= STEPS_MAX) return;
      this.#forget(oldest);
    }
  }

  /** An interval is closed once more, with other deltas: what they change goes on to what is kept. */
  closeLate(index: number, interval: Interval): void {
    const steps = stepsOf(interval);
    const before = this.#steps.get(index) ?? new Map<string, Step>();
    for (const [key, step] of steps) {
      const change = step.level - step.base;
      const known = before.get(key);
      this.#shift(index, key, known === undefined ? change : change - (known.level - known.base));
      if (known !== undefined) this.#correct(index, key, step, known.base);
      const latest = this.#latest.get(key);
      if (latest === undefined || latest.index <= index) this.#latest.set(key, { index, step });
    }
    this.#shiftSet(index, interval, before);
    this.#forget(index);
    this.#steps.set(index, steps);
    this.#size += steps.size;
  }

  /** As Kept.levels(), for an interval that is closed: entries with levels, or NaN. */
  *levels(interval: Interval, index: number): Generator<Uint8Array, void, void> {
    for (const part of interval.seenSeries([GAUGE], "baseless")) {
      const entries: Buffer[] = [];
      for (const entry of entriesOf(part)) {
        const key = keyOf(part, entry);
        entries.push(levelEntry(key, this.levelBefore(index, key)));
      }
      yield Buffer.concat(entries);
    }
  }

  /**
   * Returns the level that a gauge had before an interval which is closed, and in which it was not seen so
   * far; NaN where nothing is known of it.
   */
  levelBefore(index: number, key: string): number {
    const { seenIn, setIn, level } = this.#kept.gauge(Buffer.from(key, "latin1"));
    if (seenIn < index) return level;
    const own = this.#steps.get(index)?.get(key);
    if (own !== undefined) return own.base;
    const before = this.#nearest(key, (other) => other < index, -1);
    // What was set since then is not in it.
    if (before !== undefined && !(setIn > before.index && setIn < index)) return before.step.level;
    const after = this.#nearest(key, (other) => other > index, 1);
    return after === undefined || (setIn > index && setIn < after.index) ? level : after.step.base;
  }

  /** What a gauge starts from was decided before something late became part of the interval before. */
  #goOn(index: number, key: string, step: Step): void {
    const before = this.#latest.get(key);
    if (before === undefined || before.index >= index || before.step.level === step.base) return;
    const { setIn } = this.#kept.gauge(Buffer.from(key, "latin1"));
    // What was set since then is what it starts from.
    if (setIn > before.index) return;
    this.#correct(index, key, step, before.step.level);
  }

  /** Rows go on from what was decided at first; later levels from what is known by now. */
  #correct(index: number, key: string, step: Step, base: number): void {
    const difference = base - step.base;
    if (difference === 0 || !Number.isFinite(difference)) return;
    step.base += difference;
    step.level += difference;
    const bytes = Buffer.from(key, "latin1");
    if (this.#kept.gauge(bytes).seenIn === index) this.#kept.change(bytes, difference);
  }

  /** Gauges that are set now, and were not before, or not seen at all. */
  #shiftSet(index: number, interval: Interval, before: ReadonlyMap<string, Step>): void {
    const later = new Set(before.keys());
    for (const [other, steps] of this.#steps) {
      if (other > index) for (const key of steps.keys()) later.add(key);
    }
    if (later.size === 0) return;
    for (const part of interval.seenSeries([GAUGE])) {
      for (const entry of entriesOf(part)) {
        if (!entry.isSet) continue;
        const key = keyOf(part, entry);
        if (!later.has(key)) continue;
        const after = this.#nearest(key, (other) => other > index, 1);
        const known = before.get(key)?.level ?? after?.step.base;
        if (known !== undefined) this.#shift(index, key, entry.level - known);
      }
    }
  }

  #nearest(
    key: string,
    isWanted: (index: number) => boolean,
    direction: 1 | -1,
  ): { readonly index: number; readonly step: Step } | undefined {
    let found: { readonly index: number; readonly step: Step } | undefined;
    for (const [index, steps] of this.#steps) {
      if (!isWanted(index) || (found !== undefined && (index - found.index) * direction > 0)) continue;
      const step = steps.get(key);
      if (step !== undefined) found = { index, step };
    }
    return found;
  }

  /** A late change of interval `index` is part of all levels behind it, up to where the gauge was set. */
  #shift(index: number, key: string, change: number): void {
    if (change === 0 || !Number.isFinite(change)) return;
    const bytes = Buffer.from(key, "latin1");
    const { seenIn, setIn } = this.#kept.gauge(bytes);
    for (const [other, steps] of this.#steps) {
      const step = other > index ? steps.get(key) : undefined;
      if (step === undefined || (setIn > index && setIn <= other)) continue;
      step.base += change;
      step.level += change;
    }
    // What was seen last in this very interval is kept as it is there.
    if (seenIn > index && !(setIn > index)) this.#kept.change(bytes, change);
  }

  #forget(index: number): void {
    const steps = this.#steps.get(index);
    if (steps === undefined) return;
    for (const [key, step] of steps) if (this.#latest.get(key)?.step === step) this.#latest.delete(key);
    this.#size -= steps.size;
    this.#steps.delete(index);
  }
}

/** The gauges of an interval that were changed and not set. */
function stepsOf(interval: Interval): Map<string, Step> {
  const steps = new Map<string, Step>();
  for (const part of interval.seenSeries([GAUGE], "changed")) {
    for (const entry of entriesOf(part)) steps.set(keyOf(part, entry), { base: 0, level: entry.level });
  }
  if (steps.size === 0) return steps;
  for (const part of interval.seenSeries([GAUGE], "bases")) {
    for (const entry of entriesOf(part)) {
      const step = steps.get(keyOf(part, entry));
      if (step !== undefined) step.base = entry.level;
    }
  }
  return steps;
}

/** One character a byte. */
function keyOf(part: Uint8Array, { keyStart, end }: EntryView): string {
  return Buffer.from(part.buffer, part.byteOffset, part.byteLength).toString("latin1", keyStart, end);
}
