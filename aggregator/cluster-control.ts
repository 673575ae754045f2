/** The cluster's thread as the control thread sees it: its start, its standing, and what becomes of rows. */

import { setTimeout as delay } from "node:timers/promises";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import type { ClusterCommand, CommandOutcome } from "../cluster/running/member-command.ts";
import { type MemberSettings, memberSettings } from "../cluster/running/member-settings.ts";
import { machineMs } from "../shared/clock.ts";
import type { SuiteConfig } from "../shared/config.ts";
import { type Log, rateLimited } from "../shared/log.ts";
import { type StartedWorker, startWorker } from "../shared/worker.ts";
import { ClusterAlarms } from "./cluster-alarms.ts";
import type {
  ClusterInfo,
  ClusterStanding,
  ClusterThreadData,
  FromCluster,
  ToCluster,
} from "./cluster-messages.ts";
import { equalSettings } from "./cluster-settings.ts";
import { firstStanding, isLeader, newestDelivered } from "./cluster-standing.ts";
import type { ClusterWords } from "./cluster-words.ts";
import { OrderedRows } from "./ordered-rows.ts";
import type { RowBatch, RowOrder } from "./row.ts";
import type { SinkSet } from "./sink-set.ts";

/** What it needs of the aggregator. */
export interface ClusterContext {
  readonly config: SuiteConfig;
  readonly log: Log;
  readonly words: ClusterWords;
  readonly sinks: () => SinkSet;
  /** Told whether this node leads, some times a second. */
  readonly onLeading: (isLeader: boolean) => void;
  /** Told of the newest interval that any node has delivered, some times a second. */
  readonly onDelivered: (interval: number) => void;
  /** The thread ended. */
  readonly onExit: (code: number, error: Error | undefined) => void;
}

/** From where on others write what this node held; undefined where all of it is written. */
type HandedOver = Pick<Extract<FromCluster, { kind: "left" }>, "floor">;

const STOPPING: CommandOutcome = { ok: false, message: "the node is stopping" };
/** Longest wait for the cluster's clock. */
const CLOCK_WAIT_MS = 1000;

export class ClusterControl {
  readonly #context: ClusterContext;
  readonly #log: Log;
  readonly #rows: OrderedRows;
  readonly #commands = new Map<number, (outcome: CommandOutcome) => void>();
  readonly #clock: Promise<void>;
  readonly #left: Promise<HandedOver | undefined>;
  readonly #ended: Promise<void>;
  #markClock: () => void = () => {};
  #markLeft: (left: HandedOver | undefined) => void = () => {};
  #markEnded: () => void = () => {};
  #worker: StartedWorker<ClusterInfo> | undefined;
  #standing: ClusterStanding;
  readonly #alarms: ClusterAlarms;
  #lastCommand = 0;
  #hasEnded = false;
  /** Newest term of which the leader was known. */
  #ledIn: number | undefined;

