/** What no option of the cluster can tell by itself: who belongs to it, and who is let in. */
import type { ClusterConfig, SuiteConfig } from "./config.ts";
import { type HostPort, type PeerAddress, printHostPort } from "./config-addresses.ts";
import { checkElection, faultIn, faultOfSecret, warnOfElection } from "./config-checks-election.ts";
import type { ConfigReader } from "./config-reader.ts";
import { printDuration } from "./config-values.ts";
import { isLoopback } from "./management-access.ts";
import { membershipOf, nodeNameOf } from "./membership.ts";

/** Nodes that vote; more of them only slow each other down. */
const MEMBERS_MAX = 15;
/** Less could be guessed from what is seen on the wire. */
const TOKEN_BYTES_LEAST = 32;
const EVERY_HOSTS = ["0.0.0.0", "::"];

/**
 * Adds the faults that lie between options to those of the reader. lines: line of each section's header.
 */
export function checkCluster(
  config: SuiteConfig,
  reader: ConfigReader,
  lines: ReadonlyMap<string, number>,
): void {
  checkNames(config.cluster, reader);
  checkAddresses(config.cluster, reader);
  checkRoles(config.cluster, reader);
  checkVoters(config, reader);
  checkAccess(config.cluster, reader, lines);
  checkSettle(config, reader);
  checkElection(config, reader, lines);
}

/** Warns of what works and is probably not meant. Called where there are no faults. */
export function warnOfCluster(config: SuiteConfig, reader: ConfigReader): void {
  const { aggregator, cluster } = config;
  const { mode, node, peers, witness, consensus, startsAsLeader } = cluster;
  const membership = membershipOf(cluster);
  if (membership === undefined && !["none", "internal"].includes(consensus)) {
    reader.warn(`cluster.consensus is ${consensus}, but there are no other members; this node is alone`);
  }
  if (startsAsLeader && (consensus !== "none" || mode !== "member")) {
    const who = { member: "", agent: "an agent", witness: "a witness" }[mode];
    const why = who === "" ? `with consensus = ${consensus} the nodes choose` : `${who} never leads`;
    reader.warn(`cluster.start-as-leader does nothing: ${why}`);
  }
  if (mode !== "agent" && cluster.spoolDir !== "") {
    reader.warn("cluster.spool-dir does nothing: only agents hold on disk what no member takes");
  }
  const { bioyinoListen } = cluster;
  if (bioyinoListen !== undefined && !isLoopback(bioyinoListen.host)) {
    reader.warn(
      "cluster.bioyino-listen can be reached from other machines; the Rust bioyino has no password, so " +
        "that whoever reaches it adds to the numbers",
    );
  }
  if (bioyinoListen === undefined && cluster.bioyinoSenders === "all") {
    reader.warn("cluster.bioyino-senders does nothing without cluster.bioyino-listen");
  }
  warnOfElection(config, reader, membership);
  if (membership === undefined || mode !== "member") return;
  const { name } = membership;
  if (node === "" && ![...peers, witness].some((one) => one?.name === name)) {
    reader.warn(
      `cluster.node is empty and ${name}, the name of this machine, is none of cluster.peers: it is one ` +
        "more member; write node = NAME if it is one of them",
    );
  }
  if (cluster.settleMs < aggregator.lateWindowMs) {
    reader.warn(
      "cluster.settle is shorter than aggregator.late-window: intervals are written before late lines are " +
        "in, and once more afterwards",
    );
  }
}

/** Reports something that is wrong with the members as a whole, at what names them. */
function faultOfMembers(reader: ConfigReader, what: string): void {
  faultIn("cluster", reader, { peers: what, witness: what, mode: what });
}

function checkSettle({ aggregator, cluster }: SuiteConfig, reader: ConfigReader): void {
  // Agents wait for nobody.
  if (cluster.mode === "agent" || membershipOf(cluster) === undefined) return;
  if (cluster.settleMs < aggregator.intervalMs) return;
  const [settle, interval] = [cluster.settleMs, aggregator.intervalMs].map(printDuration);
  reader.faultBetween(
    new Map([
      ["cluster.settle", `is not shorter than aggregator.interval (${interval}); choose less than that`],
      ["aggregator.interval", `is not longer than cluster.settle (${settle}); lower that as well`],
    ]),
  );
}

/** The first two of a list that agree in something. */
function firstTwins<Item>(
  items: readonly Item[],
  trait: (item: Item) => string,
): readonly [Item, Item] | undefined {
  const seen = new Map<string, Item>();
  for (const item of items) {
    const twin = seen.get(trait(item));
    if (twin !== undefined) return [twin, item];
    seen.set(trait(item), item);
  }
  return undefined;
}

/** An address in the form in which equal ones are equal. */
function addressOf({ host, port }: HostPort): string {
  const name = host.toLowerCase().replace(/\.$/, "");
  return printHostPort({ host: name === "localhost" ? "127.0.0.1" : name, port });
}

function checkNames({ peers }: ClusterConfig, reader: ConfigReader): void {
  const twins = firstTwins(peers, ({ name }) => name);
  if (twins !== undefined) {
    const addresses = twins.map(printHostPort).join(" and ");
    faultIn("cluster", reader, { peers: `names ${twins[0].name} twice, at ${addresses}; keep one of them` });
  }
}

