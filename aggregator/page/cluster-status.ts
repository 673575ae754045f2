/** What the pages say of the cluster, as this node sees it. */
import type { ClusterView, IntervalView, PeerView } from "../../cluster/view.ts";
import type { ClusterStanding, LinkStanding } from "../cluster-messages.ts";

/** `starting` until the node has told of itself for the first time. */
export type NodeRole = ClusterView["role"] | "agent" | "starting";

/** A member. Lag and backlog are of what this node has sent it; of itself there is none. */
export interface MemberStatus {
  readonly node: string;
  readonly isSelf: boolean;
  /** As far as this node knows; `away` while it is not heard, and `member` where an agent cannot know. */
  readonly role: ClusterView["role"] | "witness" | "member" | "away" | "starting";
  /** Connections to it, and from it. */
  readonly isOutgoingUp: boolean;
  readonly isIncomingUp: boolean;
  /** Milliseconds since it was heard; null before. */
  readonly heardMs: number | null;
  readonly lagMs: number;
  readonly backlogDeltas: number;
  readonly backlogBytes: number;
  readonly ackedDeltas: number;
  /** Interval below which it has closed all. */
  readonly closedBelow: number | null;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly reconnects: number;
  /** Why it is not connected; null while it is. */
  readonly fault: string | null;
  /** What should not stay as it is though it is connected. */
  readonly warning: string | null;
}

/** The answer to GET /members. */
export interface MembersPage {
  readonly node: string;
  readonly role: NodeRole;
  readonly term: number;
  readonly leader: string | null;
  /** What is left of this node's lease; 0 where it does not lead, null where the lease has no end. */
  readonly leaseMs: number | null;
  readonly alarms: readonly string[];
  /** Of an agent: only the one that it is connected to. */
  readonly members: readonly MemberStatus[];
  /** Where this node is one. */
  readonly agent?: AgentStatus;
}

export interface AgentStatus extends Omit<Agent, "member"> {
  /** Who takes its snapshots; null while nobody does. */
  readonly member: string | null;
}

/** One interval: how far it is. */
export interface IntervalStatus extends IntervalView {
  /** Beginning of the interval in seconds since 1970. */
  readonly timestampSec: number;
  /** Members that hold snapshots; closedBy of them have closed it. */
  readonly closedOf: number;
}

/** `cluster` of GET /status. */
export interface ClusterStatus extends Omit<MembersPage, "alarms"> {
  readonly incarnation: string | null;
  readonly hasState: boolean;
  readonly isEligible: boolean;
  readonly clockOffsetMs: number;
  readonly heldBytes: number;
  readonly incompleteTables: number;
  /** Newest last. */
  readonly intervals: readonly IntervalStatus[];
  readonly counts: Readonly<Record<string, number>>;
}

/** `cluster` of GET /top. */
export interface ClusterTop extends Head {
  readonly peers: number;
  /** Those connected both ways. */
  readonly peersUp: number;
  /** Largest lag of a peer. */
  readonly lagMs: number;
  /** Of all peers. */
  readonly backlogBytes: number;
}

type Agent = NonNullable<ClusterStanding["agent"]>;
type Head = Omit<MembersPage, "alarms" | "members" | "agent">;

function headOf({ role, view }: ClusterStanding, node: string): Head {
  if (view === undefined) {
    return { node, role: role === "agent" ? role : "starting", term: 0, leader: null, leaseMs: 0 };
  }
  const { term, leader = null, leaseMs } = view;
  return { node, role: view.role, term, leader, leaseMs: Number.isFinite(leaseMs) ? leaseMs : null };
}

/** node: name of this one. */
export function clusterStatus(standing: ClusterStanding, node: string, intervalMs: number): ClusterStatus {
  const { view, incompleteTables } = standing;
  return {
    ...headOf(standing, node),
    incarnation: view?.incarnation ?? null,
    hasState: view?.hasState ?? false,
    isEligible: view?.isEligible ?? false,
    clockOffsetMs: view?.clockOffsetMs ?? 0,
    heldBytes: view?.heldBytes ?? 0,
    incompleteTables,
    members: membersOf(standing, node),
    intervals: view === undefined ? [] : intervalsOf(view, intervalMs),
    counts: { ...view?.counts },
    ...agentOf(standing),
  };
}

