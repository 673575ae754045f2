/** What people have set by hand on a running node: its health, and bioyino's flag of the consensus. */

/** Health as relays and load balancers ask for it. */
export type Health = "up" | "down";
/** Whether a consensus may choose the leader. */
export type ConsensusState = "enabled" | "paused" | "disabled";

/** Kept for as long as the process lives. */
export class Standing {
  /** `down` takes the node out of those that lines are sent to, and changes nothing else. */
  health: Health = "up";
  /** A node by itself has no consensus; the state is kept for tools that set and read it. */
  consensus: ConsensusState = "disabled";
}
