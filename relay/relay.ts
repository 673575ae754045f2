/**
 * The relay's control: resolves destinations, starts receiver threads, shows them to the operator, stops
 * them.
 *
 *   control thread:   management pages, signals, readiness
 *   receiver threads: one for each listen address, or `threads` of them that share its port
 */
import type { RelayConfig } from "../shared/config.ts";
import { OperatorError } from "../shared/errors.ts";
import type { HttpServer } from "../shared/http.ts";
import { type Log, rateLimited } from "../shared/log.ts";
import { describeAddress } from "../shared/sockaddr.ts";
import { CONTROL_DRAIN, chooseIo, type ListenAddress, type RemoteAddress } from "../shared/udp.ts";
import { type StartedWorker, startWorker } from "../shared/worker.ts";
import {
  buffersOf,
  newThreadCounters,
  type RelayTotals,
  type ThreadCounters,
  totalCounters,
} from "./counters.ts";
import { resolveDestination, resolveListen } from "./destination.ts";
import type { ReceiverInfo, ReceiverOrder } from "./receiver.ts";
import { buildRing } from "./ring.ts";
import { renderRelayMetrics } from "./stats.ts";

/** A relay at work. */
export interface Relay {
  readonly io: "mmsg" | "dgram";
  /** As bound. */
  readonly listenAddresses: readonly ListenAddress[];
  /** HOST:PORT of the management pages, undefined where they are switched off. */
  readonly management: string | undefined;
  readonly managementPort: number | undefined;
  readonly threadCount: number;
  /** Receive buffer of the first socket in bytes, as granted. */
  readonly receiveBufferBytes: number;
  /** Resolves when a receiver thread ends by itself, which it never should. */
  readonly failed: Promise<Error>;
  totals(): RelayTotals;
  /**
   * Goes unready, takes what the sockets still hold, sends everything and ends the threads. Waits no longer
   * than the drain timeout. Resolves with whether all threads ended in time; may be called again.
   */
  stop(): Promise<boolean>;
}

interface Thread {
  readonly started: StartedWorker<ReceiverInfo>;
  readonly counters: ThreadCounters;
}

/** What a start may do without. */
export interface RelayStartOptions {
  /** Go on without management pages where their address cannot be had. */
  readonly isManagementOptional?: boolean;
}

/**
 * Starts a relay.
 * Throws OperatorError naming the destination, listen address or management address that does not work; no
 * thread is left running then.
 */
export async function startRelay(
  config: RelayConfig,
  log: Log,
  options: RelayStartOptions = {},
): Promise<Relay> {
  const starter = new RelayStarter(config, log, options);
  try {
    return await starter.start();
  } catch (error) {
    await starter.stop();
    throw error;
  }
}

class RelayStarter {
  readonly #config: RelayConfig;
  readonly #log: Log;
  readonly #options: RelayStartOptions;
  readonly #destinations: readonly string[];
  readonly #ring: readonly number[];
  readonly #control = new SharedArrayBuffer(4);
  readonly #threads: Thread[] = [];
  readonly #startedMs = performance.now();
  readonly #failed: Promise<Error>;
  #fail: (error: Error) => void = () => {};
  #http: HttpServer | undefined;
  #stopping: Promise<boolean> | undefined;
  #threadsRunning = 0;

