/**
 * Tells datagrams that came before. A datagram is refused for its age once it is older than the window, so it
 * has to be remembered for no longer: what is remembered lies in sets by the datagrams' own timestamps, and a
 * set is dropped once all that could be in it is too old.
 */
import { TagSet } from "./tag-set.ts";

/** Datagrams that are remembered, in up to 170 MB: 100,000 a second for more than a minute. */
export const REPLAY_TAGS_MAX = 8_000_000;

/** What the filter says of a datagram. `full`: it cannot be remembered, so it must not be taken either. */
export type ReplayVerdict = "fresh" | "replayed" | "full";

export class ReplayFilter {
  readonly #windowSec: number;
  readonly #tagsMax: number;
  /** By generation: timestamps of [generation * windowSec, (generation + 1) * windowSec). */
  readonly #sets = new Map<number, TagSet>();
  #tags = 0;
  #forgottenSec = 0;

  /** windowMs: by how much a timestamp may differ from the clock. tagsMax: datagrams that are remembered. */
  constructor(windowMs: number, tagsMax = REPLAY_TAGS_MAX) {
    this.#windowSec = Math.max(1, Math.ceil(windowMs / 1000));
    this.#tagsMax = tagsMax;
  }

  /**
   * Looks a datagram up and remembers it. low, high: 64 bits of its signature. timestampSec: its own, which
   * is within the window. nowSec: the clock.
   */
  check(low: number, high: number, timestampSec: number, nowSec: number): ReplayVerdict {
    if (nowSec !== this.#forgottenSec) this.#forget(nowSec);
    const generation = Math.floor(timestampSec / this.#windowSec);
    let set = this.#sets.get(generation);
    if (set === undefined) {
      set = new TagSet();
      this.#sets.set(generation, set);
    }
    if (this.#tags >= this.#tagsMax) return "full";
    if (!set.add(low, high)) return "replayed";
    this.#tags += 1;
    return "fresh";
  }

  /** Drops the sets that hold nothing but what is refused for its age. */
  #forget(nowSec: number): void {
    this.#forgottenSec = nowSec;
    for (const [generation, set] of this.#sets) {
      const lastSec = (generation + 1) * this.#windowSec - 1;
      if (lastSec >= nowSec - this.#windowSec) continue;
      this.#tags -= set.size;
      this.#sets.delete(generation);
    }
  }
}
