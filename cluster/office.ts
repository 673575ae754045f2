/**
 * Who leads: this member's own leadership with its term, lease and beats, and that of others as they are
 * heard. Terms come from the election; whoever knows of a higher one makes a lower one give way.
 */
import type { Election } from "./election/election.ts";
import type { IntervalLeader } from "./interval-leader.ts";
import type { Beat } from "./message.ts";
import type { NodeParts } from "./node-parts.ts";
import { TIMES } from "./options.ts";
import type { Recovery } from "./recovery.ts";

/** Beats of two leaders within this are two leaders at a time. */
const RIVALS_MS = 1000;
/** Floor of a leader that does not know yet what is written. */
const NO_FLOOR = Number.MAX_SAFE_INTEGER;

interface Heard {
  readonly name: string;
  readonly term: number;
  readonly atMs: number;
}

/** A leadership that was given up, for somebody who was not heard to lead yet. */
interface Handing {
  readonly to: string;
  readonly term: number;
  readonly sentMs: number;
  readonly times: number;
}

const HAND_OVER_MS = 500;
const HAND_OVER_TIMES = 10;
const UNLED_MS_MIN = 5000;
const UNLED_MS_MAX = 30_000;

/** How long nobody leads before somebody should look: about an interval, and not while one is elected. */
function unledMs(intervalMs: number): number {
  return Math.min(Math.max(intervalMs, UNLED_MS_MIN), UNLED_MS_MAX);
}

export class Office {
  readonly #parts: NodeParts;
  readonly #election: Election;
  readonly #recovery: Recovery;
  readonly #leader: IntervalLeader;
  #seenTerm = 0;
  /** Term that this member leads in; undefined where it does not. */
  #ownTerm: number | undefined;
  #leaseUntilMs = 0;
  #beatMs = 0;
  #heard: Heard | undefined;
  #handing: Handing | undefined;
  #known = "";
  #ledMs: number;

  constructor(parts: NodeParts, election: Election, recovery: Recovery, leader: IntervalLeader) {
    this.#parts = parts;
    this.#election = election;
    this.#recovery = recovery;
    this.#leader = leader;
    this.#ledMs = parts.world.clock.monotonicMs();
  }

