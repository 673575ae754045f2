/** What a leader decides to write for one interval, and how far that is. */
import { FoldOrder, isSameOrder } from "./fold-order.ts";
import type { HeldInterval } from "./held-interval.ts";
import { DeltaSet, deltasOf, type Manifest } from "./manifest.ts";
import { isNewer, type Slot } from "./register.ts";
import type { WriteCause } from "./world.ts";

/** A decision before it has a term. */
export interface Plan {
  readonly revision: number;
  readonly manifest: Manifest;
  readonly cause: WriteCause;
  /** With `amend`: what was not written before. */
  readonly added: Manifest;
  /** Sinks that have all of it from an earlier leader. */
  readonly carried: readonly string[];
  readonly isInDoubt: boolean;
}

export class Decision {
  readonly slot: Slot;
  readonly plan: Plan;
  readonly size: number;
  readonly decidedMs: number;
  phase: "intent" | "written" = "intent";
  /** Members that have recorded it, and those that hold all of it. */
  readonly recordedBy = new Set<string>();
  readonly heldBy = new Set<string>();
  sentMs: number;
  writtenMs = 0;
  isDegraded = false;
  /** Sinks that have it, and those that have it or have given it up. */
  readonly delivered: Set<string>;
  readonly ended: Set<string>;
  /** Something of it was not handed over since the lease had ended. */
  mustRewrite = false;
  isSettled = false;

  constructor(term: number, plan: Plan, nowMs: number) {
    const slot = { term, revision: plan.revision, manifest: plan.manifest };
    this.slot = plan.isInDoubt ? { ...slot, isInDoubt: true } : slot;
    this.plan = plan;
    this.size = FoldOrder.of(plan.manifest).size;
    this.decidedMs = nowMs;
    this.sentMs = nowMs;
    this.delivered = new Set(plan.carried);
    this.ended = new Set(plan.carried);
  }

  /** Whether none of the sinks that there are waits for it. */
  isOver(sinks: readonly string[]): boolean {
    return this.phase === "written" && sinks.every((sink) => this.ended.has(sink));
  }
}

/** The first manifest of an interval: its table as it was folded, or all that is held. */
export function firstManifest(entry: HeldInterval): Manifest {
  return entry.table?.size === entry.size ? entry.table.toManifest() : entry.inventory();
}

export function firstPlan(manifest: Manifest): Plan {
  return { revision: 1, manifest, cause: "first", added: [], carried: [], isInDoubt: false };
}

/**
 * Plans the next writing of an interval that has a register, of which all that was delivered is held.
 * written: what this leader has written of it before in its term.
 */
export function nextPlan(entry: HeldInterval, written: Decision | undefined): Plan {
  const { pending, delivered } = entry;
  const manifest = nextManifest(entry);
  const isSamePending = pending !== undefined && isSameOrder(manifest, pending.slot.manifest);
  const last = Math.max(pending?.slot.revision ?? 0, delivered?.slot.revision ?? 0);
  const isPendingLatest = delivered === undefined || !isNewer(delivered.slot, pending?.slot);
  const revision = isSamePending && isPendingLatest ? pending.slot.revision : last + 1;
  const before = written?.slot.manifest ?? (entry.isComplete ? delivered?.slot.manifest : undefined);
  // What was decided in doubt, and perhaps not written, is still so.
  const isUndelivered = pending !== undefined && isNewer(pending.slot, delivered?.slot);
  const isInDoubt = isUndelivered && (pending.missing > 0 || pending.slot.isInDoubt === true);
  const isSameDelivered =
    delivered !== undefined && delivered.missing === 0 && delivered.set.size === FoldOrder.of(manifest).size;
  const carried = isSameDelivered ? (entry.register?.delivered?.sinks ?? []) : [];
  if (before === undefined || isInDoubt) {
    return { revision, manifest, cause: "takeover", added: [], carried, isInDoubt };
  }
  const added = DeltaSet.of(before).missingFrom(manifest);
  return { revision, manifest, cause: "amend", added, carried, isInDoubt };
}

/** What was delivered in its order, then what was about to be, then the rest. */
function nextManifest(entry: HeldInterval): Manifest {
  const order = new FoldOrder();
  const set = new DeltaSet();
  const parts = [entry.delivered?.slot.manifest ?? [], entry.pending?.slot.manifest ?? [], entry.inventory()];
  for (const part of parts) {
    for (const id of deltasOf(part)) if (entry.has(id) && set.add(id)) order.add(id);
  }
  return order.toManifest();
}
