/** What a receiver thread counts, in memory that the control thread reads; one writer for each block. */
import { Counters } from "../shared/counters.ts";
import {
  DROP_CARDINALITY,
  DROP_FILTERED,
  DROP_INVALID,
  DROP_NO_ROUTE,
  DROP_SAMPLED,
  DROP_TOO_LONG,
} from "../shared/kernel/relay-codes.ts";
import { LOSS_REASONS, type LossReason } from "../shared/udp.ts";

/** Why a line that came in is not routed, and what that means. */
export const LINE_DROPS = {
  no_colon: "No colon: it has no name to route by.",
  cut: "The end of a datagram that is longer than 64 KiB, or of a stream that was reset.",
  line_too_long: "A line of a stream that is longer than `line-bytes-max`.",
  no_route: "No route takes the name.",
  filtered: "Refused by `allow` or `block`.",
  cardinality: "Its prefix has as many names as its `cap` allows.",
  invalid: "No statsd line, with `validate = yes`.",
  too_long: "Too long, or with too many tags, once its tags are moved into the name.",
  sampled: "Thinned out by `sample-threshold`; others of its name say so in their rate.",
} as const;
export type LineDrop = keyof typeof LINE_DROPS;
export const LINE_DROP_REASONS = Object.keys(LINE_DROPS) as LineDrop[];

/** Reasons that the kernel counts under a code. */
export const KERNEL_DROPS: readonly (readonly [LineDrop, number])[] = [
  ["no_route", DROP_NO_ROUTE],
  ["filtered", DROP_FILTERED],
  ["cardinality", DROP_CARDINALITY],
  ["invalid", DROP_INVALID],
  ["too_long", DROP_TOO_LONG],
  ["sampled", DROP_SAMPLED],
];

/** Name of the counter of lines dropped for a reason. */
export type DropCounter = `dropped_${LineDrop}`;

/** Counters of a thread's intake. Lines received = accepted + dropped for all reasons. */
export type IntakeCounter =
  | "datagrams"
  | "bytes"
  | "received"
  | "accepted"
  | "copied"
  | "diverted"
  | "selfLines"
  | "kernelDrops"
  | "flushes"
  | "connections"
  | "connectionsAccepted"
  | "connectionsRefused"
  | "connectionsIdle"
  | "renamesRefused"
  | DropCounter;

/** Returns the counter of lines dropped for a reason. */
export function dropCounter(reason: LineDrop): DropCounter {
  return `dropped_${reason}`;
}

export const INTAKE_COUNTERS: readonly IntakeCounter[] = [
  "datagrams",
  "bytes",
  "received",
  "accepted",
  "copied",
  "diverted",
  "selfLines",
  "kernelDrops",
  "flushes",
  "connections",
  "connectionsAccepted",
  "connectionsRefused",
  "connectionsIdle",
  "renamesRefused",
  ...LINE_DROP_REASONS.map(dropCounter),
];

/** Why lines of a destination are lost in a receiver thread: on their way out, or because it is down. */
export type OutputLoss = LossReason | "down";
export const OUTPUT_LOSSES: readonly OutputLoss[] = [...LOSS_REASONS, "down"];

/** Name of the counter of lines lost for a reason. */
export type LostCounter = `lost_${OutputLoss}`;

/**
 * Counters of a thread's output to one destination. Lines routed = waiting + sent + handed to the outlet +
 * lost, when no send is under way.
 */
export type OutputCounter =
  | "routed"
  | "waiting"
  | "linesSent"
  | "packetsSent"
  | "bytesSent"
  | "refusals"
  | "linesHanded"
  | LostCounter;

/** Returns the counter of lines lost for a reason. */
export function lostCounter(reason: OutputLoss): LostCounter {
  return `lost_${reason}`;
}

export const OUTPUT_COUNTERS: readonly OutputCounter[] = [
  "routed",
  "waiting",
  "linesSent",
  "packetsSent",
  "bytesSent",
  "refusals",
  "linesHanded",
  ...OUTPUT_LOSSES.map(lostCounter),
];

export type IntakeCounters = Counters<IntakeCounter>;
export type OutputCounters = Counters<OutputCounter>;

/** Shared memory of one thread's counters; can be posted to it. outputs: one block for each destination. */
export interface CounterBuffers {
  readonly intake: SharedArrayBuffer;
  readonly outputs: readonly SharedArrayBuffer[];
}

/** Makes new counters for a thread's intake. */
export function newIntakeCounters(buffer?: SharedArrayBuffer): IntakeCounters {
  return new Counters(INTAKE_COUNTERS, buffer);
}

/** Makes new counters for a thread's outputs, or attaches to those of another thread. */
export function newOutputCounters(buffer?: SharedArrayBuffer): OutputCounters {
  return new Counters(OUTPUT_COUNTERS, buffer);
}

/** Numbers of an intake. */
export type IntakeTotals = Record<IntakeCounter, number>;
/** Numbers of one destination. */
export type OutputTotals = Record<OutputCounter, number>;

/** Adds blocks of counters up, name by name. Between two threads moments may differ. */
export function addUp<Name extends string>(
  names: readonly Name[],
  blocks: readonly Record<Name, number>[],
): Record<Name, number> {
  const sums = Object.fromEntries(names.map((name) => [name, 0])) as Record<Name, number>;
  for (const block of blocks) for (const name of names) sums[name] += block[name];
  return sums;
}