function agentOf({ agent }: ClusterStanding): Pick<MembersPage, "agent"> {
  return agent === undefined ? {} : { agent: { ...agent, member: agent.member ?? null } };
}

/** `cluster` of GET /readyz. */
export function clusterReadiness(standing: ClusterStanding, node: string): object {
  const { role, leader } = headOf(standing, node);
  return { role, leader, hasState: standing.view?.hasState ?? false };
}

/** node: name of this one. */
export function membersPage(standing: ClusterStanding, node: string, alarms: readonly string[]): MembersPage {
  return { ...headOf(standing, node), alarms, members: membersOf(standing, node), ...agentOf(standing) };
}

/** node: name of this one. */
export function clusterTop(standing: ClusterStanding, node: string): ClusterTop {
  const { links, view } = standing;
  const peers = view?.peers ?? [];
  return {
    ...headOf(standing, node),
    peers: links.length,
    peersUp: links.filter(({ isOutgoingUp, isIncomingUp }) => isOutgoingUp && isIncomingUp).length,
    lagMs: peers.reduce((most, { lagMs }) => Math.max(most, lagMs), 0),
    backlogBytes: peers.reduce((sum, { backlogBytes }) => sum + backlogBytes, 0),
  };
}

/** All members, this one among them, in the order of their names. An agent is none. */
function membersOf({ role, view, links }: ClusterStanding, node: string): MemberStatus[] {
  const others = links.map((link) =>
    memberOf(
      link,
      view?.peers.find(({ name }) => name === link.name),
      view,
    ),
  );
  const all = role === "agent" ? others : [...others, selfOf(view, node)];
  return all.sort((left, right) => (left.node < right.node ? -1 : 1));
}

function memberOf(
  link: LinkStanding,
  peer: PeerView | undefined,
  view: ClusterView | undefined,
): MemberStatus {
  const { name, isOutgoingUp, isIncomingUp, bytesSent, bytesReceived, reconnects } = link;
  return {
    node: name,
    isSelf: false,
    role: roleOf(link, peer, view),
    isOutgoingUp,
    isIncomingUp,
    heardMs: peer?.heardMs ?? null,
    lagMs: peer?.lagMs ?? 0,
    backlogDeltas: peer?.backlogDeltas ?? 0,
    backlogBytes: peer?.backlogBytes ?? 0,
    ackedDeltas: peer?.ackedDeltas ?? 0,
    closedBelow: peer?.closedBelow ?? null,
    bytesSent,
    bytesReceived,
    reconnects,
    fault: link.fault ?? null,
    warning: link.warning ?? null,
  };
}

function roleOf(
  { name, isOutgoingUp, isIncomingUp }: LinkStanding,
  peer: PeerView | undefined,
  view: ClusterView | undefined,
): MemberStatus["role"] {
  if (view?.leader === name) return "leader";
  if (!isOutgoingUp && !isIncomingUp) return "away";
  if (view === undefined) return "member";
  return peer?.isWitness === true ? "witness" : "follower";
}

function selfOf(view: ClusterView | undefined, node: string): MemberStatus {
  return {
    node,
    isSelf: true,
    role: view?.role ?? "starting",
    isOutgoingUp: true,
    isIncomingUp: true,
    heardMs: 0,
    lagMs: 0,
    backlogDeltas: 0,
    backlogBytes: 0,
    ackedDeltas: 0,
    closedBelow: null,
    bytesSent: 0,
    bytesReceived: 0,
    reconnects: 0,
    fault: null,
    warning: null,
  };
}

function intervalsOf({ intervals, peers }: ClusterView, intervalMs: number): IntervalStatus[] {
  const closedOf = 1 + peers.filter(({ isWitness }) => !isWitness).length;
  return intervals.map((interval) => ({
    ...interval,
    timestampSec: (interval.interval * intervalMs) / 1000,
    closedOf,
  }));
}
