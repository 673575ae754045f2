/** A running member of a cluster as its pages and commands show it, and as it does what they tell it. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { SCHEMAS } from "../../aggregator/page/schemas.ts";
import { chooseIo } from "../../shared/udp.ts";
import { startAggregator, type TestDaemon } from "../support/daemons.ts";
import { schemaFaults } from "../support/json-schema.ts";
import { waitFor } from "../support/wait-for.ts";

const io = await chooseIo("auto");
const SCRIPT = fileURLToPath(new URL("../../bin/bioyino.js", import.meta.url));
/** People choose who leads; the other member is not there, and nobody listens on port 1. */
const CLUSTER = [
  "snapshot-interval = 50ms",
  "node = node-a",
  "listen = 127.0.0.1:0",
  "peers[] = node-a@127.0.0.1:2",
  "peers[] = node-b@127.0.0.1:1",
  "consensus = none",
  "settle = 0",
].join("\n");

/** Runs a command to its end, on a node. */
function run(daemon: TestDaemon, ...args: readonly string[]) {
  const [command = "", ...others] = args;
  const child = spawn(process.execPath, [SCRIPT, command, "-h", daemon.management, ...others]);
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (piece) => {
    stdout += piece;
  });
  child.stderr.on("data", (piece) => {
    stderr += piece;
  });
  return new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) =>
    child.once("close", (code) => resolve({ code, stdout, stderr })),
  );
}

async function value(daemon: TestDaemon, path: string, schema: string): Promise<Record<string, unknown>> {
  const answer = (await (await daemon.get(path)).json()) as Record<string, unknown>;
  assert.deepEqual(schemaFaults(answer, SCHEMAS[schema]!, path), []);
  return answer;
}

test("a member is given leadership, shows it, hands nothing to nobody, and drains", async () => {
  const daemon = await startAggregator(io, { cluster: CLUSTER });
  await waitFor("its state", async () => (await daemon.get("/readyz")).status === 200);
  const before = await value(daemon, "/status", "Status");
  assert.deepEqual([before["leader-status"], before["consensus-status"]], [false, "disabled"]);
  assert.deepEqual((await value(daemon, "/readyz", "Readiness")).cluster, {
    role: "follower",
    leader: null,
    hasState: true,
  });
  const refused = await run(daemon, "transfer", "node-b");
  assert.deepEqual([refused.code, refused.stdout], [1, ""]);
  assert.match(refused.stderr, /refuses \(409\): this node does not lead; nobody is known to/);

  const led = await run(daemon, "query", "consensus", "disable", "enable");
  assert.equal(led.code, 0, led.stderr);
  assert.match(led.stdout, /^leader-status +true\nconsensus-status +disabled\n/);
  assert.match(led.stdout, /\ncluster\n {2}node-a, this node, leads in term \d+\n/);
  await daemon.until(
    "a delivered interval",
    (metrics) => metrics.sum("bioyino_cluster_intervals", 'state="delivered"') > 0,
  );
  assert.equal((await daemon.metrics()).sum("bioyino_cluster_leader"), 1);
  await value(daemon, "/top", "Top");
  const page = await value(daemon, "/members", "Members");
  assert.deepEqual(
    (page.members as { node: string; role: string }[]).map(({ node, role }) => [node, role]),
    [
      ["node-a", "leader"],
      ["node-b", "away"],
    ],
  );
  const members = await run(daemon, "query", "members");
  assert.match(members.stdout, /\nnode +role +connected .*\nnode-a \* +leader +this node\nnode-b +away +no /);
  const nobody = await run(daemon, "transfer");
  assert.match(nobody.stderr, /refuses \(409\): another member cannot lead now/);
  await waitFor("the alarm", async () => daemon.events("cluster.alarm").length > 0);

  const drained = await run(daemon, "drain", "--wait", "--timeout", "20");
  assert.deepEqual([drained.code, drained.stderr], [0, ""]);
  assert.match(drained.stdout, /^127\.0\.0\.1:\d+ is gone after [\d.]+ s\n$/);
  assert.equal((await daemon.stop()).code, 0);
  const [stopping] = daemon.events("aggregator.stopping");
  assert.equal(stopping?.by, "drain");
  const audited = daemon.events("management.command").map(({ action, outcome }) => [action, outcome]);
  assert.deepEqual(audited, [
    ["transfer", "refused"],
    ["consensus", "done"],
    ["transfer", "refused"],
    ["drain", "done"],
  ]);
});

test("a node by itself drains as well, and has no members", async () => {
  const daemon = await startAggregator(io);
  const members = await run(daemon, "query", "members");
  assert.equal(members.code, 1);
  assert.match(members.stderr, /refuses \(404\): this node belongs to no cluster/);
  const drained = await run(daemon, "drain", "--json");
  assert.deepEqual([drained.code, JSON.parse(drained.stdout).ok], [0, true]);
  assert.equal((await daemon.stop()).code, 0);
  const nobody = await run(daemon, "drain", "--wait");
  assert.equal(nobody.code, 1, "nobody was told");
});
