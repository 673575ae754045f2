/** Chance, handed to whatever needs it, so that one seed gives one history. Not for secrets. */

/** Source of uniformly distributed numbers. */
export interface Random {
  /** Returns a number in [min, max), or min where both are equal. */
  between(min: number, max: number): number;
}

/** Chance of this machine: another sequence in each process. */
export const systemRandom: Random = {
  between: (min, max) => min + Math.random() * (max - min),
};

const TWO_POW_32 = 2 ** 32;

/**
 * Makes a generator that repeats itself for equal seeds.
 * seed: any integer; its lower 32 bits count. Source: mulberry32 by Tommy Ettinger (public domain).
 */
export function seededRandom(seed: number): Random {
  let state = seed | 0;
  return {
    between(min, max) {
      state = (state + 0x6d2b79f5) | 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return min + (((mixed ^ (mixed >>> 14)) >>> 0) / TWO_POW_32) * (max - min);
    },
  };
}
