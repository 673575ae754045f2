/** What people have set by hand on a running node: its health, and bioyino's flag of the consensus. */
import { isClustered } from "../../cluster/running/member-settings.ts";
import type { SuiteConfig } from "../../shared/config.ts";

/** Health as relays and load balancers ask for it. */
export type Health = "up" | "down";
/** Whether a consensus may choose the leader. */
export type ConsensusState = "enabled" | "paused" | "disabled";

/** Kept for as long as the process lives. */
export class Standing {
  /** `down` takes the node out of those that lines are sent to, and changes nothing else. */
  health: Health = "up";
  /** A node by itself has no consensus; the state is kept for tools that set and read it. */
  consensus: ConsensusState;

  constructor(consensus: ConsensusState = "disabled") {
    this.consensus = consensus;
  }
}

/** The state of the consensus at the start. */
export function firstConsensus(config: SuiteConfig): ConsensusState {
  const { mode, consensus } = config.cluster;
  return isClustered(config) && mode === "member" && consensus !== "none" ? "enabled" : "disabled";
}
