/** Raises an alarm when no interval is flushed although time passes. */
import type { Clock, TimerHandle } from "../shared/clock.ts";

export interface WatchdogOptions {
  readonly intervalMs: number;
  /** Intervals without a flush that raise the alarm; 0 for none. */
  readonly intervalsMax: number;
  /** Time that each flush waits for late lines. */
  readonly lateWindowMs: number;
  readonly clock: Clock;
  /** Called once for each stretch without a flush. silentMs: since the last one, or the start. */
  readonly alarm: (silentMs: number) => void;
}

/** Looks a few times in an interval, so that the alarm is not late. */
const LOOKS_OF_INTERVAL = 4;

/**
 * Looks after the store from another thread: a store that hangs could not tell of it. Told of each flush; the
 * time is that of the monotonic clock, so a step of the wall clock means nothing.
 */
export class Watchdog {
  readonly #options: WatchdogOptions;
  #flushedMs: number;
  #isAlarmed = false;
  #timer: TimerHandle | undefined;

  constructor(options: WatchdogOptions) {
    this.#options = options;
    this.#flushedMs = options.clock.monotonicMs();
    if (options.intervalsMax > 0) this.#schedule();
  }

  /** An interval was flushed. */
  flushed(): void {
    this.#flushedMs = this.#options.clock.monotonicMs();
    this.#isAlarmed = false;
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Whether the present stretch without a flush has raised the alarm. */
  get isAlarmed(): boolean {
    return this.#isAlarmed;
  }

  #schedule(): void {
    const { clock, intervalMs } = this.#options;
    this.#timer = clock.setTimer(intervalMs / LOOKS_OF_INTERVAL, () => {
      this.#look();
      this.#schedule();
    });
  }

  #look(): void {
    const { clock, intervalMs, intervalsMax, lateWindowMs, alarm } = this.#options;
    const silentMs = clock.monotonicMs() - this.#flushedMs;
    // A flush comes an interval after the one before it; the first one also waits for its late lines.
    if (this.#isAlarmed || silentMs <= (intervalsMax + 1) * intervalMs + lateWindowMs) return;
    this.#isAlarmed = true;
    alarm(silentMs);
  }
}
