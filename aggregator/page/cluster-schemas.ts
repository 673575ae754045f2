/** Schemas of what the pages say of a cluster: see cluster-status.ts. */
import { COUNT, COUNTS, FLAG, list, NUMBER, oneOf, orNull, record, type Schema, TEXT } from "./schema.ts";

const ROLE = oneOf("leader", "follower", "candidate", "agent", "starting");

const MEMBER = record({
  node: TEXT,
  isSelf: FLAG,
  role: oneOf("leader", "follower", "candidate", "witness", "member", "away", "starting"),
  isOutgoingUp: FLAG,
  isIncomingUp: FLAG,
  heardMs: orNull(NUMBER),
  lagMs: NUMBER,
  backlogDeltas: COUNT,
  backlogBytes: COUNT,
  ackedDeltas: COUNT,
  closedBelow: orNull(COUNT),
  bytesSent: COUNT,
  bytesReceived: COUNT,
  reconnects: COUNT,
  fault: orNull(TEXT),
  warning: orNull(TEXT),
});

const INTERVAL = record({
  interval: COUNT,
  timestampSec: NUMBER,
  state: oneOf("open", "due", "intent", "writing", "delivered", "unmergeable"),
  revision: COUNT,
  term: COUNT,
  deltas: COUNT,
  samples: COUNT,
  bytes: COUNT,
  closedBy: COUNT,
  closedOf: COUNT,
  isDegraded: FLAG,
  isInDoubt: FLAG,
  deliveredTo: list(TEXT),
});

const AGENT = record({
  member: orNull(TEXT),
  heldDeltas: COUNT,
  heldBytes: COUNT,
  spooledBytes: COUNT,
  ackedDeltas: COUNT,
  droppedSamples: COUNT,
  failovers: COUNT,
});

const HEAD = {
  node: TEXT,
  role: ROLE,
  term: COUNT,
  leader: orNull(TEXT),
  // Null where the lease has no end.
  leaseMs: orNull(NUMBER),
};

/** By name; see SCHEMAS. */
export const CLUSTER_SCHEMAS: Readonly<Record<string, Schema>> = {
  Members: record({ ...HEAD, alarms: list(TEXT), members: list(MEMBER), agent: AGENT }, "agent"),
  Transfer: record({ to: TEXT }, "to"),
  Outcome: record({ message: TEXT }),
};

/** Part of the status. */
export const CLUSTER: Schema = record(
  {
    ...HEAD,
    incarnation: orNull(TEXT),
    hasState: FLAG,
    isEligible: FLAG,
    clockOffsetMs: NUMBER,
    heldBytes: COUNT,
    incompleteTables: COUNT,
    members: list(MEMBER),
    intervals: list(INTERVAL),
    counts: COUNTS,
    agent: AGENT,
  },
  "agent",
);

/** Part of readiness. */
export const CLUSTER_READINESS: Schema = record({ role: ROLE, leader: orNull(TEXT), hasState: FLAG });

/** Part of what `bioyino top` draws. */
export const CLUSTER_TOP: Schema = record({
  ...HEAD,
  peers: COUNT,
  peersUp: COUNT,
  lagMs: NUMBER,
  backlogBytes: COUNT,
});