  /** Highest term that is known. */
  get term(): number {
    return Math.max(this.#seenTerm, this.#election.leadership().term);
  }

  get isLeading(): boolean {
    return this.#ownTerm !== undefined;
  }

  /** The leader's name, this member's own included; undefined where none is known. */
  leaderName(nowMs: number): string | undefined {
    if (this.#ownTerm !== undefined) return this.#parts.settings.name;
    const heard = this.#heard;
    if (heard !== undefined && heard.term >= this.term && nowMs - heard.atMs <= TIMES.silentMs)
      return heard.name;
    const { leader } = this.#election.leadership();
    return leader === this.#parts.settings.name ? undefined : leader;
  }

  /** Another member that leads. */
  otherLeader(nowMs: number): string | undefined {
    return this.#ownTerm === undefined ? this.leaderName(nowMs) : undefined;
  }

  sawTerm(term: number): void {
    if (term <= this.#seenTerm) return;
    this.#seenTerm = term;
    if (term > this.#election.leadership().term) this.#election.sawTerm(term);
  }

  /** Looks what the election says, and takes or leaves office. */
  follow(nowMs: number): void {
    const { role, term, leaseUntilMs } = this.#election.leadership();
    const leads = role === "leader" && term >= this.#seenTerm;
    if (role === "leader" && !leads)
      this.#alarm("term", "this member's term is below one that was seen", nowMs);
    if (this.#ownTerm !== undefined && (!leads || term !== this.#ownTerm)) this.stop();
    if (leads && this.#ownTerm === undefined) this.#begin(term, nowMs);
    if (this.#ownTerm !== undefined) this.#lead(leaseUntilMs, nowMs);
  }

  #begin(term: number, nowMs: number): void {
    const { counts, world, clock } = this.#parts;
    this.#ownTerm = term;
    this.#seenTerm = Math.max(this.#seenTerm, term);
    counts.leaderships += 1;
    world.log.info("leader.begun", { term });
    clock.adoptOwn();
    this.#recovery.begin(term, nowMs);
    this.#beat(nowMs);
  }

  /** Leaves office at once: nothing more is handed to sinks. */
  stop(): void {
    if (this.#ownTerm === undefined) return;
    this.#parts.world.log.info("leader.ended", { term: this.#ownTerm });
    this.#ownTerm = undefined;
    this.#leaseUntilMs = 0;
    this.#parts.world.writer.setLease(0);
    this.#leader.end();
    this.#recovery.end();
  }

  #lead(leaseUntilMs: number, nowMs: number): void {
    const { writer } = this.#parts.world;
    if (this.#leader.term === undefined) {
      if (!this.#recovery.isOver(nowMs)) return;
      // What waits from an earlier term of this member is written anew as well.
      writer.yieldFrom(this.#leader.floor(), leaseUntilMs);
      this.#leader.begin(this.#ownTerm!, nowMs);
    }
    this.#leader.setLease(leaseUntilMs, nowMs);
    if (leaseUntilMs === this.#leaseUntilMs) return;
    this.#leaseUntilMs = leaseUntilMs;
    writer.setLease(leaseUntilMs);
  }

  tick(nowMs: number): void {
    this.#insist(nowMs);
    if (this.#ownTerm !== undefined && nowMs - this.#beatMs >= TIMES.beatMs) this.#beat(nowMs);
    const leader = this.leaderName(nowMs);
    const known = `${leader ?? ""} ${this.term}`;
    if (leader !== undefined) {
      this.#ledMs = nowMs;
      if (known !== this.#known) this.#parts.counts.elections += 1;
      this.#known = known;
      this.#parts.alarms.clear("unled");
    } else if (nowMs - this.#ledMs > unledMs(this.#parts.settings.intervalMs)) {
      this.#alarm("unled", "nobody leads: nothing is written", nowMs);
    }
  }

  #beat(nowMs: number): void {
    this.#beatMs = nowMs;
    const floor = this.#leader.term === undefined ? NO_FLOOR : this.#leader.floor();
    this.#parts.broadcast({ kind: "beat", term: this.#ownTerm!, floor });
  }

  receiveBeat(from: string, { term, floor }: Beat, nowMs: number): void {
    const heard = this.#heard;
    const isRecent = heard !== undefined && nowMs - heard.atMs <= RIVALS_MS;
    const hasRival = isRecent && heard.name !== from && heard.term >= term;
    if (hasRival || (this.#ownTerm !== undefined && this.#ownTerm >= term))
      this.#meetRival(from, term, nowMs);
    if (term < this.term) {
      this.refuse(from);
      return;
    }
    this.#heard = { name: from, term, atMs: nowMs };
    this.sawTerm(term);
    this.follow(nowMs);
    if (this.#ownTerm === undefined && floor !== NO_FLOOR && !this.#parts.peers.isSelfWitness) {
      this.#parts.world.writer.yieldFrom(floor, nowMs + TIMES.floorMs);
    }
  }

  #meetRival(from: string, term: number, nowMs: number): void {
    this.#parts.counts.rivalsSeen += 1;
    this.#alarm("rivals", `two leaders at a time: ${from} leads as well`, nowMs, { term });
  }

  #alarm(key: string, text: string, nowMs: number, fields: Record<string, unknown> = {}): void {
    if (this.#parts.alarms.raise(key, text, nowMs)) this.#parts.world.log.warn(`cluster.${key}`, fields);
  }

  /** Tells a leader or a candidate of a lower term that there is a higher one. */
  refuse(from: string): void {
    this.#parts.counts.staleMessages += 1;
    this.#parts.world.net.send(from, { kind: "stale", term: this.term });
  }

  /** Hands leadership over to a member. */
  handOver(to: string): void {
    const term = this.#ownTerm!;
    this.stop();
    this.#election.resign(to);
    this.#parts.world.net.send(to, { kind: "take-over", term });
    this.#handing = { to, term, sentMs: this.#parts.world.clock.monotonicMs(), times: 1 };
  }

  /** A word that was lost is said again, since some elections choose nobody by themselves. */
  #insist(nowMs: number): void {
    const handing = this.#handing;
    if (handing === undefined) return;
    if (
      this.leaderName(nowMs) !== undefined ||
      handing.term < this.term ||
      handing.times >= HAND_OVER_TIMES
    ) {
      this.#handing = undefined;
    } else if (nowMs - handing.sentMs >= HAND_OVER_MS) {
      this.#handing = { ...handing, sentMs: nowMs, times: handing.times + 1 };
      this.#parts.world.net.send(handing.to, { kind: "take-over", term: handing.term });
    }
  }
}
