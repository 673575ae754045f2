/** Publishes what an intake has counted to shared memory. */
import type { Counters } from "../shared/counters.ts";
import { DROP_REASONS } from "../shared/drop-reasons.ts";
import type { IntakeCounter } from "./counters.ts";
import type { Snapshotter } from "./snapshotter.ts";

/**
 * Copies the snapshotter's counts; the thread that owns it calls this. publishOthers: sets or adds what shall
 * be seen together with them.
 */
export function publishIntake(
  snapshotter: Snapshotter,
  counters: Counters<IntakeCounter>,
  publishOthers: () => void = () => {},
): void {
  snapshotter.refreshCounts();
  const { counts } = snapshotter;
  counters.beginWrite();
  counters.set("datagrams", counts.datagrams);
  counters.set("bytes", counts.bytes);
  counters.set("received", counts.received);
  counters.set("accepted", counts.accepted);
  counters.set("samples", counts.samples);
  counters.set("skippedSections", counts.skippedSections);
  DROP_REASONS.forEach((reason, code) => {
    counters.set(`dropped.${reason}`, counts.dropped[code]!);
  });
  counters.set("snapshots", counts.snapshots);
  counters.set("snapshotBytes", counts.snapshotBytes);
  counters.set("lostLines", counts.lostLines);
  publishOthers();
  counters.endWrite();
}
