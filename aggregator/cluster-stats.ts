/** The self-metrics of a node's part in its cluster, for /metrics; there are none without one. */
import type { IntervalState } from "../cluster/view.ts";
import type { MetricRow, MetricSample } from "../shared/stats.ts";
import type { ClusterStanding } from "./cluster-messages.ts";
import { isLeader, newestDelivered } from "./cluster-standing.ts";

function row(name: string, kind: MetricRow["kind"], help: string, ...labels: string[]): MetricRow {
  return { name: `bioyino_cluster_${name}`, kind, help, labels };
}

/** One number for each of ClusterView.counts, under its name. */
const COUNT_METRICS = {
  elections: row("elections_total", "counter", "Leaders that this node has seen begin."),
  leaderships: row("leaderships_total", "counter", "Times that this node began to lead."),
  intervalsWritten: row("intervals_written_total", "counter", "Intervals that this node has written first."),
  amendments: row("amendments_total", "counter", "Writings of what came after an interval was written."),
  settles: row("settles_total", "counter", "Writings of amended intervals once more, when all was quiet."),
  takeovers: row(
    "takeovers_total",
    "counter",
    "Intervals written of which an earlier leader may have written some.",
  ),
  degraded: row(
    "degraded_intervals_total",
    "counter",
    "Intervals written though only one member held all of them.",
  ),
  inDoubt: row(
    "in_doubt_intervals_total",
    "counter",
    "Intervals written anew though what was written before may have had more.",
  ),
  deltasReceived: row("snapshots_received_total", "counter", "Snapshots taken from other nodes."),
  deltasRepeated: row("snapshots_repeated_total", "counter", "Snapshots that came again, and count once."),
  samplesReceived: row("samples_received_total", "counter", "Samples in snapshots taken from other nodes."),
  samplesSent: row("samples_sent_total", "counter", "Samples in snapshots sent to peers, each time."),
  deltaBytesSent: row("snapshot_bytes_sent_total", "counter", "Bytes of snapshots sent to peers, each time."),
  backlogDropped: row(
    "backlog_dropped_total",
    "counter",
    "Snapshots no longer sent to a peer whose backlog was full; it may still ask for them.",
  ),
  lateSamples: row("late_samples_total", "counter", "Samples that came when their interval was forgotten."),
  unmergeableSamples: row(
    "unmergeable_samples_total",
    "counter",
    "Samples that could not be added, since what was delivered is lost.",
  ),
  forgottenSamples: row(
    "forgotten_samples_total",
    "counter",
    "Samples dropped for want of memory before anybody had written them.",
  ),
  unsavedWrites: row("unsaved_writes_total", "counter", "Writes to the state folder that failed."),
  rivalsSeen: row("rivals_seen_total", "counter", "Times that two leaders were seen at a time."),
  staleMessages: row("stale_messages_total", "counter", "Messages refused: of a former term, or not sound."),
} as const satisfies Record<keyof Counts, MetricRow>;

type Agent = NonNullable<ClusterStanding["agent"]>;
type Counts = NonNullable<ClusterStanding["view"]>["counts"];

/** Every family of a clustered node. */
export const CLUSTER_METRICS = {
  clusterLeader: row("leader", "gauge", "Whether this node leads: 1 or 0."),
  clusterTerm: row("term", "gauge", "Highest term that is known."),
  clusterLease: row("lease_seconds", "gauge", "What is left of a leader's lease, in seconds; 0 for others."),
  clusterLeaderKnown: row("leader_known", "gauge", "Whether somebody is known to lead: 1 or 0."),
  clusterHasState: row("has_state", "gauge", "Whether this node has what others know: 1 or 0."),
  clusterEligible: row("eligible", "gauge", "Whether this node may be elected: 1 or 0."),
  clusterClock: row("clock_offset_seconds", "gauge", "Cluster's clock less this machine's, in seconds."),
  clusterPeers: row("peers", "gauge", "Other members, witnesses included."),
  clusterPeersUp: row("peers_connected", "gauge", "Those of them that are connected both ways."),
  clusterPeerUp: row("peer_up", "gauge", "Whether a connection stands: 1 or 0.", "peer", "direction"),
  clusterPeerLag: row(
    "peer_lag_seconds",
    "gauge",
    "Age of the oldest snapshot that the peer has not acknowledged, in seconds.",
    "peer",
  ),
  clusterPeerBacklogBytes: row("peer_backlog_bytes", "gauge", "Bytes that it has not acknowledged.", "peer"),
  clusterPeerBacklog: row(
    "peer_backlog_snapshots",
    "gauge",
    "Snapshots that it has not acknowledged.",
    "peer",
  ),
  clusterPeerAcked: row(
    "peer_acknowledged_snapshots_total",
    "counter",
    "Snapshots that it has acknowledged.",
    "peer",
  ),
  clusterPeerBytes: row(
    "peer_bytes_total",
    "counter",
    "Bytes sent to a peer, and received from it.",
    "peer",
    "direction",
  ),
  clusterPeerReconnects: row(
    "peer_reconnects_total",
    "counter",
    "Connections to a peer after the first.",
    "peer",
  ),
  clusterPeerRefused: row(
    "peer_refused",
    "gauge",
    "Whether the peer and this node turn each other away, as members or settings differ: 1 or 0.",
    "peer",
  ),
  clusterIntervals: row("intervals", "gauge", "Intervals that are remembered, by state.", "state"),
  clusterDelivered: row(
    "delivered_timestamp_seconds",
    "gauge",
    "End of the newest interval that sinks have, whoever wrote it, in seconds since 1970.",
  ),
  clusterHeldBytes: row("held_bytes", "gauge", "Memory of held snapshots in bytes."),
  clusterAlarms: row("alarms", "gauge", "Alarms of the cluster that stand; /status has them in words."),
  clusterIncomplete: row(
    "incomplete_tables_total",
    "counter",
    "Tables that were not what was to be written: 0.",
  ),
  clusterAgentUp: row("agent_up", "gauge", "Whether a member takes this agent's snapshots: 1 or 0."),
  clusterAgentHeld: row("agent_held_snapshots", "gauge", "Snapshots that an agent holds in memory."),
  clusterAgentHeldBytes: row("agent_held_bytes", "gauge", "Bytes of them."),
  clusterAgentSpooled: row("agent_spooled_bytes", "gauge", "Bytes of snapshots that an agent holds on disk."),
  clusterAgentAcked: row(
    "agent_acknowledged_snapshots_total",
    "counter",
    "Snapshots of an agent that members hold safely.",
  ),
  clusterAgentDropped: row(
    "agent_dropped_samples_total",
    "counter",
    "Samples that an agent had no room to hold.",
  ),
  clusterAgentFailovers: row("agent_failovers_total", "counter", "Times that an agent changed its member."),
  ...COUNT_METRICS,
} as const satisfies Record<string, MetricRow>;

