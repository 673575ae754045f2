/** Every option of the cluster and its elections: its default, and values that it takes and does not. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfig, printConfig } from "../../shared/config.ts";
import { OPTIONS } from "../../shared/config-options.ts";
import type { Option } from "../../shared/config-rows.ts";
import {
  bytes,
  filePath,
  HOUR,
  MINUTE,
  type OptionCase,
  PAGE,
  span,
  testOptions,
  texts,
  toggle,
  whole,
  words,
} from "../support/option-cases.ts";

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const SECRET = "must not contain blanks and characters beyond ASCII; remove them";
const NODE = "is no name of a node; write up to 63 letters, digits, dots, _ and -";
const ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";
const TOKEN = "0123456789abcdef0123456789abcdef";

/** Alone they contradict others; see config-cluster-checks.test.ts. */
const bare = (one: OptionCase, good: Readonly<Record<string, unknown>> = {}): OptionCase => ({
  ...one,
  good,
});

const TOO_LONG = "x".repeat(64);
const NAME = "for a name; write up to 63 letters, digits, dots, _ and -";
const BAD_PEERS = {
  "a:1": "names no node; write NAME@HOST:PORT",
  "@b:1": `has "" ${NAME}`,
  "a/b@c:1": `has "a/b" ${NAME}`,
  [`${TOO_LONG}@c`]: `has "${TOO_LONG}" ${NAME}`,
  "a@b@c:1": "names no node; write NAME@HOST:PORT",
  "a@b:0": 'has the port "0"; choose within 1..65535',
  "a@b:": 'has the port ""; choose within 1..65535',
  "a@::1": "has an IPv6 address without brackets; write NAME@[IPV6]:PORT",
  "a@300.1.1.1": 'has "300.1.1.1" for an IPv4 address; write four numbers 0..255',
};

const CLUSTER: Readonly<Record<keyof typeof OPTIONS.cluster, OptionCase>> = {
  mode: bare(words("mode", "member", "member, agent, witness"), { member: "member" }),
  node: texts("node", "web-1.example_x", { "a b": NODE, "a@b": NODE, ["x".repeat(64)]: NODE }),
  listen: {
    property: "listen",
    fallback: { host: "127.0.0.1", port: 8136 },
    good: { "[::1]:0": { host: "::1", port: 0 }, "localhost:1": { host: "localhost", port: 1 } },
    bad: {
      "8136": "is no address; write HOST:PORT or [IPV6]:PORT",
      "127.0.0.1:65536": 'has the port "65536"; choose within 0..65535',
    },
  },
  peers: { property: "peers", fallback: [], good: { "": [] }, bad: BAD_PEERS },
  witness: { property: "witness", fallback: undefined, good: { "": undefined }, bad: BAD_PEERS },
  "snapshot-interval": span("snapshotIntervalMs", 1000, ["10ms", "1m"], [10, MINUTE]),
  settle: span("settleMs", 2000, ["0", "1m"], [0, MINUTE]),
  retain: whole("retainIntervals", 24, 2, 1000),
  "hold-bytes": bytes("holdBytesMax", 512 * MIB, ["1m", "64g"], [MIB, 64 * GIB]),
  "backlog-bytes": bytes("backlogBytesMax", 256 * MIB, ["1m", "64g"], [MIB, 64 * GIB]),
  "connect-timeout": span("connectTimeoutMs", 3000, ["10ms", "5m"], [10, 5 * MINUTE]),
  compress: toggle("compressesSnapshots", false),
  consensus: words("consensus", "internal", "none, internal, etcd, consul, kubernetes"),
  "start-as-leader": toggle("startsAsLeader", false),
  "start-delay": span("startDelayMs", 0, ["0", "1h"], [0, HOUR]),
  "allow-split-flush": toggle("allowsSplitFlush", false),
  token: texts("token", TOKEN, { [`${TOKEN} `.repeat(2)]: SECRET }),
  "token-file": filePath("tokenFile"),
  "tls-cert": bare(filePath("tlsCert")),
  "tls-key": bare(filePath("tlsKey")),
  "tls-ca": bare(filePath("tlsCa")),
  "spool-dir": filePath("spoolDir"),
  "spool-bytes": bytes("spoolBytesMax", GIB, ["1m", "1024g"], [MIB, 1024 * GIB]),
  "agent-bytes": bytes("agentBytesMax", 256 * MIB, ["1m", "64g"], [MIB, 64 * GIB]),
  "bioyino-listen": { ...PAGE, property: "bioyinoListen" },
  "bioyino-senders": words("bioyinoSenders", "one", "one, all"),
};
// The longest pace of snapshots is longer than the default interval.
const paceOfSnapshots = { ...CLUSTER["snapshot-interval"], good: { "10ms": 10, "30s": 30_000 } };
testOptions("cluster", { ...CLUSTER, "snapshot-interval": paceOfSnapshots });