  constructor(config: RelayConfig, log: Log, options: RelayStartOptions) {
    this.#config = config;
    this.#log = log;
    this.#options = options;
    const { ring, destinations } = buildRing(config.destinations);
    this.#ring = ring;
    this.#destinations = destinations;
    this.#failed = new Promise((resolve) => {
      this.#fail = resolve;
    });
  }

  async start(): Promise<Relay> {
    const config = this.#config;
    if (this.#destinations.length === 0) {
      throw new OperatorError("no destination is given; name at least one as HOST:PORT");
    }
    if (this.#destinations.length < this.#ring.length) {
      const buckets = this.#ring.length;
      this.#log.warn("relay.duplicate_destinations", { buckets, destinations: this.#destinations.length });
    }
    const io = await chooseIo(config.io);
    // All at once, so that a slow name server is waited for once.
    const remotes = await Promise.all(this.#destinations.map(resolveDestination));
    const listenAddresses: ListenAddress[] = [];
    for (const listen of config.listen) {
      listenAddresses.push(await this.#listen(io, await resolveListen(listen), remotes));
    }
    await this.#serveManagement();
    const receiveBufferBytes = this.#threads[0]!.started.info.receiveBufferBytes;
    return {
      io,
      listenAddresses,
      management: this.#http?.address,
      managementPort: this.#http?.port,
      threadCount: this.#threads.length,
      receiveBufferBytes,
      failed: this.#failed,
      totals: () => this.#totals(),
      stop: () => this.stop(),
    };
  }

  /** Starts the threads of one listen address. Returns the address as bound. */
  async #listen(
    io: "mmsg" | "dgram",
    listen: ListenAddress,
    remotes: readonly RemoteAddress[],
  ): Promise<ListenAddress> {
    const canShare = io === "mmsg" && listen.kind === "udp";
    const threads = canShare ? this.#config.threads : 1;
    if (threads < this.#config.threads) {
      this.#log.warn("relay.one_thread", {
        listen: describeAddress(listen),
        io,
        threads: this.#config.threads,
      });
    }
    // The first thread binds; where the system chooses the port, the others share what it got.
    const first = await this.#startThread(io, listen, remotes, threads > 1, true);
    const { address } = first.info;
    const others = Array.from({ length: threads - 1 }, () =>
      this.#startThread(io, address, remotes, true, false),
    );
    await Promise.all(others);
    return address;
  }

  async #startThread(
    io: "mmsg" | "dgram",
    listen: ListenAddress,
    remotes: readonly RemoteAddress[],
    sharePort: boolean,
    isFirst: boolean,
  ): Promise<StartedWorker<ReceiverInfo>> {
    const config = this.#config;
    const counters = newThreadCounters(this.#destinations.length);
    const order: ReceiverOrder = {
      io,
      listen,
      sharePort,
      isFirst,
      receiveBufferBytes: config.receiveBufferBytes,
      remotes,
      ring: this.#ring,
      packetlen: config.packetlen,
      flushIntervalMs: config.flushIntervalMs,
      prefix: config.prefix,
      metricsPrefix: config.metricsPrefix,
      metricsTags: config.metricsTags,
      sendproto: config.sendproto,
      counters: buffersOf(counters),
      control: this.#control,
    };
    const url = new URL("./receiver.js", import.meta.url);
    const started = await startWorker<ReceiverInfo>(url, order, {
      onMessage: () => {},
      onExit: (code, error) => this.#onThreadExit(listen, code, error),
    });
    this.#threads.push({ started, counters });
    this.#threadsRunning += 1;
    return started;
  }

  #onThreadExit(listen: ListenAddress, code: number, error: Error | undefined): void {
    this.#threadsRunning -= 1;
    if (this.#stopping !== undefined && error === undefined) return;
    this.#log.error("relay.thread_ended", {
      listen: describeAddress(listen),
      code,
      error: error?.stack ?? "no error was reported",
    });
    this.#fail(error ?? new Error(`a receiver thread ended with code ${code}`));
  }

  async #serveManagement(): Promise<void> {
    const { management } = this.#config;
    if (management === undefined) return;
    const { startHttp, standardRoutes } = await import("../shared/http.ts");
    const routes = standardRoutes({
      isReady: () => this.#readiness(),
      metrics: () => this.#metrics(),
    });
    try {
      this.#http = await startHttp(management, routes, rateLimited(this.#log));
    } catch (error) {
      if (this.#options.isManagementOptional !== true || !(error instanceof OperatorError)) throw error;
      this.#log.warn("relay.no_management", { reason: error.message });
    }
  }

  #readiness(): { ready: boolean; detail: object } {
    const isStopping = this.#stopping !== undefined;
    const threads = this.#threads.length;
    const ready = !isStopping && this.#threadsRunning === threads;
    return { ready, detail: { stopping: isStopping, threads, threadsRunning: this.#threadsRunning } };
  }

  #totals(): RelayTotals {
    return totalCounters(
      this.#threads.map(({ counters }) => counters),
      this.#destinations.length,
    );
  }

  #metrics(): string {
    const receiveBuffers = new Map<string, number>();
    for (const { started } of this.#threads) {
      receiveBuffers.set(describeAddress(started.info.address), started.info.receiveBufferBytes);
    }
    return renderRelayMetrics({
      totals: this.#totals(),
      destinations: this.#destinations,
      bucketCount: this.#ring.length,
      receiveBuffers: [...receiveBuffers].map(([listen, bytes]) => ({ listen, bytes })),
      threadCount: this.#threadsRunning,
      uptimeSeconds: (performance.now() - this.#startedMs) / 1000,
    });
  }

  stop(): Promise<boolean> {
    this.#stopping ??= this.#drain();
    return this.#stopping;
  }

  async #drain(): Promise<boolean> {
    Atomics.store(new Int32Array(this.#control), 0, CONTROL_DRAIN);
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise<false>((resolve) => {
      timer = setTimeout(() => resolve(false), this.#config.drainTimeoutMs);
    });
    const ended = Promise.all(this.#threads.map(({ started }) => started.exited)).then(() => true);
    const isDrained = await Promise.race([ended, deadline]);
    clearTimeout(timer);
    await this.#http?.close();
    return isDrained;
  }
}