/** One node under two names would get everything twice, and count it twice. */
function checkAddresses(cluster: ClusterConfig, reader: ConfigReader): void {
  const { mode, listen, peers, witness } = cluster;
  const all = witness === undefined ? peers : [...peers, witness];
  const twins = firstTwins(all, addressOf);
  if (twins !== undefined && twins[0].name !== twins[1].name) {
    const [one, other] = twins;
    const what = `is at ${printHostPort(other)}, which is ${one.name}'s address; correct one of them`;
    const key = other === witness ? "witness" : "peers";
    faultIn("cluster", reader, { [key]: key === "peers" ? `has ${other.name}, which ${what}` : what });
  }
  const name = nodeNameOf(cluster);
  if (mode === "agent" || all.some((one) => one.name === name)) return;
  const itself = all.find((one) => isOwn(one, listen));
  if (itself === undefined) return;
  const address = printHostPort(itself);
  const isPeer = itself !== witness;
  faultIn("cluster", reader, {
    [isPeer ? "peers" : "witness"]:
      `has ${itself.name} at ${address}, where this node listens, whose name is ${name}; ` +
      `write node = ${itself.name}, or correct the address`,
  });
}

/** Whether who connects there comes out at this node's own socket, as far as that can be told here. */
function isOwn(peer: PeerAddress, listen: HostPort): boolean {
  if (listen.port !== peer.port) return false;
  return EVERY_HOSTS.includes(listen.host) ? isLoopback(peer.host) : addressOf(peer) === addressOf(listen);
}

function checkRoles(cluster: ClusterConfig, reader: ConfigReader): void {
  const { mode, peers, witness } = cluster;
  const name = nodeNameOf(cluster);
  const isPeer = peers.some((peer) => peer.name === name);
  const others = peers.filter((peer) => peer.name !== name);
  const fault = (faults: Readonly<Record<string, string>>): void => faultIn("cluster", reader, faults);
  if (mode !== "member" && isPeer) {
    fault({ mode: `is ${mode}, and peers has this node, ${name}, as a member; take it out there` });
  } else if (mode !== "member" && others.length === 0) {
    const what = `is ${mode}, and no member is known; name them with peers`;
    fault({ mode: what, peers: what });
  }
  if (witness === undefined) return;
  if (peers.some((peer) => peer.name === witness.name)) {
    fault({ witness: `is ${witness.name}, which is one of peers; take it out there, or name another` });
  } else if (mode === "member" && witness.name === name) {
    fault({ witness: `is this node, ${name}; write mode = witness, or name another` });
  } else if (mode === "witness" && witness.name !== name) {
    fault({ witness: `is ${witness.name}, and this node, ${name}, is a witness as well; have one` });
  } else if (mode === "member" && others.length === 0) {
    const what = "has nothing to decide, because there is no other member; name them with peers";
    fault({ witness: what, peers: what });
  }
}

function checkVoters({ cluster, aggregator }: SuiteConfig, reader: ConfigReader): void {
  const { mode, consensus, allowsSplitFlush } = cluster;
  const membership = membershipOf(cluster);
  if (membership === undefined || mode === "agent") return;
  const { members } = membership;
  if (members.length > MEMBERS_MAX) {
    const remedy = `have at most ${MEMBERS_MAX}, and make the others agents`;
    const what = `comes to ${members.length} members; ${remedy}`;
    faultOfMembers(reader, what);
  }
  if (consensus !== "internal") return;
  if (members.length === 2 && members.every(({ isWitness }) => !isWitness) && !allowsSplitFlush) {
    const what =
      "comes to two members, neither of which can tell a dead other one from a cut line; " +
      "add a witness or a third member, or write allow-split-flush = yes";
    faultOfMembers(reader, what);
  }
  if (aggregator.stateDir !== "" || reader.isFaulty("aggregator.state-dir")) return;
  const what = "needs a folder that votes survive in; name one with aggregator.state-dir";
  const ofFolder = "is empty, and a member of a cluster must not forget its votes; name a folder";
  if (reader.isSet("aggregator.state-dir")) faultIn("aggregator", reader, { "state-dir": ofFolder });
  else faultOfMembers(reader, what);
}

function checkAccess(cluster: ClusterConfig, reader: ConfigReader, lines: ReadonlyMap<string, number>): void {
  const { mode, listen, token, tokenFile, tlsCert, tlsKey, tlsCa, bioyinoListen } = cluster;
  const tls = { "tls-cert": tlsCert, "tls-key": tlsKey, "tls-ca": tlsCa };
  const missing = Object.entries(tls).flatMap(([key, file]) => (file === "" ? [key] : []));
  if (missing.length === 1 || missing.length === 2) {
    const given = Object.keys(tls).filter((key) => !missing.includes(key));
    const what = `needs ${missing.join(" and ")} beside it; name all three or none`;
    faultIn("cluster", reader, Object.fromEntries(given.map((key) => [key, what])));
  }
  if (token !== "" && tokenFile !== "") {
    // Told of the file, because the text of the fault has the value in it.
    faultIn("cluster", reader, { "token-file": "stands beside token; keep one of them" });
  }
  const tokenBytes = Buffer.byteLength(token);
  if (token !== "" && tokenBytes < TOKEN_BYTES_LEAST) {
    const what = `has ${tokenBytes} bytes; have at least ${TOKEN_BYTES_LEAST}: openssl rand -base64 48`;
    reader.faults.push(faultOfSecret("cluster", "token", what, lines));
  }
  const isOpen = token === "" && tokenFile === "" && missing.length === 3;
  if (mode !== "agent" && isOpen && !isLoopback(listen.host)) {
    const what =
      "can be reached from other machines, and nothing keeps strangers out; " +
      "set token-file, or tls-cert, tls-key and tls-ca";
    faultIn("cluster", reader, { listen: what });
  }
  const isListening = mode !== "agent" && membershipOf(cluster) !== undefined && listen.port !== 0;
  if (isListening && bioyinoListen !== undefined && addressOf(bioyinoListen) === addressOf(listen)) {
    const what = "is cluster.listen as well, and the two speak differently; choose another port";
    faultIn("cluster", reader, { "bioyino-listen": what });
  }
}
