/**
 * The aggregator's control thread: starts the store and the intakes, has the sinks and the management
 * pages, and stops everything in the order in which data flows.
 */
import { randomBytes } from "node:crypto";
import type { MessagePort } from "node:worker_threads";
import { isClustered, nodeId, nodeName } from "../cluster/running/member-settings.ts";
import { systemClock } from "../shared/clock.ts";
import type { SuiteConfig } from "../shared/config.ts";
import { Counters } from "../shared/counters.ts";
import { OperatorError } from "../shared/errors.ts";
import type { Log } from "../shared/log.ts";
import { isEtsy } from "../shared/naming-preset.ts";
import { systemRandom } from "../shared/random.ts";
import { chooseIo } from "../shared/udp.ts";
import { type StartedWorker, startWorker } from "../shared/worker.ts";
import { ClusterControl } from "./cluster-control.ts";
import { isLeader } from "./cluster-standing.ts";
import { ClusterWords } from "./cluster-words.ts";
import { INTAKE_COUNTERS, STORE_COUNTERS } from "./counters.ts";
import { Intakes } from "./intakes.ts";
import { OwnStats } from "./own-stats.ts";
import { Pages } from "./page/pages.ts";
import { type ReloadOutcome, reviewReload } from "./reload.ts";
import type { SinkContext } from "./sink/sink.ts";
import { SinkFailures } from "./sink-failures.ts";
import { SinkSet } from "./sink-set.ts";
import { ownPrefix } from "./stats-prefix.ts";
import type { FlushReport } from "./store.ts";
import type { FromStore, StoreThreadData, ToStore } from "./store-messages.ts";
import { storeSettings } from "./store-settings.ts";
import { readTotals, SELF_INTAKE, type Totals } from "./totals.ts";
import { openWatchdog, type Watchdog } from "./watchdog.ts";

export interface AggregatorOptions {
  readonly version: string;
  /** Reads the configuration again, for a reload. Throws OperatorError that names all faults. */
  readonly readConfig: () => SuiteConfig;
  /** Called when a thread has ended that should not have: the process must end too. */
  readonly onFailure: (error: Error) => void;
  /** Called when people want this node to hand over and end: as by SIGTERM, the caller calls stop(). */
  readonly onDrain: () => void;
}

export class Aggregator {
  #config: SuiteConfig;
  readonly #log: Log;
  readonly #options: AggregatorOptions;
  readonly #sinks: SinkSet;
  readonly #failures = new SinkFailures();
  readonly #pages: Pages;
  readonly #storeCounters = new Counters(STORE_COUNTERS);
  readonly #selfCounters = new Counters(INTAKE_COUNTERS);
  readonly #node: bigint;
  #incarnation = BigInt(Date.now());
  /** Undefined where there is no cluster. */
  readonly #words: ClusterWords | undefined;
  #cluster: ClusterControl | undefined;
  readonly #ownStats: OwnStats;
  readonly #finished: Promise<void>;
  #markFinished: () => void = () => {};
  #io: "mmsg" | "dgram" = "dgram";
  #store: StartedWorker<object> | undefined;
  #intakes: Intakes | undefined;
  #statsTimer: NodeJS.Timeout | undefined;
  #lastFlush: FlushReport | undefined;
  #watchdog: Watchdog | undefined;
  #isReady = false;
  #isStopping = false;
  #stopping: Promise<boolean> | undefined;

