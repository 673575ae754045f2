/** One interval at one member: its deltas, what its register says of them, and what its table was made of. */
import type { Delta, DeltaId } from "./delta.ts";
import type { FoldOrder } from "./fold-order.ts";
import { DeltaSet, deltasOf, type Manifest } from "./manifest.ts";
import { isNewer, type Register, type Slot } from "./register.ts";

/** A slot of a register, and how much of it is held; kept up to date delta by delta. */
export class SlotCheck {
  readonly slot: Slot;
  readonly set: DeltaSet;
  /** Its deltas that are not held. */
  missing: number;

  constructor(slot: Slot, has: (id: DeltaId) => boolean) {
    this.slot = slot;
    this.set = DeltaSet.of(slot.manifest);
    this.missing = 0;
    for (const id of deltasOf(slot.manifest)) if (!has(id)) this.missing += 1;
  }
}

export class HeldInterval {
  readonly interval: number;
  readonly #deltas = new Map<string, Map<number, Delta>>();
  /** Deltas that this member was the first to hold: it is the one to declare their loss. */
  readonly #own = new Set<Delta>();
  #inventory: Manifest | undefined;
  #register: Register | undefined;
  #pending: SlotCheck | undefined;
  #delivered: SlotCheck | undefined;
  size = 0;
  samples = 0;
  bytes = 0;

  /** What its table was folded from; undefined where there is no table. */
  table: FoldOrder | undefined;
  /** Its manifest is being fixed or fixed: what comes now waits for the amendment. */
  isHeldBack = false;
  /** What its table was when it was closed. */
  closedAs: Manifest | undefined;
  /** The delivered slot that it was closed for. */
  closedFor: SlotCheck | undefined;
  /** Whoever what is kept came from may have closed it as something that was delivered later. */
  mayBeClosedLater = false;
  /** When its register changed last, on the monotonic clock. */
  changedMs = 0;
  /** When what is missing was asked for last, by all who may have it. */
  soughtMs = Number.NEGATIVE_INFINITY;
  /** Deltas were dropped for want of memory before anybody had written them. */
  isShed = false;
  /** What was delivered, or about to be, cannot be found any more. */
  isUnmergeable = false;

  constructor(interval: number) {
    this.interval = interval;
  }

  get register(): Register | undefined {
    return this.#register;
  }
  get pending(): SlotCheck | undefined {
    return this.#pending;
  }
  get delivered(): SlotCheck | undefined {
    return this.#delivered;
  }

  /** Whether all sinks have what was decided last. */
  get isComplete(): boolean {
    const register = this.#register;
    return register?.delivered?.isComplete === true && !isNewer(register.pending, register.delivered);
  }

  /** Deltas held that are not in what was delivered. */
  get surplus(): number {
    const { delivered } = this;
    return delivered === undefined ? this.size : this.size - (delivered.set.size - delivered.missing);
  }

  has({ source, sequence }: DeltaId): boolean {
    return this.#deltas.get(source)?.has(sequence) === true;
  }

  get({ source, sequence }: DeltaId): Delta | undefined {
    return this.#deltas.get(source)?.get(sequence);
  }

  isOwn(delta: Delta): boolean {
    return this.#own.has(delta);
  }

  /** Returns false for a delta that was there. */
  add(delta: Delta, isOwn: boolean): boolean {
    let sequences = this.#deltas.get(delta.source);
    if (sequences === undefined) {
      sequences = new Map();
      this.#deltas.set(delta.source, sequences);
    }
    if (sequences.has(delta.sequence)) return false;
    sequences.set(delta.sequence, delta);
    if (isOwn) this.#own.add(delta);
    this.#inventory = undefined;
    this.size += 1;
    this.samples += delta.samples;
    this.bytes += delta.bytes.length;
    for (const check of this.#checks()) if (check.set.has(delta)) check.missing -= 1;
    return true;
  }

  /** Takes all deltas out. */
  clear(): void {
    this.#deltas.clear();
    this.#own.clear();
    this.#inventory = undefined;
    this.size = 0;
    this.samples = 0;
    this.bytes = 0;
    for (const check of this.#checks()) check.missing = check.set.size;
  }

  *deltas(): Generator<Delta, void, void> {
    for (const sequences of this.#deltas.values()) yield* sequences.values();
  }

  /** What is held, by source and sequence. */
  inventory(): Manifest {
    if (this.#inventory !== undefined) return this.#inventory;
    const set = new DeltaSet();
    for (const delta of this.deltas()) set.add(delta);
    this.#inventory = set.toManifest();
    return this.#inventory;
  }

  setRegister(register: Register): void {
    const checks = [this.#pending, this.#delivered];
    this.#register = register;
    this.#pending = this.#checked(checks, register.pending);
    if (register.delivered === undefined) return;
    this.#delivered = this.#checked([...checks, this.#pending], register.delivered);
  }

  /** Both slots of a register are mostly the same one: then they share their check. */
  #checked(checks: readonly (SlotCheck | undefined)[], slot: Slot): SlotCheck {
    const { term, revision } = slot;
    const known = checks.find((check) => check?.slot.term === term && check.slot.revision === revision);
    return known ?? new SlotCheck(slot, (id) => this.has(id));
  }

  /** What the register says of its deltas, each once. */
  #checks(): Set<SlotCheck> {
    return new Set([this.#pending, this.#delivered].filter((check) => check !== undefined));
  }
}
