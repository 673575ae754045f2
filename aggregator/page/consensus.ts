/** POST /consensus, as bioyino's tools send it. */
import type { ConsensusState, Standing } from "./standing.ts";

/** The states that an action leads to. */
const ACTIONS: Readonly<Record<string, ConsensusState>> = {
  enable: "enabled",
  resume: "enabled",
  pause: "paused",
  disable: "disabled",
};
const LEADER_ACTIONS = ["unchanged", "enable", "disable"];

/** What came of a command. status: 200, 400 for a bad body, 409 for what one node alone cannot do. */
export interface ConsensusResult {
  readonly status: 200 | 400 | 409;
  readonly error?: string;
}

/** Carries a command out. body: `{"consensus-command": [ACTION, LEADER]}`. */
export function commandConsensus(body: string, standing: Standing): ConsensusResult {
  const command = readCommand(body);
  if (command === undefined) {
    const actions = Object.keys(ACTIONS).join("|");
    return {
      status: 400,
      error: `expected {"consensus-command":["${actions}","${LEADER_ACTIONS.join("|")}"]}`,
    };
  }
  if (command.leader === "disable") {
    return {
      status: 409,
      error: "a node without a cluster is its own leader; stop it, or take its sinks away",
    };
  }
  standing.consensus = command.state;
  return { status: 200 };
}

function readCommand(body: string): { state: ConsensusState; leader: string } | undefined {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return undefined;
  }
  const command: unknown = Object(value)["consensus-command"];
  if (!Array.isArray(command) || command.length !== 2) return undefined;
  const [action, leader] = command as readonly unknown[];
  const [, state] = Object.entries(ACTIONS).find(([name]) => name === action) ?? [];
  if (state === undefined || typeof leader !== "string" || !LEADER_ACTIONS.includes(leader)) return undefined;
  return { state, leader };
}
