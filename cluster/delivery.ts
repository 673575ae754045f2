/** Writes what was decided, and tells everybody what has arrived. */
import type { Decision } from "./decision.ts";
import type { HeldInterval } from "./held-interval.ts";
import { deltasOf } from "./manifest.ts";
import type { Done } from "./message.ts";
import type { NodeParts } from "./node-parts.ts";
import type { DeliveredSlot } from "./register.ts";
import type { WriteCause, WriteOrder } from "./world.ts";

/** Makes the message about a delivered slot. */
export function doneOf(interval: number, slot: DeliveredSlot): Done {
  const { term, revision, manifest, sinks, isComplete } = slot;
  return { kind: "done", term, interval, revision, manifest, sinks, isComplete };
}

/** What it asks of the leader whose decisions it writes. */
interface WritingLeader {
  /** Whether a sink that does not take a decision refuses it since the lease had ended, and not for good. */
  isUnwritten(decision: Decision): boolean;
  /** An interval has to be written again. */
  rewrite(interval: number): void;
}

export class Delivery {
  readonly #parts: NodeParts;
  readonly #leader: WritingLeader;

  constructor(parts: NodeParts, leader: WritingLeader) {
    this.#parts = parts;
    this.#leader = leader;
  }

  /** Writes a decision that is recorded. The lease is valid, and all of it is held. */
  write(entry: HeldInterval, decision: Decision, cause: WriteCause, nowMs: number): void {
    const { tables, world } = this.#parts;
    const { interval } = entry;
    const { slot, plan } = decision;
    tables.ensure(entry, slot.manifest);
    decision.phase = "written";
    decision.writtenMs = nowMs;
    decision.mustRewrite = false;
    entry.isHeldBack = false;
    const order: WriteOrder = {
      interval,
      revision: slot.revision,
      term: slot.term,
      cause,
      deliveredTo: cause === "settle" ? [] : [...decision.delivered],
      isInDoubt: plan.isInDoubt,
      isDegraded: decision.isDegraded,
    };
    const added = [...deltasOf(plan.added)].map((id) => entry.get(id)!);
    world.writer.write(cause === "amend" ? { ...order, added } : order, (sink, isDelivered) => {
      if (cause !== "settle") this.#note(interval, decision, sink, isDelivered);
      else if (!isDelivered && this.#leader.isUnwritten(decision)) decision.isSettled = false;
    });
    tables.close(entry, slot.manifest);
    this.#count(cause);
    const latest = entry.register?.delivered;
    // Whoever missed the word of an amendment takes the interval for done, and would not ask.
    if (cause === "settle" && latest !== undefined) this.#parts.broadcast(doneOf(interval, latest));
    this.conclude(entry.interval, decision);
  }

  /** Writes once more what an earlier leader had delivered in several revisions. */
  settle(entry: HeldInterval, term: number): void {
    const { tables, world, counts } = this.#parts;
    const { slot } = entry.delivered!;
    tables.ensure(entry, slot.manifest);
    const { interval } = entry;
    const { revision } = slot;
    const flags = { deliveredTo: [], isInDoubt: false, isDegraded: false };
    world.writer.write({ interval, revision, term, cause: "settle", ...flags }, () => {});
    tables.close(entry, slot.manifest);
    counts.settles += 1;
  }

  #count(cause: WriteCause): void {
    const { counts } = this.#parts;
    if (cause === "first" || cause === "takeover") counts.intervalsWritten += 1;
    if (cause === "amend") counts.amendments += 1;
    if (cause === "takeover") counts.takeovers += 1;
    if (cause === "settle") counts.settles += 1;
  }

  #note(interval: number, decision: Decision, sink: string, isDelivered: boolean): void {
    if (isDelivered) decision.delivered.add(sink);
    else if (this.#leader.isUnwritten(decision)) {
      this.#leader.rewrite(interval);
      return;
    }
    decision.ended.add(sink);
    this.#tell(interval, decision);
  }

  /** Tells everybody, where all sinks have ended without a word: there are none, or not any more. */
  conclude(interval: number, decision: Decision): void {
    if (decision.isOver(this.#parts.world.writer.sinks())) this.#tell(interval, decision);
  }

  #tell(interval: number, { slot, delivered, ended }: Decision): void {
    const { registers, world, holdings } = this.#parts;
    if (holdings.isForgotten(interval)) return;
    const isComplete = world.writer.sinks().every((sink) => ended.has(sink));
    const before = holdings.get(interval)?.register?.delivered;
    const news: DeliveredSlot = { ...slot, sinks: [...delivered].sort(), isComplete };
    const entry = registers.merge(interval, { pending: slot, delivered: news });
    const after = entry?.register?.delivered;
    if (after === undefined || after === before) return;
    this.#parts.broadcast(doneOf(interval, after));
  }
}
