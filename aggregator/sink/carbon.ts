/** The carbon sink: plaintext over TCP, acknowledged chunk by chunk. Each address is a sink of its own. */
import { Backoff } from "../../shared/backoff.ts";
import type { Clock, TimerHandle } from "../../shared/clock.ts";
import { assert } from "../../shared/errors.ts";
import type { RowBatch } from "../row.ts";
import { CarbonAttempt } from "./carbon-attempt.ts";
import { CarbonLines, SLICE_BYTES } from "./carbon-lines.ts";
import { BatchQueue, type Chunk, newLosses, type SinkLossReason } from "./queue.ts";
import type { Sink, SinkContext, SinkLog, SinkStatus } from "./sink.ts";

/** Where a carbon listens: a name or address literal, and its port. */
export interface CarbonAddress {
  readonly host: string;
  readonly port: number;
}

/** The `[carbon]` section. No address, no sink. */
export interface CarbonConfig {
  readonly address: readonly CarbonAddress[];
  readonly connectTimeoutMs: number;
  readonly writeTimeoutMs: number;
  readonly ackTimeoutMs: number;
  /** First pause after a failure; each further one is longer by the multiplier, up to the maximum. */
  readonly retryDelayMs: number;
  readonly retryDelayMultiplier: number;
  readonly retryDelayMaxMs: number;
  readonly queueBytesMax: number;
  readonly queueAgeMs: number;
  /** Bytes of rows that are sent over one connection, when several batches of a flush are waiting. */
  readonly chunkBytes: number;
}

/** Makes a sink for each configured address. */
export function createCarbonSinks(context: SinkContext): Sink[] {
  const { address } = context.config.carbon;
  return address.map((one) => {
    const host = one.host.includes(":") ? `[${one.host}]` : one.host;
    return new CarbonSink(address.length === 1 ? "carbon" : `carbon[${host}:${one.port}]`, one, context);
  });
}

/** Longest pause between attempts while the process is waiting to end. */
const DRAIN_PAUSE_MS = 100;
/** A refused name is shown at most this often. */
const REFUSED_LOG_MS = 1000;
/** Losses are reported at most this often, with their totals. */
const LOSS_LOG_MS = 60_000;

/** Someone who waits for an empty queue. */
interface Drain {
  readonly promise: Promise<boolean>;
  readonly resolve: (isDelivered: boolean) => void;
  readonly deadline: TimerHandle;
  /** Rows lost undelivered before it began. */
  readonly lostBefore: number;
}

/**
 * Delivers to one carbon. Idle, it has no connection; failing, it tries again for as long as rows may wait.
 */
export class CarbonSink implements Sink {
  readonly name: string;
  readonly sinkClass = "overwrite";
  readonly #address: CarbonAddress;
  readonly #config: CarbonConfig;
  readonly #log: SinkLog;
  readonly #clock: Clock;
  readonly #backoff: Backoff;
  readonly #queue: BatchQueue;
  readonly #slice = Buffer.allocUnsafeSlow(SLICE_BYTES);
  readonly #rowsLost = newLosses();
  #rowsSent = 0;
  #rowsRetried = 0;
  #lastSuccessMs: number | undefined;
  #lastError: string | undefined;
  /** Since when attempts fail, on the monotonic clock. */
  #failingSinceMs: number | undefined;
  #refusedLoggedMs = Number.NEGATIVE_INFINITY;
  #lossLoggedMs = Number.NEGATIVE_INFINITY;
  #attempt: CarbonAttempt | undefined;
  /** The next attempt, when one is due. */
  #pause: TimerHandle | undefined;
  #drain: Drain | undefined;
  #isClosed = false;

  /** name: as shown in status and log. Throws on a port outside 1..65535. */
  constructor(name: string, address: CarbonAddress, context: SinkContext) {
    assert(address.port >= 1 && address.port <= 65535, `carbon port ${address.port}`);
    const config = context.config.carbon;
    this.name = name;
    this.#address = address;
    this.#config = config;
    this.#log = context.log;
    this.#clock = context.clock;
    const { retryDelayMs: delayMs, retryDelayMultiplier: multiplier, retryDelayMaxMs: delayMaxMs } = config;
    this.#backoff = new Backoff({ delayMs, multiplier, delayMaxMs }, context.random);
    const bounds = { bytesMax: config.queueBytesMax, ageMs: config.queueAgeMs };
    this.#queue = new BatchQueue(bounds, context.clock, (reason, rowCount) => this.#lose(reason, rowCount));
  }