const RAFT: Readonly<Record<keyof typeof OPTIONS.raft, OptionCase>> = {
  heartbeat: bare(span("heartbeatMs", 200, ["10ms", "10s"], [10, 10_000]), { "10ms": 10, "400ms": 400 }),
  "election-timeout-min": bare(span("electionMinMs", 1000, ["50ms", "1m"], [50, MINUTE]), { "2s": 2000 }),
  "election-timeout-max": bare(span("electionMaxMs", 2000, ["50ms", "2m"], [50, 2 * MINUTE]), {
    "1s": 1000,
    "2m": 2 * MINUTE,
  }),
  lease: bare(span("leaseMs", 800, ["20ms", "1m"], [20, MINUTE]), { "400ms": 400, "999ms": 999 }),
};
testOptions("raft", RAFT);

function endpoints(fallback: readonly string[], isEmptyFine = false): OptionCase {
  return {
    property: "endpoints",
    fallback,
    good: {
      "https://a https://b:1 http://[::1]:2/": ["https://a", "https://b:1", "http://[::1]:2"],
      ...(isEmptyFine ? { "": [] } : {}),
    },
    bad: {
      "a:1": "needs a scheme; write http:// or https://HOST:PORT",
      "ftp://a:1": "needs a scheme; write http:// or https://HOST:PORT",
      "http://a:1/v3": "has a path; write http:// or https://HOST:PORT",
      "http://u:p@a:1": "has a user in it; use the keys of this section for that",
      "http://": 'has "" for a host; write a name, an IPv4 address or [IPV6]',
      "http://a:0": 'has the port "0"; choose within 1..65535',
      ...(isEmptyFine ? {} : { "": "is empty; name at least one" }),
    },
  };
}
const some = (property: string, fallback: string, good: string, bad: OptionCase["bad"]): OptionCase => ({
  property,
  fallback,
  good: { [good]: good },
  bad,
});
const NO_KEY = "is empty; give it a key";

const ETCD: Readonly<Record<keyof typeof OPTIONS.etcd, OptionCase>> = {
  endpoints: endpoints(["http://127.0.0.1:2379"]),
  key: some("key", "/bioyino/leader", "/a", { "": NO_KEY, "a b": "must not contain blanks; remove them" }),
  ttl: bare(span("ttlMs", 5000, ["2s", "5m"], [2000, 5 * MINUTE]), { "2s": 2000, "5m": 5 * MINUTE }),
  "request-timeout": bare(span("requestTimeoutMs", 1000, ["50ms", "1m"], [50, MINUTE]), { "2500ms": 2500 }),
  username: bare(texts("username", "", { "a b": SECRET })),
  password: bare(texts("password", "", { "a b": SECRET })),
  "tls-ca": filePath("tlsCa"),
  "tls-cert": bare(filePath("tlsCert")),
  "tls-key": bare(filePath("tlsKey")),
};
testOptions("etcd", ETCD);

const CONSUL: Readonly<Record<keyof typeof OPTIONS.consul, OptionCase>> = {
  endpoints: endpoints(["http://127.0.0.1:8500"]),
  key: some("key", "service/bioyino/leader", "a/b", {
    "": NO_KEY,
    "/a": "must not contain blanks and a slash in front; remove them",
  }),
  "session-ttl": span("sessionTtlMs", 10_000, ["10s", "24h"], [10_000, 24 * HOUR]),
  "request-timeout": bare(span("requestTimeoutMs", 2000, ["50ms", "1m"], [50, MINUTE]), { "5s": 5000 }),
  token: texts("token", "t", { "a b": SECRET }),
  "tls-ca": filePath("tlsCa"),
};
testOptions("consul", CONSUL);

