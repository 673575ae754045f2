/**
 * Which deltas are in the writer's tables, and in which order. Deltas are folded as they come, so that the
 * table of an interval is ready when it is due, or when somebody has to take over; a table that is not what
 * was decided is folded anew from what is held.
 */

import type { Delta } from "./delta.ts";
import { FoldOrder } from "./fold-order.ts";
import type { HeldInterval } from "./held-interval.ts";
import type { Holdings, Rows } from "./holdings.ts";
import { deltasOf, type Manifest } from "./manifest.ts";
import type { Register } from "./register.ts";
import type { Writer } from "./world.ts";

/** Tables further back are dropped, and folded anew when they are wanted. */
const BACK_MAX = 4;
/** What a clock labels that is further ahead is folded when its time has come: each table has its price. */
const AHEAD_MAX = 1;

export class Tables {
  readonly #holdings: Holdings;
  readonly #writer: Writer;
  #closedThrough = -1;
  /** Through this interval somebody else had closed, whose kept values were taken over. */
  #keptThrough = -1;

  constructor(holdings: Holdings, writer: Writer) {
    this.#holdings = holdings;
    this.#writer = writer;
  }

  /** Highest interval that was closed; -1 for none. */
  get closedThrough(): number {
    return this.#closedThrough;
  }

  /** Whether what outlives an interval is kept. */
  isClosed({ closedAs, interval }: HeldInterval): boolean {
    return closedAs !== undefined || interval <= this.#keptThrough;
  }

  /** Folds a new delta where that is of use. now: interval of the cluster clock. */
  foldNew(entry: HeldInterval, delta: Delta, now: number): void {
    if (entry.isHeldBack || this.isClosed(entry)) return;
    if (entry.interval < now - BACK_MAX || entry.interval > now + AHEAD_MAX) return;
    if (this.#writer.isCrowded?.() === true) return;
    // All but this one, or none of them, are in the table.
    if ((entry.table?.size ?? 0) !== entry.size - 1) return;
    this.fold(entry, delta);
  }

  /** Adds a delta at the end of a table. */
  fold(entry: HeldInterval, delta: Delta): void {
    entry.table ??= new FoldOrder();
    entry.table.add(delta);
    this.#writer.fold(delta);
  }

  /** Sees to it that the table is what a manifest says, in its order. All of it has to be held. */
  ensure(entry: HeldInterval, manifest: Manifest): void {
    if (entry.table?.isSame(manifest) ?? manifest.length === 0) return;
    this.drop(entry);
    for (const id of deltasOf(manifest)) this.fold(entry, entry.get(id)!);
  }

  drop(entry: HeldInterval): void {
    if (entry.table === undefined) return;
    entry.table = undefined;
    this.#writer.drop(entry.interval);
  }

  /** Closes an interval whose table is what a manifest says; not twice for the same. */
  close(entry: HeldInterval, manifest: Manifest): void {
    if (entry.closedAs !== undefined && FoldOrder.of(entry.closedAs).isSame(manifest)) {
      this.drop(entry);
      return;
    }
    this.#writer.close(entry.interval);
    entry.table = undefined;
    entry.closedAs = manifest;
    this.#closedThrough = Math.max(this.#closedThrough, entry.interval);
  }

  /**
   * Closes what was delivered, in the order of time. now: interval of the cluster clock. isBusy: whether
   * this member is about to write the interval, which closes it anyway.
   */
  closeDelivered(now: number, isBusy: (entry: HeldInterval) => boolean): void {
    for (const entry of this.#holdings.entries()) {
      const { delivered } = entry;
      if (delivered !== undefined && delivered === entry.closedFor) continue;
      // What was written and closed last is not undone for a former revision that has arrived only now.
      const wasClosedLater = entry.mayBeClosedLater || entry.pending?.slot.manifest === entry.closedAs;
      if (entry.pending !== delivered && wasClosedLater) continue;
      if (delivered !== undefined && delivered.missing === 0 && !isBusy(entry)) {
        this.#closeAs(entry, delivered.slot.manifest);
        entry.closedFor = delivered;
      } else if (!this.isClosed(entry) && !entry.isUnmergeable && entry.interval >= now - BACK_MAX) {
        // Its turn may come yet; what follows waits for it.
        return;
      }
    }
  }

  #closeAs(entry: HeldInterval, manifest: Manifest): void {
    const delivered = entry.delivered!;
    if (entry.closedAs !== undefined && isSameSet(entry.closedAs, entry)) return;
    const isWhole = entry.size === delivered.set.size && (entry.table?.size ?? 0) === entry.size;
    if (!isWhole) this.ensure(entry, manifest);
    this.close(entry, manifest);
  }

  /** Drops tables that nobody will want soon. */
  dropOld(now: number, isBusy: (entry: HeldInterval) => boolean): void {
    for (const entry of this.#holdings.entries()) {
      if (entry.interval >= now - BACK_MAX) return;
      if (entry.table !== undefined && !isBusy(entry)) this.drop(entry);
    }
  }

  /** Through which interval what is kept is what was delivered; -1 where nothing is. */
  keptThrough(): number {
    const differs = this.#holdings.entries().find((entry) => {
      const { delivered, closedFor, pending, register, size } = entry;
      const isLost = size === 0 && register !== undefined && !entry.isComplete;
      return !isLost && (pending !== delivered || delivered !== closedFor || !this.isClosed(entry));
    });
    return Math.min(this.#closedThrough, (differs?.interval ?? Number.MAX_SAFE_INTEGER) - 1);
  }

  /** What outlives the intervals through this one came from somebody who had closed them as delivered. */
  keepElsewhere(through: number, registers: Rows<Register>): void {
    this.#closedThrough = Math.max(this.#closedThrough, through);
    this.#keptThrough = through;
    for (const [interval, { delivered }] of registers) {
      const entry = this.#holdings.get(interval);
      if (entry === undefined) continue;
      if (interval > through) entry.mayBeClosedLater = true;
      else {
        this.drop(entry);
        entry.closedAs = delivered?.manifest;
      }
    }
  }

  /** Goes on folding where a manifest was being fixed. */
  release(entry: HeldInterval): void {
    if (!entry.isHeldBack) return;
    entry.isHeldBack = false;
    if (entry.table !== undefined && entry.table.size !== entry.size) this.drop(entry);
  }
}

/** Whether what was closed is what was delivered, in whatever order. */
function isSameSet(closed: Manifest, { delivered }: HeldInterval): boolean {
  return FoldOrder.of(closed).size === delivered!.set.size && delivered!.set.contains(closed);
}
