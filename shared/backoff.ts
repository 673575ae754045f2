/** How long to wait before trying a remote again. */
import { assert } from "./errors.ts";
import type { Random } from "./random.ts";

/** Bounds of a backoff, in milliseconds. */
export interface BackoffOptions {
  /** Longest first pause; more than 0. */
  readonly delayMs: number;
  /** Growth from one pause to the next; at least 1. */
  readonly multiplier: number;
  /** No pause is longer than this. */
  readonly delayMaxMs: number;
}

/**
 * Exponential backoff with jitter: the n-th pause lies between half of and the whole
 * min(delayMs * multiplier^n, delayMaxMs), so that many clients of one remote do not come back together.
 */
export class Backoff {
  readonly #options: BackoffOptions;
  readonly #random: Random;
  #ceilingMs: number;

  /** Throws when the options are out of bounds: the configuration has checked them before. */
  constructor(options: BackoffOptions, random: Random) {
    assert(options.delayMs > 0, `backoff delay ${options.delayMs} must be above 0`);
    assert(options.multiplier >= 1, `backoff multiplier ${options.multiplier} must be at least 1`);
    this.#options = options;
    this.#random = random;
    this.#ceilingMs = this.#first();
  }

  /** Returns the next pause in milliseconds; each call counts as one more failure. */
  next(): number {
    const ceilingMs = this.#ceilingMs;
    this.#ceilingMs = Math.min(ceilingMs * this.#options.multiplier, this.#options.delayMaxMs);
    return this.#random.between(ceilingMs / 2, ceilingMs);
  }

  /** Starts from the shortest pause again, after a success. */
  reset(): void {
    this.#ceilingMs = this.#first();
  }

  #first(): number {
    return Math.min(this.#options.delayMs, this.#options.delayMaxMs);
  }
}
