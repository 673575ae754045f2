/** What the protocol is told at its start, and at a change of the membership. */

export interface Member {
  readonly name: string;
  /** A witness votes and keeps registers; it holds no deltas and never leads. */
  readonly isWitness: boolean;
}

export interface NodeOptions {
  /** This node's name; one of the members'. */
  readonly name: string;
  readonly members: readonly Member[];
  /** Tells this run of the process from its others. */
  readonly incarnation: string;
  readonly intervalMs: number;
  /** How long after its end an interval waits for members that have not closed it. */
  readonly settleMs: number;
  /** Intervals for which deltas are kept after their end, for amendments and for nodes that begin. */
  readonly retainIntervals: number;
  /** Bytes of deltas that are held; delivered intervals go first, the oldest before the others. */
  readonly holdBytesMax: number;
  /** Bytes of deltas that may wait for one peer. */
  readonly backlogBytesMax: number;
  /** Members that have to record an intent: a majority, or one where people choose the leader. */
  readonly quorum: "majority" | "one";
}

/** Fixed figures of the protocol, in milliseconds. */
export const TIMES = {
  /** Pace of tick(). */
  tickMs: 50,
  beatMs: 200,
  /** A member that was not heard for so long is not waited for. */
  silentMs: 1500,
  /** A leader that cannot have two copies of everything writes with one after this. */
  degradedMs: 1000,
  /** An intent that was not answered is sent again. */
  intentMs: 300,
  /** Deltas that were not acknowledged are sent again. */
  resendMs: 500,
  /** How long after a leader's word rows below its floor may still be written by those who led before. */
  floorMs: 800,
  digestMs: 3000,
  /** How long a new leader looks for deltas that somebody may have written. */
  doubtMs: 3000,
  /** Quiet after which an amended interval is written once more. */
  quietMs: 8000,
  /** A node without state may lead after this where nobody has any. */
  aloneMs: 5000,
  /** An answer about the clock that took longer is no use. */
  roundTripMs: 250,
} as const;
