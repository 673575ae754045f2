/** From the configuration to what a member of a cluster is opened by: names, addresses, secrets. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import type { SuiteConfig } from "../../shared/config.ts";
import type { HostPort, PeerAddress } from "../../shared/config-addresses.ts";
import { OperatorError } from "../../shared/errors.ts";
import type { Member, NodeOptions } from "../options.ts";

/** A member, and where it takes connections. */
export interface PeerPlace extends Member, HostPort {}

/** How nodes prove to each other that they belong together. */
export interface PeerAccess {
  readonly token: string | undefined;
  /** PEM texts. */
  readonly tls: { readonly cert: string; readonly key: string; readonly ca: string } | undefined;
}

/** Plain data, so that it goes from thread to thread. */
export interface MemberSettings {
  readonly name: string;
  readonly role: "member" | "agent" | "witness";
  readonly listen: HostPort;
  /** All other members. */
  readonly peers: readonly PeerPlace[];
  readonly times: Pick<
    NodeOptions,
    "intervalMs" | "settleMs" | "retainIntervals" | "holdBytesMax" | "backlogBytesMax"
  >;
  readonly connectTimeoutMs: number;
  readonly compressesSnapshots: boolean;
  readonly access: PeerAccess;
  /** What has to be the same on all members, by key as in the configuration. */
  readonly equal: Readonly<Record<string, string>>;
  readonly stateDir: string;
  readonly startDelayMs: number;
  readonly consensus: SuiteConfig["cluster"]["consensus"];
  readonly startsAsLeader: boolean;
  /** Whether one of two members may write without the other's word. */
  readonly allowsSplitFlush: boolean;
  readonly engines: Pick<SuiteConfig, "raft" | "etcd" | "consul" | "kubernetes">;
  readonly agent: Pick<SuiteConfig["cluster"], "spoolDir" | "spoolBytesMax" | "agentBytesMax">;
}

/** Name of this node. */
export function nodeName({ cluster }: SuiteConfig): string {
  if (cluster.node !== "") return cluster.node;
  return (
    hostname()
      .replace(/[^A-Za-z0-9._-]/g, "-")
      .slice(0, 63) || "node"
  );
}

/** Number that stands for a node's name in its snapshots. */
export function nodeId(name: string): bigint {
  return createHash("sha256").update(name).digest().readBigUInt64LE();
}

/** Whether the configuration makes this node part of a cluster. */
export function isClustered({ cluster }: SuiteConfig): boolean {
  return cluster.mode !== "member" || cluster.peers.length > 0 || cluster.witness !== undefined;
}

/** equal: see MemberSettings. Throws OperatorError where a file cannot be read. */
export function memberSettings(config: SuiteConfig, equal: Readonly<Record<string, string>>): MemberSettings {
  const { cluster, aggregator, raft, etcd, consul, kubernetes } = config;
  const name = nodeName(config);
  return {
    name,
    role: cluster.mode,
    listen: cluster.listen,
    peers: peersOf(config, name),
    times: {
      intervalMs: aggregator.intervalMs,
      settleMs: cluster.settleMs,
      retainIntervals: cluster.retainIntervals,
      holdBytesMax: cluster.holdBytesMax,
      backlogBytesMax: cluster.backlogBytesMax,
    },
    connectTimeoutMs: cluster.connectTimeoutMs,
    compressesSnapshots: cluster.compressesSnapshots,
    access: accessOf(config),
    equal,
    stateDir: aggregator.stateDir,
    startDelayMs: cluster.startDelayMs,
    consensus: cluster.consensus,
    startsAsLeader: cluster.startsAsLeader,
    allowsSplitFlush: cluster.allowsSplitFlush,
    engines: { raft, etcd, consul, kubernetes },
    agent: {
      spoolDir: cluster.spoolDir,
      spoolBytesMax: cluster.spoolBytesMax,
      agentBytesMax: cluster.agentBytesMax,
    },
  };
}

/** The other members. */
export function peersOf({ cluster }: SuiteConfig, name: string): PeerPlace[] {
  const place = (isWitness: boolean) => (peer: PeerAddress) => ({ ...peer, isWitness });
  const witness = cluster.witness === undefined ? [] : [cluster.witness];
  const all = [...cluster.peers.map(place(false)), ...witness.map(place(true))];
  return all.filter((peer) => peer.name !== name);
}

/** Every member, this node among them unless it is an agent. */
export function membersOf({ name, role, peers }: Pick<MemberSettings, "name" | "role" | "peers">): Member[] {
  const others = peers.map(({ name: other, isWitness }) => ({ name: other, isWitness }));
  if (role === "agent") return others;
  return [...others, { name, isWitness: role === "witness" }].sort((left, right) =>
    left.name < right.name ? -1 : 1,
  );
}

/** Whether two members go without a majority; three have one. */
export function isSplitAllowed(settings: MemberSettings): boolean {
  return settings.consensus === "internal" && settings.allowsSplitFlush && membersOf(settings).length === 2;
}

function accessOf({ cluster }: SuiteConfig): PeerAccess {
  const { token, tokenFile, tlsCert, tlsKey, tlsCa } = cluster;
  const text = tokenFile === "" ? token : readText("cluster.token-file", tokenFile).trim();
  if (text !== "" && Buffer.byteLength(text) < TOKEN_BYTES_MIN) {
    throw new OperatorError(
      `cluster.token-file ${tokenFile} has fewer than ${TOKEN_BYTES_MIN} bytes; write a longer token into it`,
    );
  }
  const tls =
    tlsCert === ""
      ? undefined
      : {
          cert: readText("cluster.tls-cert", tlsCert),
          key: readText("cluster.tls-key", tlsKey),
          ca: readText("cluster.tls-ca", tlsCa),
        };
  return { token: text === "" ? undefined : text, tls };
}

const TOKEN_BYTES_MIN = 32;

/** Reads a small file that a key of the configuration names. */
export function readText(key: string, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const { message } = error as Error;
    throw new OperatorError(`${key} is ${path}, which cannot be read: ${message}; name a readable file`);
  }
}
