/**
 * The outlet thread as the control thread sees it: which destinations it serves, and what it says of them.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { MessagePort } from "node:worker_threads";
import type { LogConfig, RelayConfig } from "../shared/config.ts";
import type { Log } from "../shared/log.ts";
import { type StartedWorker, startWorker } from "../shared/worker.ts";
import { addUp } from "./counters.ts";
import type { ResolvedDestination } from "./destinations/destination.ts";
import type { OutputOrder } from "./orders.ts";
import { newBacklog } from "./outlet/handoff.ts";
import {
  newOutletCounters,
  OUTLET_COUNTERS,
  type OutletCounter,
  readOutletCounters,
} from "./outlet/ledger.ts";
import type { ChannelOrder, OutletMessage, OutletOptions, OutletReport } from "./outlet/order.ts";
import type { OutletThreadOrder } from "./outlet-thread.ts";
import { GONE } from "./output-ledger.ts";
import type { Plan, PlannedDestination } from "./plan.ts";

/** How much longer than it was given the outlet may take, in milliseconds: connections have to be closed. */
const STOP_GRACE_MS = 2_000;

/** Numbers of one channel. */
export type OutletTotals = Record<OutletCounter, number>;

/** What the control thread wants to hear. */
export interface OutletEvents {
  readonly log: Log;
  /** How the outlet's own log is written. */
  readonly logConfig: LogConfig;
  /** A connection was made or lost. key: of the destination. */
  readonly onConnection: (key: string, isUp: boolean) => void;
  /** The thread ended that was not told to. */
  readonly onFailed: (error: Error) => void;
}

/** A destination's place in the outlet; kept until the destination has been gone for long. */
interface Channel {
  readonly id: number;
  readonly counters: SharedArrayBuffer;
  readonly backlog: SharedArrayBuffer;
}

export class OutletControl {
  readonly #events: OutletEvents;
  readonly #channels = new Map<string, Channel>();
  readonly #keys = new Map<number, string>();
  #lastId = 0;
  /** Numbers of channels that are forgotten. */
  #gone: OutletTotals | undefined;
  #worker: StartedWorker<undefined> | undefined;
  #drained: (() => void) | undefined;
  #isStopping = false;

  constructor(events: OutletEvents) {
    this.#events = events;
  }

  get isRunning(): boolean {
    return this.#worker !== undefined;
  }

  /** Makes the way out of one destination's packets, and its channel where it needs one. */
  output(destination: PlannedDestination, resolved: ResolvedDestination): OutputOrder {
    if (resolved.protocol === "test") return { isDiscarding: true };
    const outlet = isServed(destination, resolved) ? this.#channel(destination.key) : undefined;
    const order = outlet === undefined ? {} : { outlet: { channel: outlet.id, backlog: outlet.backlog } };
    const remote = remoteOf(resolved);
    return { isDiscarding: false, ...(remote === undefined ? {} : { remote }), ...order };
  }

