/**
 * A cluster of the Rust bioyino in our words: who its members are, and where they meet. Nodes of ours meet at
 * the port of bioyino's raft, which nobody needs any more; at its peer port they go on taking what nodes and
 * agents of the Rust bioyino send, so that these can be moved one by one.
 */
import { NODE_NAME, type PeerAddress, parseHostPort, printHostPort } from "../../shared/config-addresses.ts";
import { printDuration } from "../../shared/config-values.ts";
import { isLoopback } from "../../shared/management-access.ts";
import type { IniDraft } from "./ini-draft.ts";
import { isTable, type Table, ValueTree } from "./value-tree.ts";

/** Where bioyino's raft listens unless told otherwise. */
const RAFT_PORT = 8138;
const SETTLE_MS = 2000;
const TOKEN_FILE = "/etc/bioyino/cluster.token";
const STATE_DIR = "/var/lib/bioyino";

/** What the original says of its cluster. */
interface RustCluster {
  readonly isInternal: boolean;
  readonly startsAsLeader: boolean;
  /** Addresses that snapshots went to. */
  readonly nodes: readonly string[];
  /** Addresses of raft, this node's among them. */
  readonly voters: readonly string[];
  readonly thisNode: string | undefined;
  readonly peerListen: string | undefined;
  readonly startDelayMs: number;
  readonly intervalMs: number;
}

/**
 * Writes what a node of a cluster needs. table: the whole original; what is of a wrong kind in it was told of
 * elsewhere. Returns what people have to look at, none for a node that was alone.
 */
export function readCluster(table: Table, draft: IniDraft): string[] {
  const rust = rustCluster(table);
  const { isInternal, startsAsLeader, nodes, voters, thisNode, peerListen } = rust;
  const others = voters.filter((address) => address !== thisNode);
  const isCluster = nodes.length > 0 || (isInternal && others.length > 0);
  const peerAddress = addressOf(peerListen ?? "", 8136);
  if (peerAddress !== undefined) {
    draft.set(
      "cluster.bioyino-listen",
      printHostPort(peerAddress),
      "Nodes and agents of the Rust bioyino still come in here. Empty it when all are moved.",
    );
  }
  if (!isCluster) return [];
  if (peerAddress !== undefined) {
    draft.set("cluster.bioyino-senders", "all", "As every node and agent of the Rust bioyino sends to all.");
  }
  const isAgent = !isInternal && !startsAsLeader;
  const listed = isInternal && others.length > 0 ? voters : nodes.map(atRaftPort);
  const own = addressOf(thisNode ?? "", RAFT_PORT);
  // Nobody is an agent of itself.
  const peers = peersOf(listed).filter((one) => !isAgent || own === undefined || !isSame(one, own));
  if (peers.length === 0) return [];
  draft.setList(
    "cluster.peers",
    peers.map(({ name, ...address }) => `${name}@${printHostPort(address)}`),
    "Names are made of the hosts, and must be the same on all nodes. The port is that of bioyino's raft.",
  );
  const name = own && (peers.find((one) => isSame(one, own))?.name ?? nameOf(own.host));
  if (name !== undefined) draft.set("cluster.node", name);
  if (isAgent) {
    draft.set("cluster.mode", "agent", "As consensus = none and start-as-leader = false were for bioyino.");
    writeToken(draft);
    return [describeMove(true, name !== undefined)];
  }
  const port = own?.port ?? RAFT_PORT;
  draft.set("cluster.listen", printHostPort({ host: listenHost(peers, peerAddress?.host), port }));
  draft.set("cluster.consensus", isInternal ? "internal" : "none");
  if (!isInternal) draft.set("cluster.start-as-leader", "yes");
  if (rust.startDelayMs > 0) draft.set("cluster.start-delay", printDuration(rust.startDelayMs));
  if (rust.intervalMs <= SETTLE_MS) {
    draft.set("cluster.settle", printDuration(Math.ceil(rust.intervalMs / 2)), "Less than the interval.");
  }
  draft.set("aggregator.state-dir", STATE_DIR, "A folder of its own, for votes and what was written.");
  writeToken(draft);
  const memberCount = peers.length + (peers.some((one) => one.name === name) ? 0 : 1);
  if (isInternal && memberCount === 2) {
    draft.set(
      "cluster.allow-split-flush",
      "yes",
      "Two members cannot tell a dead other one from a cut line; a witness could, or a third member.",
    );
  }
  return [describeMove(false, name !== undefined)];
}

