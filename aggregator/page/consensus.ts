/** POST /consensus, as bioyino's tools send it: on the cluster where there is one. */
import type { CommandOutcome } from "../../cluster/running/member-command.ts";
import type { ClusterStanding } from "../cluster-messages.ts";
import { isLeader } from "../cluster-standing.ts";
import { type CommandView, untilStanding } from "./command-view.ts";
import type { ConsensusState, Standing } from "./standing.ts";

type Action = "enable" | "pause" | "disable";

/** What the words of a command mean. */
const ACTIONS: Readonly<Record<string, Action>> = {
  enable: "enable",
  resume: "enable",
  pause: "pause",
  disable: "disable",
};
const STATES = { enable: "enabled", pause: "paused", disable: "disabled" } as const satisfies Record<
  Action,
  ConsensusState
>;
const LEADER_ACTIONS = ["unchanged", "enable", "disable"] as const;

/** A command as it was read. */
export interface ConsensusCommand {
  readonly action: Action;
  /** Whether this node shall lead. */
  readonly leader: (typeof LEADER_ACTIONS)[number];
}

/** What came of a command. status: 200, 400 for a bad body, 409 for what cannot be done. */
export interface ConsensusResult {
  readonly status: 200 | 400 | 409;
  readonly error?: string;
}

/** Reads `{"consensus-command": [ACTION, LEADER]}`. Returns undefined for anything else. */
export function readConsensus(body: string): ConsensusCommand | undefined {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return undefined;
  }
  const command: unknown = Object(value)["consensus-command"];
  if (!Array.isArray(command) || command.length !== 2) return undefined;
  const [word, asked] = command as readonly unknown[];
  const [, action] = Object.entries(ACTIONS).find(([name]) => name === word) ?? [];
  const leader = LEADER_ACTIONS.find((one) => one === asked);
  return action === undefined || leader === undefined ? undefined : { action, leader };
}

/** Carries a command out. What is refused changes nothing. */
export async function commandConsensus(
  command: ConsensusCommand | undefined,
  view: CommandView,
  standing: Standing,
): Promise<ConsensusResult> {
  if (command === undefined) {
    const actions = Object.keys(ACTIONS).join("|");
    const error = `expected {"consensus-command":["${actions}","${LEADER_ACTIONS.join("|")}"]}`;
    return { status: 400, error };
  }
  const cluster = view.cluster();
  const error = cluster === undefined ? faultAlone(command) : await commandMember(command, cluster, view);
  if (error !== undefined) return { status: 409, error };
  standing.consensus = STATES[command.action];
  return { status: 200 };
}

function faultAlone({ leader }: ConsensusCommand): string | undefined {
  if (leader !== "disable") return undefined;
  return "a node without a cluster is its own leader; stop it, or take its sinks away";
}

/** Returns why it cannot be done. */
async function commandMember(
  command: ConsensusCommand,
  cluster: ClusterStanding,
  view: CommandView,
): Promise<string | undefined> {
  if (cluster.role === "agent") return "an agent takes no part in choosing a leader; ask a member";
  const isByHand = view.config().cluster.consensus === "none";
  return isByHand ? chooseByHand(command, view) : commandElected(command, cluster, view);
}

/** People choose the leader, whatever state the consensus is said to be in. */
async function chooseByHand(
  { action, leader }: ConsensusCommand,
  view: CommandView,
): Promise<string | undefined> {
  if (action === "enable") {
    return "there is no consensus to enable, as cluster.consensus is none; say disable, and who leads";
  }
  if (leader === "unchanged") return undefined;
  const fault = faultOf(await view.command({ action: leader === "enable" ? "lead" : "follow" }));
  if (fault === undefined) await untilStanding(view, (now) => isLeader(now) === (leader === "enable"));
  return fault;
}

/** Members choose: this node can stand or not, and can hand leadership over. */
async function commandElected(
  { action, leader }: ConsensusCommand,
  cluster: ClusterStanding,
  view: CommandView,
): Promise<string | undefined> {
  if (leader === "enable" && action !== "enable") {
    return "a node that may not stand cannot lead; enable the consensus, or leave the leader unchanged";
  }
  if (leader === "enable" && !isLeader(cluster)) {
    const known = cluster.view?.leader;
    const whom = known === undefined ? "nobody leads now" : `${known} leads: ask it to transfer to this node`;
    return `members choose their leader, and ${whom}`;
  }
  if (leader === "disable" && isLeader(cluster)) {
    const fault = faultOf(await view.command({ action: "follow" }));
    if (fault !== undefined) return fault;
  }
  const fault = faultOf(await view.command({ action }));
  const mayLead = action === "enable" && leader !== "disable";
  if (fault === undefined && !mayLead) await untilStanding(view, (now) => !isLeader(now));
  return fault;
}

function faultOf({ ok, message }: CommandOutcome): string | undefined {
  return ok ? undefined : message;
}
