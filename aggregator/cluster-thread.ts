/**
 * The cluster's thread: connections to peers, the deltas that are held, registers, elections. No kernel runs
 * here, so nothing holds it up for long. Snapshots of this node come through one port for each intake, and
 * from here go to the peers and to the store.
 */
import { isMainThread, type MessagePort, parentPort, workerData } from "node:worker_threads";
import { type Delta, labelledDelta } from "../cluster/delta.ts";
import type { ClusterNode } from "../cluster/node.ts";
import { RunningAgent } from "../cluster/running/agent.ts";
import { RunningMember } from "../cluster/running/member.ts";
import type { WorldLog, Writer } from "../cluster/world.ts";
import { machineMs } from "../shared/clock.ts";
import { Counters } from "../shared/counters.ts";
import { FRAME_HEADER_BYTES, readLabel } from "../shared/wire.ts";
import { reportFailure, reportReady } from "../shared/worker.ts";
import type {
  ClusterInfo,
  ClusterStanding,
  ClusterThreadData,
  FromCluster,
  ToCluster,
} from "./cluster-messages.ts";
import { ClusterWords } from "./cluster-words.ts";
import { ClusterWriter } from "./cluster-writer.ts";
import { INTAKE_COUNTERS, type IntakeCounter, STORE_COUNTERS } from "./counters.ts";
import { agentLinkOf, linkOf } from "./link-standing.ts";
import { setBackIntervalsMax } from "./set-back.ts";
import { SELF_ORIGIN } from "./store-messages.ts";
import type { StoreReply } from "./store-orders.ts";

/** What the store's thread sends: own metrics, null when they have ended, and answers. */
type FromStoreThread = StoreReply | { readonly kind: "own"; readonly frame: Uint8Array | null };

/** Pages and metrics are at most so old. */
const VIEW_MS = 250;

/** An own snapshot that was handed on. */
interface TakenSnapshot {
  readonly origin: number;
  /** It is folded when the store has folded so many bytes. */
  readonly atBytes: number;
  readonly bytes: number;
  readonly samples: number;
}

class ClusterThread {
  readonly #port: MessagePort;
  readonly #data: ClusterThreadData;
  readonly #words: ClusterWords;
  readonly #counters = new Map<number, Counters<IntakeCounter>>();
  /** Lowest interval that each intake may still send for. */
  readonly #lowestOpen = new Map<number, number>();
  /** Own snapshots that the store may not have folded yet, oldest first. */
  readonly #taken: TakenSnapshot[] = [];
  #member: RunningMember | RunningAgent | undefined;
  /** Tables of an agent, which is all that its own pages show: intervals, the oldest first. */
  #tables: number[] = [];
  #writer: ClusterWriter | undefined;
  #store: MessagePort | undefined;
  #early: FromCluster[] | undefined = [];
  #nextViewMs = 0;
  #isLeaving = false;
  #hasLeft = false;
  #hasClock = false;