  accept(batch: RowBatch): void {
    if (batch.rowCount === 0) return;
    if (this.#isClosed) {
      this.#rowsLost.shutdown += batch.rowCount;
      return;
    }
    this.#queue.push(batch);
    // Not at once: batches handed over together may then share a connection.
    if (this.#attempt === undefined && this.#pause === undefined) this.#startIn(0);
  }

  status(): SinkStatus {
    const isIdle = this.#queue.isEmpty && this.#attempt === undefined;
    return {
      name: this.name,
      state: this.#failingSinceMs !== undefined ? "retrying" : isIdle ? "idle" : "sending",
      queuedBytes: this.#queue.bytes,
      queuedRows: this.#queue.rowCount,
      oldestMs: this.#queue.oldestMs(),
      rowsSent: this.#rowsSent,
      rowsRetried: this.#rowsRetried,
      rowsLost: { ...this.#rowsLost },
      ...(this.#lastSuccessMs === undefined ? {} : { lastSuccessMs: this.#lastSuccessMs }),
      ...(this.#lastError === undefined ? {} : { lastError: this.#lastError }),
    };
  }

  drain(deadlineMs: number): Promise<boolean> {
    if (this.#drain !== undefined) return this.#drain.promise;
    if (this.#queue.isEmpty) return Promise.resolve(true);
    let resolve: (isDelivered: boolean) => void = () => {};
    const promise = new Promise<boolean>((settle) => {
      resolve = settle;
    });
    const waitMs = Math.max(0, deadlineMs - this.#clock.monotonicMs());
    const deadline = this.#clock.setTimer(waitMs, () => this.close());
    this.#drain = { promise, resolve, deadline, lostBefore: this.#undelivered() };
    if (this.#attempt === undefined) this.#startIn(0);
    return promise;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#pause?.cancel();
    this.#pause = undefined;
    this.#attempt?.abort();
    this.#attempt = undefined;
    const rows = this.#queue.rowCount;
    if (rows > 0) this.#log.error("sink.rows_lost", { sink: this.name, reason: "shutdown", rows });
    this.#queue.clear("shutdown");
    this.#endDrain();
  }

  #startIn(delayMs: number): void {
    this.#pause?.cancel();
    this.#pause = this.#clock.setTimer(delayMs, () => {
      this.#pause = undefined;
      this.#start();
    });
  }

  /** Sends the next chunk, or falls idle. */
  #start(): void {
    const chunk = this.#queue.take(this.#config.chunkBytes);
    if (chunk === undefined) {
      this.#endDrain();
      return;
    }
    if (chunk.isRepeat) this.#rowsRetried += chunk.rowCount;
    const lines = new CarbonLines(chunk.batches);
    const options = { ...this.#config, ...this.#address };
    this.#attempt = new CarbonAttempt(options, lines, this.#slice, this.#clock, (fault) => {
      this.#attempt = undefined;
      if (fault === undefined) this.#succeed(lines);
      else this.#fail(fault, chunk);
    });
  }

  #succeed(lines: CarbonLines): void {
    const { written, invalidName, notFinite } = lines.tally;
    this.#queue.settle();
    this.#rowsSent += written;
    this.#rowsLost.invalid_name += invalidName;
    this.#rowsLost.not_finite += notFinite;
    this.#lastSuccessMs = this.#clock.nowMs();
    if (lines.refusedName !== undefined) this.#showRefused(lines.refusedName, invalidName);
    this.#recover();
    this.#start();
  }

  #fail(fault: string, chunk: Chunk): void {
    this.#queue.giveBack();
    this.#lastError = fault;
    const pauseMs = this.#backoff.next();
    const retryInMs = Math.round(this.#drain === undefined ? pauseMs : Math.min(pauseMs, DRAIN_PAUSE_MS));
    if (this.#failingSinceMs === undefined) {
      this.#failingSinceMs = this.#clock.monotonicMs();
      const { host, port } = this.#address;
      this.#log.warn("sink.failed", { sink: this.name, host, port, fault, rows: chunk.rowCount, retryInMs });
    }
    this.#startIn(retryInMs);
  }

  #recover(): void {
    this.#backoff.reset();
    if (this.#failingSinceMs === undefined) return;
    const failedForMs = Math.round(this.#clock.monotonicMs() - this.#failingSinceMs);
    this.#failingSinceMs = undefined;
    this.#log.info("sink.recovered", { sink: this.name, failedForMs, queuedRows: this.#queue.rowCount });
  }

  /** Counts rows that the queue gave up. */
  #lose(reason: SinkLossReason, rowCount: number): void {
    this.#rowsLost[reason] += rowCount;
    if (reason === "shutdown") return;
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#lossLoggedMs < LOSS_LOG_MS) return;
    this.#lossLoggedMs = nowMs;
    this.#log.error("sink.rows_lost", { sink: this.name, reason, rowsLost: { ...this.#rowsLost } });
  }

  #showRefused(name: string, rowCount: number): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#refusedLoggedMs < REFUSED_LOG_MS) return;
    this.#refusedLoggedMs = nowMs;
    // Escaped, so that nothing in it can act on a terminal or on what reads the log.
    const shown = name.replace(/[^!-~]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, "0")}`);
    this.#log.warn("sink.name_refused", { sink: this.name, name: shown, rows: rowCount });
  }

  /** Rows lost that should have been delivered. */
  #undelivered(): number {
    const { queue_full, too_old, too_large, shutdown } = this.#rowsLost;
    return queue_full + too_old + too_large + shutdown;
  }

  #endDrain(): void {
    const drain = this.#drain;
    if (drain === undefined) return;
    this.#drain = undefined;
    drain.deadline.cancel();
    drain.resolve(this.#undelivered() === drain.lostBefore);
  }
}
