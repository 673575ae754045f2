/** The chance of a history. All of it comes from the seed. */
import { type Random, seededRandom } from "../../shared/random.ts";

/** Draws of the kinds that faults need. */
export class Dice implements Random {
  readonly #random: Random;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
    // Neighbouring seeds begin alike.
    for (let draw = 0; draw < 8; draw++) this.#random.between(0, 1);
  }

  between(min: number, max: number): number {
    return this.#random.between(min, max);
  }

  /** True with a chance of 0..1; draws nothing where there is none. */
  isHit(chance: number): boolean {
    return chance > 0 && this.#random.between(0, 1) < chance;
  }

  /** An integer in [0, count). */
  below(count: number): number {
    return Math.floor(this.#random.between(0, count));
  }

  /** A wait with a mean: most are short, a few long. */
  waitMs(meanMs: number): number {
    return -Math.log(1 - this.#random.between(0, 1)) * meanMs;
  }

  pick<Item>(items: readonly Item[]): Item | undefined {
    return items[this.below(items.length)];
  }
}
