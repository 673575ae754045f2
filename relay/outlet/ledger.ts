/** What becomes of the lines handed to one channel; the outlet thread writes, others read. */
import { Counters } from "../../shared/counters.ts";
import { LOSS_REASONS } from "../../shared/udp.ts";

/** Why a line that the outlet had taken was not sent. The first six are those of packets anywhere. */
export const OUTLET_LOSS_REASONS = [
  ...LOSS_REASONS,
  /** Waited longer than its queue, the hold or the spool allows. */
  "too_old",
  /** Pushed out of a disk spool by newer lines. */
  "spool_full",
  /** A held gauge line made meaningless by a newer absolute value of the same gauge. */
  "gauge_superseded",
  /** Still waiting when the channel had to end, and no spool took it. */
  "shutdown",
  /** The destination was down and its ring does not keep lines for it. */
  "down",
  /** In a spool record that could not be read back. */
  "damaged",
] as const;
export type OutletLossReason = (typeof OUTLET_LOSS_REASONS)[number];

/** Name of the counter of lines lost for a reason. */
export type OutletLostCounter = `lost_${OutletLossReason}`;

/** Returns the counter of lines lost for a reason. */
export function outletLostCounter(reason: OutletLossReason): OutletLostCounter {
  return `lost_${reason}`;
}

/** Numbers that only grow. Counted in lines where no unit is named. */
const TOTALS = [
  "linesTaken",
  /** Found on disk at the start, left there by an earlier process. */
  "linesRestored",
  "linesSent",
  "packetsSent",
  "bytesSent",
  /** Lines that went from the hold or the spool into the queue. */
  "linesReplayed",
  /** Batches written once more, on a fresh connection. */
  "retries",
  "connects",
  "connectFailures",
  /** Packets whose predecessor was answered by ICMP "port unreachable". */
  "refusals",
  /** Spool records that could not be read, whatever they held. */
  "recordsDamaged",
  /** Writes to the spool that failed. */
  "spoolFaults",
] as const;

/** Numbers as they are now. */
const LEVELS = ["linesQueued", "bytesQueued", "linesHeld", "linesSpooled", "connected", "oldestMs"] as const;

export type OutletTotal = (typeof TOTALS)[number] | OutletLostCounter;
export type OutletLevel = (typeof LEVELS)[number];
export type OutletCounter = OutletTotal | OutletLevel;

/**
 * Counters of one channel, over all receiver threads. Always
 *
 *   linesTaken + linesRestored = linesSent + linesQueued + linesHeld + linesSpooled + sum(lost_*)
 *
 * linesQueued includes what is on its way; oldestMs is the age of the oldest line that waits.
 */
export const OUTLET_COUNTERS: readonly OutletCounter[] = [
  ...TOTALS,
  ...OUTLET_LOSS_REASONS.map(outletLostCounter),
  ...LEVELS,
];

/** Makes shared memory for one channel's counters; see ChannelOrder. */
export function newOutletCounters(): SharedArrayBuffer {
  return new Counters(OUTLET_COUNTERS).buffer;
}

/** Reads one channel's counters; all of one moment. */
export function readOutletCounters(buffer: SharedArrayBuffer): Record<OutletCounter, number> {
  return new Counters(OUTLET_COUNTERS, buffer).read();
}

/** Returns 0 when every line is accounted for. */
export function outletConservationError(counters: Readonly<Record<OutletCounter, number>>): number {
  const lost = OUTLET_LOSS_REASONS.reduce((sum, reason) => sum + counters[outletLostCounter(reason)], 0);
  const waiting = counters.linesQueued + counters.linesHeld + counters.linesSpooled;
  return counters.linesTaken + counters.linesRestored - counters.linesSent - waiting - lost;
}

/** The writing side: totals are gathered here and published together with the levels of that moment. */
export class Ledger {
  readonly #counters: Counters<OutletCounter>;
  readonly #totals: Record<OutletTotal, number>;

  /** buffer: of newOutletCounters(); totals go on from what it holds. */
  constructor(buffer: SharedArrayBuffer) {
    this.#counters = new Counters(OUTLET_COUNTERS, buffer);
    this.#totals = this.#counters.read();
  }

  add(total: OutletTotal, count: number): void {
    this.#totals[total] += count;
  }

  lose(reason: OutletLossReason, lines: number): void {
    this.#totals[outletLostCounter(reason)] += lines;
  }

  /** Shows everything so far to other threads. */
  publish(levels: Readonly<Record<OutletLevel, number>>): void {
    const counters = this.#counters;
    counters.beginWrite();
    for (const name of TOTALS) counters.set(name, this.#totals[name]);
    for (const reason of OUTLET_LOSS_REASONS) {
      const name = outletLostCounter(reason);
      counters.set(name, this.#totals[name]);
    }
    for (const name of LEVELS) counters.set(name, levels[name]);
    counters.endWrite();
  }
}
