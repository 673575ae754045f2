/** Takes the members' messages and hands each to the part that it is for. Nothing in one can throw. */
import type { AntiEntropy } from "./anti-entropy.ts";
import type { Delta, DeltaId } from "./delta.ts";
import type { Election } from "./election/election.ts";
import { isElectionMessage } from "./election/election.ts";
import type { Follower } from "./follower.ts";
import type { IntervalLeader } from "./interval-leader.ts";
import { deltasOf, withDeltas } from "./manifest.ts";
import type { ClockAnswer, Deltas, Message, Pull, QueryAnswer, StateRequest } from "./message.ts";
import type { NodeParts } from "./node-parts.ts";
import type { Office } from "./office.ts";
import type { Peer } from "./peers.ts";
import type { Recovery } from "./recovery.ts";
import { BUNDLE_BYTES, bytesOf, PENDING_BYTES_MAX } from "./replication.ts";
import { isSoundDelta, isSoundMessage } from "./sense.ts";
import type { Transfer } from "./transfer.ts";

/** Parts of a node that messages go to. */
export interface Departments {
  readonly election: Election;
  readonly office: Office;
  readonly recovery: Recovery;
  readonly leader: IntervalLeader;
  readonly follower: Follower;
  readonly antiEntropy: AntiEntropy;
  readonly transfer: Transfer;
  /** Asks for another look at what is due. */
  poke(): void;
  /** The clock has gone on by so much at once. */
  onClockSet(): void;
  /** First interval that this member was there for from its beginning. */
  presentSince(): number;
  mayLead(): boolean;
}

export class Reception {
  readonly #parts: NodeParts;
  readonly #to: Departments;

  constructor(parts: NodeParts, departments: Departments) {
    this.#parts = parts;
    this.#to = departments;
  }

  receive(from: string, message: Message, nowMs: number): void {
    const { counts, peers, replication } = this.#parts;
    const peer = peers.get(from);
    if (peer === undefined || !isSoundMessage(message)) {
      counts.staleMessages += 1;
      return;
    }
    const wasLive = peer.isLive(nowMs);
    peer.heardMs = nowMs;
    peer.isLost = false;
    this.#dispatch(peer, message, nowMs);
    if (!wasLive && this.#to.office.isLeading) this.#to.antiEntropy.greet(from);
    if (!wasLive && !peer.isWitness && !peers.isSelfWitness) replication.resend(peer, nowMs);
  }

  #dispatch(peer: Peer, message: Message, nowMs: number): void {
    const from = peer.name;
    const { office, recovery, leader, follower, antiEntropy, transfer, election } = this.#to;
    if (isElectionMessage(message)) {
      election.receive(from, message, nowMs);
      this.#to.poke();
      return;
    }
    switch (message.kind) {
      case "beat":
        office.receiveBeat(from, message, nowMs);
        return;
      case "stale":
        office.sawTerm(message.term);
        this.#to.poke();
        return;
      case "clock-request":
        this.#parts.clock.answer(from, message.askedMs);
        return;
      case "clock-answer":
        this.#setClock(from, message);
        return;
      case "deltas":
        this.#hold(peer, message);
        return;
      case "deltas-ack":
        this.#parts.replication.acknowledge(peer, message.held);
        return;
      case "query":
        if (this.#isCurrent(from, message.term)) this.#answerQuery(from, message.term);
        return;
      case "query-answer":
        this.#learnTerms(message);
        recovery.receive(from, message, nowMs);
        this.#to.poke();
        return;
      case "intent":
        if (this.#isCurrent(from, message.term)) follower.receiveIntent(from, message, nowMs);
        return;
      case "intent-ack":
        leader.receiveAck(from, message, nowMs);
        return;
      case "done":
        office.sawTerm(message.term);
        follower.receiveDone(from, message, nowMs);
        return;
      case "pull":
        this.#answerPull(from, message);
        return;
      case "digest":
        if (office.isLeading && antiEntropy.receive(from, message, nowMs)) transfer.answer(from, "");
        return;
      case "state-request":
        this.#greet(peer, message, nowMs);
        return;
      case "state":
        this.#learnTerms(message);
        transfer.receive(from, message, nowMs);
        this.#to.poke();
        return;
      case "leaving":
        if (peer.meet(message.incarnation)) peer.hasLeft = true;
        this.#to.poke();
        return;
      case "take-over":
        if (this.#isCurrent(from, message.term) && this.#to.mayLead()) election.takeOver(nowMs);
        return;
    }
  }

  /** Whether a leader's word is of the newest term that is known; an older one is told so. */
  #isCurrent(from: string, term: number): boolean {
    const { office } = this.#to;
    if (term < office.term) {
      office.refuse(from);
      return false;
    }
    office.sawTerm(term);
    this.#to.poke();
    return true;
  }

  /** Terms of registers are such that some leader had. */
  #learnTerms({ registers }: Pick<QueryAnswer, "registers">): void {
    for (const [, { pending }] of registers) this.#to.office.sawTerm(pending.term);
  }

  #setClock(from: string, { askedMs, clockMs, wallMs }: ClockAnswer): void {
    if (this.#parts.clock.receive(from, askedMs, clockMs, wallMs)) this.#to.onClockSet();
  }

  #hold(peer: Peer, { deltas, closedBelow, incarnation, wantsAck }: Deltas): void {
    const { peers, world } = this.#parts;
    if (peers.isSelfWitness) return;
    const held: DeltaId[] = [];
    for (const delta of deltas) {
      if (this.#holdOne(delta)) held.push(delta);
    }
    if (wantsAck && held.length > 0) {
      world.net.send(peer.name, { kind: "deltas-ack", held: withDeltas([], held) });
    }
    if (peer.isWitness || !peer.meet(incarnation)) return;
    if (closedBelow !== undefined && peer.close(closedBelow)) this.#to.poke();
  }

  /** Returns whether the sender need not send it again. */
  #holdOne(delta: Delta): boolean {
    const { counts } = this.#parts;
    const holding = isSoundDelta(delta) ? this.#parts.hold(delta, false) : "refused";
    if (holding === "held") {
      counts.deltasReceived += 1;
      counts.samplesReceived += delta.samples;
    } else if (holding === "repeated") counts.deltasRepeated += 1;
    else if (holding === "refused") counts.staleMessages += 1;
    return holding !== "refused" && holding !== "full";
  }

