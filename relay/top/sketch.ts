/**
 * The heaviest keys of a stream, in bounded memory.
 *
 * Source: Metwally, Agrawal, El Abbadi, "Efficient Computation of Frequent and Top-k Elements in Data
 * Streams", 2005 (Space-Saving), with weights. A full sketch gives a new key the place of the lightest one,
 * and its count as the error.
 */

/** One key. Its true count lies within count - error .. count. */
export interface SketchItem {
  readonly key: string;
  readonly count: number;
  readonly error: number;
}

/** Items as plain data, heaviest first. */
export interface SketchList {
  readonly items: readonly SketchItem[];
  /** No key that is not among the items has a larger true count. */
  readonly floor: number;
}

interface Entry {
  key: string;
  count: number;
  error: number;
  /** Where it stands in the heap. */
  position: number;
}

/** A count that decayed below this is forgotten. */
const FORGOTTEN_BELOW = 0.01;

/** A Space-Saving sketch. Adding is O(log capacity). */
export class TopSketch {
  readonly #capacity: number;
  readonly #byKey = new Map<string, Entry>();
  /** A binary heap, the lightest entry first. */
  #heap: Entry[] = [];
  #total = 0;
  /** The most that a key can have had which is in no entry, apart from those that were replaced. */
  #forgotten = 0;

  /** capacity: how many keys are held, at least 1. */
  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** Sum of all weights, decayed as they are. */
  get total(): number {
    return this.#total;
  }

  /** Counts a key. weight: above 0. */
  add(key: string, weight: number): void {
    this.#total += weight;
    const known = this.#byKey.get(key);
    if (known !== undefined) {
      known.count += weight;
      this.#sink(known);
      return;
    }
    if (this.#heap.length < this.#capacity) {
      const entry: Entry = { key, count: this.#forgotten + weight, error: this.#forgotten, position: 0 };
      entry.position = this.#heap.push(entry) - 1;
      this.#byKey.set(key, entry);
      this.#rise(entry);
      return;
    }
    const lightest = this.#heap[0]!;
    this.#byKey.delete(lightest.key);
    lightest.key = key;
    lightest.error = lightest.count;
    lightest.count += weight;
    this.#byKey.set(key, lightest);
    this.#sink(lightest);
  }

  /** The heaviest keys, at most n of them. */
  top(n: number): SketchItem[] {
    return this.list(n).items.slice();
  }

  /** The heaviest keys, at most n of them, and what the others can have at most. */
  list(n: number): SketchList {
    const sorted = this.#heap
      .map(({ key, count, error }) => ({ key, count, error }))
      .sort((left, right) => right.count - left.count || (left.key < right.key ? -1 : 1));
    return { items: sorted.slice(0, n), floor: sorted[n]?.count ?? this.#floor() };
  }

  /** Scales all counts, so that what is older weighs less. factor: 0..1; 0 forgets everything. */
  decay(factor: number): void {
    this.#total *= factor;
    this.#forgotten *= factor;
    for (const entry of this.#heap) {
      entry.count *= factor;
      entry.error *= factor;
    }
    // Scaling keeps the heap in order; only leaving entries out asks for a new one.
    if ((this.#heap[0]?.count ?? FORGOTTEN_BELOW) < FORGOTTEN_BELOW) this.#forgetLightest();
    if (factor === 0) this.#forgotten = 0;
  }

  #forgetLightest(): void {
    const kept: Entry[] = [];
    for (const entry of this.#heap) {
      if (entry.count >= FORGOTTEN_BELOW) {
        kept.push(entry);
        continue;
      }
      this.#byKey.delete(entry.key);
      this.#forgotten = Math.max(this.#forgotten, entry.count);
    }
    // A sorted list is a heap.
    this.#heap = kept.sort((left, right) => left.count - right.count);
    this.#heap.forEach((entry, position) => {
      entry.position = position;
    });
  }

  #floor(): number {
    return this.#heap.length < this.#capacity ? this.#forgotten : this.#heap[0]!.count;
  }

  /** Moves an entry away from the root until no child is lighter. */
  #sink(entry: Entry): void {
    const heap = this.#heap;
    for (;;) {
      const left = 2 * entry.position + 1;
      const first = heap[left];
      if (first === undefined) return;
      const second = heap[left + 1];
      const lighter = second !== undefined && second.count < first.count ? second : first;
      if (lighter.count >= entry.count) return;
      this.#swap(entry, lighter);
    }
  }

  /** Moves an entry towards the root until its parent is not heavier. */
  #rise(entry: Entry): void {
    while (entry.position > 0) {
      const parent = this.#heap[(entry.position - 1) >> 1]!;
      if (parent.count <= entry.count) return;
      this.#swap(entry, parent);
    }
  }

  #swap(one: Entry, other: Entry): void {
    const { position } = one;
    one.position = other.position;
    other.position = position;
    this.#heap[one.position] = one;
    this.#heap[other.position] = other;
  }
}

/**
 * Adds lists up, as those of several threads, and keeps the n heaviest keys. A key that is missing in a list
 * may have had its floor there, so that is added to count and error: the bounds stay true.
 */
export function mergeLists(lists: readonly SketchList[], n: number): SketchList {
  const sums = new Map<string, { count: number; error: number; floors: number }>();
  const floors = lists.reduce((sum, { floor }) => sum + floor, 0);
  for (const { items, floor } of lists) {
    for (const { key, count, error } of items) {
      const sum = sums.get(key) ?? { count: 0, error: 0, floors };
      sums.set(key, {
        count: sum.count + count,
        error: sum.error + error,
        floors: sum.floors - floor,
      });
    }
  }
  const items = [...sums]
    .map(([key, sum]) => {
      // Subtracting the floors one by one may leave a trace of rounding below zero.
      const missing = Math.max(0, sum.floors);
      return { key, count: sum.count + missing, error: sum.error + missing };
    })
    .sort((left, right) => estimateOf(right) - estimateOf(left) || (left.key < right.key ? -1 : 1));
  const left = items.slice(n).reduce((most, { count }) => Math.max(most, count), 0);
  return { items: items.slice(0, n), floor: Math.max(floors, left) };
}

/** The middle of what the true count can be. */
export function estimateOf({ count, error }: SketchItem): number {
  return count - error / 2;
}
