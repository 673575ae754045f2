/** What the receiver threads have done for each destination, over all the plans that they have worked by. */
import {
  addUp,
  newOutputCounters,
  OUTPUT_COUNTERS,
  type OutputCounters,
  type OutputTotals,
} from "./counters.ts";

/** Destinations that are gone and still shown by themselves; the others are added up under GONE. */
const GONE_MAX = 256;
/** Key of destinations that are gone for long. */
export const GONE = "gone gone";

interface Generation {
  readonly number: number;
  /** Keys of the destinations by index. */
  readonly keys: readonly string[];
  readonly threads: OutputCounters[][];
}

export class OutputLedger {
  /** Numbers of plans that no thread works by any more, by key of the destination. */
  readonly #past = new Map<string, OutputTotals>();
  #live: Generation[] = [];

  /** Begins a plan. number: its generation. keys: of its destinations by index. */
  begin(number: number, keys: readonly string[]): void {
    this.#live.push({ number, keys, threads: [] });
  }

  /** Makes the counters of one thread for the plan that began last. Returns memory that can be posted. */
  addThread(): SharedArrayBuffer[] {
    const generation = this.#live.at(-1)!;
    const counters = generation.keys.map(() => newOutputCounters());
    generation.threads.push(counters);
    return counters.map(({ buffer }) => buffer);
  }

  /**
   * Keeps the numbers of plans that no thread works by any more. number: the last of them.
   * hasSettled: whether a destination that is gone, and all that was handed to the outlet for it, can be
   * added up with others. Returns the keys of those that were.
   */
  endUpTo(
    number: number,
    hasSettled: (key: string, linesHanded: number) => boolean = () => true,
  ): readonly string[] {
    const ended = this.#live.filter((generation) => generation.number <= number);
    this.#live = this.#live.filter((generation) => generation.number > number);
    for (const generation of ended) {
      for (const [key, totals] of totalsOf(generation)) this.#keep(key, totals);
    }
    const present = new Set(this.#live.flatMap(({ keys }) => keys));
    const gone = [...this.#past].filter(([key]) => key !== GONE && !present.has(key));
    const oldest = gone.slice(0, Math.max(0, gone.length - GONE_MAX));
    const settled = oldest.filter(([key, { linesHanded }]) => hasSettled(key, linesHanded));
    for (const [key, totals] of settled) {
      this.#keep(GONE, totals);
      this.#past.delete(key);
    }
    return settled.map(([key]) => key);
  }

  #keep(key: string, totals: OutputTotals): void {
    const before = this.#past.get(key);
    this.#past.set(key, before === undefined ? totals : addUp(OUTPUT_COUNTERS, [before, totals]));
  }

  /** Numbers by key of the destination, those that are gone included. */
  totals(): Map<string, OutputTotals> {
    const sums = new Map(this.#past);
    for (const generation of this.#live) {
      for (const [key, totals] of totalsOf(generation)) {
        const before = sums.get(key);
        sums.set(key, before === undefined ? totals : addUp(OUTPUT_COUNTERS, [before, totals]));
      }
    }
    return sums;
  }
}

function* totalsOf({ keys, threads }: Generation): Generator<[string, OutputTotals]> {
  for (const [index, key] of keys.entries()) {
    yield [
      key,
      addUp(
        OUTPUT_COUNTERS,
        threads.map((counters) => counters[index]!.read()),
      ),
    ];
  }
}
