/** What a node shows of itself to people, pages and metrics. */

export interface PeerView {
  readonly name: string;
  readonly isWitness: boolean;
  readonly isConnected: boolean;
  /** Milliseconds since it was heard; undefined before. */
  readonly heardMs: number | undefined;
  /** Deltas, and their bytes, that it has not acknowledged. */
  readonly backlogDeltas: number;
  readonly backlogBytes: number;
  /** Age of the oldest of them in milliseconds; 0 for none. */
  readonly lagMs: number;
  /** Interval below which it has closed all. */
  readonly closedBelow: number | undefined;
  readonly ackedDeltas: number;
}

export type IntervalState = "open" | "due" | "intent" | "writing" | "delivered" | "unmergeable";

export interface IntervalView {
  readonly interval: number;
  readonly state: IntervalState;
  readonly revision: number;
  readonly term: number;
  readonly deltas: number;
  readonly samples: number;
  readonly bytes: number;
  /** Members that have closed it, of those that hold deltas. */
  readonly closedBy: number;
  readonly isDegraded: boolean;
  readonly isInDoubt: boolean;
  readonly deliveredTo: readonly string[];
}

/** Counts since the start; see the names of metrics in README. */
export interface ClusterCounts {
  elections: number;
  leaderships: number;
  intervalsWritten: number;
  amendments: number;
  settles: number;
  takeovers: number;
  degraded: number;
  inDoubt: number;
  deltasReceived: number;
  deltasRepeated: number;
  /** Samples of deltas that came from peers, repetitions apart. */
  samplesReceived: number;
  /** Samples of deltas sent to peers, each time that they are. */
  samplesSent: number;
  deltaBytesSent: number;
  /** Deltas dropped for a peer whose backlog was full; it may still pull them. */
  backlogDropped: number;
  /** Samples that came when their interval was forgotten. */
  lateSamples: number;
  /** Samples of deltas that could not be added, since what was delivered is lost. */
  unmergeableSamples: number;
  /** Samples of deltas dropped from memory before anybody had written them. */
  forgottenSamples: number;
  /** Writes to disk that failed. */
  unsavedWrites: number;
  /** Two leaders at a time were seen. */
  rivalsSeen: number;
  staleMessages: number;
}

export interface ClusterView {
  readonly name: string;
  readonly incarnation: string;
  readonly role: "leader" | "follower" | "candidate";
  readonly term: number;
  readonly leader: string | undefined;
  /** What is left of the lease in milliseconds; 0 for others than leaders. */
  readonly leaseMs: number;
  /** Whether it has what others know, so that it may lead. */
  readonly hasState: boolean;
  readonly isEligible: boolean;
  /** Cluster clock minus wall clock. */
  readonly clockOffsetMs: number;
  readonly peers: readonly PeerView[];
  /** Newest last. */
  readonly intervals: readonly IntervalView[];
  readonly heldBytes: number;
  readonly counts: Readonly<ClusterCounts>;
  /** What somebody should look at, in words. */
  readonly alarms: readonly string[];
}

/** How an agent stands to the members. */
export interface AgentStanding {
  /** The member that takes its snapshots; undefined while there is none. */
  readonly member: string | undefined;
  /** In memory. */
  readonly heldDeltas: number;
  readonly heldBytes: number;
  readonly spooledBytes: number;
  /** Those that members hold safely. */
  readonly ackedDeltas: number;
  /** Samples that there was no room for, or that the disk has lost. */
  readonly droppedSamples: number;
  /** Changes from one member to another. */
  readonly failovers: number;
}
