// Nodes as processes: together they are one aggregator, whoever of them is there.
import assert from "node:assert/strict";
import { test } from "node:test";
import { CLUSTER_INTERVAL_MS, ClusterProcesses } from "../support/cluster-processes.ts";
import { startRelayByFile } from "../support/daemons.ts";
import { waitFor } from "../support/wait-for.ts";

const NAMES = ["a", "b", "c"];

/** What a node says of its cluster. */
async function standing(rig: ClusterProcesses, name: string): Promise<Record<string, unknown>> {
  return (await (await rig.node(name).get("/status")).json()) as Record<string, unknown>;
}

async function with3(run: (rig: ClusterProcesses) => Promise<void>): Promise<void> {
  const rig = await ClusterProcesses.open({ names: NAMES });
  try {
    await rig.startAll();
    await rig.leader();
    await run(rig);
  } finally {
    await rig.close();
  }
}

test("lines of all nodes come out as one interval, written by the leader alone", async () => {
  await with3(async (rig) => {
    for (const name of NAMES) {
      await rig.send(name, "all", 100);
      await rig.send(name, `of.${name}`, 30);
    }
    await rig.untilComplete();
    const states = await Promise.all(NAMES.map((name) => standing(rig, name)));
    assert.equal(states.filter((state) => state["leader-status"] === true).length, 1);
    assert.ok(states.every((state) => state["consensus-status"] === "enabled"));
  });
});

test("a leader that is killed loses at most its own last moment, and nothing is counted twice", async () => {
  await with3(async (rig) => {
    const leader = await rig.leader();
    const [other] = NAMES.filter((name) => name !== leader);
    for (const name of NAMES) await rig.send(name, `early.${name}`, 100);
    // What its peers have acknowledged cannot be lost any more.
    await waitFor("the leader's snapshots with the others", async () => {
      const metrics = await rig.node(leader).metrics();
      return (
        metrics.sum("bioyino_samples_total") >= 100 &&
        metrics.sum("bioyino_samples_in_flight") === 0 &&
        metrics.sum("bioyino_cluster_peer_backlog_snapshots") === 0
      );
    });
    await rig.kill(leader);
    await rig.send(other!, "late", 50);
    await rig.untilComplete();
    assert.notEqual(await rig.leader(), leader);
  });
});

test("a rolling restart loses nothing and counts nothing twice", async () => {
  await with3(async (rig) => {
    for (const name of NAMES) {
      await rig.send(name, "rolling", 50);
      assert.equal(await rig.stop(name), 0);
      await rig.start(name);
      await rig.send(name, "rolling", 50);
      await rig.leader();
    }
    await rig.untilComplete();
  });
});

test("gauges go on from where another leader left them", async () => {
  await with3(async (rig) => {
    const leader = await rig.leader();
    const [other] = NAMES.filter((name) => name !== leader);
    const { sendDatagrams } = await import("../support/daemons.ts");
    await sendDatagrams(rig.node(leader).ports[0]!, ["level:10|g"]);
    await waitFor("the level at carbon", () =>
      [...rig.points().keys()].some((key) => key.startsWith("level ")),
    );
    await rig.stop(leader);
    await sendDatagrams(rig.node(other!).ports[0]!, ["level:+5|g"]);
    await waitFor("the new level", () =>
      [...rig.points()].some(([key, value]) => key.startsWith("level ") && value === 15),
    );
  });
});

test("two nodes go on with one when a relay is their witness", async () => {
  const rig = await ClusterProcesses.open({ names: ["a", "b"], witness: "w" });
  const keys = [
    "destinations[] = 127.0.0.1:9\n[cluster]\nmode = witness",
    rig.clusterKeys("w"),
    `[aggregator]\nstate-dir = ${rig.stateDir("w")}\ninterval = ${CLUSTER_INTERVAL_MS}ms`,
  ].join("\n");
  const relay = await startRelayByFile("dgram", keys);
  try {
    await rig.startAll();
    const leader = await rig.leader();
    const [other] = rig.names.filter((name) => name !== leader);
    await rig.send(other!, "before", 20);
    await rig.untilComplete();
    await rig.kill(leader);
    await rig.send(other!, "after", 20);
    await rig.untilComplete();
    assert.equal(await rig.leader(), other);
  } finally {
    await rig.close();
    await relay.stop();
  }
});

test("people choose the leader where no consensus does", async () => {
  const rig = await ClusterProcesses.open({ names: ["a", "b"], cluster: "consensus = none" });
  try {
    await rig.start("a", "start-as-leader = yes");
    await rig.start("b");
    assert.equal(await rig.leader(), "a");
    await rig.send("b", "hits", 20);
    await rig.untilComplete();
    await rig.kill("a");
    const response = await fetch(`http://${rig.node("b").management}/consensus`, {
      method: "POST",
      body: JSON.stringify({ "consensus-command": ["disable", "enable"] }),
    });
    assert.equal(response.status, 200);
    await rig.send("b", "hits", 20);
    await rig.untilComplete();
    assert.equal(await rig.leader(), "b");
  } finally {
    await rig.close();
  }
});
