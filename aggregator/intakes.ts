/** The intake threads of an aggregator, as its control thread sees them. */
import { MessageChannel, type MessagePort } from "node:worker_threads";
import type { SuiteConfig } from "../shared/config.ts";
import { Counters } from "../shared/counters.ts";
import { resolveListen } from "../shared/listen.ts";
import type { Log } from "../shared/log.ts";
import { describeAddress } from "../shared/sockaddr.ts";
import { CONTROL_DRAIN, type ListenAddress } from "../shared/udp.ts";
import { type StartedWorker, startWorker } from "../shared/worker.ts";
import { RustPeers } from "./capnp/rust-peers.ts";
import { INTAKE_COUNTERS, type IntakeCounter } from "./counters.ts";
import type { DogItem } from "./event/event.ts";
import type { RepeaterSettings } from "./listener/repeater.ts";
import type { RepeaterContext } from "./listener/repeater-links.ts";
import { RepeaterLinks, repeaterSettings } from "./listener/repeater-links.ts";
import { SENDERS_MAX } from "./listener/sender-book.ts";
import { type IntakeSection, listenerSettings, threadsFor } from "./listener/settings.ts";
import type { ListenerState } from "./page/view.ts";
import type { ReceiverData, ReceiverInfo, ReceiverReport, ReceiverStart } from "./receiver.ts";
import { SELF_ORIGIN } from "./store-messages.ts";
import type { NamedIntake } from "./totals.ts";

/** What the intakes need of the aggregator. */
export interface IntakesContext extends RepeaterContext {
  readonly config: SuiteConfig;
  readonly io: "mmsg" | "dgram";
  readonly node: bigint;
  readonly incarnation: bigint;
  readonly log: Log;
  /** See ClusterWords; undefined where there is no cluster. */
  readonly words: SharedArrayBuffer | undefined;
  /** Takes an intake's way to the store. */
  readonly onOrigin: (origin: number, port: MessagePort, counters: SharedArrayBuffer) => void;
  readonly onEvent: (item: DogItem) => void;
  /** A thread ended. */
  readonly onExit: (code: number, error: Error | undefined) => void;
}

/** Name of the listener that [aggregator] is. */
const MAIN_LISTENER = "aggregator";
/** Linux accounts for a receive buffer with twice the bytes that were asked for, for its own use of it. */
const BUFFER_ACCOUNTED = process.platform === "linux" ? 2 : 1;

interface OpenListener {
  readonly name: string;
  readonly dialect: string;
  readonly threads: readonly StartedWorker<ReceiverInfo>[];
}

export class Intakes {
  readonly #context: IntakesContext;
  readonly #control = new SharedArrayBuffer(4);
  readonly #listeners: OpenListener[] = [];
  readonly #named: NamedIntake[] = [];
  readonly #senderHosts = new Map<string, string>();
  #threadCount = 0;
  #repeater: RepeaterSettings | undefined;
  #links: RepeaterLinks | undefined;
  #rustPeers: RustPeers | undefined;

  constructor(context: IntakesContext) {
    this.#context = context;
  }

  /** Counters of every thread, under the name that its metrics carry. */
  get named(): readonly NamedIntake[] {
    return this.#named;
  }

