/** What is read out of a node's standing in its cluster. */
import { TIMES } from "../cluster/options.ts";
import { isClustered } from "../cluster/running/member-settings.ts";
import type { SuiteConfig } from "../shared/config.ts";
import type { ClusterStanding } from "./cluster-messages.ts";

/** The standing of a node that has not told of it yet. */
export function firstStanding({ cluster }: SuiteConfig): ClusterStanding {
  const role = cluster.mode === "agent" ? "agent" : "member";
  return { role, view: undefined, agent: undefined, links: [], incompleteTables: 0 };
}

/** Newest interval that sinks have, whichever node has written it; undefined where none is known. */
export function newestDelivered({ view }: ClusterStanding): number | undefined {
  return view?.intervals.findLast(({ state, deliveredTo }) => state === "delivered" || deliveredTo.length > 0)
    ?.interval;
}

/**
 * How long behind its end an interval may be flushed though all is well: for late lines, and in a cluster for
 * the other members and for a leader.
 */
export function flushWaitMs(config: SuiteConfig): number {
  const { lateWindowMs } = config.aggregator;
  return isClustered(config) ? lateWindowMs + config.cluster.settleMs + TIMES.aloneMs : lateWindowMs;
}

/** Whether this node leads. */
export function isLeader({ view }: ClusterStanding): boolean {
  return view?.role === "leader";
}

/**
 * Whether lines had better be sent here. A member that has just begun is not ready before it has the others'
 * state, or has waited for it: a rollout goes on to the next node only then. Where no leader is known it is
 * ready, since lines are held.
 */
export function isReady({ role, view }: ClusterStanding): boolean {
  return role === "agent" || view?.hasState === true;
}
