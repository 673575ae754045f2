// What becomes of rows in a cluster when sinks are away and leaders change.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ClusterProcesses, hits, type NodeStatus } from "../support/cluster-processes.ts";
import { type Metrics, sendDatagrams } from "../support/daemons.ts";
import { RowFile } from "../support/row-file.ts";
import { waitFor } from "../support/wait-for.ts";

/** Last values of a file's rows, summed over all intervals, by name. */
function sumsOf(file: RowFile): Map<string, number> {
  const last = new Map(file.rows().map((row) => [`${row.name} ${row.timestamp}`, row]));
  const sums = new Map<string, number>();
  for (const { name, value } of last.values()) sums.set(name, (sums.get(name) ?? 0) + value);
  return sums;
}

/** Waits until no member lacks anything that a node has taken. */
async function untilReplicated(rig: ClusterProcesses, name: string, samples: number): Promise<void> {
  await rig.node(name).until(`what ${name} took with the others`, (metrics) => {
    return (
      metrics.sum("bioyino_samples_total") >= samples &&
      metrics.sum("bioyino_samples_in_flight") === 0 &&
      metrics.sum("bioyino_cluster_peer_backlog_snapshots") === 0
    );
  });
}

/** Intervals that wait for a sink. */
function waitingOf({ cluster }: NodeStatus): number {
  return cluster.intervals.filter(({ state, samples }) => state !== "delivered" && samples > 0).length;
}

test("carbon is away, and two leaders in turn: the next one delivers what both could not", async () => {
  const names = ["a", "b", "c"];
  const rig = await ClusterProcesses.open({ names });
  try {
    await rig.startAll();
    const first = await rig.leader();
    await rig.carbon.stop();
    for (const name of names) await rig.send(name, "dark", 20);
    for (const name of names) await untilReplicated(rig, name, 20);
    await waitFor("rows to wait", async () => waitingOf(await rig.status(first)) > 0);
    await rig.kill(first);
    const second = await rig.leader();
    const [other = ""] = rig.names.filter((name) => name !== second);
    for (const name of rig.names) await rig.send(name, "darker", 20);

    const beganMs = Date.now();
    assert.equal(await rig.stop(second), 0, "what it holds is with others");
    assert.ok(Date.now() - beganMs < 4000, "it does not wait for carbon");
    await rig.start(first);
    assert.equal(rig.sum("dark"), 0);
    await rig.carbon.restart();
    await rig.send(other, "light", 20);
    await rig.untilComplete();
  } finally {
    await rig.close();
  }
});

test("the last node writes what it holds before it ends", async () => {
  const rig = await ClusterProcesses.open({ names: ["a", "b"], cluster: "consensus = none" });
  try {
    await Promise.all([rig.start("a", "start-as-leader = yes"), rig.start("b")]);
    await rig.leader();
    await rig.send("b", "of-b", 20);
    await untilReplicated(rig, "b", 20);
    await rig.kill("b");
    await rig.send("a", "of-a", 20);
    assert.equal(await rig.stop("a"), 0);
    for (const [metric, count] of rig.sent) assert.equal(rig.sum(metric), count, metric);
  } finally {
    await rig.close();
  }
});

test("rows on a disk go with leadership, and none of them comes back over newer ones", async () => {
  const rig = await ClusterProcesses.open({ names: ["a", "b"], cluster: "consensus = none" });
  const spool = join(rig.folder, "spool");
  mkdirSync(spool);
  const carbon = `queue-bytes = 64k\nspool-dir = ${spool}`;
  // Each part is nearly all that the queue has room for.
  const parts = ["one", "two"].map((part) =>
    Array.from({ length: 400 }, (_, index) => `many.${part}.${"long.".repeat(20)}${index}:1|c`),
  );
  const many = parts.flat();
  const held = (metrics: Metrics) =>
    metrics.sum("bioyino_sink_queued_rows") + metrics.sum("bioyino_sink_spooled_rows");
  try {
    await Promise.all([rig.start("a", { cluster: "start-as-leader = yes", carbon }), rig.start("b")]);
    await rig.leader();
    await rig.carbon.stop();
    let count = 0;
    for (const part of parts) {
      for (let from = 0; from < part.length; from += 10) {
        await sendDatagrams(rig.node("a").ports[0]!, [part.slice(from, from + 10).join("\n")]);
      }
      count += part.length;
      await rig.node("a").until(`${count} rows to wait`, (metrics) => held(metrics) === count);
    }
    await rig.node("a").until("rows on disk", (metrics) => metrics.sum("bioyino_sink_spooled_rows") > 0);
    await untilReplicated(rig, "a", many.length);
    await rig.command("a", "disable", "disable");
    await rig.command("b", "disable", "enable");
    await rig.node("a").until("rows to be handed over", (metrics) => held(metrics) === 0);
    assert.ok(rig.node("a").events("sinks.handed_over").length > 0);
    await rig.carbon.restart();
    const sumOfMany = () => {
      const found = [...rig.points()].filter(([key]) => key.startsWith("many."));
      return found.reduce((sum, [, value]) => sum + value, 0);
    };
    await waitFor("the rows of b", () => sumOfMany() === many.length);
    await rig.command("a", "disable", "enable");
    await rig.send("b", "after", 20);
    await rig.untilComplete();
    assert.equal(sumOfMany(), many.length);
    const written = rig.carbon.lines().filter((line) => line.startsWith("many."));
    assert.equal(new Set(written).size, written.length, "a row of the spool was sent as well");
  } finally {
    await rig.close();
  }
});

test("each node has sinks of its own kind: the leader's get all rows, a follower's none", async () => {
  const files = [new RowFile(), new RowFile()] as const;
  const rig = await ClusterProcesses.open({ names: ["a", "b"], cluster: "consensus = none" });
  try {
    const change = (file: RowFile, cluster: string) => ({
      cluster,
      aggregator: "sinks[] = file\nsinks[] = console\nstats-interval = 200ms\nwatchdog = 1",
      sections: { file: file.config },
    });
    await Promise.all([
      rig.start("a", change(files[0], "start-as-leader = yes")),
      rig.start("b", change(files[1], "")),
    ]);
    await rig.leader();
    for (const name of ["a", "b"]) await sendDatagrams(rig.node(name).ports[0]!, hits("hits", 20));
    await waitFor("rows of both in the leader's file", () => sumsOf(files[0]).get("hits") === 40);
    const intervals = () => new Set(files[0].rows().map(({ interval }) => interval)).size;
    await waitFor("some intervals more", () => intervals() >= 4);
    assert.deepEqual(files[1].rows(), []);
    assert.ok(
      rig.node("a").output.some((line) => line.includes("hits")),
      "rows on the console",
    );
    assert.ok(!rig.node("b").output.some((line) => /\bhits\b/.test(line)));

    const metrics = await rig.node("b").metrics();
    assert.equal(metrics.sum("bioyino_watchdog_alarms_total"), 0);
    assert.equal(metrics.sum("bioyino_conservation_error"), 0);
    assert.equal(metrics.sum("bioyino_cluster_leader"), 0);
    assert.deepEqual(rig.node("b").events("aggregator.flush_missing"), []);
    const status = await rig.status("b");
    assert.deepEqual([status.ready, status.alarms], [true, []]);

    await rig.command("b", "disable", "enable");
    await waitFor("a to follow", async () => !(await rig.status("a"))["leader-status"]);
    await sendDatagrams(rig.node("a").ports[0]!, hits("later", 20));
    await waitFor("rows in the new leader's file", () => sumsOf(files[1]).get("later") === 20);
  } finally {
    await rig.close();
    for (const file of files) file.remove();
  }
});
