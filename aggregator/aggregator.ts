/**
 * The aggregator's control thread: starts the store and the intakes, has the sinks and the management
 * pages, and stops everything in the order in which data flows.
 */
import { randomBytes } from "node:crypto";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { systemClock } from "../shared/clock.ts";
import type { SuiteConfig } from "../shared/config.ts";
import { Counters } from "../shared/counters.ts";
import { type HttpServer, startHttp } from "../shared/http.ts";
import { resolveListen } from "../shared/listen.ts";
import { type Log, rateLimited } from "../shared/log.ts";
import { systemRandom } from "../shared/random.ts";
import { describeAddress } from "../shared/sockaddr.ts";
import { CONTROL_DRAIN, chooseIo, type ListenAddress } from "../shared/udp.ts";
import { type StartedWorker, startWorker } from "../shared/worker.ts";
import { INTAKE_COUNTERS, STORE_COUNTERS } from "./counters.ts";
import { OwnStats } from "./own-stats.ts";
import type { ReceiverData, ReceiverInfo, ReceiverStart } from "./receiver.ts";
import { aggregatorRoutes } from "./routes.ts";
import { openSinks, type Sink } from "./sink/sink.ts";
import { type FromStore, SELF_ORIGIN, type StoreThreadData, type ToStore } from "./store-thread.ts";
import { type NamedIntake, readTotals, SELF_INTAKE, type Totals } from "./totals.ts";

export interface AggregatorOptions {
  readonly version: string;
  /** Called when a thread has ended that should not have: the process must end too. */
  readonly onFailure: (error: Error) => void;
}

export class Aggregator {
  readonly #config: SuiteConfig;
  readonly #log: Log;
  readonly #options: AggregatorOptions;
  readonly #sinks: Sink[];
  readonly #intakes: NamedIntake[] = [];
  readonly #storeCounters = new Counters(STORE_COUNTERS);
  readonly #selfCounters = new Counters(INTAKE_COUNTERS);
  readonly #control = new SharedArrayBuffer(4);
  readonly #receivers: StartedWorker<ReceiverInfo>[] = [];
  readonly #node = randomBytes(8).readBigUInt64LE();
  readonly #incarnation = BigInt(Date.now());
  readonly #ownStats: OwnStats;
  readonly #finished: Promise<void>;
  #markFinished: () => void = () => {};
  #io: "mmsg" | "dgram" = "dgram";
  #store: StartedWorker<object> | undefined;
  #http: HttpServer | undefined;
  #statsTimer: NodeJS.Timeout | undefined;
  #isReady = false;
  #isStopping = false;

