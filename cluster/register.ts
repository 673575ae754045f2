/**
 * The register of an interval: what was about to be written, and what was. Every member has one for each
 * interval, on disk; majorities of them take the place of a log.
 */
import type { Manifest } from "./manifest.ts";

/** What a leader decided to write. */
export interface Slot {
  readonly term: number;
  /** Counts what was decided for the interval from 1, over all leaders. */
  readonly revision: number;
  readonly manifest: Manifest;
  /** Whether something may have been written before that is lost. */
  readonly isInDoubt?: boolean;
}

/** What of it has arrived. */
export interface DeliveredSlot extends Slot {
  /** Sinks that acknowledged it. */
  readonly sinks: readonly string[];
  /** Whether those were all that there were. */
  readonly isComplete: boolean;
}

export interface Register {
  readonly pending: Slot;
  readonly delivered?: DeliveredSlot;
}

/** Whether a slot was decided later than another. */
export function isNewer(slot: Slot, other: Slot | undefined): boolean {
  if (other === undefined) return true;
  return slot.term !== other.term ? slot.term > other.term : slot.revision > other.revision;
}

function isSame(slot: Slot, other: Slot): boolean {
  return slot.term === other.term && slot.revision === other.revision;
}

/**
 * Returns the register with what another says; both slots go on by themselves, since a half-made amendment
 * must not make anybody forget what was delivered. Commutative, associative, and idempotent.
 */
export function mergeRegisters(register: Register | undefined, other: Register): Register {
  if (register === undefined) return other;
  const pending = isNewer(other.pending, register.pending) ? other.pending : register.pending;
  const delivered = mergeDelivered(register.delivered, other.delivered);
  return delivered === undefined ? { pending } : { pending, delivered };
}

function mergeDelivered(
  slot: DeliveredSlot | undefined,
  other: DeliveredSlot | undefined,
): DeliveredSlot | undefined {
  if (slot === undefined || other === undefined) return slot ?? other;
  if (!isSame(slot, other)) return isNewer(other, slot) ? other : slot;
  const sinks = [...new Set([...slot.sinks, ...other.sinks])].sort();
  return { ...slot, sinks, isComplete: slot.isComplete || other.isComplete };
}
