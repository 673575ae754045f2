/**
 * The leader's part: for each interval that is due it fixes a manifest, has it recorded by a majority, writes
 * it, and amends it when more comes. First writings go in the order of time, since each starts from what the
 * one before has kept; nothing waits for a sink.
 */
import { Decision, firstManifest, firstPlan, nextPlan, type Plan } from "./decision.ts";
import { Delivery } from "./delivery.ts";
import type { Delta } from "./delta.ts";
import { isSameOrder } from "./fold-order.ts";
import type { HeldInterval } from "./held-interval.ts";
import { withDeltas } from "./manifest.ts";
import type { IntentAck } from "./message.ts";
import type { NodeParts } from "./node-parts.ts";
import { TIMES } from "./options.ts";
import { isNewer } from "./register.ts";
import { Search } from "./search.ts";

/** Amendments of one interval are at least so far apart. */
const AMEND_MS = 1000;

export class IntervalLeader {
  readonly #parts: NodeParts;
  readonly #delivery: Delivery;
  readonly #search: Search;
  readonly #poke: () => void;
  #term: number | undefined;
  #beganMs = 0;
  #leaseUntilMs = 0;
  /** When the lease was found to have ended last. */
  #gapMs = Number.NEGATIVE_INFINITY;
  #isSealed = false;
  #sinks = "";
  readonly #decisions = new Map<number, Decision>();
  /** What was asked of the writer for the intervals whose manifests are being fixed. */
  readonly #preparing = new Map<number, object>();
  /** Whether an interval below the one at hand is being written. */
  #isAmending = false;
  /** Intervals of earlier leaders that were written once more. */
  readonly #settled = new Set<number>();

  /** poke: asks for another run() soon. */
  constructor(parts: NodeParts, poke: () => void) {
    this.#parts = parts;
    this.#poke = poke;
    this.#search = new Search(parts);
    this.#delivery = new Delivery(parts, this);
  }

  /** Term that it writes in; undefined while another leads, or nothing is known yet. */
  get term(): number | undefined {
    return this.#term;
  }

