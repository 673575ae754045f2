/**
 * How long something was waited for, not counting pauses of the whole process: nobody was asked meanwhile.
 */

/** Looks further apart than this were kept apart by something else. */
const STEP_MS = 200;

export class Patience {
  #seenMs: number;
  #waitedMs = 0;

  constructor(nowMs: number) {
    this.#seenMs = nowMs;
  }

  /** Returns how long it was, in milliseconds; to be called at every tick. */
  waitedMs(nowMs: number): number {
    this.#waitedMs += Math.min(Math.max(0, nowMs - this.#seenMs), STEP_MS);
    this.#seenMs = nowMs;
    return this.#waitedMs;
  }

  /** Begins anew. */
  reset(nowMs: number): void {
    this.#seenMs = nowMs;
    this.#waitedMs = 0;
  }
}
