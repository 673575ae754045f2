/** One carbon's sink: chunks over one or several connections, acknowledged one by one, and a disk spool. */
import { isDeepStrictEqual } from "node:util";
import { Backoff } from "../../shared/backoff.ts";
import type { Clock, TimerHandle } from "../../shared/clock.ts";
import type { HostPort } from "../../shared/config-addresses.ts";
import { assert } from "../../shared/errors.ts";
import type { Random } from "../../shared/random.ts";
import type { RowBatch } from "../row.ts";
import { CarbonAttempt } from "./carbon-attempt.ts";
import { CarbonDatagrams } from "./carbon-datagrams.ts";
import type { CarbonDelivery } from "./carbon-delivery.ts";
import { CarbonLedger } from "./carbon-ledger.ts";
import { CarbonLines } from "./carbon-lines.ts";
import { CarbonPickle } from "./carbon-pickle.ts";
import { type CarbonEncoder, SLICE_BYTES } from "./carbon-rows.ts";
import { type CarbonSettings, carbonRemote, carbonSettings } from "./carbon-settings.ts";
import { BatchQueue, type Chunk } from "./queue.ts";
import type { Sink, SinkConfig, SinkContext, SinkStatus } from "./sink.ts";
import { Spill } from "./spool/spill.ts";

/** Longest pause between attempts while the process is waiting to end. */
const DRAIN_PAUSE_MS = 100;
/** The disk is looked after this often. */
const TICK_MS = 1000;

/** Someone who waits for an empty queue. */
interface Drain {
  readonly promise: Promise<boolean>;
  readonly resolve: (isDelivered: boolean) => void;
  readonly deadline: TimerHandle;
  /** Rows lost undelivered before it began. */
  readonly lostBefore: number;
}

/**
 * Delivers to one carbon. Idle, it has no connection; failing, it tries again for as long as rows may wait,
 * over one connection alone.
 */
export class CarbonSink implements Sink {
  readonly name: string;
  readonly sinkClass = "overwrite";
  readonly #sinkName: string;
  readonly #address: HostPort;
  #settings: CarbonSettings;
  readonly #clock: Clock;
  readonly #random: Random;
  #backoff: Backoff;
  readonly #ledger: CarbonLedger;
  readonly #queue: BatchQueue;
  readonly #spill: Spill | undefined;
  /** Memory for slices that no delivery uses. */
  readonly #slices: Buffer[] = [];
  readonly #deliveries = new Set<CarbonDelivery>();
  #isLoading = false;
  /** The next attempt, when one is due. */
  #pause: TimerHandle | undefined;
  /** Whether that one is put off by a failure. */
  #isBackingOff = false;
  #tick: TimerHandle | undefined;
  #drain: Drain | undefined;
  #isClosed = false;

