/** The files of config/examples/cluster: what they say of each other, and the guide of them, is true. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, sep } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { loadConfig, type SuiteConfig } from "../../shared/config.ts";
import { printHostPort } from "../../shared/config-addresses.ts";
import { type Membership, membershipOf } from "../../shared/membership.ts";

const folder = join(findTop(dirname(fileURLToPath(import.meta.url))), "config", "examples", "cluster");
const files = readdirSync(folder, { recursive: true }).map((path) => String(path).split(sep).join("/"));

/** The nearest folder upwards that holds the examples. */
function findTop(from: string): string {
  return existsSync(join(from, "config", "examples")) ? from : findTop(dirname(from));
}

function read(path: string): string {
  return readFileSync(join(folder, path), "utf8");
}

function load(path: string): SuiteConfig {
  return loadConfig(join(folder, path));
}

/** As a machine of that name sees it. */
function membership(path: string, hostName = "elsewhere"): Membership {
  return membershipOf(load(path).cluster, hostName)!;
}

const namesOf = (list: readonly { readonly name: string }[]): string =>
  list.map(({ name }) => name).join(" ");
const LETTERS = ["a", "b", "c"];
const MACHINES = ["stats-1", "stats-2", "stats-3"];

test("the members of one machine differ in what must differ, and in nothing else", () => {
  const configs = LETTERS.map((letter) => load(`node-${letter}.ini`));
  const common = configs.map(({ aggregator, cluster, ...others }) => ({
    ...others,
    aggregator: { ...aggregator, listen: [], management: undefined, stateDir: "" },
    cluster: { ...cluster, node: "", listen: undefined },
  }));
  for (const one of common) assert.deepEqual(one, common[0]);
  const taken = configs.flatMap(({ aggregator, cluster }) => [
    ...aggregator.listen.map((one) => `${one.kind} ${"port" in one ? one.port : ""}`),
    `tcp ${aggregator.management?.port}`,
    `tcp ${cluster.listen.port}`,
    aggregator.stateDir,
  ]);
  assert.equal(new Set(taken).size, taken.length, taken.join(", "));
});

test("each member of one machine listens where the others look for it", () => {
  for (const letter of LETTERS) {
    const { cluster } = load(`node-${letter}.ini`);
    const own = cluster.peers.find(({ name }) => name === cluster.node);
    assert.equal(printHostPort(own!), printHostPort(cluster.listen));
    assert.equal(namesOf(membership(`node-${letter}.ini`).members), "node-a node-b node-c");
  }
});

test("one file makes each of the machines that it names a member", () => {
  for (const path of ["three-machines.ini", "systemd/member.ini"]) {
    for (const name of MACHINES) {
      const { members, peers } = membership(path, name);
      assert.deepEqual([namesOf(members), peers.length], [MACHINES.join(" "), 2]);
    }
  }
});

test("two members and their witness see the same three", () => {
  const seen = [
    membership("two-nodes.ini", "stats-1"),
    membership("two-nodes.ini", "stats-2"),
    membership("witness.ini"),
  ];
  for (const { members } of seen) assert.deepEqual(members, seen[0]!.members);
  const witness = load("two-nodes.ini").cluster.witness!;
  assert.deepEqual([seen[2]!.name, load("witness.ini").cluster.listen.port], [witness.name, witness.port]);
  assert.equal(namesOf(seen[0]!.members.filter(({ isWitness }) => isWitness)), witness.name);
});

test("what has to be equal on all nodes is", () => {
  for (const [path, model] of [
    ["agent.ini", "three-machines.ini"],
    ["witness.ini", "two-nodes.ini"],
    ["systemd/witness.ini", "systemd/member.ini"],
  ] as const) {
    const [one, other] = [load(path), load(model)];
    assert.equal(one.aggregator.intervalMs, other.aggregator.intervalMs, path);
    assert.deepEqual(one.aggregation, other.aggregation, path);
  }
});

test("agents and relays send to the members, at ports that these have", () => {
  const { cluster, aggregator } = load("three-machines.ini");
  assert.deepEqual(load("agent.ini").cluster.peers, cluster.peers);
  const [tcp] = aggregator.listen.filter(({ kind }) => kind === "tcp");
  assert.ok(tcp !== undefined && "port" in tcp);
  assert.deepEqual(
    load("relay-to-cluster.ini").relay.destinations,
    cluster.peers.map(({ host }) => `tcp://${host}:${tcp.port}`),
  );
});

/** The values of a key of a unit. */
function valuesOf(unit: string, key: string): string[] {
  return [...read(`systemd/${unit}`).matchAll(new RegExp(`^${key}=(.*)$`, "gm"))].map((match) => match[1]!);
}

for (const [unit, instance, path] of [
  ["bioyino@.service", "member", "systemd/member.ini"],
  ["bioyino-witness.service", "", "systemd/witness.ini"],
] as const) {
  test(`${unit} gives its process the files that ${path} names`, () => {
    const { aggregator, cluster } = load(path);
    const fill = (text: string): string => text.replaceAll("%i", instance);
    const name = unit.replace("@.", `@${instance}.`);
    assert.deepEqual(valuesOf(unit, "StateDirectory").map(fill), [
      aggregator.stateDir.replace("/var/lib/", ""),
    ]);
    const [credential] = valuesOf(unit, "LoadCredential");
    assert.equal(cluster.tokenFile, `/run/credentials/${name}/${credential!.split(":")[0]}`);
    const [start] = valuesOf(unit, "ExecStart");
    assert.match(read(path), new RegExp(`^# ${fill(start!).split(" ").at(-1)}, for ${name}`));
    // Beyond it the end would be cut off while rows are being delivered.
    assert.ok(
      Number.parseFloat(valuesOf(unit, "TimeoutStopSec")[0]!) * 1000 >= 2 * aggregator.drainTimeoutMs,
    );
  });
}

test("the guide names every file of the folder, and files that are there", () => {
  const text = read("README.md");
  const named = [...text.matchAll(/\]\(([^)#]+)\)/g)].map((match) => match[1]!);
  assert.deepEqual(
    named.filter((path) => !existsSync(join(folder, path))),
    [],
  );
  const isNamed = (path: string) => text.includes(path) || text.includes(path.split("/").at(-1)!);
  assert.deepEqual(
    files.filter((path) => path.includes(".") && path !== "README.md" && !isNamed(path)),
    [],
  );
});

test("times that the guide counts with are those of the files", () => {
  const { aggregator, cluster, raft } = loadConfig();
  const text = read("README.md");
  const { retainIntervals } = load("three-machines.ini").cluster;
  const minutes = (retainIntervals * load("three-machines.ini").aggregator.intervalMs) / 60_000;
  assert.ok(text.includes(`${minutes} minutes`), `${minutes}`);
  assert.equal(cluster.retainIntervals, retainIntervals);
  assert.deepEqual([raft.electionMinMs, raft.electionMaxMs, cluster.snapshotIntervalMs], [1000, 2000, 1000]);
  assert.equal(aggregator.drainTimeoutMs, 10_000);
});
