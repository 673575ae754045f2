/**
 * What truly happened: every delta that was cut, who holds it, and what was decided and written of it. The
 * nodes know nothing of it; the invariants are checked against it.
 */
import type { Delta, DeltaId } from "../../cluster/delta.ts";
import type { Manifest } from "../../cluster/manifest.ts";
import { deltasOf } from "../../cluster/manifest.ts";
import type { DeliveredSlot, Register, Slot } from "../../cluster/register.ts";
import { isNewer } from "../../cluster/register.ts";
import type { Schedule } from "./schedule.ts";

/** Names that deltas touch, one bit each. */
export const NAME_COUNT = 4;
/** Stands for the sources outside the membership where holders are counted. */
export const OUTSIDE = 30;

/** One delta. */
export interface Entry {
  readonly index: number;
  readonly delta: Delta;
  /** Names that it touches, as bits. */
  readonly names: number;
  readonly cutMs: number;
  /** Machine that cut it, or OUTSIDE. */
  readonly origin: number;
  /** Made by a leader out of what earlier intervals left; it has no samples. */
  readonly isLevels: boolean;
  /** Machines that hold it, as bits. */
  holders: number;
  /** When the first process came to hold it. */
  heldMs: number | undefined;
  /** Refused to its face, as late. */
  isRefused: boolean;
}

/** A table or a content by order: equal text means equal bytes. */
export function orderText(order: readonly number[]): string {
  return order.join(" ");
}

/** The same of sets: equal text means the same deltas, in whatever order. */
export function setText(order: readonly number[]): string {
  return orderText([...order].sort((left, right) => left - right));
}

export class Ledger {
  readonly entries: Entry[] = [];
  /** The first violations, each with its moment. */
  readonly violations: string[] = [];
  /** Samples that a process had taken in and not cut when it was killed. */
  uncutSamples = 0;
  /** When a process ended last. */
  crashedMs = 0;
  /** Intervals whose registers were lost with a disk that could not save them. */
  readonly excused = new Set<number>();
  /** The newest of each interval that any node ever called delivered. */
  readonly decided = new Map<number, DeliveredSlot>();
  /** The newest that any node ever was about to write. */
  readonly pending = new Map<number, Slot>();
  readonly #schedule: Schedule;
  readonly #sources = new Map<string, Map<number, Entry>>();
  readonly #leaders = new Map<number, string>();
  readonly #written = new Map<string, string>();
  readonly #delivered = new Map<number, readonly number[]>();

  constructor(schedule: Schedule) {
    this.#schedule = schedule;
  }

  violate(text: string): void {
    const seconds = (this.#schedule.nowMs / 1000).toFixed(3);
    if (this.violations.length < 20) this.violations.push(`t=${seconds} ${text}`);
  }

  /** Notes a delta that has been made. */
  note(delta: Delta, origin: number, names: number, isLevels = false): Entry {
    const index = this.entries.length;
    const entry: Entry = {
      index,
      delta,
      names,
      cutMs: this.#schedule.nowMs,
      origin,
      isLevels,
      holders: 0,
      heldMs: undefined,
      isRefused: false,
    };
    this.entries.push(entry);
    let sequences = this.#sources.get(delta.source);
    if (sequences === undefined) {
      sequences = new Map();
      this.#sources.set(delta.source, sequences);
    }
    if (sequences.has(delta.sequence)) this.violate(`two deltas are called ${nameOf(delta)}`);
    sequences.set(delta.sequence, entry);
    this.hold(entry, origin);
    return entry;
  }

  entryOf({ source, sequence }: DeltaId): Entry | undefined {
    return this.#sources.get(source)?.get(sequence);
  }

  hold(entry: Entry, machine: number): void {
    entry.holders |= 1 << machine;
    if (machine !== OUTSIDE) entry.heldMs ??= this.#schedule.nowMs;
  }

  release(entry: Entry, machine: number): void {
    entry.holders &= ~(1 << machine);
  }

  /** A machine has lost its memory. */
  releaseAll(machine: number): void {
    this.crashedMs = this.#schedule.nowMs;
    for (const entry of this.entries) this.release(entry, machine);
  }

  /** A machine leads in a term: nobody else ever may. */
  lead(term: number, machine: string): void {
    const leader = this.#leaders.get(term);
    if (leader === undefined) this.#leaders.set(term, machine);
    else if (leader !== machine) this.violate(`I1: ${leader} and ${machine} both lead in term ${term}`);
  }

  /** Leaders that there were, one for each term. */
  get leaderships(): number {
    return this.#leaders.size;
  }

  /** A node says what a register is. */
  say(interval: number, { pending, delivered }: Register): void {
    if (isNewer(pending, this.pending.get(interval))) this.pending.set(interval, pending);
    if (delivered === undefined) return;
    const before = this.decided.get(interval);
    if (isNewer(delivered, before)) {
      this.decided.set(interval, delivered);
    } else if (before?.term === delivered.term && before.revision === delivered.revision) {
      const sinks = [...new Set([...before.sinks, ...delivered.sinks])];
      this.decided.set(interval, { ...before, sinks, isComplete: before.isComplete || delivered.isComplete });
    }
  }

  /** Returns a manifest's deltas as indices, in its order; undefined for a delta that nobody ever made. */
  orderOf(manifest: Manifest): readonly number[] | undefined {
    const order: number[] = [];
    for (const id of deltasOf(manifest)) {
      const entry = this.entryOf(id);
      if (entry === undefined) return undefined;
      order.push(entry.index);
    }
    return order;
  }

  /** Something is written: the same decision must give the same bytes, whoever writes it. */
  write(interval: number, decision: string, order: readonly number[]): void {
    const key = `${interval} ${decision}`;
    const text = orderText(order);
    const before = this.#written.get(key);
    if (before === undefined) this.#written.set(key, text);
    else if (before !== text) {
      this.violate(`I4: interval ${interval}, ${decision}: [${before}] and then [${text}]`);
    }
  }

  /** A sink acknowledged this to a node that heard it. */
  deliver(interval: number, order: readonly number[]): void {
    const before = this.#delivered.get(interval);
    if (before === undefined || order.length >= before.length) this.#delivered.set(interval, order);
  }

  /** Returns what was delivered and is not in an order. */
  missingFrom(interval: number, order: readonly number[]): readonly number[] {
    const delivered = this.#delivered.get(interval);
    if (delivered === undefined) return [];
    const present = new Set(order);
    return delivered.filter((index) => !present.has(index));
  }
}

export function nameOf({ source, sequence }: DeltaId): string {
  return `${source}/${sequence}`;
}
