/** What a member's part in an election is told at its start, and what it may use. */
import type { Random } from "../../shared/random.ts";
import type { Member } from "../options.ts";
import type { Disk } from "../world.ts";
import type { ElectionMessage } from "./election.ts";

export interface RaftOptions {
  /** This member. */
  readonly name: string;
  /** All of them, this one included. Witnesses vote and never stand. */
  readonly members: readonly Member[];
  readonly heartbeatMs: number;
  /** A member that hears no leader stands after a time between these. */
  readonly electionMinMs: number;
  readonly electionMaxMs: number;
  /** How long a leader may write after a heartbeat that a majority acknowledged; below electionMinMs. */
  readonly leaseMs: number;
}

/** All that an election may use of the world; time comes with the calls. */
export interface RaftWorld {
  readonly random: Random;
  send(to: string, message: ElectionMessage): void;
  saveVote: Disk["saveVote"];
}
