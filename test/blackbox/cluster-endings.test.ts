// How nodes of a cluster end, and what must not end them.
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ClusterProcesses, type ClusterProcessesOptions } from "../support/cluster-processes.ts";
import { sendDatagrams } from "../support/daemons.ts";
import { waitFor } from "../support/wait-for.ts";

const NAMES = ["a", "b", "c"];

async function withNodes(
  options: ClusterProcessesOptions,
  run: (rig: ClusterProcesses) => Promise<void>,
): Promise<void> {
  const rig = await ClusterProcesses.open(options);
  try {
    await run(rig);
  } finally {
    await rig.close();
  }
}

test("all nodes told to stop at once write what they hold", async () => {
  await withNodes({ names: NAMES }, async (rig) => {
    await rig.startAll();
    await rig.leader();
    await Promise.all(NAMES.map((name) => rig.send(name, `last.${name}`, 100)));
    // Lines that wait in a socket's buffer are read before a node ends.
    const codes = await Promise.all(NAMES.map((name) => rig.stop(name)));
    assert.deepEqual(codes, [0, 0, 0]);
    for (const name of NAMES) assert.equal(rig.sum(`last.${name}`), 100, `lines of ${name}`);
  });
});

test("a node that can neither hand over nor write says what is lost", async () => {
  await withNodes({ names: NAMES, aggregator: "drain-timeout = 1s" }, async (rig) => {
    await rig.startAll();
    const leader = await rig.leader();
    for (const name of NAMES) if (name !== leader) await rig.kill(name);
    const node = rig.node(leader);
    await waitFor("the lease to end", async () => !(await rig.status(leader))["leader-status"]);
    await rig.send(leader, "alone", 30);
    assert.equal(await rig.stop(leader), 0);
    const [left] = node.events("cluster.samples_left");
    assert.ok(Number(left?.samples) >= 30, JSON.stringify(left));
    assert.equal(node.events("aggregator.stopped").at(-1)?.level, "error");
  });
});

test("a reload without the token's file is refused, and the node goes on", async () => {
  await withNodes({ names: ["a"] }, async (rig) => {
    const file = join(rig.folder, "token");
    writeFileSync(file, "a-token-in-a-file-that-is-as-long-as-it-has-to-be");
    const keys = `token-file = ${file}\ntoken =`;
    const node = await rig.start("a", keys);
    await rig.leader();
    rmSync(file);
    node.signal("SIGHUP");
    await waitFor("the refusal", () => node.events("config.refused").length > 0);
    assert.match(String(node.events("config.refused")[0]?.reason), /cluster\.token-file/);
    await rig.send("a", "after", 20);
    await rig.untilComplete();
  });
});

test("a leader that leaves keeps the rows that nobody could make again", async () => {
  const series = 4000;
  const cluster = "consensus = none\nhold-bytes = 1m";
  await withNodes({ names: NAMES, cluster, aggregator: "drain-timeout = 2s" }, async (rig) => {
    const carbon = `spool-dir = ${join(rig.folder, "spool")}`;
    await Promise.all([
      rig.start("a", { cluster: "start-as-leader = yes", carbon }),
      ...["b", "c"].map((name) => rig.start(name)),
    ]);
    await rig.leader();
    await rig.carbon.stop();
    for (let round = 1; round <= 3; round++) {
      for (let first = 0; first < series; first += 10) {
        const names = Array.from(
          { length: 10 },
          (_, each) => `${"many.".repeat(10)}${round}.${first + each}`,
        );
        await sendDatagrams(rig.node("b").ports[0]!, [names.map((name) => `${name}:1|c`).join("\n")]);
      }
      await rig.node("a").until(`rows of round ${round} to wait`, (metrics) => {
        return (
          metrics.sum("bioyino_sink_queued_rows") + metrics.sum("bioyino_sink_spooled_rows") >= round * series
        );
      });
    }
    await rig.stop("a");
    assert.equal(await rig.leader(), "b");
    await rig.start("a", { carbon });
    await rig.carbon.restart();
    await waitFor("all rows", () => {
      const found = [...rig.points()].filter(([key]) => key.startsWith("many."));
      return found.reduce((sum, [, value]) => sum + value, 0) === 3 * series;
    });
  });
});
