/**
 * Leader election of raft, without its log: terms, votes of majorities, heartbeats. The registers of the
 * intervals take the place of the log, so nobody's log has to be compared with anybody's.
 *
 * What keeps leases apart: a heartbeat that a member acknowledged holds its vote back for electionMinMs, and
 * counts for the leader's lease for leaseMs from the moment it was *sent*. A new leader's majority shares a
 * member with the old lease's, so that lease was over when the vote was given. Hence leaseMs has to be below
 * electionMinMs by more than clocks drift within it, and a member gives no vote for electionMinMs after its
 * start: it does not know what it had acknowledged.
 *
 * Taking over is the exception. A leader of term T that resigns has no lease from then on, and no leader
 * before it has one. It names one member, which stands for term T + 1 with a request that is forced: voters
 * do not wait. Whoever sends the word has to see to it that nothing is written under the old lease any more.
 *
 * Source: Ongaro, "Consensus: Bridging Theory and Practice", 2014, 3.4, 3.10, 4.2.3, 6.4.1, 9.6.
 */
import type { Disk, Vote } from "../world.ts";
import type { Election, ElectionMessage, Leadership } from "./election.ts";
import { Electorate } from "./electorate.ts";
import { isTerm, KeptVote } from "./kept-vote.ts";
import { Lease } from "./lease.ts";
import type { RaftOptions, RaftWorld } from "./raft-options.ts";

type Request<K extends ElectionMessage["kind"]> = Extract<ElectionMessage, { readonly kind: K }>;

/**
 * One member's part. Everything that others see of a term is on disk before. A member whose disk takes
 * nothing neither votes nor leads, and learns of no new leader.
 */
export class RaftElection implements Election {
  readonly #options: RaftOptions;
  readonly #world: RaftWorld;
  readonly #vote: KeptVote;
  readonly #lease: Lease;
  readonly #electorate: Electorate;
  /** A poll asks who would vote; it changes nobody's term. */
  #role: "follower" | "polling" | "candidate" | "leader" = "follower";
  #leader: string | undefined;
  #isEligible = false;
  #isStopped = false;
  #isForced = false;
  /** Newest moment that it was told of, and the newest tick's; undefined before the first. */
  #nowMs: number | undefined;
  #tickMs = 0;
  /** When a follower stands, and when a poll or a candidacy is given up. */
  #deadlineMs = 0;
  /** Some leader, perhaps this one, may have a lease until then. */
  #noVoteUntilMs = 0;
  #retryMs = 0;
  /** When requests or heartbeats went out last. */
  #sentMs = 0;
  readonly #voters = new Set<string>();
  #leaseUntilMs = 0;
  /** A leader without a lease gives up then. */
  #overdueMs = 0;

  constructor(options: RaftOptions, world: RaftWorld, saved: Vote) {
    this.#options = options;
    this.#world = world;
    this.#lease = new Lease(options.leaseMs);
    this.#electorate = new Electorate(options.name, options.members);
    const save: Disk["saveVote"] = (vote, done) => world.saveVote(vote, done);
    this.#vote = new KeptVote(saved, save, () => this.#onVoteSettled());
  }

