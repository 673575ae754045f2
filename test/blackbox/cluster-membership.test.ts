// Who belongs to a cluster, and who is turned away: by processes that are reloaded and that differ.
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
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

test("a machine is replaced under its name, moves to another address, and has no twin", async () => {
  const rig = await ClusterProcesses.open({ names: NAMES, spare: ["x"], cluster: "consensus = none" });
  const place = rig.placeOf("x").replace("x@", "");
  try {
    await Promise.all(NAMES.map((name) => rig.start(name, name === "a" ? "start-as-leader = yes" : "")));
    await rig.send("c", "before", 20);
    await rig.untilComplete();
    await rig.kill("c");
    rmSync(rig.stateDir("c"), { recursive: true });
    const first = await rig.start("c");
    await untilAgreed(rig, 2);
    assert.equal(first.events("state.received").length, 1);
    await rig.send("c", "replaced", 20);
    await rig.untilComplete();

    const twin = await rig.start("c", { cluster: `listen = ${place}`, aggregator: "state-dir =" });
    const pattern = /two nodes claim the name "c"/;
    await waitFor("the twin to be turned away", async () => {
      const { alarms } = await rig.status("c");
      const isTold = ["a", "b"].every((name) =>
        rig
          .node(name)
          .events("peer.refused")
          .some(({ reason }) => pattern.test(String(reason))),
      );
      return isTold && alarms.filter((text) => pattern.test(text)).length === 2;
    });
    await Promise.all([first.stop(), twin.stop()]);

    await rig.start("c", `listen = ${place}`);
    for (const name of ["a", "b"]) {
      await rig.reload(name, (text) => text.replace(rig.placeOf("c"), `c@${place}`));
    }
    await untilAgreed(rig, 2);
    await rig.send("c", "moved", 20);
    await rig.untilComplete();
  } finally {
    await rig.close();
  }
});

/** What nodes have otherwise than a and b, by their names, and what both sides say of it. */
const DIFFERENT: Readonly<Record<string, readonly [(rig: ClusterProcesses) => MemberChanges, RegExp]>> = {
  c: [() => ({ aggregator: "interval = 2s" }), /aggregator\.interval is "(1|2)s" here/],
  d: [
    () => ({ sections: { aggregation: "update-count-threshold = 7" } }),
    /aggregation\.update-count-threshold is "\d+" here/,
  ],
  e: [
    (rig) => ({ cluster: ["a", "c", "e"].map((name) => rig.peerKey(name)).join("\n") }),
    /members are a, (b, c, d|c), e here and a, (b, c, d|c), e there/,
  ],
};

test("who differs is turned away within a second, and both say in what", async () => {
  const others = Object.keys(DIFFERENT);
  const names = ["a", "b", ...others];
  const rig = await ClusterProcesses.open({ names, cluster: "consensus = none" });
  try {
    await Promise.all([rig.start("a", "start-as-leader = yes"), rig.start("b")]);
    await Promise.all(others.map((name) => rig.start(name, DIFFERENT[name]![0](rig))));
    for (const [name, [, pattern]] of Object.entries(DIFFERENT)) {
      const refusal = (by: string, of: string) => {
        const refusals = rig.node(by).events("peer.refused");
        return refusals.find(({ peer, reason }) => peer === of && pattern.test(String(reason)));
      };
      const isShown = async (by: string, of: string) => {
        const { alarms } = await rig.status(by);
        return alarms.some((text) => text.startsWith(`${of} `) && pattern.test(text));
      };
      await waitFor(`the refusals of ${name}`, async () => {
        const isTold = refusal("a", name) !== undefined && refusal(name, "a") !== undefined;
        return isTold && (await isShown("a", name)) && (await isShown(name, "a"));
      });
      const [opened] = rig.node(name).events("cluster.open");
      const tookMs = Date.parse(String(refusal(name, "a")!.time)) - Date.parse(String(opened!.time));
      assert.ok(tookMs < 1000, `${name} was refused after ${tookMs} ms`);
    }
    for (const name of ["a", "b"]) await rig.send(name, "hits", 20);
    await rig.untilComplete();
  } finally {
    await rig.close();
  }
});

test("what is computed changes node by node: they part, lines wait, and nothing is lost", async () => {
  const before = "update-count-threshold = 7";
  const rig = await ClusterProcesses.open({ names: NAMES, sections: { aggregation: before } });
  try {
    await rig.startAll();
    const first = await rig.leader();
    const others = NAMES.filter((name) => name !== first);
    const change = (text: string) => text.replace(before, "update-count-threshold = 9");
    await rig.reload(first, change);
    const parted = async (name: string, other: string, [own, theirs]: readonly number[]) => {
      const words = `aggregation.update-count-threshold is "${own}" here and "${theirs}" there`;
      const { members } = (await rig.status(name)).cluster;
      return members.some(({ node, fault }) => node === other && fault === words);
    };
    await waitFor("them to part, each in its own words", async () => {
      const said = others.map((other) =>
        Promise.all([parted(first, other, [9, 7]), parted(other, first, [7, 9])]),
      );
      return (await Promise.all(said)).flat().every(Boolean);
    });
    for (const name of NAMES) await rig.send(name, "apart", 20);
    for (const name of others) await rig.reload(name, change);
    await untilAgreed(rig, 2);
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