  private constructor(context: ClusterContext) {
    this.#context = context;
    this.#log = rateLimited(context.log);
    this.#standing = firstStanding(context.config);
    this.#alarms = new ClusterAlarms(context.log);
    this.#rows = new OrderedRows(context.sinks, (order, sink, isDelivered) => {
      this.#tell({ kind: "settled", order, sink, isDelivered });
    });
    this.#clock = new Promise((resolve) => {
      this.#markClock = resolve;
    });
    this.#left = new Promise((resolve) => {
      this.#markLeft = resolve;
    });
    this.#ended = new Promise((resolve) => {
      this.#markEnded = resolve;
    });
  }

  /** Starts the thread. Throws OperatorError where something cannot be had. */
  static async start(context: ClusterContext): Promise<ClusterControl> {
    const control = new ClusterControl(context);
    const { config, words } = context;
    const data: ClusterThreadData = {
      settings: memberSettings(config, equalSettings(config)),
      lateWindowMs: config.aggregator.lateWindowMs,
      words: words.buffer,
    };
    const url = new URL("./cluster-thread.js", import.meta.url);
    control.#worker = await startWorker<ClusterInfo, FromCluster>(url, data, {
      onMessage: (message) => control.#take(message),
      onExit: (code, error) => {
        control.#markLeft(undefined);
        control.#end();
        context.onExit(code, error);
      },
    });
    return control;
  }

  get info(): ClusterInfo {
    return this.#worker!.info;
  }

  /** As it was told last. */
  get standing(): ClusterStanding {
    return this.#standing;
  }

  /** What somebody should look at, in words. */
  get alarms(): readonly string[] {
    return this.#alarms.texts;
  }

  /** Returns the store's end of the way between the two threads. */
  connectStore(storeCounters: SharedArrayBuffer, selfCounters: SharedArrayBuffer): MessagePort {
    const { port1, port2 } = new MessageChannel();
    this.#tell({ kind: "store", port: port1, storeCounters, selfCounters }, [port1]);
    return port2;
  }

  /** Takes an intake's way. */
  addOrigin(origin: number, port: MessagePort, counters: SharedArrayBuffer): void {
    this.#tell({ kind: "origin", origin, port, counters }, [port]);
  }

  /**
   * Takes part from now on. Resolves when the cluster's clock is known, or has been waited for long enough:
   * lines that come meanwhile would be lost.
   */
  async begin(): Promise<void> {
    this.tellSinks();
    this.#tell({ kind: "begin" });
    const patience = new AbortController();
    const deadline = delay(CLOCK_WAIT_MS, undefined, { signal: patience.signal }).catch(() => {});
    await Promise.race([this.#clock, deadline]);
    patience.abort();
  }

  /** Tells which sinks there are now. */
  tellSinks(): void {
    const names = this.#context.sinks().names();
    this.#tell({ kind: "sinks", names });
  }

  /** Hands rows of an order to the sinks, and tells the cluster what becomes of them. */
  accept(batch: RowBatch, order: RowOrder): void {
    this.#rows.accept(batch, order);
  }

  /** What configure() takes. Throws OperatorError where a file that is named cannot be read. */
  settingsOf(config: SuiteConfig): MemberSettings {
    return memberSettings(config, equalSettings(config));
  }

  /** Goes over to what a reload has changed. */
  configure(settings: MemberSettings): void {
    this.#tell({ kind: "settings", settings });
    this.tellSinks();
  }

  /** Tells the node something; resolves when it is done, or refused. */
  command(command: ClusterCommand): Promise<CommandOutcome> {
    if (this.#hasEnded) return Promise.resolve(STOPPING);
    this.#lastCommand += 1;
    const id = this.#lastCommand;
    return new Promise((resolve) => {
      this.#commands.set(id, resolve);
      this.#tell({ kind: "command", id, command });
    });
  }

  /**
   * Leaves the cluster. What its leader writes is dropped from the sinks then; rows that nobody else can make
   * any more stay. Resolves to whether all that this node held is with others, or written; false at the
   * deadline.
   */
  async leave(waitMs: number): Promise<boolean> {
    this.#tell({ kind: "leave" });
    const patience = new AbortController();
    const options = { signal: patience.signal };
    const deadline = delay(Math.max(0, waitMs), undefined, options).catch(() => undefined);
    const left = await Promise.race([this.#left, deadline]);
    patience.abort();
    if (left?.floor !== undefined) {
      this.#rows.yield({ floor: left.floor, throughOrder: Number.MAX_SAFE_INTEGER });
    }
    return left !== undefined;
  }

  /** Ends the thread. */
  async end(): Promise<void> {
    this.#tell({ kind: "end" });
    await this.#ended;
  }

  #take(message: FromCluster): void {
    const sinks = this.#context.sinks();
    if (message.kind === "view") this.#see(message.view);
    else if (message.kind === "log") {
      // Losing or winning leadership is rare, and each time matters; so does each peer, and the links to them
      // see to it themselves that none says too much. The rest may come in floods.
      const isRare = message.event.startsWith("leader.") || message.event.startsWith("peer.");
      const log = isRare ? this.#context.log : this.#log;
      log[message.level](message.event, message.fields);
    } else if (message.kind === "clock") this.#markClock();
    else if (message.kind === "revoke") sinks.revoke();
    else if (message.kind === "resume") sinks.resume();
    else if (message.kind === "yield") {
      const rows = this.#rows.yield(message);
      if (rows > 0) this.#context.log.info("sinks.handed_over", { rows, floor: message.floor });
    } else if (message.kind === "outcome") {
      this.#commands.get(message.id)?.(message.outcome);
      this.#commands.delete(message.id);
    } else if (message.kind === "left") this.#markLeft(message);
    else this.#end();
  }

  #see(standing: ClusterStanding): void {
    const { config, onLeading, onDelivered } = this.#context;
    this.#standing = standing;
    this.#alarms.look(standing, config.aggregator.intervalMs, machineMs());
    this.#logLeader(standing);
    onLeading(isLeader(standing));
    const delivered = newestDelivered(standing);
    if (delivered !== undefined) onDelivered(delivered);
  }

  /** Says whom this node follows; that it leads itself, the office says. */
  #logLeader({ view }: ClusterStanding): void {
    if (view?.leader === undefined) return;
    const { leader, term, role } = view;
    if (this.#ledIn === term) return;
    this.#ledIn = term;
    if (role !== "leader") this.#context.log.info("leader.followed", { leader, term });
  }

  /** Nothing more comes from the thread; who waits for an answer gets one. */
  #end(): void {
    this.#markEnded();
    this.#hasEnded = true;
    for (const answer of this.#commands.values()) answer(STOPPING);
    this.#commands.clear();
  }

  #tell(message: ToCluster, transfer: MessagePort[] = []): void {
    this.#worker?.worker.postMessage(message, transfer);
  }
}