  #answerQuery(from: string, term: number): void {
    const { holdings, world } = this.#parts;
    // Answers are big; over a slow way they are not heaped up. It asks again.
    if (world.net.pendingBytes(from) >= PENDING_BYTES_MAX) return;
    const { forgottenBelow } = holdings;
    const known = { registers: holdings.registers(), held: holdings.inventory(), forgottenBelow };
    world.net.send(from, { kind: "query-answer", term, ...known, presentSince: this.#to.presentSince() });
  }

  #answerPull(from: string, { interval, wanted }: Pull): void {
    const { holdings, settings, world, counts } = this.#parts;
    const entry = holdings.get(interval);
    if (entry === undefined) return;
    let bundle: Delta[] = [];
    const send = (): void => {
      const { incarnation } = settings;
      if (bundle.length > 0) {
        world.net.send(from, { kind: "deltas", deltas: bundle, incarnation, wantsAck: false });
      }
      counts.deltaBytesSent += bytesOf(bundle);
      bundle = [];
    };
    let bytes = 0;
    for (const id of deltasOf(wanted)) {
      const delta = entry.get(id);
      if (delta === undefined) continue;
      // The rest is asked for again.
      if (bytes > 0 && world.net.pendingBytes(from) + bytes >= PENDING_BYTES_MAX) break;
      if (bytesOf(bundle) + delta.bytes.length > BUNDLE_BYTES) send();
      bundle.push(delta);
      bytes += delta.bytes.length;
    }
    send();
  }

  #greet(peer: Peer, { incarnation }: StateRequest, nowMs: number): void {
    if (peer.incarnation !== incarnation && peer.meet(incarnation)) {
      // It has just begun, and holds nothing that it had before.
      this.#parts.replication.resend(peer, nowMs);
    }
    this.#to.transfer.answer(peer.name, incarnation);
  }
}
