/** What pages that tell a cluster something need of the aggregator. */
import { setTimeout as delay } from "node:timers/promises";
import { machineMs } from "../../shared/clock.ts";
import type { ClusterStanding } from "../cluster-messages.ts";
import type { AggregatorView } from "./view.ts";

export type CommandView = Pick<AggregatorView, "cluster" | "command" | "config">;

/** An order takes a turn of the cluster's thread or two, and its standing comes four times a second. */
const PATIENCE_MS = 1500;
const LOOK_MS = 20;

/**
 * Waits until the standing shows what was ordered, so that an answer does not contradict itself; for so long
 * as that may take, and no longer.
 */
export async function untilStanding(
  view: Pick<AggregatorView, "cluster">,
  isThere: (standing: ClusterStanding) => boolean,
): Promise<void> {
  const deadlineMs = machineMs() + PATIENCE_MS;
  for (let now = view.cluster(); now !== undefined && !isThere(now); now = view.cluster()) {
    if (machineMs() >= deadlineMs) return;
    await delay(LOOK_MS);
  }
}