  /**
   * name: as shown in status and log. sinkName: as in `sinks`. Throws on a port outside 1..65535, and
   * OperatorError where its spool cannot be had.
   */
  constructor(name: string, sinkName: string, address: HostPort, context: SinkContext) {
    assert(address.port >= 1 && address.port <= 65535, `carbon port ${address.port}`);
    const settings = carbonSettings(context.config, sinkName);
    assert(settings !== undefined, `no section for the sink ${sinkName}`);
    this.name = name;
    this.#sinkName = sinkName;
    this.#address = address;
    this.#settings = settings;
    this.#clock = context.clock;
    this.#random = context.random;
    this.#backoff = newBackoff(settings, context.random);
    this.#ledger = new CarbonLedger(name, context.log, context.clock);
    const lose = this.#ledger.lose.bind(this.#ledger);
    this.#queue = new BatchQueue(boundsOf(settings), context.clock, lose);
    if (settings.spoolDir === "") return;
    this.#spill = Spill.open(name, sinkName, address, settings, context, this.#queue, lose);
    this.#startTick();
    if (this.#spill.spool.rows > 0) this.#startIn(0);
  }

  accept(batch: RowBatch): void {
    if (batch.rowCount === 0) return;
    if (this.#isClosed) {
      this.#ledger.lose("shutdown", batch.rowCount);
      return;
    }
    if (this.#isEmpty) this.#spill?.progress();
    this.#queue.push(batch);
    this.#spill?.spillSome();
    // Not at once: batches handed over together may then share a connection.
    if (this.#pause === undefined && this.#deliveries.size < this.#connectionsNow) this.#startIn(0);
  }

  configure(config: SinkConfig): boolean {
    const settings = carbonSettings(config, this.#sinkName);
    const { address, spoolDir, protocol } = this.#settings;
    if (settings === undefined || settings.spoolDir !== spoolDir || settings.protocol !== protocol)
      return false;
    if (settings.format === "pickle" && protocol === "udp") return false;
    if (!isDeepStrictEqual(settings.address, address)) return false;
    this.#settings = settings;
    this.#backoff = newBackoff(settings, this.#random);
    this.#queue.resize(boundsOf(settings));
    this.#spill?.resize(config, settings);
    return true;
  }

  status(): SinkStatus {
    const ledger = this.#ledger;
    const spool = this.#spill?.spool;
    const isIdle = this.#isEmpty && this.#deliveries.size === 0;
    const nowMs = this.#clock.nowMs();
    const oldest = spool?.oldest;
    const spooledMs = oldest === undefined ? 0 : Math.max(0, nowMs - oldest.firstAcceptedMs);
    const timestamps = [this.#queue.oldest?.batch.timestampSec, oldest?.firstTimestampSec];
    const behindSec = timestamps.map((second) => (second === undefined ? 0 : nowMs / 1000 - second));
    return {
      name: this.name,
      state: ledger.isFailing ? "retrying" : isIdle ? "idle" : "sending",
      queuedBytes: this.#queue.bytes,
      queuedRows: this.#queue.rowCount,
      oldestMs: Math.max(this.#queue.oldestMs(), spooledMs),
      lagSec: Math.max(0, ...behindSec),
      ...(spool === undefined
        ? {}
        : { spooledRows: spool.rows, spooledBytes: spool.bytes, rowsRestored: spool.rowsRestored }),
      rowsSent: ledger.rowsSent,
      rowsRetried: ledger.rowsRetried,
      rowsLost: ledger.rowsLost,
      ...(ledger.lastSuccessMs === undefined ? {} : { lastSuccessMs: ledger.lastSuccessMs }),
      ...(ledger.lastError === undefined ? {} : { lastError: ledger.lastError }),
    };
  }

  drain(deadlineMs: number): Promise<boolean> {
    if (this.#drain !== undefined) return this.#drain.promise;
    if (this.#isEmpty || this.#isClosed) return Promise.resolve(true);
    let resolve: (isDelivered: boolean) => void = () => {};
    const promise = new Promise<boolean>((settle) => {
      resolve = settle;
    });
    const waitMs = Math.max(0, deadlineMs - this.#clock.monotonicMs());
    const deadline = this.#clock.setTimer(waitMs, () => this.close());
    this.#drain = { promise, resolve, deadline, lostBefore: this.#ledger.undelivered };
    this.#startIn(0);
    return promise;
  }

  /**
   * As of Sink; what is queued goes to the spool, where there is one, and only what that cannot take is
   * lost.
   */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#pause?.cancel();
    this.#tick?.cancel();
    for (const delivery of this.#deliveries) delivery.abort();
    this.#deliveries.clear();
    this.#spill?.close();
    this.#ledger.tellShutdown(this.#queue.rowCount);
    this.#queue.clear("shutdown");
    this.#endDrain();
  }

  /** Whether nothing waits for its delivery, in memory or on disk. */
  get #isEmpty(): boolean {
    return this.#queue.isEmpty && (this.#spill?.spool.rows ?? 0) === 0;
  }

  /** Deliveries that there may be at a time. */
  get #connectionsNow(): number {
    return this.#ledger.isFailing ? 1 : this.#settings.connections;
  }

  #startTick(): void {
    this.#tick = this.#clock.setTimer(TICK_MS, () => {
      this.#spill?.tick();
      if (!this.#isEmpty && this.#pause === undefined && this.#deliveries.size === 0) this.#startIn(0);
      this.#startTick();
    });
  }

  #startIn(delayMs: number): void {
    this.#pause?.cancel();
    this.#pause = this.#clock.setTimer(delayMs, () => {
      this.#pause = undefined;
      this.#isBackingOff = false;
      this.#start();
    });
  }

  /** Sends what waits, as many chunks at a time as there may be connections, or falls idle. */
  #start(): void {
    if (this.#isClosed) return;
    const spool = this.#spill?.spool;
    while (this.#deliveries.size < this.#connectionsNow) {
      const chunk = this.#queue.take(this.#settings.chunkBytes, spool?.hasUnread);
      if (chunk === undefined) break;
      this.#deliver(chunk);
    }
    this.#load();
    if (this.#isEmpty && this.#deliveries.size === 0) this.#endDrain();
  }

  /** Reads from the disk what the next chunks are made of. */
  #load(): void {
    const spill = this.#spill;
    if (spill === undefined || this.#isLoading || !spill.spool.hasUnread) return;
    const { chunkBytes, queueBytesMax } = this.#settings;
    const aheadBytes = Math.min(chunkBytes * this.#connectionsNow, queueBytesMax);
    const wantedBytes = aheadBytes - this.#queue.restoredBytes;
    if (wantedBytes <= 0) return;
    this.#isLoading = true;
    void spill.load(wantedBytes).then((isLoaded) => {
      this.#isLoading = false;
      // Where the disk cannot be read, the next tick tries again. All that was read may have been too old.
      if ((isLoaded || !spill.spool.hasUnread) && this.#pause === undefined) this.#start();
    });
  }

  #deliver(chunk: Chunk): void {
    if (chunk.isRepeat) this.#ledger.rowsRetried += chunk.rowCount;
    const settings = this.#settings;
    const remote = carbonRemote(settings, this.#address);
    const encoder: CarbonEncoder =
      settings.format === "pickle" ? new CarbonPickle(chunk.batches) : new CarbonLines(chunk.batches);
    const slice = this.#slices.pop() ?? Buffer.allocUnsafeSlow(SLICE_BYTES);
    const report = (fault: string | undefined): void => {
      this.#deliveries.delete(delivery);
      this.#slices.push(slice);
      if (fault === undefined) this.#succeed(chunk, encoder);
      else this.#fail(chunk, fault);
    };
    const delivery: CarbonDelivery =
      settings.protocol === "udp"
        ? new CarbonDatagrams(remote, settings.packetBytes, settings, encoder, slice, this.#clock, report)
        : new CarbonAttempt(remote, settings, encoder, slice, this.#clock, report);
    this.#deliveries.add(delivery);
  }

  #succeed(chunk: Chunk, encoder: CarbonEncoder): void {
    this.#queue.settle(chunk);
    this.#ledger.succeed(encoder.tally, encoder.refusedName);
    this.#backoff.reset();
    this.#spill?.progress();
    if (this.#isBackingOff) {
      this.#isBackingOff = false;
      this.#pause?.cancel();
      this.#pause = undefined;
    }
    this.#start();
  }

  #fail(chunk: Chunk, fault: string): void {
    this.#queue.giveBack(chunk);
    // Of several connections that fail together, one pause is enough.
    const pauseMs = this.#isBackingOff ? 0 : this.#backoff.next();
    const retryInMs = Math.round(this.#drain === undefined ? pauseMs : Math.min(pauseMs, DRAIN_PAUSE_MS));
    const { host, port } = this.#address;
    this.#ledger.fail(fault, { host, port, rows: chunk.rowCount, retryInMs });
    this.#spill?.spillSome();
    if (this.#isBackingOff) return;
    this.#isBackingOff = true;
    this.#startIn(retryInMs);
  }

  #endDrain(): void {
    const drain = this.#drain;
    if (drain === undefined) return;
    this.#drain = undefined;
    drain.deadline.cancel();
    drain.resolve(this.#ledger.undelivered === drain.lostBefore);
  }
}

function newBackoff(settings: CarbonSettings, random: Random): Backoff {
  const { retryDelayMs: delayMs, retryDelayMultiplier: multiplier, retryDelayMaxMs: delayMaxMs } = settings;
  return new Backoff({ delayMs, multiplier, delayMaxMs }, random);
}

function boundsOf({ queueBytesMax, queueAgeMs }: CarbonSettings): { bytesMax: number; ageMs: number } {
  return { bytesMax: queueBytesMax, ageMs: queueAgeMs };
}