  constructor(config: SuiteConfig, log: Log, options: AggregatorOptions) {
    this.#config = config;
    this.#log = log;
    this.#options = options;
    this.#sinks = openSinks(config.aggregator.sinks, {
      config,
      ownPrefixes: [`${config.aggregator.statsPrefix}.`, `${config.relay.prefix}.statsProcessed`],
      log,
      clock: systemClock,
      random: systemRandom,
    });
    this.#ownStats = new OwnStats(config.aggregator.statsPrefix, Date.now());
    this.#finished = new Promise((resolve) => {
      this.#markFinished = resolve;
    });
  }

  /** Addresses as bound, as they are written in the configuration. */
  get listen(): string[] {
    return this.#receivers.map(({ info }) => describeAddress(info.address));
  }

  /** Port of the management pages as bound, undefined where there are none. */
  get managementPort(): number | undefined {
    return this.#http?.port;
  }

  /** How datagrams come in: the implementation, threads and the receive buffer that the system granted. */
  get intake(): { io: string; threads: number; receiveBufferBytes: number } {
    const receiveBufferBytes = Math.min(...this.#receivers.map(({ info }) => info.receiveBufferBytes));
    return { io: this.#io, threads: this.#receivers.length, receiveBufferBytes };
  }

  totals(): Totals {
    const self = { name: SELF_INTAKE, counters: this.#selfCounters };
    return readTotals([...this.#intakes, self], this.#storeCounters, this.#sinks);
  }

  /** Opens everything. Throws OperatorError when something cannot be had, with nothing left open. */
  async start(): Promise<void> {
    try {
      this.#io = await chooseIo(this.#config.aggregator.io);
      await this.#startStore();
      for (const address of this.#config.aggregator.listen) await this.#startReceivers(address);
      await this.#startHttp();
    } catch (error) {
      this.#abandon();
      throw error;
    }
    this.#startStats();
    this.#isReady = true;
  }

  async #startStore(): Promise<void> {
    const { aggregator, aggregation, naming, cluster } = this.#config;
    const { counter, gauge, timer, set } = aggregation;
    const data: StoreThreadData = {
      store: {
        intervalMs: aggregator.intervalMs,
        seriesMax: aggregator.seriesMax,
        memoryBytesMax: aggregator.memoryBytesMax,
        aggregates: { counter, gauge, timer, set },
        updateCountThreshold: aggregation.updateCountThreshold,
        roundTimestamp: aggregation.roundTimestamp,
      },
      naming,
      snapshotIntervalMs: cluster.snapshotIntervalMs,
      node: this.#node,
      incarnation: this.#incarnation,
      nameBytesMax: aggregator.nameBytesMax,
      tagsBytesMax: aggregator.tagsBytesMax,
      counters: this.#storeCounters.buffer,
      selfCounters: this.#selfCounters.buffer,
    };
    this.#store = await startWorker<object, FromStore>(new URL("./store-thread.js", import.meta.url), data, {
      onMessage: (message) => this.#onStore(message),
      onExit: (code, error) => this.#onThreadExit("store", code, error),
    });
  }

  #onStore(message: FromStore): void {
    if (message.kind === "rows") {
      for (const sink of this.#sinks) sink.accept(message.batch);
      this.#tellStore({ kind: "taken" });
    } else if (message.kind === "flushed") {
      const { interval, timestampSec, series, rows, lines, durationMs, partial } = message.report;
      this.#log.debug("interval.flushed", {
        interval,
        timestampSec,
        series,
        rows,
        lines,
        durationMs,
        partial,
      });
    } else {
      this.#markFinished();
    }
  }

  #onThreadExit(thread: string, code: number, error: Error | undefined): void {
    if (this.#isStopping && error === undefined) return;
    this.#options.onFailure(error ?? new Error(`the ${thread} thread ended with code ${code}`));
  }

  async #startReceivers(wanted: ListenAddress): Promise<void> {
    const io = this.#io;
    const { threads } = this.#config.aggregator;
    const count = io === "dgram" || wanted.kind === "unixgram" ? 1 : threads;
    if (count < threads) {
      this.#log.warn("intake.single_thread", { listen: describeAddress(wanted), io, threads });
    }
    let address = await resolveListen(wanted);
    for (let thread = 0; thread < count; thread++) {
      address = (await this.#startReceiver(address, thread, count)).address;
    }
  }

  async #startReceiver(listen: ListenAddress, thread: number, count: number): Promise<ReceiverInfo> {
    const { aggregator, cluster } = this.#config;
    const counters = new Counters(INTAKE_COUNTERS);
    const origin = SELF_ORIGIN + 1 + this.#receivers.length;
    const data: ReceiverData = {
      io: this.#io,
      listen,
      receiveBufferBytes: aggregator.receiveBufferBytes,
      sharePort: count > 1,
      isFirst: thread === 0,
      node: this.#node,
      incarnation: this.#incarnation,
      origin,
      intervalMs: aggregator.intervalMs,
      snapshotIntervalMs: cluster.snapshotIntervalMs,
      seriesMax: aggregator.snapshotSeriesMax,
      nameBytesMax: aggregator.nameBytesMax,
      tagsBytesMax: aggregator.tagsBytesMax,
      backlogBytesMax: aggregator.backlogBytesMax,
      control: this.#control,
      counters: counters.buffer,
    };
    const started = await startWorker<ReceiverInfo>(new URL("./receiver.js", import.meta.url), data, {
      onMessage: () => {},
      onExit: (code, error) => this.#onThreadExit("intake", code, error),
    });
    const { port1, port2 } = new MessageChannel();
    this.#tellStore({ kind: "origin", origin, port: port1, counters: counters.buffer }, [port1]);
    started.worker.postMessage({ kind: "start", store: port2 } satisfies ReceiverStart, [port2]);
    this.#receivers.push(started);
    const name = describeAddress(started.info.address);
    this.#intakes.push({ name: count > 1 ? `${name}#${thread}` : name, counters });
    return started.info;
  }

  #tellStore(message: ToStore, transfer: MessagePort[] = []): void {
    this.#store?.worker.postMessage(message, transfer);
  }

  async #startHttp(): Promise<void> {
    const { management } = this.#config.aggregator;
    if (management === undefined) return;
    const routes = aggregatorRoutes({
      version: this.#options.version,
      listen: this.listen,
      isReady: () => this.#isReady,
      totals: () => this.totals(),
      stats: () => this.#ownStats.reading,
    });
    this.#http = await startHttp(management, routes, rateLimited(this.#log));
  }

  #startStats(): void {
    const { statsIntervalMs } = this.#config.aggregator;
    if (statsIntervalMs === 0) return;
    this.#statsTimer = setInterval(() => {
      this.#tellStore({ kind: "lines", text: this.#ownStats.read(this.totals(), Date.now()) });
    }, statsIntervalMs);
  }

  /**
   * Stops: no more lines are taken, what was received is flushed, and the sinks get drainTimeoutMs to
   * deliver it. Returns whether all of it was delivered.
   */
  async stop(): Promise<boolean> {
    const deadlineMs = systemClock.monotonicMs() + this.#config.aggregator.drainTimeoutMs;
    this.#isReady = false;
    this.#isStopping = true;
    clearInterval(this.#statsTimer);
    Atomics.store(new Int32Array(this.#control), 0, CONTROL_DRAIN);
    await Promise.all(this.#receivers.map(({ exited }) => exited));
    this.#tellStore({ kind: "finish" });
    await this.#finished;
    const drained = await Promise.all(this.#sinks.map((sink) => sink.drain(deadlineMs)));
    for (const sink of this.#sinks) sink.close();
    await this.#http?.close();
    return drained.every(Boolean);
  }

  /** Lets go of everything that a start which failed has opened. */
  #abandon(): void {
    this.#isStopping = true;
    Atomics.store(new Int32Array(this.#control), 0, CONTROL_DRAIN);
    this.#tellStore({ kind: "finish" });
    for (const sink of this.#sinks) sink.close();
    void this.#http?.close();
  }
}
