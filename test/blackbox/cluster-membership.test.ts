// Who belongs to a cluster, and who is turned away: by processes that are reloaded and that differ.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ClusterProcesses, type MemberChanges } from "../support/cluster-processes.ts";
import { RowFile } from "../support/row-file.ts";
import { waitFor } from "../support/wait-for.ts";

const NAMES = ["a", "b", "c"];

/** Warnings that a node has about others, by their names. */
async function warningsOf(rig: ClusterProcesses, name: string): Promise<string[]> {
  const { members } = (await rig.status(name)).cluster;
  return members.flatMap(({ node, warning }) => (warning === null ? [] : `${node}: ${warning}`));
}

/** Waits until each node is connected with so many others, and none has a warning. */
async function untilAgreed(rig: ClusterProcesses, others: number): Promise<void> {
  await waitFor("all to agree on the members", async () => {
    const states = await Promise.all(rig.names.map((name) => rig.status(name)));
    return states.every(({ cluster: { members } }) => {
      const up = members.filter(({ isSelf, isOutgoingUp, isIncomingUp }) => {
        return !isSelf && isOutgoingUp && isIncomingUp;
      });
      return up.length === others && members.length === others + 1 && up.every((one) => one.warning === null);
    });
  });
}

test("a fourth member joins by reloads one at a time, and one of the first leaves", async () => {
  const rig = await ClusterProcesses.open({ names: NAMES, spare: ["d"] });
  try {
    await rig.startAll();
    await rig.leader();
    await untilAgreed(rig, 2);
    const d = rig.peerKey("d");
    const add = (text: string) => text.replace(rig.peerKey("c"), `${rig.peerKey("c")}\n${d}`);
    assert.deepEqual(await rig.reload("a", add), ["cluster.peers"]);
    await waitFor("the others' warnings", async () => {
      const [ofB, ofC] = [await warningsOf(rig, "b"), await warningsOf(rig, "c")];
      return [...ofB, ...ofC].filter((text) => text.startsWith("a: ") && text.includes("d")).length === 2;
    });
    await rig.send("b", "between", 20);
    for (const name of ["b", "c"]) await rig.reload(name, add);
    await rig.start("d", { cluster: `${NAMES.map((name) => rig.peerKey(name)).join("\n")}\n${d}` });
    await untilAgreed(rig, 3);
    for (const name of rig.names) await rig.send(name, "of-four", 20);
    await rig.untilComplete();

    const leaver = (await rig.leader()) === "b" ? "c" : "b";
    await rig.send(leaver, "last", 20);
    assert.equal(await rig.stop(leaver), 0);
    for (const name of rig.names) {
      await rig.reload(name, (text) => text.replace(`${rig.peerKey(leaver)}\n`, ""));
    }
    await untilAgreed(rig, 2);
    for (const name of rig.names) await rig.send(name, "of-three", 20);
    await rig.untilComplete();
    assert.deepEqual(await Promise.all(rig.names.map((name) => warningsOf(rig, name))), [[], [], []]);
  } finally {
    await rig.close();
  }
});

/** What makes a third node differ from a and b, and what both sides say of it. */
const DIFFERENT: readonly (readonly [string, (rig: ClusterProcesses) => MemberChanges, RegExp])[] = [
  ["interval", () => ({ aggregator: "interval = 2s" }), /aggregator\.interval is "(1|2)s" here/],
  [
    "aggregation",
    () => ({ sections: { aggregation: "update-count-threshold = 7" } }),
    /aggregation\.update-count-threshold is "\d+" here/,
  ],
  [
    "two names",
    (rig) => ({ cluster: ["a", "c", "d"].map((name) => rig.peerKey(name)).join("\n") }),
    /members are a, (b, c|c, d) here and a, (b, c|c, d) there/,
  ],
];

test("who differs is turned away within a second, and both say in what; one name is only warned of", async () => {
  const rig = await ClusterProcesses.open({
    names: NAMES,
    spare: ["d"],
    cluster: "consensus = none",
    aggregator: "interval = 1s",
  });
  try {
    await rig.start("a", "start-as-leader = yes");
    await rig.start("b");
    for (const [what, changesOf, pattern] of DIFFERENT) {
      await rig.start("c", changesOf(rig));
      const refusals = (name: string, of: string) =>
        rig
          .node(name)
          .events("peer.refused")
          .filter(({ peer, reason }) => peer === of && pattern.test(String(reason)));
      await waitFor(`the refusals of another ${what}`, async () => {
        const [ofC, ofA] = await Promise.all(["a", "c"].map((name) => rig.status(name)));
        const isShown =
          ofC!.alarms.some((text) => text.startsWith("c ") && pattern.test(text)) &&
          ofA!.alarms.some((text) => text.startsWith("a ") && pattern.test(text));
        return isShown && refusals("a", "c").length > 0 && refusals("c", "a").length > 0;
      });
      const [opened] = rig.node("c").events("cluster.open");
      const [refused] = refusals("c", "a");
      const tookMs = Date.parse(String(refused!.time)) - Date.parse(String(opened!.time));
      assert.ok(tookMs < 1000, `another ${what} was refused after ${tookMs} ms`);
      await rig.kill("c");
    }
    await rig.start("c", [...NAMES, "d"].map((name) => rig.peerKey(name)).join("\n"));
    await waitFor("warnings on both sides", async () => {
      const [ofA, ofC] = await Promise.all([warningsOf(rig, "a"), warningsOf(rig, "c")]);
      return ofA.some((text) => text.startsWith("c: ")) && ofC.some((text) => text.startsWith("a: "));
    });
    await rig.send("c", "hits", 20);
    await rig.untilComplete();
  } finally {
    await rig.close();
  }
});

test("a leader goes over to other sinks and bounds without losing an interval", async () => {
  const rig = await ClusterProcesses.open({ names: ["a", "b"], cluster: "consensus = none" });
  const file = new RowFile();
  try {
    const sections = { file: file.config };
    await rig.start("a", { cluster: "start-as-leader = yes", sections });
    await rig.start("b", { sections });
    await rig.send("b", "first", 20);
    await rig.untilComplete();
    const more = (text: string) =>
      text
        .replace("sinks[] = carbon", "sinks[] = carbon\nsinks[] = file")
        .replace("settle = 500ms", "settle = 300ms\nretain = 3\nhold-bytes = 2m");
    for (const name of ["a", "b"]) {
      assert.deepEqual(
        await rig.reload(name, more),
        ["aggregator.sinks", "cluster.hold-bytes", "cluster.retain", "cluster.settle"],
        name,
      );
    }
    await rig.send("b", "second", 20);
    await rig.untilComplete();
    await waitFor("the second in the file", () => file.sums().get("second") === 20);
    const without = (text: string) => text.replace("sinks[] = carbon\n", "");
    for (const name of ["a", "b"]) await rig.reload(name, without);
    const before = rig.carbon.lines().length;
    await rig.send("b", "third", 20);
    rig.sent.delete("third");
    await waitFor("the third in the file", () => file.sums().get("third") === 20);
    assert.equal(rig.carbon.lines().length, before);
    await waitFor("few intervals to be kept", async () => {
      const { intervals } = (await rig.status("a")).cluster;
      return intervals.filter(({ state }) => state === "delivered").length <= 4;
    });
    assert.deepEqual((await rig.status("a")).alarms, []);
  } finally {
    await rig.close();
    file.remove();
  }
});