const NO_OBJECT = "is no name of Kubernetes; write small letters, digits, dots and -";
const KUBERNETES: Readonly<Record<keyof typeof OPTIONS.kubernetes, OptionCase>> = {
  endpoints: endpoints([], true),
  namespace: texts("namespace", "metrics-1", { "A b": NO_OBJECT, "-a": NO_OBJECT, "a/b": NO_OBJECT }),
  lease: some("lease", "bioyino", "a.b-1", { "": NO_OBJECT, A: NO_OBJECT }),
  "lease-duration": bare(span("leaseDurationMs", 15_000, ["2s", "5m"], [2000, 5 * MINUTE]), { "4s": 4000 }),
  "request-timeout": bare(span("requestTimeoutMs", 2000, ["50ms", "1m"], [50, MINUTE]), { "7500ms": 7500 }),
  "token-file": { ...filePath("tokenFile"), fallback: `${ACCOUNT}/token` },
  "tls-ca": { ...filePath("tlsCa"), fallback: `${ACCOUNT}/ca.crt` },
};
testOptions("kubernetes", KUBERNETES);

test("who belongs to the cluster and how much it holds can change while it runs, and nothing else", () => {
  const { cluster, raft, etcd, consul, kubernetes } = OPTIONS;
  const soft = Object.entries({ cluster, raft, etcd, consul, kubernetes }).flatMap(([section, rows]) =>
    Object.entries<Option>(rows).flatMap(([key, { isReloadable }]) =>
      isReloadable ? [`${section}.${key}`] : [],
    ),
  );
  assert.deepEqual(
    soft,
    ["peers", "witness", "settle", "retain", "hold-bytes", "backlog-bytes"].map((key) => `cluster.${key}`),
  );
});

test("a peer without a port is at the port of peers", () => {
  const text =
    "[aggregator]\nstate-dir = /s\n[cluster]\nnode = a\npeers[] = b@b.example, c@[::1]\n" +
    "peers[] = d@10.0.0.4:1\nwitness = w@w";
  const { peers, witness } = parseConfig(text, "x.ini").cluster;
  assert.deepEqual(peers, [
    { name: "b", host: "b.example", port: 8136 },
    { name: "c", host: "::1", port: 8136 },
    { name: "d", host: "10.0.0.4", port: 1 },
  ]);
  assert.deepEqual(witness, { name: "w", host: "w", port: 8136 });
});

test("a printed cluster parses to the same one", () => {
  const text = [
    "[aggregator]\nstate-dir = /s p",
    `[cluster]\nnode = a\nlisten = [::]:8136\npeers = a@[::1]:9 b@h\nwitness = w@x:1\ntoken = ${TOKEN}`,
    "tls-cert = c\ntls-key = k\ntls-ca = ca\nbioyino-listen = 127.0.0.1:0\nsettle = 1500ms",
    "[raft]\nheartbeat = 50ms\nlease = 300ms\nelection-timeout-min = 400ms\nelection-timeout-max = 400ms",
    '[etcd]\nendpoints = https://a http://b:1\nusername = u\npassword = "p;#"\nttl = 60s\nkey = "a;b"',
    "[consul]\nsession-ttl = 1h\nrequest-timeout = 1m\n[kubernetes]\nlease-duration = 2s",
    "request-timeout = 1s\nendpoints = https://k:6443\nnamespace = n",
  ].join("\n");
  const config = parseConfig(text, "x.ini");
  assert.deepEqual(parseConfig(printConfig(config), "x.ini"), config);
  assert.deepEqual([config.raft.electionMaxMs, config.etcd.password], [400, "p;#"]);
});

test("an unknown key of the cluster is told with what it may have been", () => {
  assert.throws(() => parseConfig("[cluster]\nsetle = 1s", "x.ini"), /did you mean settle\?/);
  const raft = /choose from heartbeat, election-timeout-min, election-timeout-max, lease/;
  assert.throws(() => parseConfig("[raft]\npace = 1s", "x.ini"), raft);
});
