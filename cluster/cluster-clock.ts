/**
 * The clock that all members label by: a monotonic clock and an offset, which is slewed toward this
 * machine's wall clock. A step of the wall clock is followed only when it has lasted, and a majority of
 * members has made it as well; a member that begins takes the leader's clock, by timed round trip. Whoever's
 * wall clock is wrong goes by the others' cluster clocks, and follows them where a majority of members has
 * another one: it may have led with a wrong one, when these began.
 */
import { TIMES } from "./options.ts";
import type { Peers } from "./peers.ts";
import type { Net, WorldClock } from "./world.ts";

/** Further off than this is a step; less is drift. */
const STEP_MS = 500;
const SLEW_MS_PER_TICK = 1;
const STEP_LASTS_MS = 30_000;
const ASK_MS = 1000;
/** Pace of asking where nothing is wrong. */
const POLL_MS = 2000;
/** Reports older than this count no more. */
const REPORT_LASTS_MS = 5000;

interface Report {
  /** What the member's wall clock shows, less this one's monotonic clock. */
  readonly wallOffsetMs: number;
  /** What its cluster clock shows, less the same. */
  readonly clockOffsetMs: number;
  readonly atMs: number;
}

export class ClusterClock {
  readonly #clock: WorldClock;
  readonly #peers: Peers;
  readonly #net: Net;
  readonly #quorum: "majority" | "one";
  #offsetMs: number;
  #isAdopted = false;
  #source: string | undefined;
  #askedMs = Number.NEGATIVE_INFINITY;
  #step: { readonly differenceMs: number; readonly sinceMs: number } | undefined;
  readonly #reports = new Map<string, Report>();
  /** Since when a majority has another clock than this member. */
  #strayMs: number | undefined;

  constructor(clock: WorldClock, peers: Peers, net: Net, quorum: "majority" | "one") {
    this.#clock = clock;
    this.#peers = peers;
    this.#net = net;
    this.#quorum = quorum;
    this.#offsetMs = clock.wallMs() - clock.monotonicMs();
  }

  nowMs(): number {
    return this.#clock.monotonicMs() + this.#offsetMs;
  }

  /** Cluster clock minus wall clock. */
  get offsetMs(): number {
    return this.nowMs() - this.#clock.wallMs();
  }

  /** Whether it is the cluster's, and not only this machine's. */
  get isAdopted(): boolean {
    return this.#isAdopted;
  }

  /** This member's clock is the cluster's: it leads, or there is nobody else. */
  adoptOwn(): void {
    this.#isAdopted = true;
  }

  /** source: whose clock to take where this one is not the cluster's yet: the leader's, if there is one. */
  tick(source: string | undefined): void {
    const nowMs = this.#clock.monotonicMs();
    this.#source = source;
    if (!this.#isAdopted && source !== undefined && nowMs - this.#askedMs >= TIMES.roundTripMs) {
      this.#ask([source], nowMs);
    } else if (nowMs - this.#askedMs >= POLL_MS) this.#askAll(nowMs);
    const differenceMs = -this.offsetMs;
    if (Math.abs(differenceMs) <= STEP_MS) {
      this.#slew(differenceMs);
      this.#step = undefined;
    } else this.#considerStep(differenceMs, nowMs);
    this.#considerOthers(nowMs);
  }

  #slew(differenceMs: number): void {
    this.#offsetMs += Math.max(-SLEW_MS_PER_TICK, Math.min(SLEW_MS_PER_TICK, differenceMs));
  }

