/** Raises an alarm when no interval is flushed, by this node or another one, although time passes. */
import { type Clock, systemClock, type TimerHandle } from "../shared/clock.ts";
import type { SuiteConfig } from "../shared/config.ts";
import type { Counters } from "../shared/counters.ts";
import type { Log } from "../shared/log.ts";
import { flushWaitMs } from "./cluster-standing.ts";
import type { StoreCounter } from "./counters.ts";

export interface WatchdogOptions {
  readonly intervalMs: number;
  /** Intervals without a flush that raise the alarm; 0 for none. */
  readonly intervalsMax: number;
  /** Time that each flush waits for late lines, or for other nodes. */
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
  #through = Number.NEGATIVE_INFINITY;
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

  /** The newest interval that any node of a cluster has delivered. Older ones than before say nothing. */
  delivered(interval: number): void {
    if (interval <= this.#through) return;
    this.#through = interval;
    this.flushed();
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

/** Begins to look after an aggregator, by its configuration; an alarm is counted and logged. */
export function openWatchdog(
  config: SuiteConfig,
  counters: Counters<StoreCounter>,
  log: Pick<Log, "error">,
): Watchdog {
  const { intervalMs, watchdogIntervals } = config.aggregator;
  const alarm = (silentMs: number): void => {
    counters.add("watchdogAlarms", 1);
    log.error("aggregator.flush_missing", { silentMs: Math.round(silentMs), intervalMs });
  };
  // An agent flushes nothing.
  const intervalsMax = config.cluster.mode === "agent" ? 0 : watchdogIntervals;
  return new Watchdog({
    intervalMs,
    intervalsMax,
    lateWindowMs: flushWaitMs(config),
    clock: systemClock,
    alarm,
  });
}
