/**
 * What a member that begins learns from the others before it may lead: registers, what outlives intervals,
 * and which deltas there are. It is answered by those that have it themselves; where nobody has, it waits for
 * a while and then goes by what is on its disk.
 */
import type { State } from "./message.ts";
import type { NodeParts } from "./node-parts.ts";
import { TIMES } from "./options.ts";
import { Patience } from "./patience.ts";
import { PENDING_BYTES_MAX } from "./replication.ts";

const ASK_MS = 300;
const ASK_AGAIN_MS = 3000;
/**
 * So long an answer of somebody who is there may be on its way: what is kept may be large, and a way slow.
 */
const ANSWER_MS = 30_000;
/** Peers that came back long after this member's start know nothing that it lacks. */
const ASKS_FOR_MS = 60_000;

export class Transfer {
  readonly #parts: NodeParts;
  #beganMs = 0;
  readonly #patience = new Patience(0);
  readonly #askedMs = new Map<string, number>();
  readonly #answered = new Set<string>();
  /** Peers that have answered and know no more than this member. */
  readonly #newcomers = new Set<string>();
  /** Peers for which an answer is being made. */
  readonly #answering = new Set<string>();
  #source: string | undefined;
  #hasState = false;
  #hasKept = false;

  constructor(parts: NodeParts) {
    this.#parts = parts;
  }

  /** Whether it knows what others know. */
  get hasState(): boolean {
    return this.#hasState;
  }

  /** Whom the state came from first. */
  get source(): string | undefined {
    return this.#source;
  }

  begin(nowMs: number): void {
    this.#beganMs = nowMs;
    this.#patience.reset(nowMs);
    this.#check(nowMs);
  }

  tick(nowMs: number): void {
    if (this.#parts.peers.isSelfWitness) return;
    this.#check(nowMs);
    const ageMs = nowMs - this.#beganMs;
    if (ageMs > ASKS_FOR_MS) return;
    const pauseMs = ageMs > TIMES.aloneMs ? ASK_AGAIN_MS : ASK_MS;
    for (const { name } of this.#parts.peers.data()) {
      if (!this.#answered.has(name)) this.#ask(name, nowMs, pauseMs);
    }
  }

  /** A peer is there: it is asked at once. */
  askNow(name: string, nowMs: number): void {
    if (!this.#answered.has(name) && nowMs - this.#beganMs <= ASKS_FOR_MS) this.#ask(name, nowMs, 0);
  }

  #ask(name: string, nowMs: number, pauseMs: number): void {
    if (nowMs - (this.#askedMs.get(name) ?? Number.NEGATIVE_INFINITY) < pauseMs) return;
    this.#askedMs.set(name, nowMs);
    const { world, settings } = this.#parts;
    world.net.send(name, { kind: "state-request", incarnation: settings.incarnation });
  }

  #check(nowMs: number): void {
    const peers = this.#parts.peers.data();
    const areAllNew = peers.every(({ name }) => this.#newcomers.has(name));
    const isAwaited = peers.some((peer) => peer.isLive(nowMs) && !this.#newcomers.has(peer.name));
    const waitedMs = this.#patience.waitedMs(nowMs);
    if (areAllNew || waitedMs >= (isAwaited ? ANSWER_MS : TIMES.aloneMs)) this.#hasState = true;
  }

  /**
   * Sends what is known here. incarnation: whose question it answers. keptThrough is -1 from a member that
   * has no state itself.
   */
  answer(to: string, incarnation: string): void {
    const { peers, world, holdings, tables } = this.#parts;
    if (peers.isSelfWitness || this.#answering.has(to)) return;
    // Answers are big; over a slow way they are not heaped up. It asks again.
    if (world.net.pendingBytes(to) >= PENDING_BYTES_MAX) return;
    const keptThrough = this.#hasState ? Math.max(tables.keptThrough(), 0) : -1;
    const { forgottenBelow } = holdings;
    const known = { registers: holdings.registers(), held: holdings.inventory(), forgottenBelow };
    const state = { ...known, keptThrough };
    const send = (kept: Uint8Array | undefined): void => {
      const message = { kind: "state", incarnation, ...state } as const;
      world.net.send(to, kept === undefined ? message : { ...message, kept });
    };
    if (!this.#hasState || tables.closedThrough < 0) {
      send(undefined);
      return;
    }
    this.#answering.add(to);
    world.writer.exportKept((kept) => {
      this.#answering.delete(to);
      send(kept);
    });
  }

  receive(from: string, state: State, nowMs: number): void {
    const { settings, holdings, pulls, tables, world } = this.#parts;
    const { registers, held, kept, keptThrough, forgottenBelow = 0 } = state;
    const knows = keptThrough >= 0;
    holdings.learnForgotten(forgottenBelow, registers, held);
    for (const [interval, register] of registers) this.#parts.registers.merge(interval, register);
    for (const [interval, manifest] of held) {
      if (holdings.open(interval) !== undefined) pulls.want(interval, manifest, [from], nowMs);
    }
    if (state.incarnation !== settings.incarnation) return;
    if (!knows) {
      this.#newcomers.add(from);
      this.#check(nowMs);
      return;
    }
    this.#answered.add(from);
    this.#source ??= from;
    if (kept !== undefined && !this.#hasKept && tables.closedThrough < 0) {
      this.#hasKept = true;
      world.writer.importKept(kept);
      tables.keepElsewhere(keptThrough, registers);
    }
    if (!this.#hasState) world.log.info("state.received", { from, registers: registers.length });
    this.#hasState = true;
  }
}
