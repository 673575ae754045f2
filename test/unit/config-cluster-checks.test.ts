/** What no option of the cluster can tell by itself. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfig } from "../../shared/config.ts";
import { memoryShares, tableBytesMax } from "../../shared/config-memory.ts";
import { nodeNameOf } from "../../shared/membership.ts";
import { faultsOf, warningsOf } from "../support/config-fault.ts";

const TOKEN = "0123456789abcdef0123456789abcdef";
const STATE = "[aggregator]\nstate-dir = /s\n";
/** Line 3 is the section's header, line 4 its first key. */
const NODE_A = `${STATE}[cluster]\nnode = a\n`;
const THREE = "peers = a@h:1 b@h:2 c@h:3";
const TWO_REMEDY = "add a witness or a third member, or write allow-split-flush = yes";
const TWO = `comes to two members, neither of which can tell a dead other one from a cut line; ${TWO_REMEDY}`;
const OPEN =
  "can be reached from other machines, and nothing keeps strangers out; " +
  "set token-file, or tls-cert, tls-key and tls-ca";
const FOLDER = "needs a folder that votes survive in; name one with aggregator.state-dir";

/** Texts, and the contradictions in them. */
const BAD: readonly (readonly [text: string, ...faults: string[]])[] = [
  // Who is there.
  [
    `${NODE_A}peers = b@h:1 b@h:2 c@h:3`,
    "line 5: cluster.peers = b@h:1 b@h:2 c@h:3: names b twice, at h:1 and h:2; keep one of them",
  ],
  [
    `${NODE_A}peers = b@h:1 b@h:1 c@h:3`,
    "line 5: cluster.peers = b@h:1 b@h:1 c@h:3: names b twice, at h:1 and h:1; keep one of them",
  ],
  [
    `${NODE_A}peers = a@h:1 a@i:1 b@h:2`,
    "line 5: cluster.peers = a@h:1 a@i:1 b@h:2: names a twice, at h:1 and i:1; keep one of them",
    `line 5: cluster.peers = a@h:1 a@i:1 b@h:2: ${TWO}`,
  ],
  [
    `${NODE_A}peers = b@localhost:1 c@127.0.0.1:1`,
    "line 5: cluster.peers = b@localhost:1 c@127.0.0.1:1: has c, which is at 127.0.0.1:1, " +
      "which is b's address; correct one of them",
  ],
  [
    `${NODE_A}peers = b@H. c@h:8136`,
    "line 5: cluster.peers = b@H. c@h:8136: has c, which is at h:8136, which is b's address; " +
      "correct one of them",
  ],
  [
    `${NODE_A}peers = b@h:1 c@h:2\nwitness = w@h:2`,
    "line 6: cluster.witness = w@h:2: is at h:2, which is c's address; correct one of them",
  ],
  [
    `${NODE_A}peers = b@127.0.0.1 c@h:2`,
    "line 5: cluster.peers = b@127.0.0.1 c@h:2: has b at 127.0.0.1:8136, where this node listens, " +
      "whose name is a; write node = b, or correct the address",
  ],
  [
    `${NODE_A}listen = 0.0.0.0:1\ntoken-file = f\npeers = b@127.0.0.2:1 c@h:2`,
    "line 7: cluster.peers = b@127.0.0.2:1 c@h:2: has b at 127.0.0.2:1, where this node listens, " +
      "whose name is a; write node = b, or correct the address",
  ],
  // What each is.
  [
    "[cluster]\nmode = agent",
    "line 2: cluster.mode = agent: is agent, and no member is known; name them with peers",
  ],
  [
    "[cluster]\nmode = witness\nnode = w\nconsensus = none",
    "line 2: cluster.mode = witness: is witness, and no member is known; name them with peers",
  ],
  [
    `${NODE_A}mode = witness\n${THREE}`,
    "line 5: cluster.mode = witness: is witness, and peers has this node, a, as a member; take it out there",
  ],
  [
    `${NODE_A}mode = agent\n${THREE}`,
    "line 5: cluster.mode = agent: is agent, and peers has this node, a, as a member; take it out there",
  ],
  [
    `${NODE_A}peers = b@h:1\nwitness = b@h:2`,
    "line 6: cluster.witness = b@h:2: is b, which is one of peers; take it out there, or name another",
  ],
  [
    `${NODE_A}peers = b@h:1\nwitness = a@h:2`,
    "line 6: cluster.witness = a@h:2: is this node, a; write mode = witness, or name another",
  ],
  [
    `${NODE_A}mode = witness\npeers = b@h:1 c@h:3\nwitness = w@h:2`,
    "line 7: cluster.witness = w@h:2: is w, and this node, a, is a witness as well; have one",
  ],
  [
    `${NODE_A}witness = w@h:2`,
    "line 5: cluster.witness = w@h:2: has nothing to decide, because there is no other member; " +
      "name them with peers",
  ],
  // How many.
  [`${NODE_A}peers = b@h:1`, `line 5: cluster.peers = b@h:1: ${TWO}`],
  [`${NODE_A}allow-split-flush = no\npeers = a@h b@h:1`, `line 6: cluster.peers = a@h b@h:1: ${TWO}`],
  [
    `${NODE_A}peers = ${Array.from({ length: 15 }, (_, index) => `n${index}@h:${index + 1}`).join(" ")}`,
    "line 5: cluster.peers = n0@h:1 n1@h:2 n2@h:3 n3@h:4 n4@h:5 n5@h:6 n6@h:7 n7@h:8 n8@h...: " +
      "comes to 16 members; have at most 15, and make the others agents",
  ],
  // What survives.
  [`[cluster]\nnode = a\n${THREE}`, `line 3: cluster.peers = a@h:1 b@h:2 c@h:3: ${FOLDER}`],
  [`[cluster]\nnode = w\nmode = witness\n${THREE}`, `line 4: cluster.peers = a@h:1 b@h:2 c@h:3: ${FOLDER}`],
  [
    `[aggregator]\nstate-dir =\n[cluster]\nnode = a\n${THREE}`,
    "line 2: aggregator.state-dir: is empty, and a member of a cluster must not forget its votes; " +
      "name a folder",
  ],
  // Who is let in.
  ["[cluster]\nlisten = 0.0.0.0:8136", `line 2: cluster.listen = 0.0.0.0:8136: ${OPEN}`],
  ["[cluster]\nlisten = [::]:0", `line 2: cluster.listen = [::]:0: ${OPEN}`],
  ["[cluster]\nlisten = node.example:8136", `line 2: cluster.listen = node.example:8136: ${OPEN}`],
  [
    "[cluster]\ntls-cert = c\ntls-key = k",
    "line 2: cluster.tls-cert = c: needs tls-ca beside it; name all three or none",
  ],
  [
    "[cluster]\ntls-ca = c",
    "line 2: cluster.tls-ca = c: needs tls-cert and tls-key beside it; name all three or none",
  ],
  [
    "[log]\n[cluster]\nlisten = 10.0.0.1:1\ntoken = too-short",
    "line 2: [cluster]: token has 9 bytes; have at least 32: openssl rand -base64 48",
  ],
  [
    `[cluster]\ntoken = ${TOKEN}\ntoken-file = f`,
    "line 3: cluster.token-file = f: stands beside token; keep one of them",
  ],
  [
    `${NODE_A}${THREE}\nlisten = 127.0.0.1:5\nbioyino-listen = localhost:5`,
    "line 7: cluster.bioyino-listen = localhost:5: is cluster.listen as well, and the two speak " +
      "differently; choose another port",
  ],
  // Times.
  [
    `${NODE_A}${THREE}\nsettle = 30s`,
    "line 6: cluster.settle = 30s: is not shorter than aggregator.interval (30s); choose less than that",
  ],
  [
    `[aggregator]\ninterval = 2s\nstate-dir = /s\n[cluster]\nnode = a\n${THREE}`,
    "line 2: aggregator.interval = 2s: is not longer than cluster.settle (2s); lower that as well",
  ],
  [
    "[raft]\nheartbeat = 500ms",
    "line 2: raft.heartbeat = 500ms: is more than half of lease (800ms); choose at most 400ms",
  ],
  [
    "[raft]\nlease = 300ms",
    "line 2: raft.lease = 300ms: is too little for heartbeat (200ms); choose at least 400ms",
  ],
  [
    "[raft]\nlease = 1s",
    "line 2: raft.lease = 1s: is not shorter than election-timeout-min (1s), so that two could write; " +
      "lower it",
  ],
  [
    "[raft]\nelection-timeout-min = 700ms",
    "line 2: raft.election-timeout-min = 700ms: is not longer than lease (800ms), so that two could write; " +
      "raise it",
  ],
  [
    "[raft]\nelection-timeout-max = 900ms",
    "line 2: raft.election-timeout-max = 900ms: is too little for election-timeout-min (1s); " +
      "choose at least 1s",
  ],
  [
    "[etcd]\nrequest-timeout = 3s",
    "line 2: etcd.request-timeout = 3s: is more than half of ttl (5s); choose at most 2500ms",
  ],
  [
    "[consul]\nrequest-timeout = 6s",
    "line 2: consul.request-timeout = 6s: is more than half of session-ttl (10s); choose at most 5s",
  ],
  [
    "[kubernetes]\nlease-duration = 3s",
    "line 2: kubernetes.lease-duration = 3s: is too little for request-timeout (2s); choose at least 4s",
  ],
  ["[etcd]\nusername = u", "line 2: etcd.username = u: needs password beside it; name both or none"],
  ["[etcd]\npassword = secret", "line 1: [etcd]: password needs username beside it; name both or none"],
  ["[etcd]\ntls-key = k", "line 2: etcd.tls-key = k: needs tls-cert beside it; name both or none"],
  // What is faulty by itself is not held against others.
  ["[cluster]\nmode = agent\npeers = b", "line 3: cluster.peers = b: names no node; write NAME@HOST:PORT"],
];

