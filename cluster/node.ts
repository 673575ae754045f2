/**
 * One member of a cluster: what it holds, what it sends to the others, and its part in deciding what is
 * written. It is told of everything, time included, so that a history can be played again.
 */
import { Alarms } from "./alarms.ts";
import { AntiEntropy } from "./anti-entropy.ts";
import { ClusterClock } from "./cluster-clock.ts";
import type { Delta } from "./delta.ts";
import { Departure } from "./departure.ts";
import type { Election } from "./election/election.ts";
import { Follower } from "./follower.ts";
import { Foreign } from "./foreign.ts";
import type { HeldInterval } from "./held-interval.ts";
import { type Holding, Holdings } from "./holdings.ts";
import { IntervalLeader } from "./interval-leader.ts";
import type { Message } from "./message.ts";
import type { NodeParts } from "./node-parts.ts";
import { viewOf } from "./node-view.ts";
import { Office } from "./office.ts";
import type { Member, NodeOptions } from "./options.ts";
import { Peers } from "./peers.ts";
import { Presence } from "./presence.ts";
import { Pulls } from "./pulls.ts";
import { Reception } from "./reception.ts";
import { Recovery } from "./recovery.ts";
import { Registers } from "./registers.ts";
import { Replication } from "./replication.ts";
import { type NodeTimes, noCounts, type Settings } from "./settings.ts";
import { Tables } from "./tables.ts";
import { Transfer } from "./transfer.ts";
import type { ClusterView } from "./view.ts";
import type { SavedState, World } from "./world.ts";

/** Looks at the intervals in one call; what is left comes with the next tick. */
const RUNS_MAX = 200;

export class ClusterNode {
  readonly #parts: NodeParts;
  readonly #election: Election;
  readonly #saved: SavedState;
  readonly #settings: Settings;
  readonly #leader: IntervalLeader;
  readonly #recovery: Recovery;
  readonly #office: Office;
  readonly #follower: Follower;
  readonly #antiEntropy: AntiEntropy;
  readonly #transfer: Transfer;
  readonly #foreign: Foreign;
  readonly #reception: Reception;
  readonly #presence: Presence;
  readonly #departure: Departure;
  #isStarted = false;
  #isEnabled = true;
  #isEligible = false;
  #isPoked = false;
  #isRunning = false;

