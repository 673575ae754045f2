/** A leader looks for what others may have written and it lacks, for a while, before it decides. */
import type { HeldInterval, SlotCheck } from "./held-interval.ts";
import type { NodeParts } from "./node-parts.ts";
import { TIMES } from "./options.ts";
import { Patience } from "./patience.ts";
import { isNewer } from "./register.ts";

/** How long it waits for what members are known to hold. */
const KNOWN_MS = 1000;
/** Pace at which it asks for what it has given up. */
const LOST_MS = 30_000;

interface Look {
  /** Since it was first looked at. */
  readonly whole: Patience;
  /** Since the last delta of it came. */
  readonly vain: Patience;
  missing: number;
  askedMs: number;
}

export class Search {
  readonly #parts: NodeParts;
  readonly #looks = new Map<number, Look>();

  constructor(parts: NodeParts) {
    this.#parts = parts;
  }

  clear(): void {
    this.#looks.clear();
  }

  forget(interval: number): void {
    this.#looks.delete(interval);
  }

  /**
   * Whether a decision can be made. What was delivered must be there, or nothing more can be written; what
   * was about to be is looked for as long as some of it comes in, and doubtMs more.
   */
  isOver(entry: HeldInterval, nowMs: number): boolean {
    const { delivered, pending } = entry;
    const isUndecided = pending !== undefined && isNewer(pending.slot, delivered?.slot);
    if (delivered !== undefined && delivered.missing > 0) {
      if (this.#isInVain(entry, delivered, nowMs)) this.#giveUp(entry);
      return false;
    }
    if (isUndecided && pending.missing > 0) {
      if (!this.#isInVain(entry, pending, nowMs)) return false;
      if (entry.size > 0) return true;
      this.#giveUp(entry);
      return false;
    }
    entry.isUnmergeable = false;
    const look = this.#lookOf(entry, 0, nowMs);
    return look.whole.waitedMs(nowMs) >= KNOWN_MS || !this.#parts.pulls.isWaiting(entry.interval, nowMs);
  }

  #giveUp(entry: HeldInterval): void {
    if (entry.isUnmergeable) return;
    entry.isUnmergeable = true;
    const { interval, samples, isShed, surplus } = entry;
    if (surplus > 0 || !entry.isComplete)
      this.#parts.world.log.warn("interval.unmergeable", { interval, samples, isShed });
  }

  #isInVain(entry: HeldInterval, { slot, missing }: SlotCheck, nowMs: number): boolean {
    const look = this.#lookOf(entry, missing, nowMs);
    if (missing !== look.missing) look.vain.reset(nowMs);
    look.missing = missing;
    if (entry.isShed || this.#parts.peers.data().length === 0) return true;
    if (nowMs - look.askedMs >= (entry.isUnmergeable ? LOST_MS : KNOWN_MS)) {
      look.askedMs = nowMs;
      const names = this.#parts.peers.data().map(({ name }) => name);
      this.#parts.pulls.want(entry.interval, slot.manifest, names, nowMs);
    }
    return look.vain.waitedMs(nowMs) >= TIMES.doubtMs;
  }

  #lookOf(entry: HeldInterval, missing: number, nowMs: number): Look {
    let look = this.#looks.get(entry.interval);
    if (look === undefined) {
      look = {
        whole: new Patience(nowMs),
        vain: new Patience(nowMs),
        missing,
        askedMs: Number.NEGATIVE_INFINITY,
      };
      this.#looks.set(entry.interval, look);
    }
    return look;
  }
}