for (const [text, ...expected] of BAD) {
  test(`faults of ${JSON.stringify(text)}`, () => {
    assert.deepEqual(faultsOf(text).split("\n").sort(), [...expected].sort());
  });
}

test("all faults come at once", () => {
  const text =
    "[cluster]\nnode = a\nlisten = 0.0.0.0:1\npeers = b@h:1\n[raft]\nlease = 5s\n[etcd]\nttl = 2s\n" +
    "request-timeout = 3s";
  assert.equal(faultsOf(text).split("\n").length, 5, faultsOf(text));
});

test("no report shows a token or a password", () => {
  for (const text of [
    "[cluster]\ntoken = oh-so-secret",
    `[cluster]\ntoken = oh-so-secret-${TOKEN}\ntoken-file = f`,
    "[etcd]\npassword = oh-so-secret",
  ]) {
    assert.doesNotMatch(faultsOf(text), /oh-so-secret/);
  }
});

const GOOD: readonly string[] = [
  `${NODE_A}${THREE}`,
  `${NODE_A}peers = b@h:1 c@h:2\nlisten = 0.0.0.0:8136\ntoken-file = f`,
  `${NODE_A}peers = b@h:1 c@h:2\nlisten = [::]:8136\ntls-cert = c\ntls-key = k\ntls-ca = a`,
  `${NODE_A}peers = b@h:1 c@h:2\nlisten = [::]:8136\ntoken = ${TOKEN}`,
  // A node's own address among the peers is the one that others reach it at.
  `${NODE_A}peers = a@127.0.0.1:8136 b@h:1 c@h:2`,
  `${NODE_A}listen = 0.0.0.0:8136\ntoken-file = f\npeers = a@nat.example:9 b@h:1 c@h:2`,
  `${NODE_A}peers = b@h:1\nwitness = w@h:2`,
  `${NODE_A}mode = witness\npeers = b@h:1 c@h:3`,
  `${STATE}[cluster]\nnode = w\nmode = witness\npeers = b@h:1 c@h:3\nwitness = w@h:2`,
  `${NODE_A}peers = b@h:1\nallow-split-flush = yes`,
  // Nobody needs a folder, a majority or a password of its own where others decide, or nothing is heard.
  `[cluster]\nnode = a\n${THREE}\nconsensus = none\nstart-as-leader = yes`,
  `[cluster]\nnode = a\n${THREE}\nconsensus = kubernetes\n[kubernetes]\nnamespace = metrics`,
  "[cluster]\nnode = x\nmode = agent\npeers = b@h:1\nlisten = 0.0.0.0:1\nspool-dir = /s",
  "[aggregator]\ninterval = 1s",
  "[aggregator]\ninterval = 1s\n[cluster]\nnode = x\nmode = agent\npeers = b@h:1",
  "[cluster]\nbioyino-listen = 127.0.0.1:8136",
  "[cluster]\nnode = x\nmode = agent\npeers = b@h:1\nbioyino-listen = 127.0.0.1:8136",
];

