/** Faults of a spool's disk: it is left alone for a moment after each, and they are told of now and then. */
import type { Clock } from "../../../shared/clock.ts";
import type { SinkLog } from "../sink.ts";

/** A disk that failed is left alone for so long. */
const PAUSE_MS = 1000;
/** Faults are told of at most this often: a full disk has one a second. */
const TELL_MS = 60_000;

export class DiskFaults {
  readonly #sink: string;
  readonly #folder: string;
  readonly #log: SinkLog;
  readonly #clock: Clock;
  #nextTryMs = Number.NEGATIVE_INFINITY;
  #toldMs = Number.NEGATIVE_INFINITY;

  /** sink: its name, for the log. */
  constructor(sink: string, folder: string, log: SinkLog, clock: Clock) {
    this.#sink = sink;
    this.#folder = folder;
    this.#log = log;
    this.#clock = clock;
  }

  /** Whether the disk is to be left alone. */
  get isPausing(): boolean {
    return this.#clock.monotonicMs() < this.#nextTryMs;
  }

  /** The disk has failed. error: what the file system says. */
  add(error: unknown): void {
    const nowMs = this.#clock.monotonicMs();
    this.#nextTryMs = nowMs + PAUSE_MS;
    if (nowMs - this.#toldMs < TELL_MS) return;
    this.#toldMs = nowMs;
    this.#log.error("sink.spool_failed", { sink: this.#sink, folder: this.#folder, error });
  }
}