  leadership(): Leadership {
    const { savedTerm: term } = this.#vote;
    // What belongs to a term that is not on disk yet is not shown.
    const leader = term === this.#vote.term ? this.#leader : undefined;
    if (this.#role === "leader") return { role: "leader", term, leader, leaseUntilMs: this.#leaseUntilMs };
    return { role: this.#role === "follower" ? "follower" : "candidate", term, leader, leaseUntilMs: 0 };
  }

  tick(nowMs: number): void {
    if (this.#isStopped) return;
    this.#advance(nowMs);
    this.#tickMs = nowMs;
    if (nowMs >= this.#retryMs) {
      this.#retryMs = nowMs + this.#options.electionMinMs;
      this.#vote.retry();
    }
    if (this.#role === "leader") this.#tickLeader(nowMs);
    else this.#tickOther(nowMs);
  }

  #tickLeader(nowMs: number): void {
    if (nowMs > this.#overdueMs) {
      this.#follow(undefined);
      return;
    }
    if (nowMs - this.#sentMs >= this.#options.heartbeatMs) this.#sendHeartbeats(nowMs);
  }

  #tickOther(nowMs: number): void {
    if (this.#electorate.isAlone && this.#mayStand() && this.#role === "follower") {
      // No other member can have a lease.
      this.#stand(false);
    } else if (nowMs >= this.#deadlineMs) {
      this.#follow(undefined);
      // The next try comes sooner than after a heartbeat: a poll costs nobody anything.
      this.#deadlineMs = nowMs + this.#electionMs() / 2;
      if (this.#mayStand() && nowMs >= this.#noVoteUntilMs) this.#poll();
    } else if (nowMs - this.#sentMs >= this.#options.heartbeatMs) {
      this.#sendRequests();
    }
  }

  receive(from: string, message: ElectionMessage, nowMs: number): void {
    if (this.#isStopped) return;
    this.#advance(nowMs);
    if (!this.#electorate.isOther(from) || !this.#electorate.isMember || !isTerm(message.term)) return;
    if (message.kind === "vote-request") this.#onRequest(from, message, nowMs);
    else if (message.kind === "vote") this.#onVote(from, message);
    else if (message.kind === "vote-refused") this.sawTerm(message.term);
    else if (message.kind === "heartbeat") this.#onHeartbeat(from, message, nowMs);
    else this.#onAck(from, message);
  }

  #onRequest(from: string, { isPre, term, isForced }: Request<"vote-request">, nowMs: number): void {
    const isHeldBack = nowMs < this.#noVoteUntilMs;
    if (isPre) {
      if (!isHeldBack && term > this.#vote.term) this.#world.send(from, { kind: "vote", isPre, term });
      else this.#refuse(from);
      return;
    }
    if (term < this.#vote.term) {
      this.#refuse(from);
      return;
    }
    // Whoever does not vote does not take the term over either: it would cost the leader its place. Nobody
    // was asked to take over from a leader with a lease.
    const isLeading = this.#role === "leader" && nowMs < this.#leaseUntilMs;
    if (isHeldBack && (!isForced || isLeading)) return;
    if (term > this.#vote.term) this.#follow(undefined);
    else if (this.#vote.votedFor !== undefined && this.#vote.votedFor !== from) {
      this.#refuse(from);
      return;
    }
    this.#deadlineMs = nowMs + this.#electionMs();
    const hasVote = this.#vote.term === term && this.#vote.votedFor === from;
    if (hasVote && this.#vote.isSaved) this.#sendVote();
    else this.#vote.decide({ term, votedFor: from });
  }

  #refuse(to: string): void {
    this.#world.send(to, { kind: "vote-refused", term: this.#vote.term });
  }

  #sendVote(): void {
    const { term, votedFor } = this.#vote;
    if (votedFor !== undefined && this.#electorate.isOther(votedFor)) {
      this.#world.send(votedFor, { kind: "vote", isPre: false, term });
    }
  }

  /** The newest term and vote are on disk, or could not be written. */
  #onVoteSettled(): void {
    if (this.#isStopped) return;
    if (this.#role === "candidate") {
      if (!this.#vote.isSaved) this.#follow(undefined);
      else this.#sendRequests();
      this.#countVotes();
    } else if (this.#vote.isSaved) {
      this.#sendVote();
    }
  }

  #onVote(from: string, { isPre, term }: Request<"vote">): void {
    const isWanted = isPre
      ? this.#role === "polling" && term === this.#vote.term + 1
      : this.#role === "candidate" && term === this.#vote.term;
    if (!isWanted) return;
    this.#voters.add(from);
    this.#countVotes();
  }

  #countVotes(): void {
    if (this.#voters.size < this.#electorate.majority) return;
    if (this.#role === "polling") this.#stand(false);
    else if (this.#role === "candidate" && this.#vote.isSaved) this.#lead();
  }

  #onHeartbeat(from: string, { term, sentMs }: Request<"heartbeat">, nowMs: number): void {
    if (term < this.#vote.term) {
      this.#refuse(from);
      return;
    }
    this.#follow(from);
    this.#noVoteUntilMs = Math.max(this.#noVoteUntilMs, nowMs + this.#options.electionMinMs);
    if (term > this.#vote.term) this.#vote.decide({ term, votedFor: undefined });
    // The term of an acknowledgement is one that a crash does not take back.
    if (this.#vote.savedTerm === term) this.#world.send(from, { kind: "heartbeat-ack", term, sentMs });
  }

  #onAck(from: string, { term, sentMs }: Request<"heartbeat-ack">): void {
    this.sawTerm(term);
    if (this.#role !== "leader" || term !== this.#vote.term) return;
    this.#lease.acknowledge(from, sentMs);
    this.#renewLease();
  }

  setEligible(isEligible: boolean): void {
    this.#isEligible = isEligible;
    if (!isEligible && this.#role !== "follower") this.resign();
  }

  sawTerm(term: number): void {
    if (this.#isStopped || !isTerm(term) || term <= this.#vote.term) return;
    if (this.#role === "follower") this.#leader = undefined;
    else this.#follow(undefined);
    this.#vote.decide({ term, votedFor: undefined });
  }

  /**
   * Gives leadership, or a candidacy, up, and lets others go first. Whoever shall be the next is told by a
   * `take-over` of the caller, when nothing is written any more; so the name is not needed here.
   */
  resign(): void {
    if (this.#role === "follower") return;
    this.#follow(undefined);
    this.#deadlineMs += this.#options.electionMaxMs;
  }

  /**
   * Stands at once, with a request that other leaders' heartbeats do not hold back. The caller has checked
   * that the leader of leadership().term asked for it. Does nothing where a newer term is known.
   */
  takeOver(nowMs: number): void {
    if (this.#isStopped) return;
    this.#advance(nowMs);
    if (!this.#mayStand() || this.#role === "leader" || this.#vote.savedTerm !== this.#vote.term) return;
    this.#stand(true);
  }

  /**
   * The other members are counted from now on. One may be added or removed at a time: then old and new
   * majorities share a member. Whoever is not one of them any more is silent.
   */
  setMembers(members: readonly string[]): void {
    this.#electorate.replace(members);
    this.#lease.keepOnly(this.#electorate.members);
    for (const name of this.#voters) if (!this.#electorate.members.has(name)) this.#voters.delete(name);
    if (!this.#electorate.isMember) this.resign();
    else if (this.#role === "leader") this.#renewLease();
  }

  /**
   * The clock may have stood still, as when a machine is suspended: the lease is not used until a heartbeat
   * that is sent from now on was acknowledged.
   */
  distrustLease(nowMs: number): void {
    if (this.#role !== "leader") return;
    this.#lease.begin(nowMs);
    this.#sendHeartbeats(nowMs);
  }

  stop(): Promise<void> {
    this.resign();
    this.#isStopped = true;
    return Promise.resolve();
  }

  /** Takes note of the time. A process that was not run for a while does not trust its clock. */
  #advance(nowMs: number): void {
    if (this.#nowMs === undefined) {
      this.#tickMs = nowMs;
      this.#noVoteUntilMs = nowMs + this.#options.electionMinMs;
      this.#deadlineMs = nowMs + this.#electionMs();
    }
    this.#nowMs = nowMs;
    const isLate = nowMs - this.#tickMs > this.#options.leaseMs / 2;
    if (isLate && this.#lease.trustedFromMs <= this.#tickMs) this.distrustLease(nowMs);
  }

  #follow(leader: string | undefined): void {
    this.#role = "follower";
    this.#leader = leader;
    this.#voters.clear();
    this.#leaseUntilMs = 0;
    this.#deadlineMs = (this.#nowMs ?? 0) + this.#electionMs();
  }

  #poll(): void {
    this.#role = "polling";
    this.#voters.clear();
    this.#voters.add(this.#options.name);
    this.#sendRequests();
    this.#countVotes();
  }

  #stand(isForced: boolean): void {
    this.#follow(undefined);
    this.#role = "candidate";
    this.#isForced = isForced;
    this.#voters.add(this.#options.name);
    // A vote for itself that could not be saved was not asked for yet: its term is tried once more.
    const { term, votedFor, savedTerm } = this.#vote;
    const isLeft = votedFor === this.#options.name && savedTerm < term;
    if (isLeft) this.#vote.retry();
    else this.#vote.decide({ term: term + 1, votedFor: this.#options.name });
  }

  /** Asks those that have not answered. */
  #sendRequests(): void {
    const isPre = this.#role === "polling";
    if (!isPre && (this.#role !== "candidate" || !this.#vote.isSaved)) return;
    this.#sentMs = this.#nowMs ?? 0;
    const term = this.#vote.term + (isPre ? 1 : 0);
    const isForced = !isPre && this.#isForced;
    for (const name of this.#electorate.others()) {
      if (!this.#voters.has(name)) this.#world.send(name, { kind: "vote-request", isPre, term, isForced });
    }
  }

  #lead(): void {
    const nowMs = this.#nowMs ?? 0;
    const { leaseMs, electionMinMs } = this.#options;
    this.#role = "leader";
    this.#leader = this.#options.name;
    this.#lease.begin(nowMs);
    this.#overdueMs = nowMs + leaseMs + electionMinMs;
    // Whoever was slower to stand gets no poll out of this one.
    this.#noVoteUntilMs = Math.max(this.#noVoteUntilMs, nowMs + electionMinMs);
    this.#sendHeartbeats(nowMs);
  }

  #sendHeartbeats(nowMs: number): void {
    this.#sentMs = nowMs;
    this.#lease.beat(nowMs);
    for (const name of this.#electorate.others()) {
      this.#world.send(name, { kind: "heartbeat", term: this.#vote.term, sentMs: nowMs });
    }
    this.#renewLease();
  }

  #renewLease(): void {
    this.#leaseUntilMs = this.#lease.untilMs(this.#electorate.majority);
    this.#overdueMs = Math.max(this.#overdueMs, this.#leaseUntilMs + this.#options.electionMinMs);
    // Other threads may still go by a lease that this one does not trust any more.
    this.#noVoteUntilMs = Math.max(this.#noVoteUntilMs, this.#leaseUntilMs);
  }

  #mayStand(): boolean {
    return this.#isEligible && this.#electorate.canLead;
  }

  #electionMs(): number {
    return this.#world.random.between(this.#options.electionMinMs, this.#options.electionMaxMs);
  }
}
