/**
 * Two members without a third opinion, where people would rather have both write than none
 * (`allow-split-flush`): whoever hears no leader for a while leads. Terms are those of StaticElection, so the
 * registers tell the two apart, and the one with the lower term gives up once they hear each other again.
 *
 * What it does not promise: one leader at a time. During a cut both write their own parts of each interval;
 * afterwards the one that goes on amends them.
 */
import type { Random } from "../../shared/random.ts";
import type { Disk, Vote } from "../world.ts";
import type { Election, ElectionMessage, Leadership } from "./election.ts";
import { isTerm } from "./kept-vote.ts";
import type { RaftOptions } from "./raft-options.ts";
import { StaticElection } from "./static.ts";

/** What it may use of the world. */
export interface SplitWorld {
  readonly random: Random;
  send(to: string, message: ElectionMessage): void;
  saveVote: Disk["saveVote"];
}

export class SplitElection implements Election {
  readonly #options: Pick<RaftOptions, "name" | "heartbeatMs" | "electionMinMs" | "electionMaxMs">;
  readonly #world: SplitWorld;
  readonly #office: StaticElection;
  #others: readonly string[];
  #isEligible = false;
  /** The leader that was heard last; forgotten after a silence. */
  #heard: { readonly name: string; readonly term: number } | undefined;
  /** When the silence has lasted long enough; undefined before the first tick. */
  #deadlineMs: number | undefined;
  #nowMs = 0;
  #sentMs = Number.NEGATIVE_INFINITY;

  constructor(options: RaftOptions, world: SplitWorld, saved: Vote) {
    const { name, members } = options;
    this.#options = options;
    this.#world = world;
    this.#others = members.map((member) => member.name).filter((other) => other !== name);
    this.#office = new StaticElection({ name, members, startsAsLeader: false }, world.saveVote, saved);
  }

  leadership(): Leadership {
    const own = this.#office.leadership();
    return own.role === "leader" ? own : { ...own, leader: this.#heard?.name };
  }

  tick(nowMs: number): void {
    this.#nowMs = nowMs;
    this.#deadlineMs ??= this.#silenceFrom(nowMs);
    this.#office.tick(nowMs);
    const { role, term } = this.#office.leadership();
    if (role === "leader") {
      if (nowMs - this.#sentMs < this.#options.heartbeatMs) return;
      this.#sentMs = nowMs;
      for (const to of this.#others) this.#world.send(to, { kind: "heartbeat", term, sentMs: nowMs });
    } else if (nowMs >= this.#deadlineMs) {
      this.#heard = undefined;
      this.#deadlineMs = this.#silenceFrom(nowMs);
      if (this.#isEligible) this.#office.setLeader(true);
    }
  }

  receive(from: string, message: ElectionMessage, nowMs: number): void {
    if (message.kind !== "heartbeat" || !this.#others.includes(from) || !isTerm(message.term)) return;
    const { role, term } = this.#office.leadership();
    // Of two that lead the lower one gives up, as soon as it hears of the other.
    if (message.term < term && role === "leader") return;
    this.#office.sawTerm(message.term);
    this.#heard = { name: from, term: message.term };
    this.#deadlineMs = this.#silenceFrom(nowMs);
  }

  setEligible(isEligible: boolean): void {
    this.#isEligible = isEligible;
    this.#office.setEligible(isEligible);
  }

  sawTerm(term: number): void {
    this.#office.sawTerm(term);
  }

  resign(): void {
    this.#office.resign();
    // The other one comes first.
    this.#deadlineMs = this.#silenceFrom(this.#nowMs) + this.#options.electionMaxMs;
  }

  takeOver(nowMs: number): void {
    this.#deadlineMs = this.#silenceFrom(nowMs);
    this.#office.takeOver(nowMs);
  }

  setMembers(members: readonly string[]): void {
    this.#others = members.filter((other) => other !== this.#options.name);
    this.#office.setMembers(members);
  }

  stop(): Promise<void> {
    return this.#office.stop();
  }

  #silenceFrom(nowMs: number): number {
    const { electionMinMs, electionMaxMs } = this.#options;
    return nowMs + this.#world.random.between(electionMinMs, electionMaxMs);
  }
}