for (const text of GOOD) {
  test(`nothing is said about ${JSON.stringify(text)}`, () => assert.deepEqual(warningsOf(text), []));
}

/** Texts, and the warnings that they get. */
const WARNED: readonly (readonly [text: string, ...warnings: string[]])[] = [
  [
    "[cluster]\nconsensus = etcd",
    "cluster.consensus is etcd, but there are no other members; this node is alone",
  ],
  [
    `${NODE_A}${THREE}\nstart-as-leader = yes`,
    "cluster.start-as-leader does nothing: with consensus = internal the nodes choose",
  ],
  [
    `${NODE_A}mode = witness\npeers = b@h:1 c@h:3\nstart-as-leader = yes\nconsensus = none`,
    "cluster.start-as-leader does nothing: a witness never leads",
  ],
  [
    `${NODE_A}${THREE}\nspool-dir = /x`,
    "cluster.spool-dir does nothing: only agents hold on disk what no member takes",
  ],
  [
    "[cluster]\nbioyino-listen = 0.0.0.0:9136",
    "cluster.bioyino-listen can be reached from other machines; the Rust bioyino has no password, so that " +
      "whoever reaches it adds to the numbers",
  ],
  ["[cluster]\nbioyino-senders = all", "cluster.bioyino-senders does nothing without cluster.bioyino-listen"],
  [
    `${NODE_A}${THREE}\nconsensus = consul\n[raft]\nheartbeat = 100ms`,
    "[raft] does nothing: cluster.consensus is consul, not internal",
  ],
  [
    `${NODE_A}${THREE}\n[kubernetes]\nlease = x\n[etcd]\nttl = 6s`,
    "[etcd] does nothing: cluster.consensus is internal, not etcd",
    "[kubernetes] does nothing: cluster.consensus is internal, not kubernetes",
  ],
  [
    "[cluster]\nnode = x\nmode = agent\npeers = b@h:1\n[raft]\nheartbeat = 100ms",
    "[raft] does nothing: an agent takes no part",
  ],
  [
    `${NODE_A}${THREE}\nconsensus = etcd\n[etcd]\nusername = u\npassword = p\n` +
      "endpoints = http://127.0.0.1:1 http://e:2",
    "etcd.password is sent to http://e:2 in the clear",
  ],
  [
    `${NODE_A}${THREE}\nconsensus = consul\n[consul]\ntoken = t\nendpoints = http://e:2`,
    "consul.token is sent to http://e:2 in the clear",
  ],
  [
    `${NODE_A}peers = b@h:1\nconsensus = consul`,
    "the cluster has two members, and while one of them is away nothing is written; add a witness, or " +
      "write cluster.allow-split-flush = yes",
  ],
  [
    `${NODE_A}${THREE}\nwitness = w@h:9`,
    "cluster.witness makes 3 members an even number, which bears no more failures",
  ],
  [
    `${STATE}late-window = 5s\n[cluster]\nnode = a\n${THREE}`,
    "cluster.settle is shorter than aggregator.late-window: intervals are written before late lines are " +
      "in, and once more afterwards",
  ],
  [
    `${STATE}[cluster]\npeers = other-1@h:1 other-2@h:2`,
    `cluster.node is empty and ${nodeNameOf({ node: "" })}, the name of this machine, is none of ` +
      "cluster.peers: it is one more member; write node = NAME if it is one of them",
  ],
];

