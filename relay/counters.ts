/** What a receiver thread counts, in memory that the control thread reads; one writer for each block. */
import { Counters } from "../shared/counters.ts";
import { LOSS_REASONS, type LossReason } from "../shared/udp.ts";

/** Counters of a thread's intake. Lines received = accepted + droppedNoColon + droppedCut. */
export const INTAKE_COUNTERS = [
  "datagrams",
  "bytes",
  "received",
  "accepted",
  "droppedNoColon",
  "droppedCut",
  "selfLines",
  "kernelDrops",
  "flushes",
] as const;
export type IntakeCounter = (typeof INTAKE_COUNTERS)[number];

/** Name of the counter of lines lost for a reason. */
export type LostCounter = `lost_${LossReason}`;

/**
 * Counters of a thread's output to one destination. Lines routed = waiting + sent + lost, when no send is
 * under way.
 */
export type OutputCounter =
  | "routed"
  | "waiting"
  | "linesSent"
  | "packetsSent"
  | "bytesSent"
  | "refusals"
  | LostCounter;

/** Returns the counter of lines lost for a reason. */
export function lostCounter(reason: LossReason): LostCounter {
  return `lost_${reason}`;
}

export const OUTPUT_COUNTERS: readonly OutputCounter[] = [
  "routed",
  "waiting",
  "linesSent",
  "packetsSent",
  "bytesSent",
  "refusals",
  ...LOSS_REASONS.map(lostCounter),
];

/** Shared memory of one thread's counters; can be posted to it. outputs: one block for each destination. */
export interface CounterBuffers {
  readonly intake: SharedArrayBuffer;
  readonly outputs: readonly SharedArrayBuffer[];
}

/** One thread's counters. */
export interface ThreadCounters {
  readonly intake: Counters<IntakeCounter>;
  readonly outputs: readonly Counters<OutputCounter>[];
}

/** Makes new counters for a thread with so many destinations. */
export function newThreadCounters(destinationCount: number): ThreadCounters {
  return {
    intake: new Counters(INTAKE_COUNTERS),
    outputs: Array.from({ length: destinationCount }, () => new Counters(OUTPUT_COUNTERS)),
  };
}

/** Returns the memory behind a thread's counters. */
export function buffersOf({ intake, outputs }: ThreadCounters): CounterBuffers {
  return { intake: intake.buffer, outputs: outputs.map(({ buffer }) => buffer) };
}

/** Attaches to counters that another thread made. */
export function attachCounters({ intake, outputs }: CounterBuffers): ThreadCounters {
  return {
    intake: new Counters(INTAKE_COUNTERS, intake),
    outputs: outputs.map((buffer) => new Counters(OUTPUT_COUNTERS, buffer)),
  };
}

/** Numbers of one destination. */
export type OutputTotals = Record<OutputCounter, number>;

/** Numbers over all threads. outputs: by index of the destination. */
export interface RelayTotals {
  readonly intake: Record<IntakeCounter, number>;
  readonly outputs: readonly OutputTotals[];
}

function addUp<Name extends string>(
  names: readonly Name[],
  blocks: readonly Counters<Name>[],
): Record<Name, number> {
  const sums = Object.fromEntries(names.map((name) => [name, 0])) as Record<Name, number>;
  for (const block of blocks) {
    const values = block.read();
    for (const name of names) sums[name] += values[name];
  }
  return sums;
}

/** Adds the threads' counters up. Between two threads, and between intake and output, moments may differ. */
export function totalCounters(threads: readonly ThreadCounters[], destinationCount: number): RelayTotals {
  return {
    intake: addUp(
      INTAKE_COUNTERS,
      threads.map(({ intake }) => intake),
    ),
    outputs: Array.from({ length: destinationCount }, (_, destination) =>
      addUp(
        OUTPUT_COUNTERS,
        threads.map(({ outputs }) => outputs[destination]!),
      ),
    ),
  };
}
