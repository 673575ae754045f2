/** A clock whose hands are turned by the test. */
import type { Clock, TimerHandle } from "../../shared/clock.ts";

/** Starts at the given wall time and at 0 on the monotonic clock; nothing fires but in `advance`. */
export class ManualClock implements Clock {
  readonly #startedMs: number;
  readonly #timers = new Set<{ dueMs: number; fire: () => void }>();
  #elapsedMs = 0;

  constructor(startedMs = 1_700_000_000_000) {
    this.#startedMs = startedMs;
  }

  nowMs(): number {
    return this.#startedMs + this.#elapsedMs;
  }

  monotonicMs(): number {
    return this.#elapsedMs;
  }

  setTimer(delayMs: number, fire: () => void): TimerHandle {
    const timer = { dueMs: this.#elapsedMs + Math.max(0, delayMs), fire };
    this.#timers.add(timer);
    return { cancel: () => this.#timers.delete(timer) };
  }

  /** Lets time pass; timers fire in the order in which they are due, also those set meanwhile. */
  advance(byMs: number): void {
    const untilMs = this.#elapsedMs + byMs;
    for (;;) {
      const due = [...this.#timers].filter((timer) => timer.dueMs <= untilMs);
      const next = due.sort((left, right) => left.dueMs - right.dueMs)[0];
      if (next === undefined) break;
      this.#timers.delete(next);
      this.#elapsedMs = Math.max(this.#elapsedMs, next.dueMs);
      next.fire();
    }
    this.#elapsedMs = untilMs;
  }
}
