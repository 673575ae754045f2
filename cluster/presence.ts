/**
 * Since when a member is there, and the intervals that it is there for: each is written, even with nothing in
 * it.
 */
import type { NodeParts } from "./node-parts.ts";
import { TIMES } from "./options.ts";

export class Presence {
  readonly #parts: NodeParts;
  #startedMs = Number.POSITIVE_INFINITY;
  /** First interval that it was there for from its beginning. */
  #since = Number.MAX_SAFE_INTEGER;
  /** Last interval that it has opened. */
  #opened: number | undefined;

  constructor(parts: NodeParts) {
    this.#parts = parts;
  }

  get since(): number {
    return this.#since;
  }

  /** Whether the cluster clock can be relied on: it is the leader's, or nobody is there to ask. */
  get hasClock(): boolean {
    const { clock, world } = this.#parts;
    return clock.isAdopted || world.clock.monotonicMs() - this.#startedMs >= TIMES.aloneMs;
  }

  begin(): void {
    const { clock, peers, world } = this.#parts;
    this.#startedMs = world.clock.monotonicMs();
    if (peers.all().length === 0) clock.adoptOwn();
    this.reset();
  }

  /** The clock was set: what it was before does not count. */
  reset(): void {
    const now = this.#parts.interval();
    this.#since = now + 1;
    this.#opened = undefined;
    this.#parts.holdings.dropAhead(now);
  }

  /** Opens intervals that have begun; after a long stretch only those that are retained. */
  tick(): void {
    const { holdings, settings, peers } = this.#parts;
    if (peers.isSelfWitness || !this.hasClock) return;
    const now = this.#parts.interval();
    const oldest = Math.max(this.#since, now - settings.retainIntervals);
    for (let next = Math.max(oldest, (this.#opened ?? -1) + 1); next <= now; next++) {
      holdings.open(next);
      this.#opened = next;
    }
  }
}
