/** One carbon's sink: chunks over one or several connections, acknowledged one by one, and a disk spool. */
import { isDeepStrictEqual } from "node:util";
import type { Backoff } from "../../shared/backoff.ts";
import type { Clock, TimerHandle } from "../../shared/clock.ts";
import type { HostPort } from "../../shared/config-addresses.ts";
import { assert } from "../../shared/errors.ts";
import type { Random } from "../../shared/random.ts";
import type { RowBatch } from "../row.ts";
import { CarbonAttempt } from "./carbon-attempt.ts";
import { CarbonDatagrams } from "./carbon-datagrams.ts";
import { type CarbonDelivery, FENCED } from "./carbon-delivery.ts";
import { CarbonLedger } from "./carbon-ledger.ts";
import { CarbonLines } from "./carbon-lines.ts";
import { CarbonPickle } from "./carbon-pickle.ts";
import { type CarbonEncoder, SLICE_BYTES } from "./carbon-rows.ts";
import { backoffOf, boundsOf, type CarbonSettings, carbonRemote, carbonSettings } from "./carbon-settings.ts";
import { Drain } from "./drain.ts";
import { BatchQueue, type Chunk } from "./queue.ts";
import type { DoubtPolicy, SinkClass } from "./repetition.ts";
import type { Sink, SinkConfig, SinkContext, SinkStatus } from "./sink.ts";
import { Spill } from "./spool/spill.ts";
import { FENCE_LOOK_MS, type WriteFence } from "./write-fence.ts";

/** Longest pause between attempts while the process is waiting to end. */
const DRAIN_PAUSE_MS = 100;
/** The disk is looked after this often. */
const TICK_MS = 1000;

/**
 * Delivers to one carbon. Idle, it has no connection; failing, it tries again for as long as rows may wait,
 * over one connection alone.
 */
export class CarbonSink implements Sink {
  readonly name: string;
  readonly #sinkName: string;
  readonly #address: HostPort;
  #settings: CarbonSettings;
  readonly #clock: Clock;
  readonly #fence: WriteFence | undefined;
  readonly #random: Random;
  #backoff: Backoff;
  readonly #ledger: CarbonLedger;
  readonly #queue: BatchQueue;
  readonly #spill: Spill | undefined;
  /** Memory for slices that no delivery uses. */
  readonly #slices: Buffer[] = [];
  readonly #deliveries = new Map<CarbonDelivery, Chunk>();
  #isLoading = false;
  /** The next attempt, when one is due. */
  #pause: TimerHandle | undefined;
  /** Whether that one is put off by a failure. */
  #isBackingOff = false;
  /** The next look at the fence, while rows wait at it. */
  #look: TimerHandle | undefined;
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
    this.#fence = context.fence;
    this.#random = context.random;
    this.#backoff = backoffOf(settings, context.random);
    this.#ledger = new CarbonLedger(name, context.log, context.clock);
    const lose = this.#ledger.lose.bind(this.#ledger);
    this.#queue = new BatchQueue(boundsOf(settings), context.clock, lose);
    if (settings.spoolDir === "") return;
    this.#spill = Spill.open(name, sinkName, address, settings, context, this.#queue, lose);
    this.#startTick();
    if (this.#spill.spool.rows > 0) this.#startIn(0);
  }

  get sinkClass(): SinkClass {
    return this.#settings.sinkClass ?? "overwrite";
  }

  get onDoubt(): DoubtPolicy {
    return this.#settings.onDoubt ?? "skip";
  }

  accept(batch: RowBatch): void {
    if (batch.rowCount === 0 || this.#isClosed) {
      // Of an empty one nothing can be lost.
      this.#ledger.lose("shutdown", batch.rowCount);
      batch.receipt?.settle(batch.rowCount === 0);
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
    this.#backoff = backoffOf(settings, this.#random);
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
      state: ledger.isFailing ? "retrying" : this.#isFenced ? "fenced" : isIdle ? "idle" : "sending",
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
      ...(this.#fence === undefined ? {} : { rowsHandedOver: ledger.rowsHandedOver }),
      ...(ledger.lastSuccessMs === undefined ? {} : { lastSuccessMs: ledger.lastSuccessMs }),
      ...(ledger.lastError === undefined ? {} : { lastError: ledger.lastError }),
    };
  }

  revoke(): void {
    for (const [delivery, chunk] of this.#deliveries) this.#revoke(delivery, chunk);
    this.resume();
  }

  resume(): void {
    if (this.#pause === undefined) this.#start();
  }

  handOver(isTheirs: (interval: number) => boolean): number {
    if (this.#isClosed) return 0;
    for (const [delivery, chunk] of this.#deliveries) {
      if (isTheirs(chunk.batches[0]!.interval)) this.#revoke(delivery, chunk);
    }
    const rows = (this.#spill?.handOver(isTheirs) ?? 0) + this.#queue.handOver(isTheirs);
    this.#ledger.rowsHandedOver += rows;
    this.resume();
    return rows;
  }

  drain(deadlineMs: number): Promise<boolean> {
    if (this.#drain !== undefined) return this.#drain.promise;
    if (this.#isEmpty || this.#isClosed) return Promise.resolve(true);
    const drain = new Drain(deadlineMs, this.#clock, this.#ledger.undelivered, () => this.close());
    this.#drain = drain;
    this.#startIn(0);
    return drain.promise;
  }

  /**
   * As of Sink; what is queued goes to the spool, where there is one, and only what that cannot take is
   * lost.
   */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const timer of [this.#pause, this.#tick, this.#look]) timer?.cancel();
    for (const delivery of this.#deliveries.keys()) delivery.abort();
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

  /** Whether rows wait for the fence to open, and nothing else is to be done. */
  get #isFenced(): boolean {
    return this.#look !== undefined && this.#deliveries.size === 0;
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
      const chunk = this.#queue.take(this.#settings.chunkBytes, spool?.hasUnread, this.#fence);
      if (chunk === undefined) break;
      this.#deliver(chunk);
    }
    this.#load();
    this.#lookLater();
    if (this.#isEmpty && this.#deliveries.size === 0) this.#endDrain();
  }

  #lookLater(): void {
    this.#look?.cancel();
    this.#look = undefined;
    if (this.#fence === undefined || !this.#queue.isHeldBack(this.#fence)) return;
    this.#look = this.#clock.setTimer(FENCE_LOOK_MS, () => {
      this.#look = undefined;
      this.resume();
    });
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
      if (fault === FENCED) this.#queue.giveBack(chunk);
      if (fault === FENCED) this.#start();
      else if (fault === undefined) this.#succeed(chunk, encoder);
      else this.#fail(chunk, fault);
    };
    const { interval } = chunk.batches[0]!;
    const mayWrite = (): boolean => this.#fence?.mayWrite(interval) !== false;
    const delivery: CarbonDelivery =
      settings.protocol === "udp"
        ? new CarbonDatagrams(
            remote,
            settings.packetBytes,
            settings,
            encoder,
            slice,
            this.#clock,
            report,
            mayWrite,
          )
        : new CarbonAttempt(remote, settings, encoder, slice, this.#clock, report, mayWrite);
    this.#deliveries.set(delivery, chunk);
  }

  /** Its slice is not used again: the system may still read it. */
  #revoke(delivery: CarbonDelivery, chunk: Chunk): void {
    delivery.revoke();
    this.#deliveries.delete(delivery);
    this.#queue.giveBack(chunk);
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
    this.#drain?.end(this.#ledger.undelivered);
    this.#drain = undefined;
  }
}