  begin(term: number, nowMs: number): void {
    this.end();
    this.#term = term;
    this.#beganMs = nowMs;
    this.#gapMs = Number.NEGATIVE_INFINITY;
    for (const entry of this.#parts.holdings.entries()) entry.isUnmergeable = false;
  }

  end(): void {
    this.#term = undefined;
    this.#leaseUntilMs = 0;
    for (const interval of [...this.#preparing.keys(), ...this.#decisions.keys()]) {
      const entry = this.#parts.holdings.get(interval);
      if (entry !== undefined) this.#parts.tables.release(entry);
    }
    this.#preparing.clear();
    this.#decisions.clear();
    this.#settled.clear();
    this.#search.clear();
  }

  /** All that is held is due now: this member is about to stop, and nobody else is there. */
  seal(): void {
    this.#isSealed = true;
  }

  /** Takes note of the lease, and of its gaps. */
  setLease(untilMs: number, nowMs: number): void {
    if (nowMs >= this.#leaseUntilMs) this.#gapMs = nowMs;
    this.#leaseUntilMs = untilMs;
  }

  decisionOf(interval: number): Decision | undefined {
    return this.#decisions.get(interval);
  }

  /** Whether it is about to write an interval. */
  isBusy(entry: HeldInterval): boolean {
    if (this.#preparing.has(entry.interval)) return true;
    return this.#decisions.get(entry.interval)?.phase === "intent";
  }

  /**
   * From where on rows of earlier leaders are worth nothing: this one has, or will write, all of it. Below it
   * are only intervals whose deltas are lost, so that rows which wait somewhere are all that is left of them.
   */
  floor(): number {
    let floor = 0;
    for (const entry of this.#parts.holdings.entries()) {
      const isLost = entry.size === 0 && entry.register !== undefined && !entry.isComplete;
      if (!isLost) return floor === 0 ? 0 : entry.interval;
      floor = entry.interval;
    }
    return floor === 0 ? 0 : this.#parts.interval();
  }

  /** Whether nothing that is held waits to be written. */
  isIdle(): boolean {
    return this.#parts.holdings.entries().every((entry) => {
      return entry.size === 0 || entry.isUnmergeable || (entry.isComplete && entry.surplus === 0);
    });
  }

  run(nowMs: number): void {
    if (this.#term === undefined) return;
    const sinks = this.#parts.world.writer.sinks().join("\n");
    const haveSinksChanged = sinks !== this.#sinks;
    this.#sinks = sinks;
    let isTurn = true;
    this.#isAmending = false;
    for (const entry of this.#parts.holdings.entries()) {
      if (!this.#hasEnded(entry)) break;
      const decision = this.#decisions.get(entry.interval);
      if (decision === undefined) this.#consider(entry, isTurn, nowMs);
      else {
        if (haveSinksChanged) this.#delivery.conclude(entry.interval, decision);
        this.#pursue(entry, decision, isTurn, nowMs);
      }
      if (!this.#parts.tables.isClosed(entry) && !entry.isUnmergeable) isTurn = false;
      if (this.#isUnderWay(entry, nowMs)) this.#isAmending = true;
    }
  }

  /** Whether something of it is about to be written, which later intervals should start from. */
  #isUnderWay(entry: HeldInterval, nowMs: number): boolean {
    const decision = this.#decisions.get(entry.interval);
    if (this.#preparing.has(entry.interval) || decision?.phase === "intent") return true;
    // More has come, and is written soon; what is not is not waited for.
    return decision !== undefined && entry.size > decision.size && nowMs - decision.writtenMs < 2 * AMEND_MS;
  }

  #hasEnded({ interval }: HeldInterval): boolean {
    return this.#isSealed || this.#parts.clock.nowMs() >= (interval + 1) * this.#parts.settings.intervalMs;
  }

  /** Whether everybody who is there has closed it, or nobody is waited for any more. */
  #isDue({ interval }: HeldInterval, nowMs: number): boolean {
    const { clock, settings, peers, replication } = this.#parts;
    if (this.#isSealed) return true;
    const { intervalMs, settleMs } = settings;
    const sinceEndMs = clock.nowMs() - (interval + 1) * intervalMs;
    // All of them are looked at: each is judged by it.
    const late = peers.data().filter((peer) => peer.holdsUp(interval, sinceEndMs, settleMs, nowMs));
    return sinceEndMs >= settleMs || (replication.closedBelow > interval && late.length === 0);
  }

  #consider(entry: HeldInterval, isTurn: boolean, nowMs: number): void {
    if (this.#preparing.has(entry.interval)) return;
    if (entry.isComplete && entry.surplus === 0) {
      // What it kept is looked for, since the next interval starts from it; for a while.
      if (!this.#parts.tables.isClosed(entry)) this.#search.isOver(entry, nowMs);
      this.#settleEarlier(entry, nowMs);
      return;
    }
    if (!this.#isDue(entry, nowMs) || !this.#search.isOver(entry, nowMs)) return;
    if (!isTurn && !this.#parts.tables.isClosed(entry)) return;
    this.#propose(entry, undefined, isTurn, nowMs);
  }

  /**
   * written: what this leader has written of it before. isTurn: whether all intervals below are closed, so
   * that what gauges start from can be told.
   */
  #propose(entry: HeldInterval, written: Decision | undefined, isTurn: boolean, nowMs: number): void {
    const { pending } = entry;
    const plan = pending === undefined ? firstPlan(firstManifest(entry)) : nextPlan(entry, written);
    // What is written again as it was decided has its levels already.
    const isRepetition = pending !== undefined && isSameOrder(plan.manifest, pending.slot.manifest);
    if (isRepetition) this.#decide(entry, plan, nowMs);
    // Amendments go in the order of time, as far as they can.
    else if (this.#isAmending && this.#parts.tables.isClosed(entry)) return;
    else if (isTurn) this.#prepare(entry, plan);
    else this.#decide(entry, plan, nowMs);
  }

  /** Has the writer say what gauges of the interval start from; that is one more delta of it, the last. */
  #prepare(entry: HeldInterval, plan: Plan): void {
    const { tables, world } = this.#parts;
    const question = {};
    const { pending } = entry;
    this.#preparing.set(entry.interval, question);
    entry.isHeldBack = true;
    tables.ensure(entry, plan.manifest);
    world.writer.prepare(entry.interval, (levels) => {
      if (this.#preparing.get(entry.interval) !== question) return;
      this.#preparing.delete(entry.interval);
      if (entry.pending?.slot !== pending?.slot) {
        // Somebody had decided before, who was not heard until now.
        tables.release(entry);
        return;
      }
      const last = levels === undefined ? [] : this.#addLevels(entry, levels);
      const added = plan.cause === "amend" ? withDeltas(plan.added, last) : plan.added;
      const manifest = withDeltas(plan.manifest, last);
      this.#decide(entry, { ...plan, manifest, added }, world.clock.monotonicMs());
      this.#poke();
    });
  }

  #addLevels(entry: HeldInterval, levels: Delta): Delta[] {
    if (levels.interval !== entry.interval || this.#parts.hold(levels, false) !== "held") return [];
    this.#parts.tables.fold(entry, levels);
    this.#parts.replication.add(levels, this.#parts.world.clock.monotonicMs());
    return [levels];
  }

  #decide(entry: HeldInterval, plan: Plan, nowMs: number): void {
    const { settings, registers } = this.#parts;
    const decision = new Decision(this.#term!, plan, nowMs);
    const { interval } = entry;
    entry.isHeldBack = true;
    entry.isUnmergeable = false;
    this.#decisions.set(interval, decision);
    if (plan.isInDoubt) {
      this.#parts.counts.inDoubt += 1;
      this.#parts.world.log.warn("interval.in-doubt", { interval, lost: entry.pending?.missing });
    }
    decision.heldBy.add(settings.name);
    registers.merge(interval, { pending: decision.slot }, () => {
      decision.recordedBy.add(settings.name);
      this.#poke();
    });
    this.#parts.broadcast({ kind: "intent", interval, ...decision.slot });
  }

  receiveAck(from: string, ack: IntentAck, nowMs: number): void {
    const { interval, revision, besides } = ack;
    if (ack.term !== this.#term) return;
    this.#parts.pulls.want(interval, besides, [from], nowMs);
    const decision = this.#decisions.get(interval);
    if (decision === undefined || decision.slot.revision !== revision) return;
    decision.recordedBy.add(from);
    if (ack.holdsAll) decision.heldBy.add(from);
    this.#poke();
  }

  #pursue(entry: HeldInterval, decision: Decision, isTurn: boolean, nowMs: number): void {
    if (this.#preparing.has(entry.interval)) return;
    if (decision.phase === "intent") this.#pursueIntent(entry, decision, nowMs);
    else if (decision.mustRewrite) {
      if (nowMs < this.#leaseUntilMs && this.#isHeld(entry, decision)) {
        this.#delivery.write(entry, decision, "takeover", nowMs);
      }
    } else if (entry.size > decision.size) {
      if (nowMs - decision.writtenMs < AMEND_MS || !this.#search.isOver(entry, nowMs)) return;
      this.#propose(entry, decision, isTurn, nowMs);
    } else this.#settle(entry, decision, nowMs);
  }

  #pursueIntent(entry: HeldInterval, decision: Decision, nowMs: number): void {
    const { peers, settings, counts } = this.#parts;
    if (isNewer(entry.register!.pending, decision.slot)) return;
    if (nowMs - decision.sentMs >= TIMES.intentMs) this.#resendIntent(entry.interval, decision, nowMs);
    const needed = settings.quorum === "one" ? 1 : peers.majority;
    if (!decision.recordedBy.has(settings.name) || peers.countOf(decision.recordedBy) < needed) return;
    const hasCopies = peers.countOf(decision.heldBy) >= Math.min(2, peers.dataCount);
    const isHopeless = nowMs - decision.decidedMs >= TIMES.degradedMs || peers.liveData(nowMs).length === 0;
    if (!hasCopies && !isHopeless) return;
    if (nowMs >= this.#leaseUntilMs || !this.#isHeld(entry, decision)) return;
    decision.isDegraded = !hasCopies;
    if (!hasCopies) counts.degraded += 1;
    this.#delivery.write(entry, decision, decision.plan.cause, nowMs);
  }

  #isHeld(entry: HeldInterval, { slot }: Decision): boolean {
    const { pending } = entry;
    const isSame = pending?.slot.term === slot.term && pending.slot.revision === slot.revision;
    return isSame && pending.missing === 0;
  }

  #resendIntent(interval: number, decision: Decision, nowMs: number): void {
    decision.sentMs = nowMs;
    for (const { name, isWitness } of this.#parts.peers.all()) {
      if (decision.recordedBy.has(name) && (isWitness || decision.heldBy.has(name))) continue;
      this.#parts.world.net.send(name, { kind: "intent", interval, ...decision.slot });
    }
  }

  #settle(entry: HeldInterval, decision: Decision, nowMs: number): void {
    if (decision.slot.revision <= 1 || decision.isSettled || !entry.isComplete) return;
    const changedMs = Math.max(decision.writtenMs, entry.changedMs);
    if (nowMs - changedMs < TIMES.quietMs || nowMs >= this.#leaseUntilMs) return;
    if (!this.#isHeld(entry, decision)) return;
    decision.isSettled = true;
    this.#delivery.write(entry, decision, "settle", nowMs);
  }

  #settleEarlier(entry: HeldInterval, nowMs: number): void {
    const { delivered } = entry;
    if (delivered === undefined || delivered.slot.revision <= 1 || delivered.missing > 0) return;
    const changedMs = Math.max(this.#beganMs, entry.changedMs);
    if (nowMs - changedMs < TIMES.quietMs || nowMs >= this.#leaseUntilMs) return;
    if (this.#settled.has(entry.interval)) return;
    this.#settled.add(entry.interval);
    this.#delivery.settle(entry, this.#term!);
  }

  isUnwritten({ slot, writtenMs }: Decision): boolean {
    return slot.term !== this.#term || this.#gapMs > writtenMs;
  }

  rewrite(interval: number): void {
    const latest = this.#decisions.get(interval);
    if (latest?.phase !== "written") return;
    latest.mustRewrite = true;
    latest.delivered.clear();
    latest.ended.clear();
  }

  /** Lets go of what is forgotten. */
  forget(interval: number): void {
    this.#decisions.delete(interval);
    this.#preparing.delete(interval);
    this.#settled.delete(interval);
    this.#search.forget(interval);
  }
}
