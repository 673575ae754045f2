/** One sink of one process: rows that wait for it, in order, behind a fence. */
import type { Carbon, Chunk } from "./carbon.ts";
import type { Machine } from "./machine.ts";

/** Waits between attempts. */
const RETRY_MS = 400;

/** Rows of one order, for one sink. */
export interface QueuedChunk extends Chunk {
  /** Called before each attempt, to see whether all is as it must be. */
  readonly attempt: () => void;
  readonly delivered: () => void;
}

export class SinkQueue {
  readonly carbon: Carbon;
  readonly #machine: Machine;
  readonly #mayWrite: (interval: number) => boolean;
  #chunks: QueuedChunk[] = [];
  /** Counts deliveries that were begun; an answer to an earlier one is none. */
  #attempt = 0;
  #isBusy = false;

  constructor(carbon: Carbon, machine: Machine, mayWrite: (interval: number) => boolean) {
    this.carbon = carbon;
    this.#machine = machine;
    this.#mayWrite = mayWrite;
  }

  get length(): number {
    return this.#chunks.length;
  }

  push(chunk: QueuedChunk): void {
    this.#chunks.push(chunk);
    this.pump();
  }

  /** Looks whether the first may go. */
  pump(): void {
    const chunk = this.#chunks[0];
    if (this.#isBusy || chunk === undefined || !this.#mayWrite(chunk.interval)) return;
    this.#isBusy = true;
    this.#attempt += 1;
    const attempt = this.#attempt;
    chunk.attempt();
    const tell = this.#machine.bound((isAcknowledged: boolean) => {
      if (attempt === this.#attempt && this.#isBusy) this.#answer(chunk, isAcknowledged);
    });
    this.carbon.take(chunk, tell);
  }

  /** Lets go of a delivery under way: nobody knows whether it arrives. */
  revoke(): void {
    this.#isBusy = false;
    this.#attempt += 1;
  }

  /** Drops the rows of intervals from `floor` on. */
  yieldFrom(floor: number): void {
    const first = this.#chunks[0];
    if (this.#isBusy && first !== undefined && first.interval >= floor) this.revoke();
    this.#chunks = this.#chunks.filter(({ interval }) => interval < floor);
    this.pump();
  }

  #answer(chunk: QueuedChunk, isAcknowledged: boolean): void {
    if (!isAcknowledged) {
      const attempt = this.#attempt;
      this.#machine.later(RETRY_MS, () => {
        if (attempt !== this.#attempt) return;
        this.#isBusy = false;
        this.pump();
      });
      return;
    }
    this.#isBusy = false;
    this.#chunks.shift();
    chunk.delivered();
    this.pump();
  }
}
