/**
 * What every way of choosing a leader has in common. It supplies the term; safety stays with the registers of
 * the intervals, so that a wrong answer costs a delay and never a number.
 */

/** What a node knows of who leads. */
export interface Leadership {
  readonly role: "leader" | "follower" | "candidate";
  /** Never goes down; at most one leader for each. 0 before the first. */
  readonly term: number;
  /** The leader's name, where one is known. */
  readonly leader: string | undefined;
  /** Until when a leader may write, on the monotonic clock; 0 for others. */
  readonly leaseUntilMs: number;
}

/** Messages of elections between members; other engines use none. */
export type ElectionMessage =
  /** isPre: whether it is only asked who would vote. */
  | {
      readonly kind: "vote-request";
      readonly isPre: boolean;
      readonly term: number;
      readonly isForced: boolean;
    }
  | { readonly kind: "vote"; readonly isPre: boolean; readonly term: number }
  | { readonly kind: "vote-refused"; readonly term: number }
  /** sentMs: monotonic clock of the leader, which comes back. */
  | { readonly kind: "heartbeat"; readonly term: number; readonly sentMs: number }
  | { readonly kind: "heartbeat-ack"; readonly term: number; readonly sentMs: number };

export interface Election {
  /** Looks what is due; called about every 50 ms. */
  tick(nowMs: number): void;
  receive(from: string, message: ElectionMessage, nowMs: number): void;
  leadership(): Leadership;
  /** Whether this node may stand; false at first. A leader that may not stand any more resigns. */
  setEligible(isEligible: boolean): void;
  /** Another message told of a higher term. */
  sawTerm(term: number): void;
  /** Gives leadership up; with a name, that member should get it. */
  resign(successor?: string): void;
  /** Stands at once, since the leader asked for it. */
  takeOver(nowMs: number): void;
  /** Members have changed: all of them, this node included. */
  setMembers(members: readonly string[]): void;
  /** Lets go of everything, the leadership included where others could have it at once. */
  stop(): Promise<void>;
}

/** Whether a message is one of an election. */
export function isElectionMessage(message: { readonly kind: string }): message is ElectionMessage {
  return ["vote-request", "vote", "vote-refused", "heartbeat", "heartbeat-ack"].includes(message.kind);
}
