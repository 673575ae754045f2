/** Standings of a node in a cluster, as the cluster's thread tells them: node-a with its peers b and c. */
import type { ClusterStanding, LinkStanding } from "../../aggregator/cluster-messages.ts";
import { noCounts } from "../../cluster/settings.ts";
import type { ClusterView, IntervalView, PeerView } from "../../cluster/view.ts";

export function peerView(changed: Partial<PeerView> = {}): PeerView {
  return {
    name: "node-b",
    isWitness: false,
    isConnected: true,
    heardMs: 40,
    backlogDeltas: 0,
    backlogBytes: 0,
    lagMs: 0,
    closedBelow: 100,
    ackedDeltas: 7,
    ...changed,
  };
}

export function intervalView(changed: Partial<IntervalView> = {}): IntervalView {
  return {
    interval: 100,
    state: "delivered",
    revision: 1,
    term: 3,
    deltas: 4,
    samples: 1200,
    bytes: 5000,
    closedBy: 3,
    isDegraded: false,
    isInDoubt: false,
    deliveredTo: ["carbon"],
    ...changed,
  };
}

/** A follower that has all it needs. */
export function clusterView(changed: Partial<ClusterView> = {}): ClusterView {
  return {
    name: "node-a",
    incarnation: "17",
    role: "follower",
    term: 3,
    leader: changed.role === "leader" ? "node-a" : "node-b",
    leaseMs: changed.role === "leader" ? 700 : 0,
    hasState: true,
    isEligible: true,
    clockOffsetMs: 2,
    peers: [peerView(), peerView({ name: "node-c" })],
    intervals: [intervalView(), intervalView({ interval: 101, state: "open", deliveredTo: [] })],
    heldBytes: 9000,
    counts: noCounts(),
    alarms: [],
    ...changed,
  };
}

export function linkStanding(changed: Partial<LinkStanding> = {}): LinkStanding {
  return {
    name: "node-b",
    isOutgoingUp: true,
    isIncomingUp: true,
    bytesSent: 1000,
    bytesReceived: 2000,
    reconnects: 0,
    fault: undefined,
    refusal: undefined,
    warning: undefined,
    ...changed,
  };
}

export function memberStanding(changed: Partial<ClusterStanding> = {}): ClusterStanding {
  return {
    role: "member",
    view: clusterView(),
    agent: undefined,
    links: [linkStanding(), linkStanding({ name: "node-c" })],
    incompleteTables: 0,
    ...changed,
  };
}

/** An agent whose snapshots node-b takes. */
export function agentStanding(changed: Partial<NonNullable<ClusterStanding["agent"]>> = {}): ClusterStanding {
  const agent = {
    member: "node-b",
    heldDeltas: 3,
    heldBytes: 400,
    spooledBytes: 0,
    ackedDeltas: 20,
    droppedSamples: 0,
    failovers: 1,
    ...changed,
  };
  return { role: "agent", view: undefined, agent, links: [], incompleteTables: 0 };
}
