/** Who belongs to a cluster, as the configuration of one of its nodes tells. */
import { hostname } from "node:os";
import type { ClusterConfig } from "./config.ts";
import type { PeerAddress } from "./config-addresses.ts";

/** What a membership is derived from. */
export type MembershipConfig = Pick<ClusterConfig, "mode" | "node" | "peers" | "witness">;

/** One that votes. */
export interface ClusterMember {
  readonly name: string;
  /** A witness votes and keeps registers; it holds no deltas and never leads. */
  readonly isWitness: boolean;
}

export interface Membership {
  /** Name of this node. */
  readonly name: string;
  readonly mode: "member" | "agent" | "witness";
  /** All members, this node among them unless it is an agent; by name, so that every node has one order. */
  readonly members: readonly ClusterMember[];
  /** Nodes to connect to: the other members, for an agent those that hold data. By name. */
  readonly peers: readonly PeerAddress[];
}

/** Returns the name of a node: as configured, or that of its machine, with - for what no name may have. */
export function nodeNameOf({ node }: Pick<ClusterConfig, "node">, hostName = hostname()): string {
  if (node !== "") return node;
  return hostName.replace(/[^A-Za-z0-9._-]/g, "-").slice(0, 63) || "node";
}

/**
 * Returns the membership; undefined for a node without a cluster. One that names only itself is a cluster of
 * one, which agents can send to. hostName: name of this machine.
 */
export function membershipOf(config: MembershipConfig, hostName = hostname()): Membership | undefined {
  const { mode, peers, witness } = config;
  if (mode === "member" && peers.length === 0 && witness === undefined) return undefined;
  const name = nodeNameOf(config, hostName);
  const others = peers.filter((peer) => peer.name !== name).sort(byName);
  if (mode === "agent") {
    return { name, mode, members: members(others, witness?.name), peers: others };
  }
  const voters = witness === undefined || witness.name === name ? others : [...others, witness].sort(byName);
  if (mode === "witness") return { name, mode, members: members(others, name), peers: others };
  return { name, mode, members: members([...others, { name }], witness?.name), peers: voters };
}

function members(data: readonly { name: string }[], witness: string | undefined): ClusterMember[] {
  const all = data.map(({ name }) => ({ name, isWitness: false }));
  if (witness !== undefined) all.push({ name: witness, isWitness: true });
  return all.sort(byName);
}

function byName(left: { readonly name: string }, right: { readonly name: string }): number {
  return left.name < right.name ? -1 : left.name > right.name ? 1 : 0;
}
