/**
 * What the aggregator's threads count, in shared memory; the control thread reads it for /metrics and
 * /stats.
 */
import { DROP_REASONS, type DropReason } from "../shared/drop-reasons.ts";
import { REFUSALS, type Refusal } from "./limits.ts";
import { LISTENER_COUNTERS } from "./listener/listener-counters.ts";

type DropCounter = `dropped.${DropReason}`;

/** One set for each intake. Lines received are accepted ones plus dropped ones. */
export const INTAKE_COUNTERS = [
  "datagrams",
  "bytes",
  "received",
  "accepted",
  "samples",
  "skippedSections",
  ...DROP_REASONS.map((reason): DropCounter => `dropped.${reason}`),
  "kernelDrops",
  "snapshots",
  "snapshotBytes",
  "snapshotBytesTaken",
  "samplesTaken",
  "lostLines",
  ...LISTENER_COUNTERS,
] as const;
export type IntakeCounter = (typeof INTAKE_COUNTERS)[number];

type RefusalCounter = `refused.${Refusal}`;

/**
 * Accepted lines are merged, refused, late, in an invalid frame, lost in an intake, or still on their way.
 */
export const STORE_COUNTERS = [
  "mergedLines",
  "foldedBytes",
  "refusedLines",
  "lateLines",
  "invalidFrames",
  "invalidLines",
  "repeatedFrames",
  "openIntervals",
  "openSeries",
  "openBytes",
  "flushedIntervals",
  "flushedSeries",
  "flushedRows",
  "flushedLines",
  "flushMs",
  "flushLagMs",
  "forgottenBases",
  "keptSeries",
  "idleRows",
  "heldBytes",
  "overflowedSamples",
  ...REFUSALS.map((refusal): RefusalCounter => `refused.${refusal}`),
  "typeClashes",
  "refusedRenames",
  "unsortedTimers",
  "watchdogAlarms",
] as const;
export type StoreCounter = (typeof STORE_COUNTERS)[number];
