/** What a carbon sink has done, in numbers, and what it says of it in the log, a little at a time. */
import type { Clock } from "../../shared/clock.ts";
import type { RowTally } from "./carbon-rows.ts";
import { newLosses, type SinkLosses, type SinkLossReason } from "./queue.ts";
import type { SinkLog } from "./sink.ts";

/** A failure, and a refused name, are told of at most this often; the counts carry the rest. */
const TELL_MS = 1000;
/** Losses are reported at most this often, with their totals. */
const LOSS_LOG_MS = 60_000;

/** Counts are since the sink's start. */
export class CarbonLedger {
  readonly #sink: string;
  readonly #log: SinkLog;
  readonly #clock: Clock;
  readonly #rowsLost = newLosses();
  rowsSent = 0;
  rowsRetried = 0;
  rowsHandedOver = 0;
  /** Wall clock of the last success. */
  lastSuccessMs: number | undefined;
  lastError: string | undefined;
  /** Since when attempts fail, on the monotonic clock. */
  #failingSinceMs: number | undefined;
  /** Whether the log knows that it fails. */
  #isTold = false;
  /** Failures after a success that were not told of. */
  #untoldFailures = 0;
  #failureToldMs = Number.NEGATIVE_INFINITY;
  #refusedToldMs = Number.NEGATIVE_INFINITY;
  #lossToldMs = Number.NEGATIVE_INFINITY;

  /** sink: its name, as shown in the log. */
  constructor(sink: string, log: SinkLog, clock: Clock) {
    this.#sink = sink;
    this.#log = log;
    this.#clock = clock;
  }

  get isFailing(): boolean {
    return this.#failingSinceMs !== undefined;
  }

  get rowsLost(): SinkLosses {
    return { ...this.#rowsLost };
  }

  /** Rows lost that should have been delivered. */
  get undelivered(): number {
    const { invalid_name: _name, not_finite: _value, ...others } = this.#rowsLost;
    return Object.values(others).reduce((sum, rows) => sum + rows, 0);
  }

  /** A chunk was delivered. refusedName: as of CarbonEncoder. */
  succeed(tally: Readonly<RowTally>, refusedName: string | undefined): void {
    this.rowsSent += tally.written;
    this.#rowsLost.invalid_name += tally.invalidName;
    this.#rowsLost.not_finite += tally.notFinite;
    this.lastSuccessMs = this.#clock.nowMs();
    if (refusedName !== undefined) this.#tellRefused(refusedName, tally.invalidName);
    if (this.#failingSinceMs === undefined) return;
    const failedForMs = Math.round(this.#clock.monotonicMs() - this.#failingSinceMs);
    this.#failingSinceMs = undefined;
    if (this.#isTold) this.#log.info("sink.recovered", { sink: this.#sink, failedForMs });
    this.#isTold = false;
  }

  /** An attempt failed. fields: what else the log shall show. */
  fail(fault: string, fields: object): void {
    this.lastError = fault;
    const nowMs = this.#clock.monotonicMs();
    if (this.#isTold) return;
    if (this.#failingSinceMs === undefined) this.#untoldFailures++;
    this.#failingSinceMs ??= nowMs;
    if (nowMs - this.#failureToldMs < TELL_MS) return;
    // This one is told of, and is none of those that were not.
    const failuresBefore = this.#untoldFailures - 1;
    this.#log.warn("sink.failed", {
      sink: this.#sink,
      fault,
      ...fields,
      ...(failuresBefore > 0 ? { failuresBefore } : {}),
    });
    this.#failureToldMs = nowMs;
    this.#isTold = true;
    this.#untoldFailures = 0;
  }

  /** Rows were given up. */
  lose(reason: SinkLossReason, rowCount: number): void {
    this.#rowsLost[reason] += rowCount;
    if (reason === "shutdown") return;
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#lossToldMs < LOSS_LOG_MS) return;
    this.#lossToldMs = nowMs;
    this.#log.error("sink.rows_lost", { sink: this.#sink, reason, rowsLost: this.rowsLost });
  }

  /** Rows were left when the process had to end. */
  tellShutdown(rows: number): void {
    if (rows > 0) this.#log.error("sink.rows_lost", { sink: this.#sink, reason: "shutdown", rows });
  }

  #tellRefused(name: string, rows: number): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#refusedToldMs < TELL_MS) return;
    this.#refusedToldMs = nowMs;
    // Escaped, so that nothing in it can act on a terminal or on what reads the log.
    const shown = name.replace(/[^!-~]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, "0")}`);
    this.#log.warn("sink.name_refused", { sink: this.#sink, name: shown, rows });
  }
}
