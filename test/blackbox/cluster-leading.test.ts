// Who leads, as it is configured: delays, two members, witnesses, and the way in and out of a cluster.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { type Daemon, startDaemon } from "../../bin/daemon.ts";
import { CLUSTER_INTERVAL_MS, ClusterProcesses } from "../support/cluster-processes.ts";
import { waitFor } from "../support/wait-for.ts";

const SCRIPT = fileURLToPath(new URL("../../bin/bioyino.js", import.meta.url));

async function withRig(
  options: Parameters<typeof ClusterProcesses.open>[0],
  run: (rig: ClusterProcesses) => Promise<void>,
): Promise<void> {
  const rig = await ClusterProcesses.open(options);
  try {
    await run(rig);
  } finally {
    await rig.close();
  }
}

test("a node that is to wait does not lead before", async () => {
  await withRig({ names: ["a", "b", "c"] }, async (rig) => {
    await Promise.all([
      rig.start("a", "start-delay = 1h"),
      rig.start("b", "start-delay = 1h"),
      rig.start("c"),
    ]);
    assert.equal(await rig.leader(), "c");
    await rig.send("a", "hits", 20);
    await rig.untilComplete();
    assert.deepEqual(rig.node("a").events("leader.begun"), []);
  });
});

test("people hand leadership on by commands, and whoever was told last leads alone", async () => {
  await withRig({ names: ["a", "b"], cluster: "consensus = none" }, async (rig) => {
    await Promise.all([rig.start("a", "start-as-leader = yes"), rig.start("b", "start-delay = 1500ms")]);
    assert.equal(await rig.leader(), "a");
    await rig.send("b", "of-a", 20);
    await rig.untilComplete();
    await rig.command("a", "disable", "disable");
    await waitFor("nobody to lead", async () => !(await rig.status("a"))["leader-status"]);
    await rig.send("a", "of-b", 20);
    await rig.command("b", "disable", "enable");
    await rig.untilComplete();
    assert.equal(await rig.leader(), "b");
    assert.equal((await rig.status("a"))["leader-status"], false);
    // Both are told to: the one that was told last leads alone.
    await rig.command("a", "disable", "enable");
    await waitFor("one leader", async () => {
      const states = await Promise.all(["a", "b"].map((name) => rig.status(name)));
      return states[0]!["leader-status"] && !states[1]!["leader-status"];
    });
    await rig.send("b", "again", 20);
    await rig.untilComplete();
  });
});

test("two members that may write alone: the other goes on, and both are one again afterwards", async () => {
  await withRig({ names: ["a", "b"], cluster: "allow-split-flush = yes" }, async (rig) => {
    await rig.startAll();
    const leader = await rig.leader();
    const other = leader === "a" ? "b" : "a";
    for (const name of ["a", "b"]) await rig.send(name, "both", 20);
    await rig.untilComplete();
    await rig.kill(leader);
    await rig.send(other, "one", 20);
    await rig.untilComplete();
    assert.equal(await rig.leader(), other);
    await rig.start(leader);
    await waitFor("one leader of two", async () => {
      const states = await Promise.all(["a", "b"].map((name) => rig.status(name)));
      const isSeen = states.every(({ cluster }) => {
        return cluster.leader !== null && cluster.members.every((one) => one.isOutgoingUp);
      });
      return isSeen && states.filter((state) => state["leader-status"]).length === 1;
    });
    for (const name of ["a", "b"]) await rig.send(name, "again", 20);
    await rig.untilComplete();
  });
});

/** Starts a witness by itself, on a free management port. */
async function startWitness(rig: ClusterProcesses): Promise<{ daemon: Daemon; management: string }> {
  const path = join(rig.folder, "witness.ini");
  const aggregator = [
    "management = 127.0.0.1:0",
    `interval = ${CLUSTER_INTERVAL_MS}ms`,
    `state-dir = ${rig.stateDir("w")}`,
  ];
  const cluster = rig.clusterKeys("w", "mode = witness");
  writeFileSync(path, `[aggregator]\n${aggregator.join("\n")}\n[cluster]\n${cluster}\n`);
  const options = { startedEvent: "witness.started", onLine() {} };
  const daemon = startDaemon(SCRIPT, ["--config", path], options);
  const { management } = await daemon.started;
  return { daemon, management };
}

test("a witness by itself gives one of two members the majority, and shows whom it follows", async () => {
  await withRig({ names: ["a", "b"], witness: "w" }, async (rig) => {
    const { daemon, management } = await startWitness(rig);
    try {
      await rig.startAll();
      const leader = await rig.leader();
      const other = leader === "a" ? "b" : "a";
      await rig.send(other, "hits", 20);
      await rig.untilComplete();
      await rig.kill(leader);
      await rig.send(other, "alone", 20);
      await rig.untilComplete();
      const get = async (path: string) => await fetch(`http://${management}${path}`);
      const status = (await (await get("/status")).json()) as Record<string, unknown>;
      assert.deepEqual([status.node, status.role, status.leader], ["w", "witness", other]);
      assert.equal((await get("/healthz")).status, 200);
      assert.match(await (await get("/metrics")).text(), /\n\w+ [\d.]+\n/);
      assert.equal((await daemon.stop()).code, 0);
      await rig.start(leader);
      await rig.send(leader, "without", 20);
      await rig.untilComplete();
    } finally {
      await daemon.stop();
    }
  });
});

test("a single node becomes one of three by a restart, and is a single one again", async () => {
  await withRig({ names: ["a", "b", "c"] }, async (rig) => {
    const alone = "peers[] =";
    await rig.start("a", alone);
    assert.equal((await rig.status("a")).cluster, undefined);
    await rig.send("a", "alone", 20);
    assert.equal(await rig.stop("a"), 0);
    await rig.startAll();
    for (const name of ["a", "b", "c"]) await rig.send(name, "three", 20);
    await rig.untilComplete();
    // With the second one the majority leaves: it writes before it does.
    await rig.send("c", "last", 20);
    for (const name of ["c", "b", "a"]) assert.equal(await rig.stop(name), 0, name);
    await rig.start("a", alone);
    await rig.send("a", "again", 20);
    await rig.untilComplete();
  });
});
