/** A configuration of the Rust bioyino in our words. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Imported, importBioyino } from "../../aggregator/import/bioyino.ts";
import { parseConfig, type SuiteConfig } from "../../shared/config.ts";

/** Every option that bioyino 0.8 has. */
const FULL = `
verbosity-console = "critical"
verbosity-syslog = "off"
daemon = false
n-threads = 4
w-threads = 4
p-threads = 4
a-threads = 4
stats-interval = 50
task-queue-size = 2048
start-as-leader = true
stats-prefix = "resources.monitoring.bioyino."
consensus = "internal"

[metrics]
consistent-parsing = true
log-parse-errors = false
max-unparsed-buffer = 10000
max-tags-len = 8000
create-untagged-copy = true

[aggregation]
round-timestamp = "down"
update-count-threshold = 100

[aggregation.aggregates]
timer = ["count", "last", "Percentile-10", "percentile-99", "max", "max", "bucket"]
counter = ["value", "rate"]
gauge = []
set = ["count"]
custom-histogram = ["bucket"]

[naming.default]
destination = "both"
prefix = "apps"
tag = "agg"
prefix-overrides = { "updates" = "debug" }
postfixes = { "updates" = "", "min" = "lower" }
tag-values = { "percentile-99" = "p99" }

[naming.timer]
prefix = "timers"

[naming.custom-histogram]
prefix = "x"

[carbon]
address = "10.0.0.1"
bind-address = "10.0.0.2:0"
interval = 10000
connect-delay = 300
connect-delay-multiplier = 1.5
connect-delay-max = 20000
send-retries = 30
chunks = 4

[network]
listen = "0.0.0.0:8125"
peer-listen = "0.0.0.0:8136"
peer-client-bind = "10.0.0.2:0"
peer-protocol = "v2"
mgmt-listen = "127.0.0.1:18137"
bufsize = 1500
multimessage = true
mm-packets = 100
mm-async = false
mm-timeout = 0
buffer-flush-time = 0
buffer-flush-length = 65536
greens = 4
async-sockets = 4
nodes = ["10.0.0.3:8136", "10.0.0.4:8136"]
snapshot-interval = 500
max-snapshots = 180

[raft]
start-delay = 0
heartbeat-timeout = 250
election-timeout-min = 500
election-timeout-max = 750
this-node = "10.0.0.2:8138"
client-bind = "10.0.0.2:0"
[raft.nodes]
"10.0.0.2:8138" = 1
"10.0.0.3:8138" = 2
`;

/** Options of FULL that come to something here; all others are told of. */
const TAKEN = [
  ..."verbosity-console stats-interval stats-prefix max-tags-len create-untagged-copy".split(" "),
  ..."round-timestamp update-count-threshold timer counter gauge set".split(" "),
  ..."destination prefix tag prefix-overrides postfixes tag-values".split(" "),
  ..."address bind-address interval connect-delay connect-delay-multiplier connect-delay-max chunks".split(
    " ",
  ),
  ..."listen mgmt-listen snapshot-interval peer-listen nodes this-node start-delay".split(" "),
  ..."start-as-leader consensus".split(" "),
];

function load(text: string): { readonly config: SuiteConfig; readonly imported: Imported } {
  const imported = importBioyino(text, "bioyino.toml");
  assert.deepEqual(imported.faults, []);
  return { config: parseConfig(imported.ini, "x.ini"), imported };
}

function faultsOf(text: string): readonly string[] {
  return importBioyino(text, "bioyino.toml").faults;
}

test("every option is taken over", () => {
  const { log, aggregator, aggregation, carbon, cluster } = load(FULL).config;
  assert.equal(log.level, "error");
  const { listen, management, statsPrefix, statsIntervalMs, tagsBytesMax, untaggedCopy } = aggregator;
  assert.deepEqual(listen, [{ kind: "udp", host: "0.0.0.0", port: 8125 }]);
  assert.deepEqual(management, { host: "127.0.0.1", port: 18_137 });
  assert.deepEqual(
    [statsPrefix, statsIntervalMs, tagsBytesMax, untaggedCopy],
    ["resources.monitoring.bioyino", 1000, 8000, true],
  );
  assert.deepEqual([aggregator.intervalMs, aggregator.dialect], [10_000, "bioyino"]);
  const { timer, counter, gauge, set, updateCountThreshold, roundTimestamp, rate } = aggregation;
  assert.deepEqual([updateCountThreshold, roundTimestamp, rate], [100, "down", "samples"]);
  assert.deepEqual(
    [timer, counter, gauge, set].map((list) => list.map(({ name }) => name).join(" ")),
    ["count last percentile-10 percentile-99 max", "value rate", "", "count"],
  );
  assert.deepEqual(carbon.address, [{ host: "10.0.0.1", port: 2003 }]);
  assert.deepEqual(carbon.bindAddress, { host: "10.0.0.2", port: 0 });
  const { connections, retryDelayMs, retryDelayMultiplier, retryDelayMaxMs } = carbon;
  assert.deepEqual([connections, retryDelayMs, retryDelayMultiplier, retryDelayMaxMs], [4, 300, 1.5, 20_000]);
  assert.equal(cluster.snapshotIntervalMs, 500);
  assert.equal(aggregator.stateDir, "/var/lib/bioyino");
  assert.deepEqual([cluster.node, cluster.consensus, cluster.mode], ["10.0.0.2", "internal", "member"]);
  assert.deepEqual(cluster.listen, { host: "0.0.0.0", port: 8138 });
  assert.deepEqual(cluster.bioyinoListen, { host: "0.0.0.0", port: 8136 });
  assert.deepEqual([cluster.bioyinoSenders, cluster.tokenFile], ["all", "/etc/bioyino/cluster.token"]);
  assert.deepEqual(cluster.peers, [
    { name: "10.0.0.2", host: "10.0.0.2", port: 8138 },
    { name: "10.0.0.3", host: "10.0.0.3", port: 8138 },
  ]);
});

