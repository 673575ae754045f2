/** Someone who waits until a sink has delivered everything. */
import type { Clock, TimerHandle } from "../../shared/clock.ts";

export class Drain {
  /** Resolves to whether nothing was lost meanwhile. */
  readonly promise: Promise<boolean>;
  #resolve: (isDelivered: boolean) => void = () => {};
  readonly #lostBefore: number;
  readonly #deadline: TimerHandle;

  /**
   * deadlineMs: a moment of the monotonic clock, at which onDeadline is called unless it has ended.
   * lostBefore: rows (and events) lost so far.
   */
  constructor(deadlineMs: number, clock: Clock, lostBefore: number, onDeadline: () => void) {
    this.#lostBefore = lostBefore;
    this.promise = new Promise<boolean>((resolve) => {
      this.#resolve = resolve;
    });
    this.#deadline = clock.setTimer(Math.max(0, deadlineMs - clock.monotonicMs()), onDeadline);
  }

  /** lost: rows (and events) lost by now. */
  end(lost: number): void {
    this.#deadline.cancel();
    this.#resolve(lost === this.#lostBefore);
  }
}
