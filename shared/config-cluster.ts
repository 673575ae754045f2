/** The cluster's rows of the option table: [cluster], and a section for each way of choosing a leader. */
import {
  endpoint,
  NODE_NAME,
  openAddress,
  pageAddress,
  peerAddress,
  peerOrNone,
} from "./config-addresses.ts";
import { ADDRESSES, ADDRESSES_OR_NONE, type ListRule, many, one } from "./config-rows.ts";
import {
  choice,
  count,
  duration,
  path,
  size,
  type TextRule,
  text,
  type ValueType,
  yesNo,
} from "./config-values.ts";

const SECRET: TextRule = { forbidden: /[^!-~]/, forbiddenWords: "blanks and characters beyond ASCII" };
const KEY: TextRule = { forbidden: /\s/, forbiddenWords: "blanks", isRequired: true };
const CONSUL_KEY: TextRule = { ...KEY, forbidden: /\s|^\//, forbiddenWords: "blanks and a slash in front" };
const ENDPOINTS: ListRule = { ...ADDRESSES, isUnique: true };
/** Where Kubernetes puts what a pod needs to speak with its server. */
const ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";

/** A node's name; empty for that of its machine. */
const nodeName: ValueType<string> = {
  shape: "up to 63 letters, digits, dots, _ and -, or empty for the host's name",
  parse(text) {
    if (text === "" || NODE_NAME.test(text)) return { value: text };
    return { fault: "is no name of a node; write up to 63 letters, digits, dots, _ and -" };
  },
  print: (value) => value,
};

/** Name of an object of Kubernetes. isEmptyFine: empty stands for something. */
function objectName(isEmptyFine: boolean): ValueType<string> {
  return {
    shape: `name of Kubernetes${isEmptyFine ? ", or empty for the own one" : ""}`,
    parse(text) {
      if (text === "" && isEmptyFine) return { value: "" };
      if (/^(?=.{1,253}$)[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/.test(text)) return { value: text };
      return { fault: "is no name of Kubernetes; write small letters, digits, dots and -" };
    },
    print: (value) => value,
  };
}

/** [cluster]. */
export const CLUSTER = {
  mode: one("mode", choice(["member", "agent", "witness"]), "member", "What this node is to the others"),
  node: one("node", nodeName, "", "Name of this node"),
  listen: one("listen", openAddress, "127.0.0.1:8136", "Where other nodes come in"),
  peers: many("peers", peerAddress, "", "The members, with or without this one", ADDRESSES_OR_NONE, true),
  witness: one("witness", peerOrNone, "", "Node that votes and holds no data", true),
  "snapshot-interval": one("snapshotIntervalMs", duration("10ms", "1m"), "1s", "Pace of snapshots"),
  settle: one("settleMs", duration("0", "1m"), "2s", "Time that an interval waits for members", true),
  retain: one("retainIntervals", count(2, 1000), "24", "Intervals that stay open for what is late", true),
  "hold-bytes": one("holdBytesMax", size("1m", "64g"), "512m", "Snapshots held for them", true),
  "backlog-bytes": one("backlogBytesMax", size("1m", "64g"), "256m", "Snapshots waiting for one node", true),
  "connect-timeout": one("connectTimeoutMs", duration("10ms", "5m"), "3s", "Wait for a connection"),
  compress: one("compressesSnapshots", yesNo, "no", "Whether snapshots are compressed for other nodes"),
  consensus: one(
    "consensus",
    choice(["none", "internal", "etcd", "consul", "kubernetes"]),
    "internal",
    "Who chooses the leader; none is for people",
  ),
  "start-as-leader": one("startsAsLeader", yesNo, "no", "Whether this node leads at its start (none)"),
  "start-delay": one("startDelayMs", duration("0", "1h"), "0", "Time before this node stands as leader"),
  "allow-split-flush": one("allowsSplitFlush", yesNo, "no", "Whether half of two members may write alone"),
  token: one("token", text("token", SECRET), "", "Password among the nodes, 32 bytes or more"),
  "token-file": one("tokenFile", path, "", "File with that password"),
  "tls-cert": one("tlsCert", path, "", "Certificate (PEM) of this node"),
  "tls-key": one("tlsKey", path, "", "Key (PEM) of that certificate"),
  "tls-ca": one("tlsCa", path, "", "Certificates (PEM) that sign those of the nodes"),
  "spool-dir": one("spoolDir", path, "", "Folder in which an agent holds what no member takes"),
  "spool-bytes": one("spoolBytesMax", size("1m", "1024g"), "1g", "Bytes of that folder"),
  "agent-bytes": one("agentBytesMax", size("1m", "64g"), "256m", "Memory in which an agent holds it"),
  "bioyino-listen": one("bioyinoListen", pageAddress, "", "Where nodes of the Rust bioyino come in"),
  "bioyino-senders": one(
    "bioyinoSenders",
    choice(["one", "all"]),
    "one",
    "Whether those send to one member or to all",
  ),
};

/** [raft]: the nodes' own election. */
export const RAFT = {
  heartbeat: one("heartbeatMs", duration("10ms", "10s"), "200ms", "Pace of the leader's sign of life"),
  "election-timeout-min": one("electionMinMs", duration("50ms", "1m"), "1s", "Silence that others bear"),
  "election-timeout-max": one("electionMaxMs", duration("50ms", "2m"), "2s", "Longest such silence"),
  lease: one("leaseMs", duration("20ms", "1m"), "800ms", "Time that a leader writes without an answer"),
};

/** [etcd]. */
export const ETCD = {
  endpoints: many("endpoints", endpoint, "http://127.0.0.1:2379", "Servers, asked in turn", ENDPOINTS),
  key: one("key", text("key", KEY), "/bioyino/leader", "Key that the leader holds"),
  ttl: one("ttlMs", duration("2s", "5m"), "5s", "Life of the key without the leader"),
  "request-timeout": one("requestTimeoutMs", duration("50ms", "1m"), "1s", "Wait for an answer"),
  username: one("username", text("user", SECRET), "", "User, where the servers ask for one"),
  password: one("password", text("password", SECRET), "", "Its password"),
  "tls-ca": one("tlsCa", path, "", "Certificates (PEM) to trust; empty for those of the system"),
  "tls-cert": one("tlsCert", path, "", "Certificate (PEM) to show"),
  "tls-key": one("tlsKey", path, "", "Key (PEM) of that certificate"),
};

/** [consul]. */
export const CONSUL = {
  endpoints: many("endpoints", endpoint, "http://127.0.0.1:8500", "Servers, asked in turn", ENDPOINTS),
  key: one("key", text("key", CONSUL_KEY), "service/bioyino/leader", "Key that the leader locks"),
  // Consul takes no other.
  "session-ttl": one("sessionTtlMs", duration("10s", "24h"), "10s", "Life of the lock without the leader"),
  "request-timeout": one("requestTimeoutMs", duration("50ms", "1m"), "2s", "Wait for an answer"),
  token: one("token", text("token", SECRET), "", "Token, where the servers ask for one"),
  "tls-ca": one("tlsCa", path, "", "Certificates (PEM) to trust; empty for those of the system"),
};

/** [kubernetes]. */
export const KUBERNETES = {
  endpoints: many("endpoints", endpoint, "", "Servers; none for that of the pod", {
    ...ADDRESSES_OR_NONE,
    isUnique: true,
  }),
  namespace: one("namespace", objectName(true), "", "Namespace of the Lease"),
  lease: one("lease", objectName(false), "bioyino", "Name of the Lease"),
  "lease-duration": one("leaseDurationMs", duration("2s", "5m"), "15s", "Life of it without the leader"),
  "request-timeout": one("requestTimeoutMs", duration("50ms", "1m"), "2s", "Wait for an answer"),
  "token-file": one("tokenFile", path, `${ACCOUNT}/token`, "File with the token, read anew for each use"),
  "tls-ca": one("tlsCa", path, `${ACCOUNT}/ca.crt`, "Certificates (PEM) to trust"),
};