  constructor(port: MessagePort, data: ClusterThreadData) {
    this.#port = port;
    this.#data = data;
    this.#words = new ClusterWords(data.words);
    port.on("message", (message: ToCluster) => this.#onMessage(message));
  }

  readonly log: WorldLog = {
    error: (event, fields) => this.#tell({ kind: "log", level: "error", event, fields }),
    warn: (event, fields) => this.#tell({ kind: "log", level: "warn", event, fields }),
    info: (event, fields) => this.#tell({ kind: "log", level: "info", event, fields }),
    debug: (event, fields) => this.#tell({ kind: "log", level: "debug", event, fields }),
  };

  /** The writer for the protocol, which is there before the store is. */
  readonly writer: Writer = {
    sinks: () => this.#writer?.sinks() ?? [],
    fold: (delta) => this.#writer?.fold(delta),
    isCrowded: () => this.#writer?.isCrowded() === true,
    drop: (interval) => this.#writer?.drop(interval),
    prepare: (interval, done) => this.#writer?.prepare(interval, done),
    write: (order, progress) => this.#writer?.write(order, progress),
    close: (interval) => this.#writer?.close(interval),
    setLease: (untilMs) => this.#writer?.setLease(untilMs),
    yieldFrom: (floor, untilMs) => this.#writer?.yieldFrom(floor, untilMs),
    exportKept: (done) => this.#writer?.exportKept(done),
    importKept: (kept) => this.#writer?.importKept(kept),
  };

  async open(): Promise<ClusterInfo> {
    const { settings } = this.#data;
    const context = { writer: this.writer, log: this.log, onTick: () => this.#onTick() };
    const member = await (settings.role === "agent"
      ? RunningAgent.open(settings, context)
      : RunningMember.open(settings, context));
    this.#member = member;
    const port = member instanceof RunningMember ? member.hub.port : undefined;
    return { incarnation: member.incarnation, port };
  }

  /** The first word of a thread is that it is ready; what was to be said before waits for it. */
  ready(info: ClusterInfo): void {
    reportReady(this.#port, info);
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const message of early) this.#tell(message);
  }

  #tell(message: FromCluster): void {
    if (this.#early === undefined) this.#port.postMessage(message);
    else this.#early.push(message);
  }

  #onMessage(message: ToCluster): void {
    const member = this.#member;
    if (member === undefined) return;
    if (message.kind === "store") this.#connectStore(message);
    else if (message.kind === "origin") this.#addOrigin(message);
    else if (message.kind === "sinks") this.#writer?.setSinks(message.names);
    else if (message.kind === "settled") {
      this.#writer?.settled(message.order, message.sink, message.isDelivered);
    } else if (message.kind === "begin") member.begin();
    else if (message.kind === "command") {
      const outcome = member.command(message.command);
      this.#tell({ kind: "outcome", id: message.id, outcome });
    } else if (message.kind === "settings") member.configure(message.settings);
    else if (message.kind === "leave") this.#isLeaving = true;
    else void this.#end();
  }

  #connectStore({ port, storeCounters, selfCounters }: Extract<ToCluster, { kind: "store" }>): void {
    this.#store = port;
    this.#writer = new ClusterWriter(
      port,
      new Counters(STORE_COUNTERS, storeCounters),
      this.#words,
      (message) => this.#tell(message),
    );
    this.#counters.set(SELF_ORIGIN, new Counters<IntakeCounter>(INTAKE_COUNTERS, selfCounters));
    this.#lowestOpen.set(SELF_ORIGIN, this.#presentInterval());
    port.on("message", (message: FromStoreThread) => {
      if (message.kind !== "own") {
        const fault = this.#writer?.take(message);
        if (fault !== undefined) this.log.error(fault.event, { ...fault.fields });
      } else if (message.frame === null) this.#removeOrigin(SELF_ORIGIN);
      else this.#takeFrame(message.frame, SELF_ORIGIN);
    });
  }

  #addOrigin({ origin, port, counters }: Extract<ToCluster, { kind: "origin" }>): void {
    this.#counters.set(origin, new Counters<IntakeCounter>(INTAKE_COUNTERS, counters));
    this.#lowestOpen.set(origin, this.#presentInterval());
    const end = (): void => {
      port.close();
      this.#removeOrigin(origin);
    };
    port.on("message", (frame: Uint8Array | null) => {
      if (frame === null) end();
      else this.#takeFrame(frame, origin);
    });
    port.on("close", () => this.#removeOrigin(origin));
  }

  #removeOrigin(origin: number): void {
    if (!this.#lowestOpen.delete(origin)) return;
    this.#closeIntervals();
  }

  /** A snapshot of this node: one without series only says what is closed. */
  #takeFrame(frame: Uint8Array, origin: number): void {
    const label = readLabel(frame);
    if (label === undefined) return;
    if (frame.length > FRAME_HEADER_BYTES) this.#add(labelledDelta(label, frame));
    const atBytes = this.#writer?.postedBytes ?? 0;
    this.#taken.push({ origin, atBytes, bytes: frame.length, samples: label.lines });
    this.#acknowledgeTaken();
    this.#noteLowestOpen(origin, label.lowestOpen);
    this.#closeIntervals();
  }

  #add(delta: Delta): void {
    if (this.#member instanceof RunningAgent) {
      this.writer.fold(delta);
      if (!this.#tables.includes(delta.interval)) this.#tables.push(delta.interval);
    }
    this.#member?.add(delta);
  }

  /** An agent writes nothing: its tables are dropped. The newest closed one stays for its pages. */
  #dropTables(closedBelow: number): void {
    const dropped = this.#tables.filter((interval) => interval < closedBelow - 1);
    for (const interval of dropped) this.writer.drop(interval);
    if (dropped.length > 0) this.#tables = this.#tables.filter((interval) => !dropped.includes(interval));
  }

  /** Tells intakes of what the store has taken: what is not, they have to bound. */
  #acknowledgeTaken(): void {
    const foldedBytes = this.#writer?.foldedBytes ?? 0;
    let done = 0;
    for (const { origin, atBytes, bytes, samples } of this.#taken) {
      if (atBytes > foldedBytes) break;
      const counters = this.#counters.get(origin);
      counters?.add("snapshotBytesTaken", bytes);
      counters?.add("samplesTaken", samples);
      done += 1;
    }
    if (done > 0) this.#taken.splice(0, done);
  }

  #noteLowestOpen(origin: number, lowestOpen: number): void {
    const known = this.#lowestOpen.get(origin);
    if (known === undefined) return;
    const { intervalMs } = this.#data.settings.times;
    // An intake that had begun before the cluster's clock was known may have been ahead of it.
    const isSetBack = lowestOpen < known - setBackIntervalsMax(intervalMs, true);
    this.#lowestOpen.set(origin, isSetBack ? lowestOpen : Math.max(known, lowestOpen));
  }

  #closeIntervals(): void {
    // What is closed by another clock than the cluster's would be taken for closed for good.
    if (!this.#hasClock && this.#member instanceof RunningMember) return;
    const { intervalMs } = this.#data.settings.times;
    const waiting = Math.floor((this.#words.nowMs() - this.#data.lateWindowMs) / intervalMs);
    // Of those that have ended nothing more can come.
    const open =
      this.#lowestOpen.size === 0 ? Number.POSITIVE_INFINITY : Math.min(...this.#lowestOpen.values());
    const late = this.#data.lateWindowMs === 0 ? Number.POSITIVE_INFINITY : waiting;
    const below = Math.min(open, late);
    if (!Number.isFinite(below)) return;
    this.#member?.closeBelow(below);
    this.#dropTables(below);
  }

  #presentInterval(): number {
    return Math.floor(this.#words.nowMs() / this.#data.settings.times.intervalMs);
  }

  #onTick(): void {
    const member = this.#member!;
    this.#words.setNow(member.clusterNowMs());
    if (!this.#hasClock && member.hasClock) {
      this.#hasClock = true;
      this.#tell({ kind: "clock" });
      this.#closeIntervals();
    }
    this.#acknowledgeTaken();
    if (this.#data.lateWindowMs > 0) this.#closeIntervals();
    const nowMs = machineMs();
    if (nowMs >= this.#nextViewMs) {
      this.#nextViewMs = nowMs + VIEW_MS;
      this.#tell({ kind: "view", view: this.#standing() });
    }
    if (this.#isLeaving && this.#lowestOpen.size === 0) this.#leave(member);
  }

  /** All own snapshots are there: hand them over. */
  #leave(member: RunningMember | RunningAgent): void {
    if (this.#hasLeft) return;
    member.leave();
    if (!member.isDrained) return;
    this.#hasLeft = true;
    this.#tell({ kind: "left", floor: member instanceof RunningAgent ? 0 : handedOverFrom(member.node) });
  }

  #standing(): ClusterStanding {
    const member = this.#member!;
    const incompleteTables = this.#writer?.incompleteTables ?? 0;
    if (member instanceof RunningAgent) {
      const state = member.linkState();
      const links = state === undefined ? [] : [agentLinkOf(state)];
      return { role: "agent", view: undefined, agent: member.standing(), links, incompleteTables };
    }
    return {
      role: "member",
      view: member.node.view(),
      agent: undefined,
      links: member.hub.states().map(linkOf),
      incompleteTables,
    };
  }

  /** What could neither be handed over nor written in time is lost, which is told. */
  #tellLoss(): void {
    const member = this.#member;
    if (!this.#isLeaving || this.#hasLeft || !(member instanceof RunningMember)) return;
    const { intervals } = member.node.view();
    const left = intervals.filter((one) => one.state !== "delivered" && one.samples > 0);
    const samples = left.reduce((sum, interval) => sum + interval.samples, 0);
    if (samples > 0) this.log.error("cluster.samples_left", { samples, intervals: left.length });
  }

  async #end(): Promise<void> {
    this.#tellLoss();
    await this.#member?.close();
    this.#store?.close();
    this.#tell({ kind: "ended" });
    this.#port.close();
  }
}

/** From which interval on others have what this node held, and write it; undefined where nobody has. */
function handedOverFrom(node: ClusterNode): number | undefined {
  const { role, peers } = node.view();
  const isSomebodyThere = peers.some(({ isConnected, isWitness }) => isConnected && !isWitness);
  return role !== "leader" && isSomebodyThere ? node.floor : undefined;
}

async function main(port: MessagePort, data: ClusterThreadData): Promise<void> {
  const thread = new ClusterThread(port, data);
  thread.ready(await thread.open());
}

if (!isMainThread && parentPort !== null) {
  const port = parentPort;
  main(port, workerData as ClusterThreadData).catch((error: unknown) => reportFailure(port, error));
}
