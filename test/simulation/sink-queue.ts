/** One sink of one process: rows that wait for it, in order, behind a fence. */
import type { Carbon, Chunk } from "./carbon.ts";
import type { Machine } from "./machine.ts";

/** Waits between attempts. */
const RETRY_MS = 400;

/** Rows of one order, for one sink. */
export interface QueuedChunk extends Chunk {
  /** Called before each attempt, to see whether all is as it must be. */
  readonly attempt: () => void;
  readonly settled: (isDelivered: boolean) => void;
}

export class SinkQueue {
  readonly carbon: Carbon;
  readonly #machine: Machine;
  readonly #mayWrite: (interval: number) => boolean;
  readonly #isCurrent: () => boolean;
  /** Whether rows that were not acknowledged are given up this time. */
  readonly #givesUp: () => boolean;
  #chunks: QueuedChunk[] = [];
  /** Counts deliveries that were begun; an answer to an earlier one is none. */
  #attempt = 0;
  #isBusy = false;

  constructor(
    carbon: Carbon,
    machine: Machine,
    mayWrite: (interval: number) => boolean,
    givesUp: () => boolean,
  ) {
    this.#givesUp = givesUp;
    this.carbon = carbon;
    this.#machine = machine;
    this.#mayWrite = mayWrite;
    this.#isCurrent = machine.isCurrent();
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
    if (!this.#isCurrent() || this.#isBusy || chunk === undefined) return;
    if (this.#machine.isPaused) {
      this.#machine.later(0, () => this.pump());
      return;
    }
    if (!this.#mayWrite(chunk.interval)) return;
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
    if (!isAcknowledged && !this.#givesUp()) {
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
    if (!isAcknowledged) this.carbon.givenUp.add(chunk.interval);
    chunk.settled(isAcknowledged);
    this.pump();
  }
}
