// What is held for sinks that are away: within bounds, for each sink by itself, and for the next leader.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ClusterProcesses } from "../support/cluster-processes.ts";
import { sendDatagrams } from "../support/daemons.ts";
import { FakeCarbon } from "../support/fake-carbon.ts";
import { waitFor } from "../support/wait-for.ts";

const NAMES = ["a", "b", "c"];

test("one of two carbons is away as the leader dies: it gets all, and the other nothing twice", async () => {
  const far = await FakeCarbon.start();
  const rig = await ClusterProcesses.open({
    names: NAMES,
    aggregator: "sinks[] = carbon\nsinks[] = carbon.far",
    sections: { "carbon.far": `address[] = 127.0.0.1:${far.port}` },
  });
  try {
    await far.stop();
    await rig.startAll();
    const first = await rig.leader();
    for (const name of NAMES) await rig.send(name, "hits", 20);
    await rig.untilComplete();
    const isNear = async (name: string) => {
      const { intervals } = (await rig.status(name)).cluster;
      return intervals.some(({ samples, deliveredTo }) => samples > 0 && deliveredTo.includes("carbon"));
    };
    const others = NAMES.filter((name) => name !== first);
    await waitFor("the others to know of it", async () => {
      return (await Promise.all(others.map(isNear))).every(Boolean);
    });
    await rig.kill(first);
    await rig.leader();
    await far.restart();
    const farSum = () =>
      far
        .lines()
        .filter((line) => line.startsWith("hits "))
        .reduce((sum, line) => sum + Number(line.split(" ")[1]), 0);
    await waitFor("all at the far one", () => farSum() === 60);
    await rig.send(others[0]!, "after", 20);
    await rig.untilComplete();
    const near = rig.carbon.lines().filter((line) => line.startsWith("hits "));
    assert.equal(new Set(near).size, near.length, `twice at the near one: ${near.join(", ")}`);
    assert.equal(farSum(), 60);
  } finally {
    await rig.close();
    await far.stop();
  }
});

test("more than hold-bytes waits for a carbon: rows outlive the snapshots, and none is lost", async () => {
  const rig = await ClusterProcesses.open({ names: NAMES, cluster: "consensus = none\nhold-bytes = 1m" });
  const series = 4000;
  try {
    await Promise.all(NAMES.map((name) => rig.start(name, name === "a" ? "start-as-leader = yes" : "")));
    await rig.leader();
    await rig.carbon.stop();
    for (let round = 1; round <= 3; round++) {
      for (let index = 0; index < series; index += 10) {
        const names = Array.from(
          { length: 10 },
          (_, each) => `${"many.".repeat(10)}${round}.${index + each}`,
        );
        await sendDatagrams(rig.node("b").ports[0]!, [names.map((name) => `${name}:1|c`).join("\n")]);
      }
      await rig.node("a").until(`rows of round ${round} to wait`, (metrics) => {
        return metrics.sum("bioyino_sink_queued_rows") === round * series;
      });
    }
    for (const name of NAMES) {
      const { cluster } = await rig.status(name);
      assert.ok(cluster.heldBytes <= 1 << 20, `${name} holds ${cluster.heldBytes} bytes`);
    }
    await rig.carbon.restart();
    await waitFor("all rows", () => {
      const found = [...rig.points()].filter(([key]) => key.startsWith("many."));
      return found.reduce((sum, [, value]) => sum + value, 0) === 3 * series;
    });
    await rig.send("c", "after", 20);
    await rig.untilComplete();
    for (const name of NAMES) {
      assert.equal((await rig.node(name).metrics()).sum("bioyino_conservation_error"), 0, name);
    }
  } finally {
    await rig.close();
  }
});
