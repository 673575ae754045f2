/** POST /transfer {"to": NODE?}: the leader hands leadership over. */
import { show } from "../../shared/config-report.ts";
import type { ClusterStanding } from "../cluster-messages.ts";
import { isLeader } from "../cluster-standing.ts";
import { type CommandView, untilStanding } from "./command-view.ts";

/** A wish as it was read. to: undefined for whoever is fit. */
export interface TransferCommand {
  readonly to: string | undefined;
}

/** What came of it. status: 200, 400 for a bad body, 409 for what cannot be done. */
export interface TransferResult {
  readonly status: 200 | 400 | 409;
  /** For people. */
  readonly message: string;
}

/** Reads the body, which may be empty. Returns undefined for what is no wish. */
export function readTransfer(body: string): TransferCommand | undefined {
  if (body.trim() === "") return { to: undefined };
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const { to, ...others } = value as Record<string, unknown>;
  if (Object.keys(others).length > 0) return undefined;
  return to === undefined || typeof to === "string" ? { to } : undefined;
}

/** Carries it out. */
export async function transferLeadership(
  command: TransferCommand | undefined,
  view: CommandView,
): Promise<TransferResult> {
  if (command === undefined) return { status: 400, message: 'expected {"to":"NODE"}, or {} for any' };
  const cluster = view.cluster();
  if (cluster === undefined) {
    return { status: 409, message: "a node without a cluster has nobody to hand leadership over to" };
  }
  const { to } = command;
  if (isLeader(cluster) && to === cluster.view?.name) {
    return { status: 200, message: "this node leads already" };
  }
  const fault = faultOf(cluster, to);
  if (fault !== undefined) return { status: 409, message: fault };
  const { ok, message } = await view.command({ action: "transfer", to });
  if (ok) await untilStanding(view, (now) => !isLeader(now));
  return { status: ok ? 200 : 409, message };
}

/** Why it cannot be, as far as this can be seen from here. */
function faultOf(cluster: ClusterStanding, to: string | undefined): string | undefined {
  const { role, view } = cluster;
  if (role === "agent") return "an agent never leads; ask the member that does";
  if (view === undefined || view.role !== "leader") {
    const leader = view?.leader;
    const whom = leader === undefined ? "nobody is known to" : `${leader} does: ask that one`;
    return `this node does not lead; ${whom}`;
  }
  if (to === undefined) return undefined;
  const peer = view.peers.find(({ name }) => name === to);
  if (peer?.isWitness === true) return `${to} is a witness, which never leads`;
  if (peer !== undefined) return undefined;
  const fit = view.peers.filter(({ isWitness }) => !isWitness).map(({ name }) => name);
  return `${show(to)} is no other member; there are: ${fit.join(", ")}`;
}