  /** Every listen address as bound. */
  get states(): ListenerState[] {
    return this.#listeners.map(({ name, dialect, threads }) => {
      const { address, receiveBufferBytes } = threads[0]!.info;
      const isStream = ["tcp", "tls", "unix"].includes(address.kind);
      return {
        name,
        listen: describeAddress(address),
        dialect,
        threads: threads.length,
        ...(!isStream && { receiveBufferBytes }),
      };
    });
  }

  /** The repeater's connections; undefined where nothing is repeated over any. */
  get links(): RepeaterLinks | undefined {
    return this.#links;
  }

  /** Address of a sender by its number, 8 hex digits; undefined for one that is not known. */
  senderHost(hash: string): string | undefined {
    return this.#senderHosts.get(hash);
  }

  /** Opens every listener. Throws OperatorError naming what cannot be had. */
  async start(): Promise<void> {
    const { config } = this.#context;
    const { aggregator, repeater } = config;
    this.#repeater = await repeaterSettings(repeater);
    if (this.#repeater?.hasLinks === true) this.#links = new RepeaterLinks(repeater, this.#context);
    const main = { ...aggregator, name: MAIN_LISTENER };
    for (const section of [main, ...aggregator.listeners]) {
      for (const address of section.listen) await this.#listen(section.name, section, address);
    }
    await this.#listenForRustPeers();
  }

  async #listen(name: string, section: IntakeSection, wanted: ListenAddress): Promise<void> {
    const { io, log } = this.#context;
    const count = threadsFor(io, wanted, section);
    if (count < section.threads) {
      log.warn("intake.single_thread", { listen: describeAddress(wanted), io, threads: section.threads });
    }
    const threads: StartedWorker<ReceiverInfo>[] = [];
    let address = await resolveListen(wanted);
    const { dialect } = section;
    this.#listeners.push({ name, dialect, threads });
    for (let thread = 0; thread < count; thread++) {
      const started = await this.#startThread(section, address, { thread, count });
      threads.push(started);
      // Where the system chose the port, the others share what the first one got.
      address = started.info.address;
      if (thread === 0) this.#checkBuffer(started.info, section);
    }
  }

  /** A burst that does not fit into the buffer is lost. */
  #checkBuffer({ address, receiveBufferBytes }: ReceiverInfo, wanted: IntakeSection): void {
    if (receiveBufferBytes === 0) return;
    const grantedBytes = receiveBufferBytes / BUFFER_ACCOUNTED;
    const wantedBytes = wanted.receiveBufferBytes;
    if (grantedBytes >= wantedBytes) return;
    const listen = describeAddress(address);
    this.#context.log.warn("intake.small_receive_buffer", { listen, wantedBytes, grantedBytes });
  }

  async #startThread(
    section: IntakeSection,
    listen: ListenAddress,
    { thread, count }: { readonly thread: number; readonly count: number },
  ): Promise<StartedWorker<ReceiverInfo>> {
    const { config, io, node, incarnation, words, onOrigin, onExit } = this.#context;
    const { aggregator, cluster } = config;
    const counters = new Counters(INTAKE_COUNTERS);
    this.#threadCount += 1;
    const origin = SELF_ORIGIN + this.#threadCount;
    const { dialect, sanitize, influxTags, unknownType } = section;
    const data: ReceiverData = {
      ...listenerSettings(section),
      io,
      listen,
      sharePort: count > 1,
      isFirst: thread === 0,
      node,
      incarnation,
      origin,
      reading: { dialect, sanitize, influxTags, unknownType, untaggedCopy: aggregator.untaggedCopy },
      intervalMs: aggregator.intervalMs,
      lateWindowMs: aggregator.lateWindowMs,
      snapshotIntervalMs: cluster.snapshotIntervalMs,
      seriesMax: aggregator.snapshotSeriesMax,
      nameBytesMax: aggregator.nameBytesMax,
      tagsBytesMax: aggregator.tagsBytesMax,
      backlogBytesMax: aggregator.backlogBytesMax,
      watchesSenders: aggregator.seriesPerSenderMax > 0,
      repeater: this.#repeater,
      words,
      control: this.#control,
      counters: counters.buffer,
    };
    const started = await startWorker<ReceiverInfo, ReceiverReport>(
      new URL("./receiver.js", import.meta.url),
      data,
      { onMessage: (report) => this.#take(report, counters), onExit },
    );
    const { port1, port2 } = new MessageChannel();
    onOrigin(origin, port1, counters.buffer);
    started.worker.postMessage({ kind: "start", store: port2 } satisfies ReceiverStart, [port2]);
    const name = describeAddress(started.info.address);
    this.#named.push({ name: count > 1 ? `${name}#${thread}` : name, counters });
    return started;
  }

  #take(report: ReceiverReport, counters: Counters<IntakeCounter>): void {
    if (report.kind === "event") this.#context.onEvent(report.event);
    else if (report.kind === "repeat") this.#links?.accept(report.lines, counters);
    else {
      for (const [hash, host] of report.entries) {
        if (this.#senderHosts.size >= SENDERS_MAX) return;
        this.#senderHosts.set(hash.toString(16).padStart(8, "0"), host);
      }
    }
  }

  /** Tells all threads to read what their sockets hold and to end. */
  tellToEnd(): void {
    Atomics.store(new Int32Array(this.#control), 0, CONTROL_DRAIN);
  }

  /** Resolves when all threads have ended. */
  async ended(): Promise<void> {
    const threads = this.#listeners.flatMap((listener) => listener.threads);
    await Promise.all([...threads.map(({ exited }) => exited), this.#rustPeers?.exited]);
  }

  /** Where nodes of the Rust bioyino come in, and what was counted there; undefined where none do. */
  get rustPeers(): RustPeers | undefined {
    return this.#rustPeers;
  }

  async #listenForRustPeers(): Promise<void> {
    const { config, words, node, incarnation, log, onOrigin, onExit } = this.#context;
    const { bioyinoListen: address } = config.cluster;
    if (address === undefined) return;
    this.#threadCount += 1;
    const origin = SELF_ORIGIN + this.#threadCount;
    const counters = new Counters(INTAKE_COUNTERS);
    const identity = { node, incarnation, origin };
    const { port1, port2 } = new MessageChannel();
    onOrigin(origin, port1, counters.buffer);
    const data = { identity, words, control: this.#control, counters: counters.buffer, store: port2 };
    this.#rustPeers = await RustPeers.start(address, config, data, { log, onExit });
    this.#named.push({ name: `bioyino://${address.host}:${this.#rustPeers.port}`, counters });
  }
}