function rustCluster(table: Table): RustCluster {
  const tree = new ValueTree(table);
  const [network, raft, carbon] = [tree.table("network"), tree.table("raft"), tree.table("carbon")];
  const voters = raft.any("nodes");
  return {
    isInternal: tree.take("consensus", "text") === "internal",
    startsAsLeader: tree.take("start-as-leader", "truth") ?? false,
    nodes: network.take("nodes", "texts") ?? [],
    voters: isTable(voters) ? Object.keys(voters) : [],
    thisNode: raft.take("this-node", "text"),
    peerListen: network.take("peer-listen", "text"),
    startDelayMs: raft.take("start-delay", "whole") ?? 0,
    intervalMs: carbon.take("interval", "whole") ?? 30_000,
  };
}

/** HOST:PORT, or HOST with the port that bioyino adds; undefined for what is neither. */
function addressOf(text: string, port: number): { host: string; port: number } | undefined {
  const parsed = parseHostPort(/:\d+$/.test(text) ? text : `${text}:${port}`, 1);
  return "value" in parsed ? parsed.value : undefined;
}

function atRaftPort(text: string): string {
  const address = addressOf(text, RAFT_PORT);
  return address === undefined ? text : printHostPort({ ...address, port: RAFT_PORT });
}

/** Addresses with names; those of one host are told apart by their ports, and none is there twice. */
function peersOf(texts: readonly string[]): PeerAddress[] {
  const addresses = [...new Set(texts)].flatMap((text) => addressOf(text, RAFT_PORT) ?? []);
  return addresses.map((address) => {
    const isShared = addresses.filter(({ host }) => host === address.host).length > 1;
    return { name: nameOf(address.host, isShared ? address.port : undefined), ...address };
  });
}

function nameOf(host: string, port?: number): string {
  const name = `${host.replace(/[^A-Za-z0-9._-]/g, "-")}${port === undefined ? "" : `-${port}`}`.slice(-63);
  return NODE_NAME.test(name) ? name : "node";
}

function isSame(peer: PeerAddress, own: { host: string; port: number }): boolean {
  return peer.host === own.host && peer.port === own.port;
}

/** The host of bioyino's peer port, unless only this machine could come in there. */
function listenHost(peers: readonly PeerAddress[], host: string | undefined): string {
  if (peers.every((peer) => isLoopback(peer.host))) return "127.0.0.1";
  return host === undefined || isLoopback(host) ? "0.0.0.0" : host;
}

function writeToken(draft: IniDraft): void {
  draft.set(
    "cluster.token-file",
    TOKEN_FILE,
    `New: nodes prove who they are. Make it once, openssl rand -base64 48 > ${TOKEN_FILE}, with mode 0600, ` +
      "and copy it to all.",
  );
}

function describeMove(isAgent: boolean, isNamed: boolean): string {
  if (isAgent) {
    return (
      "This node was an agent of a cluster, or people chose its leader, and it was another: then write " +
      "mode = member and consensus = none. It sends to the port of bioyino's raft, where nodes of this " +
      "program meet, with a token that has to be made; move it when they are there."
    );
  }
  const name = isNamed
    ? ""
    : " Its name is that of its machine: write node = NAME where peers call it otherwise.";
  return (
    "This node was one of a cluster. Nodes of this program meet at the port of bioyino's raft, with a " +
    "token that has to be made; they choose a leader among themselves once a majority of them runs, so " +
    `move the node that leads the Rust cluster first, and the others at once after it.${name}`
  );
}