  /**
   * Goes by others' cluster clocks: slowly where the own wall clock is no help, else where all have another.
   */
  #considerOthers(nowMs: number): void {
    const common = this.#commonOffsetMs(nowMs);
    const leader = this.#source === undefined ? undefined : this.#freshReport(this.#source, nowMs);
    const target = common ?? leader?.clockOffsetMs;
    if (this.#step !== undefined && target !== undefined) {
      const differenceMs = target - this.#offsetMs;
      if (Math.abs(differenceMs) <= STEP_MS) this.#slew(differenceMs);
    }
    if (common === undefined || Math.abs(common - this.#offsetMs) <= STEP_MS) this.#strayMs = undefined;
    else {
      this.#strayMs ??= nowMs;
      if (nowMs - this.#strayMs >= STEP_LASTS_MS) this.#follow(common - this.#offsetMs);
    }
  }

  /** The cluster clock of a majority of members without this one, if they have one. */
  #commonOffsetMs(nowMs: number): number | undefined {
    const offsets = this.#peers
      .all()
      .flatMap(({ name }) => this.#freshReport(name, nowMs)?.clockOffsetMs ?? [])
      .sort((left, right) => left - right);
    const last = this.#peers.majority - 1;
    for (let first = 0; first + last < offsets.length; first++) {
      const middle = offsets[first + (last >> 1)]!;
      if (last > 0 && offsets[first + last]! - offsets[first]! <= STEP_MS) return middle;
    }
    return undefined;
  }

  #freshReport(name: string, nowMs: number): Report | undefined {
    const report = this.#reports.get(name);
    return report !== undefined && nowMs - report.atMs <= REPORT_LASTS_MS ? report : undefined;
  }

  #considerStep(differenceMs: number, nowMs: number): void {
    if (this.#peers.all().length === 0) {
      this.#follow(differenceMs);
      return;
    }
    if (this.#step === undefined || Math.abs(this.#step.differenceMs - differenceMs) > STEP_MS) {
      this.#step = { differenceMs, sinceMs: nowMs };
      this.#reports.clear();
    }
    if (nowMs - this.#step.sinceMs < STEP_LASTS_MS) return;
    if (this.#hasMajority(nowMs)) this.#follow(differenceMs);
    else if (nowMs - this.#askedMs >= ASK_MS) this.#askAll(nowMs);
  }

  #hasMajority(nowMs: number): boolean {
    const wallOffsetMs = this.#clock.wallMs() - nowMs;
    let agreeing = 1;
    for (const { name } of this.#peers.all()) {
      const report = this.#freshReport(name, nowMs);
      if (report !== undefined && Math.abs(report.wallOffsetMs - wallOffsetMs) <= STEP_MS) agreeing += 1;
    }
    if (this.#quorum === "majority") return agreeing >= this.#peers.majority;
    const live = this.#peers.all().filter((peer) => peer.isLive(nowMs)).length;
    return agreeing >= Math.floor((live + 1) / 2) + 1;
  }

  #follow(differenceMs: number): void {
    this.#offsetMs += differenceMs;
    this.#step = undefined;
    this.#strayMs = undefined;
    this.#reports.clear();
  }

  #askAll(nowMs: number): void {
    this.#ask(
      this.#peers.all().map(({ name }) => name),
      nowMs,
    );
  }

  #ask(names: readonly string[], nowMs: number): void {
    this.#askedMs = nowMs;
    for (const name of names) this.#net.send(name, { kind: "clock-request", askedMs: nowMs });
  }

  answer(from: string, askedMs: number): void {
    const clockMs = this.nowMs();
    this.#net.send(from, { kind: "clock-answer", askedMs, clockMs, wallMs: this.#clock.wallMs() });
  }

  /** An answer has come from a member. Returns whether its clock was taken. */
  receive(from: string, askedMs: number, clockMs: number, wallMs = clockMs): boolean {
    const nowMs = this.#clock.monotonicMs();
    const roundTripMs = nowMs - askedMs;
    if (roundTripMs < 0 || roundTripMs >= TIMES.roundTripMs) return false;
    const halfMs = roundTripMs / 2;
    this.#reports.set(from, {
      wallOffsetMs: wallMs + halfMs - nowMs,
      clockOffsetMs: clockMs + halfMs - nowMs,
      atMs: nowMs,
    });
    if (this.#isAdopted || from !== this.#source) return false;
    this.#isAdopted = true;
    this.#offsetMs = clockMs + halfMs - nowMs;
    return true;
  }
}