const STATES: readonly IntervalState[] = ["open", "due", "intent", "writing", "delivered", "unmergeable"];

/** alarms: how many stand. */
export function* clusterSamples(
  standing: ClusterStanding,
  alarms: number,
  intervalMs: number,
): Generator<MetricSample> {
  yield sample(CLUSTER_METRICS.clusterAlarms, alarms);
  yield sample(CLUSTER_METRICS.clusterIncomplete, standing.incompleteTables);
  yield* linkSamples(standing);
  if (standing.agent !== undefined) yield* agentSamples(standing.agent);
  const { view } = standing;
  if (view === undefined) return;
  const metrics = CLUSTER_METRICS;
  yield sample(metrics.clusterLeader, Number(isLeader(standing)));
  yield sample(metrics.clusterTerm, view.term);
  // A leader whom people have chosen has it without end.
  yield sample(metrics.clusterLease, view.leaseMs / 1000);
  yield sample(metrics.clusterLeaderKnown, Number(view.leader !== undefined));
  yield sample(metrics.clusterHasState, Number(view.hasState));
  yield sample(metrics.clusterEligible, Number(view.isEligible));
  yield sample(metrics.clusterClock, view.clockOffsetMs / 1000);
  yield sample(metrics.clusterHeldBytes, view.heldBytes);
  const delivered = newestDelivered(standing);
  if (delivered !== undefined) yield sample(metrics.clusterDelivered, ((delivered + 1) * intervalMs) / 1000);
  for (const state of STATES) {
    const count = view.intervals.filter((interval) => interval.state === state).length;
    yield sample(metrics.clusterIntervals, count, { state });
  }
  for (const { name: peer, lagMs, backlogBytes, backlogDeltas, ackedDeltas } of view.peers) {
    yield sample(metrics.clusterPeerLag, lagMs / 1000, { peer });
    yield sample(metrics.clusterPeerBacklogBytes, backlogBytes, { peer });
    yield sample(metrics.clusterPeerBacklog, backlogDeltas, { peer });
    yield sample(metrics.clusterPeerAcked, ackedDeltas, { peer });
  }
  for (const [count, metric] of Object.entries(COUNT_METRICS)) {
    yield sample(metric, view.counts[count as keyof Counts]);
  }
}

function sample(row: MetricRow, value: number, labels: MetricSample["labels"] = {}): MetricSample {
  return { row, labels, value };
}

function* linkSamples({ links, role }: ClusterStanding): Generator<MetricSample> {
  const metrics = CLUSTER_METRICS;
  if (role === "member") {
    const connected = links.filter(({ isOutgoingUp, isIncomingUp }) => isOutgoingUp && isIncomingUp);
    yield sample(metrics.clusterPeers, links.length);
    yield sample(metrics.clusterPeersUp, connected.length);
  }
  for (const link of links) {
    const peer = link.name;
    yield sample(metrics.clusterPeerUp, Number(link.isOutgoingUp), { peer, direction: "out" });
    yield sample(metrics.clusterPeerUp, Number(link.isIncomingUp), { peer, direction: "in" });
    yield sample(metrics.clusterPeerBytes, link.bytesSent, { peer, direction: "out" });
    yield sample(metrics.clusterPeerBytes, link.bytesReceived, { peer, direction: "in" });
    yield sample(metrics.clusterPeerReconnects, link.reconnects, { peer });
    yield sample(metrics.clusterPeerRefused, Number(link.refusal !== undefined), { peer });
  }
}

function* agentSamples(agent: Agent): Generator<MetricSample> {
  const metrics = CLUSTER_METRICS;
  yield sample(metrics.clusterAgentUp, Number(agent.member !== undefined));
  yield sample(metrics.clusterAgentHeld, agent.heldDeltas);
  yield sample(metrics.clusterAgentHeldBytes, agent.heldBytes);
  yield sample(metrics.clusterAgentSpooled, agent.spooledBytes);
  yield sample(metrics.clusterAgentAcked, agent.ackedDeltas);
  yield sample(metrics.clusterAgentDropped, agent.droppedSamples);
  yield sample(metrics.clusterAgentFailovers, agent.failovers);
}
