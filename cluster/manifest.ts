/**
 * What an interval is made of: deltas by identity, as runs. A manifest has an order, in which its deltas are
 * folded; so whoever folds it gets the same sums to the last bit. As a set it is a DeltaSet.
 */
import type { DeltaId } from "./delta.ts";

/** Deltas `from` to `to`, both included, of one source; all of them belong to the interval. */
export interface Run {
  readonly source: string;
  readonly from: number;
  readonly to: number;
}

/** Runs in the order of folding. No delta is in two of them. */
export type Manifest = readonly Run[];

/** Returns the manifest with deltas added behind, in the order given; neighbours become one run. */
export function withDeltas(manifest: Manifest, deltas: Iterable<DeltaId>): Manifest {
  const runs = [...manifest];
  for (const { source, sequence } of deltas) {
    const last = runs.at(-1);
    if (last !== undefined && last.source === source && last.to + 1 === sequence) {
      runs[runs.length - 1] = { ...last, to: sequence };
    } else {
      runs.push({ source, from: sequence, to: sequence });
    }
  }
  return runs;
}

/** Visits the deltas of a manifest in order. */
export function* deltasOf(manifest: Manifest): Generator<DeltaId, void, void> {
  for (const { source, from, to } of manifest) {
    for (let sequence = from; sequence <= to; sequence++) yield { source, sequence };
  }
}

/** Deltas in a manifest. */
export function sizeOf(manifest: Manifest): number {
  return manifest.reduce((sum, { from, to }) => sum + to - from + 1, 0);
}

/** Deltas without an order. */
export class DeltaSet {
  readonly #sequences = new Map<string, Set<number>>();
  #size = 0;

  static of(manifest: Manifest): DeltaSet {
    const set = new DeltaSet();
    for (const id of deltasOf(manifest)) set.add(id);
    return set;
  }

  get size(): number {
    return this.#size;
  }

  has({ source, sequence }: DeltaId): boolean {
    return this.#sequences.get(source)?.has(sequence) === true;
  }

  /** Returns false for a delta that was there. */
  add({ source, sequence }: DeltaId): boolean {
    let sequences = this.#sequences.get(source);
    if (sequences === undefined) {
      sequences = new Set();
      this.#sequences.set(source, sequences);
    }
    if (sequences.has(sequence)) return false;
    sequences.add(sequence);
    this.#size += 1;
    return true;
  }

  /** Returns what of a manifest is not in here, in the manifest's order. */
  missingFrom(manifest: Manifest): Manifest {
    const missing: DeltaId[] = [];
    for (const id of deltasOf(manifest)) if (!this.has(id)) missing.push(id);
    return withDeltas([], missing);
  }

  contains(manifest: Manifest): boolean {
    for (const id of deltasOf(manifest)) if (!this.has(id)) return false;
    return true;
  }

  /** Returns the deltas as runs, by source and sequence. */
  toManifest(): Manifest {
    const ids: DeltaId[] = [];
    for (const source of [...this.#sequences.keys()].sort()) {
      const sequences = [...this.#sequences.get(source)!].sort((left, right) => left - right);
      for (const sequence of sequences) ids.push({ source, sequence });
    }
    return withDeltas([], ids);
  }
}
