/**
 * Leadership that people give, by the configuration or by a command; there are no messages and no votes.
 *
 * What it does not promise: nothing keeps people from making two nodes leaders. Both write then until one
 * hears of the other's higher term, which takes one beat, or as long as they are cut off from each other.
 * Nobody takes the place of a leader that died. A lease has no end, so one that was cut off goes on writing.
 * A node that starts as leader takes the place of whoever was chosen meanwhile.
 */
import type { Member } from "../options.ts";
import type { Disk, Vote } from "../world.ts";
import type { Election, ElectionMessage, Leadership } from "./election.ts";
import { isTerm, KeptVote } from "./kept-vote.ts";

/** Terms of one round: each member has its own of them. */
const TERMS_PER_ROUND = 1024;
/** What could not be saved is tried again after this. */
const RETRY_MS = 1000;

export interface StaticOptions {
  /** This member. */
  readonly name: string;
  /** All of them, at most 1024: their order by name keeps their terms apart. */
  readonly members: readonly Member[];
  readonly startsAsLeader: boolean;
}

export class StaticElection implements Election {
  readonly #name: string;
  readonly #isWitness: boolean;
  readonly #vote: KeptVote;
  #members: readonly string[];
  /** What people want. */
  #isChosen: boolean;
  #isEligible = false;
  #role: "follower" | "candidate" | "leader" = "follower";
  #retryMs = 0;

  /** saveVote: as of world.ts. saved: what it found there. */
  constructor(options: StaticOptions, saveVote: Disk["saveVote"], saved: Vote) {
    this.#name = options.name;
    this.#isWitness = options.members.some(({ name, isWitness }) => name === options.name && isWitness);
    this.#members = options.members.map(({ name }) => name).sort();
    this.#isChosen = options.startsAsLeader;
    this.#vote = new KeptVote(saved, saveVote, () => this.#onSettled());
  }

  /** A leader's term is one that nobody else ever had, and it is on disk. */
  leadership(): Leadership {
    const isLeader = this.#role === "leader";
    return {
      role: this.#role,
      term: this.#vote.savedTerm,
      leader: isLeader ? this.#name : undefined,
      leaseUntilMs: isLeader ? Number.POSITIVE_INFINITY : 0,
    };
  }

  /** People's word. A node that may not stand yet leads as soon as it may. */
  setLeader(isLeader: boolean): void {
    this.#isChosen = isLeader;
    if (isLeader) this.#stand();
    else this.#role = "follower";
  }

  tick(nowMs: number): void {
    if (nowMs < this.#retryMs) return;
    this.#retryMs = nowMs + RETRY_MS;
    this.#stand();
    this.#vote.retry();
  }

  receive(_from: string, _message: ElectionMessage, _nowMs: number): void {
    // Another engine's: the configurations differ, which the transport tells of.
  }

  /** One that may not stand any more, and later may, leads again. */
  setEligible(isEligible: boolean): void {
    this.#isEligible = isEligible;
    if (isEligible) this.#stand();
    else this.#role = "follower";
  }

  /** A leader that hears of a higher term gives up: somebody was chosen after it. */
  sawTerm(term: number): void {
    if (!isTerm(term) || term <= this.#vote.term) return;
    if (this.#role === "leader") this.setLeader(false);
    const isWaiting = this.#role === "candidate";
    if (isWaiting) this.#role = "follower";
    this.#vote.decide({ term, votedFor: undefined });
    // The term that it was about to take is too low now.
    if (isWaiting) this.#stand();
  }

  resign(): void {
    this.setLeader(false);
  }

  takeOver(_nowMs: number): void {
    this.setLeader(true);
  }

  setMembers(members: readonly string[]): void {
    this.#members = [...members].sort();
    if (!this.#members.includes(this.#name)) this.#role = "follower";
  }

  stop(): Promise<void> {
    this.resign();
    return Promise.resolve();
  }

  #stand(): void {
    const index = this.#members.indexOf(this.#name);
    const mayStand = this.#isChosen && this.#isEligible && !this.#isWitness && index >= 0;
    if (!mayStand || this.#role !== "follower") return;
    this.#role = "candidate";
    const round = Math.floor(this.#vote.term / TERMS_PER_ROUND) + 1;
    this.#vote.decide({ term: round * TERMS_PER_ROUND + index, votedFor: this.#name });
  }

  #onSettled(): void {
    if (this.#role === "candidate") this.#role = this.#vote.isSaved ? "leader" : "follower";
  }
}
