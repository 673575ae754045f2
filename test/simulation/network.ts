/** Ways between machines: messages may be lost, repeated, reordered and late, and links break. */
import type { Message } from "../../cluster/message.ts";
import type { History } from "./history.ts";
import type { Machine } from "./machine.ts";

/** Pace at which ends of a link learn that it broke, or is back. */
const LOOK_MS = 500;
/** Silence after which a link counts as broken. */
const BROKEN_MS = 3000;
/** Bytes a second on a slow link, where messages are as small as here. */
const SLOW_BYTES_PER_MS = 2;

/** Bytes that a message takes, roughly; only slow links ask. */
function bytesOf(message: Message): number {
  if (message.kind === "deltas") {
    return message.deltas.reduce((sum, delta) => sum + delta.bytes.length + 20, 60);
  }
  if (message.kind === "intent" || message.kind === "done") return 60 + 30 * message.manifest.length;
  if (message.kind === "query-answer" || message.kind === "state") {
    return 100 + message.held.reduce((sum, [, held]) => sum + 20 + 20 * held.length, 0);
  }
  return 60;
}

/** One direction between two machines. */
interface Way {
  /** Partitions that cut it. */
  cuts: number;
  isSlow: boolean;
  /** True time until which a slow way is busy. */
  busyUntilMs: number;
  /** When the newest message that is under way will arrive. */
  lastMs: number;
  /** Raised when the connection breaks: what is under way is lost. */
  connection: number;
  isTold: boolean;
  unreachableMs: number;
  /** Life of the machine at the other end that the connection was made to. */
  life: number;
}

export class Network {
  /** Set when faults are over. */
  isCalm = false;
  messages = 0;
  readonly #history: History;
  readonly #ways: readonly Way[][];

  constructor(history: History, size: number) {
    this.#history = history;
    const make = (): Way => ({
      cuts: 0,
      isSlow: false,
      busyUntilMs: 0,
      lastMs: 0,
      connection: 0,
      isTold: false,
      unreachableMs: 0,
      life: 0,
    });
    this.#ways = Array.from({ length: size }, () => Array.from({ length: size }, make));
  }

  #way(from: Machine, to: Machine): Way {
    return this.#ways[from.index]![to.index]!;
  }

  cut(from: Machine, to: Machine, isCut: boolean): void {
    this.#way(from, to).cuts += isCut ? 1 : -1;
  }

  isCut(from: Machine, to: Machine): boolean {
    return this.#way(from, to).cuts > 0;
  }

  setSlow(from: Machine, to: Machine, isSlow: boolean): void {
    const way = this.#way(from, to);
    way.isSlow = isSlow;
    if (isSlow) return;
    way.busyUntilMs = 0;
    // What is on its way comes late; nothing waits behind it.
    way.lastMs = 0;
  }

  /** All is well from here on. */
  heal(): void {
    this.isCalm = true;
    for (const way of this.#ways.flat()) {
      way.cuts = 0;
      way.isSlow = false;
      way.busyUntilMs = 0;
      way.lastMs = 0;
    }
  }

  /** Breaks the connection between two machines; both hear of it and make another. */
  breakConnection(machine: Machine, other: Machine): void {
    for (const [from, to] of [
      [machine, other],
      [other, machine],
    ] as const) {
      const way = this.#way(from, to);
      way.connection += 1;
      if (!way.isTold) continue;
      way.isTold = false;
      from.process((node) => node.peerLost(to.name));
    }
  }

  pendingBytes(from: Machine, to: Machine): number {
    const way = this.#way(from, to);
    if (!way.isSlow) return 0;
    return Math.max(0, way.busyUntilMs - this.#history.schedule.nowMs) * SLOW_BYTES_PER_MS;
  }

  send(from: Machine, to: Machine, message: Message): void {
    const { dice, swarm } = this.#history;
    this.messages += 1;
    const way = this.#way(from, to);
    if (way.cuts > 0 || (!this.isCalm && dice.isHit(swarm.loss))) return;
    this.#carry(from, to, way, message);
    if (!this.isCalm && dice.isHit(swarm.repeats)) this.#carry(from, to, way, message);
  }

  #carry(from: Machine, to: Machine, way: Way, message: Message): void {
    const { dice, swarm, schedule } = this.#history;
    let atMs = schedule.nowMs + 0.5 + dice.waitMs(swarm.delayMs);
    if (way.isSlow) {
      const busyFromMs = Math.max(way.busyUntilMs, schedule.nowMs);
      way.busyUntilMs = busyFromMs + bytesOf(message) / SLOW_BYTES_PER_MS;
      atMs += way.busyUntilMs - schedule.nowMs;
    }
    if (swarm.isOrdered) {
      atMs = Math.max(atMs, way.lastMs);
      way.lastMs = atMs;
    }
    const { connection } = way;
    schedule.after(atMs - schedule.nowMs, () => {
      if (way.connection !== connection || way.cuts > 0 || !to.isUp) return;
      to.process((node) => {
        node.receive(from.name, message);
        if (message.kind === "deltas") this.#noteHolder(to, message);
        if (message.kind === "intent") this.#history.faults.critical(to, "intent received");
      });
    });
  }

  #noteHolder(machine: Machine, message: Message & { kind: "deltas" }): void {
    if (machine.isWitness || !machine.isUp) return;
    const { ledger } = this.#history;
    for (const delta of message.deltas) {
      const entry = ledger.entryOf(delta);
      if (entry !== undefined) ledger.hold(entry, machine.index);
    }
  }

  /** Looks from time to time which links are there, and tells their ends. */
  watch(): void {
    const { machines, schedule } = this.#history;
    for (const from of machines) for (const to of machines) if (from !== to) this.#look(from, to);
    schedule.after(LOOK_MS, () => this.watch());
  }

  #look(from: Machine, to: Machine): void {
    const way = this.#way(from, to);
    if (!from.isUp) {
      way.isTold = false;
      return;
    }
    const isReachable = to.isUp && way.cuts === 0 && this.#way(to, from).cuts === 0;
    way.unreachableMs = isReachable ? 0 : way.unreachableMs + LOOK_MS;
    if (way.isTold && (!to.isUp || to.life !== way.life || way.unreachableMs >= BROKEN_MS)) {
      way.isTold = false;
      from.process((node) => node.peerLost(to.name));
    } else if (!way.isTold && isReachable) {
      way.isTold = true;
      way.life = to.life;
      from.process((node) => node.peerConnected(to.name));
    }
  }
}