  constructor(config: SuiteConfig, log: Log, options: AggregatorOptions) {
    this.#config = config;
    this.#log = log;
    this.#options = options;
    const isInCluster = isClustered(config);
    this.#node = isInCluster ? nodeId(nodeName(config)) : randomBytes(8).readBigUInt64LE();
    this.#words = isInCluster ? new ClusterWords() : undefined;
    this.#sinks = new SinkSet(config.aggregator.sinks, this.#sinkContext(config));
    const hasOwnLines = !isEtsy(config.aggregation.preset);
    this.#ownStats = new OwnStats(ownPrefix(config), Date.now(), hasOwnLines);
    this.#pages = new Pages({
      view: {
        version: options.version,
        isReady: () => this.#isReady,
        config: () => this.#config,
        totals: () => this.totals(),
        stats: () => this.#ownStats.reading,
        listeners: () => this.#intakes?.states ?? [],
        lastFlush: () => this.#lastFlush,
        senderHost: (hash) => this.#intakes?.senderHost(hash),
        reload: () => this.reload(),
        cluster: () => this.#cluster?.standing,
        clusterAlarms: () => this.#cluster?.alarms ?? [],
        command: (command) => this.#cluster!.command(command),
        drain: () => this.#isStopping || options.onDrain(),
      },
      post: (message) => this.#tellStore(message),
      log,
    });
    this.#finished = new Promise((resolve) => {
      this.#markFinished = resolve;
    });
  }

  #sinkContext(config: SuiteConfig): SinkContext {
    const words = this.#words;
    return {
      config,
      ...(words !== undefined && { fence: { mayWrite: (interval: number) => words.mayWrite(interval) } }),
      ownPrefixes: [`${ownPrefix(config)}.`, `${config.relay.prefix}.statsProcessed`],
      log: this.#log,
      clock: systemClock,
      random: systemRandom,
    };
  }

  /** Addresses as bound, as they are written in the configuration. */
  get listen(): string[] {
    return this.#intakes?.states.map(({ listen }) => listen) ?? [];
  }

  /** Port of the management pages as bound, undefined where there are none. */
  get managementPort(): number | undefined {
    return this.#pages.managementPort;
  }

  /** HOST:PORT of etsy's administration port as bound, undefined where there is none. */
  get adminAddress(): string | undefined {
    return this.#pages.adminAddress;
  }

  /** How datagrams come in: the implementation, threads and the receive buffer that the system granted. */
  get intake(): { io: string; threads: number; receiveBufferBytes: number } {
    const states = this.#intakes?.states ?? [];
    const buffers = states.flatMap(({ receiveBufferBytes = 0 }) =>
      receiveBufferBytes > 0 ? receiveBufferBytes : [],
    );
    return {
      io: this.#io,
      threads: states.reduce((sum, { threads }) => sum + threads, 0),
      receiveBufferBytes: buffers.length === 0 ? 0 : Math.min(...buffers),
    };
  }

  totals(): Totals {
    const named = [...(this.#intakes?.named ?? []), { name: SELF_INTAKE, counters: this.#selfCounters }];
    const peers = this.#intakes?.rustPeers?.counters;
    return readTotals(named, this.#storeCounters, this.#sinks.statuses(), this.#cluster?.standing, peers);
  }

  /** Opens everything. Throws OperatorError when something cannot be had, with nothing left open. */
  async start(): Promise<void> {
    try {
      this.#io = await chooseIo(this.#config.aggregator.io);
      await this.#joinCluster();
      await this.#startStore();
      await this.#cluster?.begin();
      await this.#startIntakes();
      await this.#pages.open();
    } catch (error) {
      this.#abandon();
      throw error;
    }
    this.#startStats();
    this.#watchdog = openWatchdog(this.#config, this.#storeCounters, this.#log);
    this.#isReady = true;
  }

  async #joinCluster(): Promise<void> {
    if (this.#words === undefined) return;
    this.#cluster = await ClusterControl.start({
      config: this.#config,
      log: this.#log,
      words: this.#words,
      sinks: () => this.#sinks,
      onLeading: (isLeader) => this.#intakes?.rustPeers?.setLeader(isLeader),
      onDelivered: (interval) => this.#watchdog?.delivered(interval),
      onExit: (code, error) => this.#onThreadExit("cluster", code, error),
    });
    this.#incarnation = this.#cluster.info.incarnation;
  }

  async #startStore(): Promise<void> {
    const { aggregator, cluster } = this.#config;
    const port = this.#cluster?.connectStore(this.#storeCounters.buffer, this.#selfCounters.buffer);
    const data: StoreThreadData = {
      ...storeSettings(this.#config),
      snapshotIntervalMs: cluster.snapshotIntervalMs,
      node: this.#node,
      incarnation: this.#incarnation,
      nameBytesMax: aggregator.nameBytesMax,
      tagsBytesMax: aggregator.tagsBytesMax,
      counters: this.#storeCounters.buffer,
      selfCounters: this.#selfCounters.buffer,
      ...(port !== undefined && { cluster: { port, words: this.#words!.buffer } }),
    };
    this.#store = await startWorker<object, FromStore>(new URL("./store-thread.js", import.meta.url), data, {
      ...(port !== undefined && { transferList: [port] }),
      onMessage: (message) => this.#onStore(message),
      onExit: (code, error) => this.#onThreadExit("store", code, error),
    });
  }

  #onStore(message: FromStore): void {
    if (message.kind === "rows") {
      if (message.order === undefined) this.#sinks.accept(message.batch);
      else this.#cluster?.accept(message.batch, message.order);
      this.#tellStore({ kind: "taken" });
    } else if (message.kind === "flushed") {
      this.#lastFlush = message.report;
      if (this.#failures.look(this.#sinks.statuses())) this.#tellStore({ kind: "sink-failed" });
      if (this.#cluster === undefined) this.#watchdog?.flushed();
      this.#log.debug("interval.flushed", { ...message.report });
    } else if (message.kind === "notice") {
      const { level, event, fields } = message.notice;
      this.#log[level](event, { ...fields });
    } else if (message.kind === "finished") {
      this.#markFinished();
    } else {
      this.#pages.take(message);
      if (message.kind === "tailed") this.#tellStore({ kind: "tails-taken" });
    }
  }

  #onThreadExit(thread: string, code: number, error: Error | undefined): void {
    if (this.#isStopping && error === undefined) return;
    this.#options.onFailure(error ?? new Error(`the ${thread} thread ended with code ${code}`));
  }

  async #startIntakes(): Promise<void> {
    this.#intakes = new Intakes({
      config: this.#config,
      io: this.#io,
      node: this.#node,
      incarnation: this.#incarnation,
      log: this.#log,
      clock: systemClock,
      random: systemRandom,
      words: this.#words?.buffer,
      onOrigin: (origin, port, counters) => this.#addOrigin(origin, port, counters),
      onEvent: (item) => this.#sinks.acceptEvent(item),
      onExit: (code, error) => this.#onThreadExit("intake", code, error),
    });
    await this.#intakes.start();
    const standing = this.#cluster?.standing;
    this.#intakes.rustPeers?.setLeader(standing === undefined || isLeader(standing));
  }

  #addOrigin(origin: number, port: MessagePort, counters: SharedArrayBuffer): void {
    if (this.#cluster === undefined) {
      this.#tellStore({ kind: "origin", origin, port, counters }, [port]);
      return;
    }
    this.#cluster.addOrigin(origin, port, counters);
    this.#tellStore({ kind: "origin", origin, counters });
  }

  #tellStore(message: ToStore, transfer: MessagePort[] = []): void {
    this.#store?.worker.postMessage(message, transfer);
  }

  #startStats(): void {
    clearInterval(this.#statsTimer);
    const { statsIntervalMs } = this.#config.aggregator;
    if (statsIntervalMs === 0) return;
    this.#statsTimer = setInterval(() => {
      const text = this.#ownStats.read(this.totals(), Date.now());
      if (text !== "") this.#tellStore({ kind: "lines", text });
    }, statsIntervalMs);
  }

  /**
   * Reads the configuration again and goes over to it: sinks at once, what is computed and how it is named
   * from the next interval on. With any fault nothing changes.
   */
  async reload(): Promise<ReloadOutcome> {
    if (this.#isStopping) return { ok: false, changed: [], message: "the aggregator is stopping" };
    const { outcome, config } = reviewReload(this.#config, this.#options.readConfig);
    if (config === undefined) {
      this.#log.error("config.refused", { reason: outcome.message });
      return outcome;
    }
    try {
      const settings = storeSettings(config);
      const member = this.#cluster?.settingsOf(config);
      const { sinks, drainTimeoutMs } = config.aggregator;
      this.#sinks.apply(sinks, this.#sinkContext(config), drainTimeoutMs);
      this.#tellStore({ kind: "configure", ...settings });
      if (member !== undefined) this.#cluster?.configure(member);
    } catch (error) {
      if (!(error instanceof OperatorError)) throw error;
      this.#log.error("config.refused", { reason: error.message });
      return { ok: false, changed: [], message: error.message };
    }
    this.#config = config;
    this.#ownStats.hasLines = !isEtsy(config.aggregation.preset);
    this.#log.info("config.reloaded", { changed: outcome.changed, message: outcome.message });
    return outcome;
  }

  /**
   * Stops: no more lines are taken, what was received is flushed, and the sinks get drainTimeoutMs to
   * deliver it. Returns whether all of it was delivered. Later calls wait for the first one.
   */
  stop(): Promise<boolean> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<boolean> {
    const deadlineMs = systemClock.monotonicMs() + this.#config.aggregator.drainTimeoutMs;
    this.#isReady = false;
    this.#isStopping = true;
    clearInterval(this.#statsTimer);
    this.#watchdog?.stop();
    this.#intakes?.tellToEnd();
    await this.#intakes?.ended();
    this.#tellStore({ kind: "finish" });
    const hasLeft = await this.#cluster?.leave(deadlineMs - systemClock.monotonicMs());
    if (this.#cluster === undefined) await this.#finished;
    const links = this.#intakes?.links;
    const drained = await Promise.all([this.#sinks.drain(deadlineMs), links?.drain(deadlineMs) ?? true]);
    this.#sinks.close();
    links?.close();
    await this.#cluster?.end();
    if (this.#cluster !== undefined) await this.#endStore();
    await this.#pages.close();
    return hasLeft !== false && drained.every(Boolean);
  }

  async #endStore(): Promise<void> {
    this.#tellStore({ kind: "end" });
    await this.#finished;
  }

  /** Lets go of everything that a start which failed has opened. */
  #abandon(): void {
    this.#isStopping = true;
    this.#intakes?.tellToEnd();
    this.#intakes?.links?.close();
    this.#tellStore({ kind: this.#words === undefined ? "finish" : "end" });
    void this.#cluster?.end();
    this.#sinks.close();
    void this.#pages.close();
  }
}