  /**
   * options: checked by the configuration. election: not shared with others; only this node ticks it, and
   * tells it of messages. saved: what the disk had.
   */
  constructor(options: NodeOptions, world: World, election: Election, saved: SavedState) {
    const { members, ...settings } = options;
    const counts = noCounts();
    const alarms = new Alarms();
    const peers = new Peers(options.name, members);
    this.#settings = settings;
    this.#election = election;
    this.#saved = saved;
    this.#foreign = new Foreign(peers);
    const onAcked = (source: string, sequence: number): void => this.#foreign.acknowledged(source, sequence);
    const holdings = new Holdings(settings, counts, (entry) => this.#letGo(entry));
    const clock = new ClusterClock(world.clock, peers, world.net, options.quorum);
    this.#parts = {
      settings: this.#settings,
      world,
      counts,
      alarms,
      peers,
      clock,
      holdings,
      registers: new Registers(world, holdings, counts, alarms),
      tables: new Tables(holdings, world.writer),
      pulls: new Pulls(holdings, peers, world.net),
      replication: new Replication(settings, peers, world.net, counts, onAcked),
      interval: () => Math.floor(clock.nowMs() / options.intervalMs),
      broadcast: (message) => {
        for (const { name } of peers.all()) world.net.send(name, message);
      },
      hold: (delta, isOwn) => this.#hold(delta, isOwn),
    };
    const poke = (): void => this.#poke();
    this.#leader = new IntervalLeader(this.#parts, poke);
    this.#recovery = new Recovery(this.#parts);
    this.#office = new Office(this.#parts, election, this.#recovery, this.#leader);
    this.#follower = new Follower(this.#parts);
    this.#antiEntropy = new AntiEntropy(this.#parts, (interval) => this.#leader.decisionOf(interval));
    this.#transfer = new Transfer(this.#parts);
    this.#presence = new Presence(this.#parts);
    this.#departure = new Departure(this.#parts, this.#office, this.#leader);
    this.#reception = new Reception(this.#parts, {
      election,
      office: this.#office,
      recovery: this.#recovery,
      leader: this.#leader,
      follower: this.#follower,
      antiEntropy: this.#antiEntropy,
      transfer: this.#transfer,
      poke,
      onClockSet: () => this.#presence.reset(),
      presentSince: () => this.#presence.since,
      mayLead: () => this.#isEligible,
    });
    holdings.restore(saved.registers);
  }

  /** Begins; nothing is sent or decided before. */
  start(): void {
    const nowMs = this.#nowMs();
    this.#isStarted = true;
    for (const [, { pending }] of this.#saved.registers) this.#office.sawTerm(pending.term);
    this.#transfer.begin(nowMs);
    this.#presence.begin();
    this.#updateEligibility();
  }

  /** Looks what is due; to be called about every TIMES.tickMs. */
  tick(): void {
    if (!this.#isStarted) return;
    const nowMs = this.#nowMs();
    const { clock, holdings, registers, tables, replication, pulls, peers } = this.#parts;
    this.#election.tick(nowMs);
    this.#office.follow(nowMs);
    const other = this.#office.otherLeader(nowMs);
    clock.tick(other ?? this.#transfer.source);
    this.#presence.tick();
    this.#transfer.tick(nowMs);
    this.#updateEligibility();
    this.#recovery.tick(nowMs);
    const now = this.#parts.interval();
    if (!peers.isSelfWitness) {
      replication.tick(nowMs);
      pulls.tick(nowMs);
      this.#foreign.tick(nowMs);
      this.#antiEntropy.tick(other, nowMs);
      const isBusy = (entry: HeldInterval): boolean => this.#leader.isBusy(entry);
      if (this.#transfer.hasState) tables.closeDelivered(now, isBusy);
      tables.dropOld(now, isBusy);
    }
    this.#departure.tick(nowMs);
    this.#office.tick(nowMs);
    this.#poke();
    holdings.retain(now);
    registers.trim();
  }

  /** A message of another member, which nobody else can have sent. */
  receive(from: string, message: Message): void {
    if (!this.#isStarted) return;
    const nowMs = this.#nowMs();
    this.#office.follow(nowMs);
    this.#reception.receive(from, message, nowMs);
  }

  /** A delta of this node's own intakes. */
  add(delta: Delta): void {
    const holding = this.#hold(delta, true);
    if (holding === "held") this.#parts.replication.add(delta, this.#nowMs());
    else if (holding === "refused") this.#parts.counts.lateSamples += delta.samples;
  }

  /**
   * A delta of a source outside the membership. onSafe is called once when two members hold it, or one has to
   * do; never where it is `late`, which is counted and for good.
   */
  addForeign(delta: Delta, onSafe: () => void): "held" | "repeated" | "late" {
    const holding = this.#hold(delta, true);
    if (holding === "repeated") this.#parts.counts.deltasRepeated += 1;
    if (holding === "held" || holding === "repeated") {
      // A repetition may have come from a member that has died since, and be nowhere else.
      if (holding === "held" || !this.#foreign.repeat(delta, onSafe)) this.#spread(delta, onSafe);
      return holding;
    }
    if (holding === "refused") this.#parts.counts.lateSamples += delta.samples;
    return "late";
  }

  /** Sends a foreign delta to all others; onSafe as of addForeign(). */
  #spread(delta: Delta, onSafe: () => void): void {
    this.#foreign.add(delta, onSafe, this.#nowMs());
    this.#parts.replication.add(delta, this.#nowMs());
  }

  #hold(delta: Delta, isOwn: boolean): Holding {
    const { holdings, pulls, tables } = this.#parts;
    const now = this.#parts.interval();
    const holding = holdings.add(delta, isOwn, now);
    const entry = holdings.get(delta.interval);
    if (holding !== "held" || entry === undefined) return holding;
    pulls.arrived(delta.interval, delta);
    tables.foldNew(entry, delta, now);
    this.#follower.arrived(entry);
    return holding;
  }

  /** Deltas of an entry are held no more. */
  #letGo(entry: HeldInterval): void {
    const { replication, pulls, tables, holdings } = this.#parts;
    replication.forget(entry);
    pulls.forget(entry.interval);
    tables.drop(entry);
    if (holdings.get(entry.interval) !== entry) return;
    this.#follower.forget(entry.interval);
    this.#leader.forget(entry.interval);
  }

  /** This node's intakes have closed all intervals below. */
  closeBelow(interval: number): void {
    this.#parts.replication.closeBelow(interval, this.#nowMs());
    this.#poke();
  }

  /** The transport has a way to a peer: what it has not acknowledged is sent at once. */
  peerConnected(name: string): void {
    const peer = this.#parts.peers.get(name);
    if (peer === undefined || !this.#isStarted) return;
    peer.isConnected = true;
    peer.isLost = false;
    if (peer.isWitness || this.#parts.peers.isSelfWitness) return;
    this.#parts.replication.resend(peer, this.#nowMs());
    this.#transfer.askNow(name, this.#nowMs());
  }

  /** The transport has no way to a peer: nothing waits for it until it is heard. */
  peerLost(name: string): void {
    const peer = this.#parts.peers.get(name);
    if (peer === undefined) return;
    peer.isConnected = false;
    peer.isLost = true;
    this.#poke();
  }

  /** The clock that intakes label by, in milliseconds of the epoch. */
  clusterNowMs(): number {
    return this.#parts.clock.nowMs();
  }

  /**
   * Whether clusterNowMs() is the cluster's: a node that has begun takes the leader's clock, so that its
   * intakes had better wait for this. True after a while where there is nobody to ask.
   */
  get hasClock(): boolean {
    return this.#presence.hasClock;
  }

  #updateEligibility(): void {
    const { peers } = this.#parts;
    const canLead = peers.isSelfMember && !peers.isSelfWitness && this.#transfer.hasState;
    const isEligible = canLead && this.#isEnabled && this.#departure.mayLead;
    if (isEligible === this.#isEligible) return;
    this.#isEligible = isEligible;
    this.#election.setEligible(isEligible);
    this.#poke();
  }

  /** Runs the leader's part until it has nothing more to do, or for a while. */
  #poke(): void {
    this.#isPoked = true;
    if (this.#isRunning || !this.#isStarted) return;
    this.#isRunning = true;
    for (let runs = 0; this.#isPoked && runs < RUNS_MAX; runs++) {
      this.#isPoked = false;
      const nowMs = this.#nowMs();
      this.#office.follow(nowMs);
      this.#leader.run(nowMs);
    }
    this.#isRunning = false;
  }

  /** Hands leadership over; to whoever lacks least by default. False where that cannot be. */
  transfer(to?: string): boolean {
    return this.#departure.transfer(to);
  }

  /** After the last add(): hands leadership over, and tells the others that there is nothing more to come. */
  leave(): void {
    this.#departure.leave();
    this.#updateEligibility();
    this.#poke();
  }

  /** Has all that is held written as it is, in whatever part: nobody else could write it later. */
  seal(): void {
    this.#departure.seal();
    this.#poke();
  }

  /**
   * Whether a leaving node may stop: every peer that is there has all it had, or there is none and all is
   * written. A node that can do neither never is; whoever stops it has to set a limit.
   */
  get isDrained(): boolean {
    return this.#departure.isDrained;
  }

  /** Rows of intervals below it cannot be made again, here or by those who hold what is held here. */
  get floor(): number {
    return this.#leader.floor();
  }

  get memberNames(): readonly string[] {
    return this.#parts.peers.names;
  }

  /** People let this node stand in elections, or not. */
  setEnabled(isEnabled: boolean): void {
    this.#isEnabled = isEnabled;
    this.#updateEligibility();
  }

  setMembers(members: readonly Member[]): void {
    const { peers, replication } = this.#parts;
    peers.setMembers(members);
    replication.forgetStrangers();
    this.#election.setMembers(peers.names);
    this.#updateEligibility();
    this.#poke();
  }

  reloadTimes(times: NodeTimes): void {
    Object.assign(this.#settings, times);
  }

  view(): ClusterView {
    return viewOf(this.#parts, {
      leadership: this.#election.leadership(),
      leader: this.#office.leaderName(this.#nowMs()),
      term: this.#office.term,
      hasState: this.#transfer.hasState,
      isEligible: this.#isEligible,
      decisionOf: (interval) => this.#leader.decisionOf(interval),
    });
  }

  #nowMs(): number {
    return this.#parts.world.clock.monotonicMs();
  }
}
