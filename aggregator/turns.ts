/** Long work in slices, so that the messages that wait for a thread are taken meanwhile. */

/** Longest stretch of work without a turn. */
const SLICE_MS = 10;
/** Steps between two looks at the clock. */
const STEPS = 16;

/** Samples that make a step longer by another one: they may have to be sorted. */
const SAMPLES_OF_STEP = 1024;

/** Returns how many steps a series with so many samples counts as. */
export function stepsOf(samples: number): number {
  return 1 + Math.floor(samples / SAMPLES_OF_STEP);
}

/** Turns the event loop once. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Usage, once for each step: `if (turns.isDue()) await turns.next();` */
export class Turns {
  #startedMs = performance.now();
  #stepsLeft = STEPS;

  /** Counts a step, or a long one as several. Returns whether others should have their turn now. */
  isDue(steps = 1): boolean {
    this.#stepsLeft -= steps;
    if (this.#stepsLeft > 0) return false;
    this.#stepsLeft = STEPS;
    return performance.now() - this.#startedMs >= SLICE_MS;
  }

  /** Gives others their turn. */
  async next(): Promise<void> {
    await nextTurn();
    this.#startedMs = performance.now();
  }
}
