/** Makes what a node shows of itself. */
import type { Decision } from "./decision.ts";
import type { Leadership } from "./election/election.ts";
import type { HeldInterval } from "./held-interval.ts";
import type { NodeParts } from "./node-parts.ts";
import type { Peer } from "./peers.ts";
import type { ClusterView, IntervalState, IntervalView, PeerView } from "./view.ts";

/** Intervals that are shown; the newest of those that there are. */
const SHOWN_MAX = 64;

/** What the parts do not know. */
export interface Standing {
  readonly leadership: Leadership;
  readonly leader: string | undefined;
  readonly term: number;
  readonly hasState: boolean;
  readonly isEligible: boolean;
  decisionOf(interval: number): Decision | undefined;
}

export function viewOf(parts: NodeParts, standing: Standing): ClusterView {
  const { settings, clock, counts, alarms, holdings, peers, world } = parts;
  const nowMs = world.clock.monotonicMs();
  const { role, leaseUntilMs } = standing.leadership;
  return {
    name: settings.name,
    incarnation: settings.incarnation,
    role,
    term: standing.term,
    leader: standing.leader,
    leaseMs: role === "leader" ? Math.max(0, leaseUntilMs - nowMs) : 0,
    hasState: standing.hasState,
    isEligible: standing.isEligible,
    clockOffsetMs: clock.offsetMs,
    peers: peers.all().map((peer) => peerView(parts, peer, nowMs)),
    intervals: holdings
      .entries()
      .slice(-SHOWN_MAX)
      .map((entry) => intervalView(parts, entry, standing.decisionOf(entry.interval))),
    heldBytes: holdings.bytes,
    counts: { ...counts },
    alarms: alarms.texts(nowMs),
  };
}

function peerView({ replication }: NodeParts, peer: Peer, nowMs: number): PeerView {
  const backlog = replication.backlog(peer.name);
  return {
    name: peer.name,
    isWitness: peer.isWitness,
    isConnected: peer.isConnected || peer.isLive(nowMs),
    heardMs: peer.heardMs === undefined ? undefined : nowMs - peer.heardMs,
    backlogDeltas: backlog.size,
    backlogBytes: backlog.bytes,
    lagMs: backlog.lagMs(nowMs),
    closedBelow: peer.closedBelow,
    ackedDeltas: peer.ackedDeltas,
  };
}

function intervalView(parts: NodeParts, entry: HeldInterval, decision: Decision | undefined): IntervalView {
  const { peers, replication, settings, clock } = parts;
  const { interval, register } = entry;
  const slot = register?.pending;
  const closedByOthers = peers.data().filter((peer) => peer.hasClosed(interval)).length;
  const hasEnded = clock.nowMs() >= (interval + 1) * settings.intervalMs;
  return {
    interval,
    state: stateOf(entry, decision, hasEnded),
    revision: slot?.revision ?? 0,
    term: slot?.term ?? 0,
    deltas: entry.size,
    samples: entry.samples,
    bytes: entry.bytes,
    closedBy: closedByOthers + (replication.closedBelow > interval ? 1 : 0),
    isDegraded: decision?.isDegraded ?? false,
    isInDoubt: decision?.plan.isInDoubt ?? false,
    deliveredTo: register?.delivered?.sinks ?? [],
  };
}

function stateOf(entry: HeldInterval, decision: Decision | undefined, hasEnded: boolean): IntervalState {
  if (entry.isComplete && entry.surplus === 0) return "delivered";
  if (entry.isUnmergeable) return "unmergeable";
  if (decision?.phase === "written") return "writing";
  if (entry.register !== undefined) return "intent";
  return hasEnded ? "due" : "open";
}