  #channel(key: string): Channel {
    let channel = this.#channels.get(key);
    if (channel === undefined) {
      this.#lastId += 1;
      const id = this.#lastId;
      channel = { id, counters: newOutletCounters(), backlog: newBacklog() };
      this.#channels.set(key, channel);
      this.#keys.set(id, key);
    }
    return channel;
  }

  /** Lets the outlet serve these destinations and no others; starts it when it is needed first. */
  async serve(
    destinations: readonly PlannedDestination[],
    resolved: readonly ResolvedDestination[],
    config: RelayConfig,
  ): Promise<void> {
    const channels = destinations.flatMap((destination, index) => {
      const to = resolved[index]!;
      return isServed(destination, to) ? [this.#order(destination, to)] : [];
    });
    if (channels.length === 0 && this.#worker === undefined) return;
    this.#worker ??= await this.#start();
    this.#post({ kind: "channels", channels, options: outletOptions(config) });
  }

  /**
   * Serves the destinations of two plans, until the last receiver has let go of the one before. Of those that
   * both have it is the new one's word that counts, unless the outlet has nothing to do with them any more.
   */
  serveBoth(
    { destinations }: Plan,
    resolved: readonly ResolvedDestination[],
    before: Plan,
    resolvedBefore: readonly ResolvedDestination[],
    config: RelayConfig,
  ): Promise<void> {
    const served = destinations.filter((one, index) => isServed(one, resolved[index]!));
    const keys = new Set(served.map(({ key }) => key));
    const leaving = before.destinations.filter(({ key }) => !keys.has(key));
    const leavingTo = resolvedBefore.filter((_, index) => !keys.has(before.destinations[index]!.key));
    return this.serve([...destinations, ...leaving], [...resolved, ...leavingTo], config);
  }

  #order(destination: PlannedDestination, resolved: ResolvedDestination): ChannelOrder {
    const { id, counters, backlog } = this.#channel(destination.key);
    const { key, text, onDead } = destination;
    const common = { id, key, text, policy: onDead, counters, backlog };
    if (resolved.kind === "path") return { ...common, protocol: "unixgram", path: resolved.path };
    const { host, port, name } = resolved;
    const protocol = resolved.protocol === "test" ? "udp" : resolved.protocol;
    return { ...common, protocol, host, port, serverName: name };
  }

  async #start(): Promise<StartedWorker<undefined>> {
    const order: OutletThreadOrder = { log: this.#events.logConfig };
    return startWorker<undefined, OutletReport>(new URL("./outlet-thread.js", import.meta.url), order, {
      onMessage: (report) => this.#onReport(report),
      onExit: (code, error) => {
        if (this.#isStopping && error === undefined) return;
        this.#events.log.error("relay.outlet_ended", { code, error: error?.stack ?? "" });
        this.#events.onFailed(error ?? new Error(`the outlet thread ended with code ${code}`));
      },
    });
  }

  #onReport(report: OutletReport): void {
    if (report.kind === "drained") this.#drained?.();
    else {
      const key = this.#keys.get(report.id);
      if (key !== undefined) this.#events.onConnection(key, report.isUp);
    }
  }

  #post(message: OutletMessage, transferList: readonly MessagePort[] = []): void {
    this.#worker?.worker.postMessage(message, [...transferList]);
  }

  /** Takes the other end of a receiver's way to the outlet. */
  addPort(port: MessagePort): void {
    this.#post({ kind: "port", port }, [port]);
  }

  /** Tells what health says of a destination. */
  setState(key: string, isUp: boolean): void {
    const channel = this.#channels.get(key);
    if (channel !== undefined) this.#post({ kind: "state", id: channel.id, isUp });
  }

  /** Numbers by key of the destination. */
  totals(): Map<string, OutletTotals> {
    const read = ({ counters }: Channel) => readOutletCounters(counters);
    const totals = new Map([...this.#channels].map(([key, channel]) => [key, read(channel)] as const));
    return this.#gone === undefined ? totals : totals.set(GONE, this.#gone);
  }

  /** Whether nothing waits for a destination. linesHanded: by the receivers, all in all. */
  readonly hasSettled = (key: string, linesHanded: number): boolean => {
    const totals = this.totalsOf(key);
    if (totals === undefined) return true;
    return totals.linesTaken >= linesHanded && totals.linesQueued + totals.linesHeld === 0;
  };

  /** Adds the numbers of a destination that is gone, and has settled, to those of others that are. */
  forget(key: string): void {
    const channel = this.#channels.get(key);
    if (channel === undefined) return;
    // Not even a connection that is about to end is one any more.
    const totals = { ...readOutletCounters(channel.counters), connected: 0, oldestMs: 0 };
    this.#gone = this.#gone === undefined ? totals : addUp(OUTLET_COUNTERS, [this.#gone, totals]);
    this.#channels.delete(key);
    this.#keys.delete(channel.id);
  }

  /** Whether the connection to a destination stands; undefined where it was not tried yet or is none. */
  isConnected(key: string): boolean | undefined {
    const totals = this.totalsOf(key);
    if (totals === undefined || totals.connects + totals.connectFailures === 0) return undefined;
    return totals.connected === 1;
  }

  /** Numbers of one destination, undefined where it has no channel. */
  totalsOf(key: string): OutletTotals | undefined {
    const channel = this.#channels.get(key);
    return channel === undefined ? undefined : readOutletCounters(channel.counters);
  }

  /** Sends what is left, for so long at most, and ends the thread. Only once all receivers have ended. */
  async stop(deadlineMs: number): Promise<void> {
    if (this.#worker === undefined) return;
    this.#isStopping = true;
    const drained = new Promise<void>((resolve) => {
      this.#drained = resolve;
    });
    this.#post({ kind: "drain", deadlineMs });
    // A disk that does not answer holds the thread up, and shall not hold the process up.
    const late = delay(deadlineMs + STOP_GRACE_MS, undefined, { ref: false });
    await Promise.race([drained, this.#worker.exited, late]);
    await Promise.race([this.#worker.worker.terminate(), late]);
  }
}

/** Whether a destination's packets may go through the outlet. */
export function isServed({ onDead }: PlannedDestination, { protocol }: ResolvedDestination): boolean {
  if (protocol === "test") return false;
  return protocol === "tcp" || protocol === "tls" || onDead === "hold";
}

/** Where receiver threads send by themselves; undefined for what only the outlet can do. */
function remoteOf(resolved: ResolvedDestination): OutputOrder["remote"] {
  if (resolved.kind === "path") return { kind: "unixgram", path: resolved.path };
  if (resolved.protocol !== "udp") return undefined;
  return { kind: "udp", host: resolved.host, port: resolved.port };
}

function outletOptions(config: RelayConfig): OutletOptions {
  const path = (text: string): string | undefined => (text === "" ? undefined : text);
  const [ca, cert, key, spoolDir] = [config.tlsCa, config.tlsCert, config.tlsKey, config.spoolDir].map(path);
  return {
    queueBytesMax: config.queueBytesMax,
    queueAgeMs: config.queueAgeMs,
    connectTimeoutMs: config.connectTimeoutMs,
    writeTimeoutMs: config.writeTimeoutMs,
    retryDelayMs: config.retryDelayMs,
    retryDelayMultiplier: config.retryDelayMultiplier,
    retryDelayMaxMs: config.retryDelayMaxMs,
    tls: {
      verify: config.tlsVerify,
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
    },
    holdBytesMax: config.holdBytesMax,
    holdAgeMs: config.holdAgeMs,
    ...(spoolDir === undefined ? {} : { spoolDir }),
    spoolBytesMax: config.spoolBytesMax,
    replayLinesPerSecond: config.replayLinesPerSecond,
    // By then checks have found out whether the destination lives.
    replayDelayMs: (config.healthFall + 1) * config.healthIntervalMs + config.healthTimeoutMs,
    packetBytesMax: config.packetlen,
  };
}