for (const [text, ...expected] of WARNED) {
  test(`warnings of ${JSON.stringify(text)}`, () => assert.deepEqual(warningsOf(text), expected));
}

test("what a cluster holds counts against the memory limit", () => {
  const limits = "[aggregator]\nmemory-limit = 4g\nmemory-max = 16g\nstate-dir = /s\n";
  const read = (text: string) => parseConfig(`${limits}${text}`, "x.ini");
  const alone = read("[cluster]\nhold-bytes = 1g");
  const member = read(`[cluster]\nnode = a\n${THREE}\nhold-bytes = 1g`);
  const agent = read("[cluster]\nnode = x\nmode = agent\npeers = b@h:1\nagent-bytes = 128m");
  const witness = read("[cluster]\nnode = w\nmode = witness\npeers = b@h:1 c@h:2");
  const mib = 2 ** 20;
  assert.equal(tableBytesMax(alone) - tableBytesMax(member), (1024 + 64 + 2 * 8) * mib);
  assert.equal(tableBytesMax(alone) - tableBytesMax(agent), (128 + 64 + 8) * mib);
  assert.equal(tableBytesMax(alone) - tableBytesMax(witness), (64 + 2 * 8) * mib);
  assert.deepEqual(
    memoryShares(member)
      .map(({ name }) => name)
      .slice(-2),
    ["cluster", "hold-bytes"],
  );
  const fault = faultsOf(`${limits}[cluster]\nnode = a\n${THREE}\nhold-bytes = 4g`);
  assert.match(fault, /^line 2: aggregator\.memory-limit = 4g: is too little: .*hold-bytes 4g/);
});
