/** In which order a table was folded; or a manifest while it grows. */
import type { DeltaId } from "./delta.ts";
import type { Manifest, Run } from "./manifest.ts";

/** Grows at its end. Neighbours become one run, so equal orders have equal runs. */
export class FoldOrder {
  readonly #runs: Run[] = [];
  #size = 0;

  static of(manifest: Manifest): FoldOrder {
    const order = new FoldOrder();
    for (const run of manifest) order.#addRun(run);
    return order;
  }

  /** Deltas in it. */
  get size(): number {
    return this.#size;
  }

  /** Adds a delta that is not in it. */
  add({ source, sequence }: DeltaId): void {
    this.#addRun({ source, from: sequence, to: sequence });
  }

  #addRun({ source, from, to }: Run): void {
    this.#size += to - from + 1;
    const last = this.#runs.at(-1);
    if (last !== undefined && last.source === source && last.to + 1 === from) {
      this.#runs[this.#runs.length - 1] = { ...last, to };
    } else {
      this.#runs.push({ source, from, to });
    }
  }

  toManifest(): Manifest {
    return [...this.#runs];
  }

  /** Whether a manifest names the same deltas in the same order. */
  isSame(manifest: Manifest): boolean {
    const runs = FoldOrder.of(manifest).#runs;
    if (runs.length !== this.#runs.length) return false;
    return runs.every((run, index) => {
      const own = this.#runs[index]!;
      return run.source === own.source && run.from === own.from && run.to === own.to;
    });
  }
}

/** Whether two manifests name the same deltas in the same order, however they are cut into runs. */
export function isSameOrder(manifest: Manifest, other: Manifest): boolean {
  return FoldOrder.of(manifest).isSame(other);
}
