// How nodes of a cluster end, and what must not end them.
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ClusterProcesses, type ClusterProcessesOptions } from "../support/cluster-processes.ts";
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