test("a section of a type takes nothing from [naming.default], as in bioyino", () => {
  const { naming } = load(FULL).config;
  assert.deepEqual(naming.timer, {
    destination: "smart",
    prefix: "timers",
    suffix: "",
    tag: "aggregate",
    prefixOverrides: [],
    postfixes: [],
    tagValues: [],
  });
  assert.deepEqual(naming.counter, {
    destination: "both",
    prefix: "apps",
    suffix: "",
    tag: "agg",
    prefixOverrides: [{ aggregate: "updates", text: "debug" }],
    postfixes: [
      { aggregate: "updates", text: "" },
      { aggregate: "min", text: "lower" },
    ],
    tagValues: [{ aggregate: "percentile-99", text: "p99" }],
  });
  // Without [naming.default] bioyino's and our defaults are the same.
  const { timer } = load('[naming.timer]\ndestination = "name"').config.naming;
  assert.deepEqual([timer.destination, timer.prefix, timer.tag], ["name", "", "aggregate"]);
});

test("every option without a counterpart is told of, with the reason", () => {
  const { ini } = load(FULL).imported;
  const [, left = ""] = ini.split("# Without a counterpart:\n");
  const options = [...FULL.matchAll(/^([a-z-]+) = /gm)].map((match) => match[1]!);
  const untold = options.filter((name) => !TAKEN.includes(name) && !new RegExp(`\\b${name}\\b`).test(left));
  assert.deepEqual(untold, []);
  assert.ok(options.length > 50, `${options.length}`);
  for (const line of left.split("\n").filter((one) => /^# \S/.test(one))) assert.match(line, /: .{10,}/);
  assert.match(left, /network\.max-snapshots = 180: what waits for another node is bounded in bytes/);
});

/** A node of three. */
const THREE =
  'consensus = "internal"\nstart-as-leader = true\n[network]\nnodes = ["b:8136", "c"]\n[raft]\n' +
  'start-delay = 1500\nthis-node = "a:9000"\nnodes = { "a:9000" = 1, "b:9000" = 2, "c:9001" = 3 }\n';
const clusterOf = (text: string) => load(text).config.cluster;
const peersOf = (text: string) =>
  clusterOf(text).peers.map(({ name, host, port }) => `${name}@${host}:${port}`);

test("members meet where their raft did, under the names of their hosts", () => {
  const { imported, config } = load(THREE);
  assert.equal(imported.warnings.length, 1);
  assert.match(imported.ini, /^# This node was one of a cluster/m);
  const { node, listen, startDelayMs, startsAsLeader, allowsSplitFlush, bioyinoListen } = config.cluster;
  assert.deepEqual(peersOf(THREE), ["a@a:9000", "b@b:9000", "c@c:9001"]);
  // Where bioyino's default would let nobody in, all of the machine's addresses do; leaders are chosen.
  assert.deepEqual([node, listen.host, listen.port, startDelayMs], ["a", "0.0.0.0", 9000, 1500]);
  assert.deepEqual([startsAsLeader, allowsSplitFlush, bioyinoListen], [false, false, undefined]);
});

test("two members may write apart, as they did", () => {
  const text = THREE.replace(', "c:9001" = 3', "").replace(', "c"', "");
  assert.equal(clusterOf(text).allowsSplitFlush, true);
});

test("a node that does not say its name has that of its machine", () => {
  const { imported, config } = load(THREE.replace('this-node = "a:9000"', ""));
  assert.deepEqual([config.cluster.node, config.cluster.listen.port], ["", 8138]);
  assert.match(imported.warnings[0]!, /write node = NAME/);
});

test("nodes of one machine are told apart by their ports, and IPv6 addresses make names", () => {
  const text =
    'consensus = "internal"\n[raft]\nthis-node = "[::1]:2"\n' +
    'nodes = { "127.0.0.1:1" = 1, "127.0.0.1:2" = 2, "[::1]:2" = 3 }';
  assert.deepEqual(peersOf(text), ["127.0.0.1-1@127.0.0.1:1", "127.0.0.1-2@127.0.0.1:2", "--1@::1:2"]);
  const { node, listen } = clusterOf(text);
  assert.deepEqual([node, listen], ["--1", { host: "127.0.0.1", port: 2 }]);
});

test("where people choose the leader, they go on doing so", () => {
  const text = 'start-as-leader = true\n[network]\npeer-listen = "10.0.0.1"\nnodes = ["b:8136", "c:8136"]';
  const { consensus, startsAsLeader, mode, listen, bioyinoListen } = clusterOf(text);
  assert.deepEqual([consensus, startsAsLeader, mode], ["none", true, "member"]);
  assert.deepEqual(
    [listen, bioyinoListen].map((one) => `${one?.host}:${one?.port}`),
    ["10.0.0.1:8138", "10.0.0.1:8136"],
  );
  assert.deepEqual(peersOf(text), ["b@b:8138", "c@c:8138"]);
});

test("a node that neither leads nor takes part in choosing is an agent", () => {
  const { imported, config } = load('[network]\nnodes = ["a:8136", "b:8136"]');
  assert.deepEqual([config.cluster.mode, config.cluster.tokenFile], ["agent", "/etc/bioyino/cluster.token"]);
  assert.match(imported.warnings[0]!, /an agent of a cluster/);
  assert.deepEqual(peersOf('[network]\nnodes = ["a:8136", "b:8136"]'), ["a@a:8138", "b@b:8138"]);
});

test("a node that was alone is alone, and takes what agents send", () => {
  for (const text of ['consensus = "none"\n[network]\nnodes = []', 'consensus = "internal"']) {
    assert.deepEqual(load(text).imported.warnings, []);
    assert.deepEqual(clusterOf(text).peers, []);
  }
  const { bioyinoListen, bioyinoSenders } = clusterOf('[network]\npeer-listen = "127.0.0.1"');
  assert.deepEqual([bioyinoListen, bioyinoSenders], [{ host: "127.0.0.1", port: 8136 }, "one"]);
});

test("an interval that is shorter than the wait for late members shortens that", () => {
  assert.equal(clusterOf(`${THREE}[carbon]\ninterval = 1000`).settleMs, 500);
  assert.equal(clusterOf(`${THREE}[carbon]\ninterval = 2500`).settleMs, 2000);
});

test("what bioyino has by default stays as it is", () => {
  const { log, aggregator, carbon } = load("").config;
  assert.deepEqual(aggregator.listen, [{ kind: "udp", host: "127.0.0.1", port: 8125 }]);
  assert.equal(log.level, "warn");
  assert.deepEqual([aggregator.intervalMs, carbon.connections], [30_000, 1]);
});

test("a postfix that would give two rows one name is left out", () => {
  const sample = '[naming.default]\npostfixes = { "updates" = "" }';
  const { config, imported } = load(sample);
  assert.deepEqual(config.naming.counter.postfixes, []);
  assert.match(imported.ini, /postfixes\.updates = "": it would be written under the name of the value/);
});

test("all faults come at once", () => {
  assert.deepEqual(
    faultsOf(
      [
        'verbosity-console = "loud"',
        "daemon = 1",
        'stats-intervall = 5\n"__x" = 1',
        "[network]",
        'listen = 8125\nbufsiz = "x"\nnodes = [1]',
        "[aggregation]",
        'round-timestamp = "left"\naggregates = { timer = ["p99"], timers = [] }',
        "[naming.timer]",
        'destination = "here"\npostfixes = { "p99" = "x" }',
        "[naming.timers]\n[carbon]\ninterval = -1\n[consul]",
      ].join("\n"),
    ),
    [
      'verbosity-console = "loud": is no level; choose one of off, critical, error, warn, info, debug, trace',
      "daemon = 1: is no true or false",
      "carbon.interval = -1: is no whole number from 0 on",
      "network.listen = 8125: is no text in quotes",
      "network.nodes = [1]: is no list of texts",
      "network.bufsiz: is an unknown key; did you mean bufsize?",
      'aggregation.round-timestamp = "left": is unknown; choose one of no, up, down',
      'aggregation.aggregates.timer = ["p99"]: has the unknown aggregate "p99"',
      "aggregation.aggregates.timers: is an unknown key; did you mean timer?",
      'naming.timer.destination = "here": is unknown; choose one of smart, name, tag, both',
      'naming.timer.postfixes = {"p99":"x"}: has the unknown aggregate "p99"',
      "naming.timers: is an unknown key; did you mean timer?",
      "stats-intervall: is an unknown key; did you mean stats-interval?",
      "__x: is an unknown key; remove it",
      "consul: is an unknown key; remove it",
    ],
  );
});

test("what is no TOML is told with its line", () => {
  const [fault = ""] = faultsOf('a = 1\nb = "');
  assert.match(fault, /^line 2: /);
  assert.equal(faultsOf("__proto__ = 1").length, 1);
  assert.equal(faultsOf("[constructor]\na = 1").length, 1);
  assert.equal(faultsOf("a = 99999999999999999999").length, 1);
});
