/** How members begin, leave, and speak for others; and what nonsense does to them. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Message } from "../../cluster/message.ts";
import { Peer } from "../../cluster/peers.ts";
import { ClusterRig, INTERVAL_MS, MemoryDisk, manifestOf, nameOf } from "../support/cluster-rig.ts";

test("a member that begins again takes over what the others have, before it may lead", () => {
  const rig = new ClusterRig();
  rig.elect("a");
  rig.nextInterval();
  const [a0, b0] = [rig.add("a"), rig.add("b")];
  const ended = rig.nextInterval();
  rig.closeAll();
  rig.run(100);
  rig.kill("b");
  rig.passes = (from, to) => !(from === "a" && to === "b") && !(from === "c" && to === "b");
  const b = rig.begin("b", new MemoryDisk());
  rig.run(1000);
  assert.equal(b.election.isEligible, false);
  rig.passes = () => true;
  rig.run(700);
  assert.equal(b.election.isEligible, true);
  assert.ok(b.writer.imported !== undefined);
  const held = b.node.view().intervals.find(({ interval }) => interval === ended);
  assert.deepEqual([held?.deltas, held?.state], [2, "delivered"]);
  const late = rig.add("c", ended);
  rig.run(1500);
  const closed = b.writer.closed.filter(({ interval }) => interval === ended);
  assert.deepEqual(
    closed.map(({ folded }) => folded),
    [[a0, b0, late]],
  );
});

test("where nobody has any state, all may lead at once; alone, after a while", () => {
  const rig = new ClusterRig();
  rig.run(200);
  for (const { election } of rig.members.values()) assert.equal(election.isEligible, true);
  const alone = new ClusterRig({ names: ["a", "b"] });
  alone.kill("b");
  alone.run(4900);
  assert.equal(alone.get("a").election.isEligible, false);
  alone.run(200);
  assert.equal(alone.get("a").election.isEligible, true);
});

test("a witness records and holds nothing, and makes a majority", () => {
  const rig = new ClusterRig({ names: ["a", "b", "w"], witnesses: ["w"] });
  const { writer } = rig.elect("a");
  rig.nextInterval();
  rig.kill("b");
  rig.run(1600);
  rig.add("a");
  const ended = rig.nextInterval();
  rig.closeAll();
  rig.run(400);
  assert.equal(writer.of(ended)[0]?.order.isDegraded, true);
  const witness = rig.get("w");
  assert.ok(witness.disk.registers.has(ended));
  assert.equal(witness.election.isEligible, false);
  assert.deepEqual(witness.writer.written, []);
  assert.equal(witness.node.view().heldBytes, 0);
});

test("a leader that leaves hands over; it is drained when the others have all of its own", () => {
  const rig = new ClusterRig();
  const { node, election, writer } = rig.elect("a");
  rig.nextInterval();
  rig.passes = (_from, to, { kind }) => !(to === "a" && kind === "deltas-ack");
  rig.add("a");
  node.leave();
  assert.ok(["b", "c"].includes(election.successor!));
  assert.equal(writer.leaseUntilMs, 0);
  rig.run(100);
  assert.equal(rig.get(election.successor!).election.tookOver, 1);
  assert.equal(node.isDrained, false);
  rig.passes = () => true;
  rig.run(700);
  assert.equal(node.isDrained, true);
  assert.equal(election.isEligible, false);
});

test("the last member that leaves writes what it has, before it is drained", () => {
  const rig = new ClusterRig({ names: ["a"] });
  const { node, writer } = rig.elect("a");
  writer.acknowledges = false;
  rig.nextInterval();
  const a0 = rig.add("a");
  node.leave();
  rig.run(50);
  const open = rig.interval;
  assert.deepEqual(
    writer.of(open).map(({ folded }) => folded),
    [[a0]],
  );
  assert.equal(node.isDrained, false);
  for (const { progress } of writer.written) progress("carbon", true);
  assert.equal(node.isDrained, true);
});

test("leadership goes to whom people choose, if that one is there", () => {
  const rig = new ClusterRig({ names: ["a", "b", "c", "w"], witnesses: ["w"] });
  const { node, election } = rig.elect("a");
  assert.equal(node.transfer("w"), false);
  assert.equal(node.transfer("nobody"), false);
  assert.equal(rig.get("b").node.transfer(), false);
  assert.equal(node.transfer("c"), true);
  assert.equal(election.successor, "c");
});

test("a foreign delta is safe when two hold it, or one has to do; so is a repetition", () => {
  const rig = new ClusterRig();
  rig.elect("a");
  rig.nextInterval();
  const { node } = rig.get("b");
  const delta = rig.delta("f");
  const safe: string[] = [];
  const isSafe = (which: string) => () => void safe.push(which);
  assert.equal(node.addForeign(delta, isSafe("first")), "held");
  assert.equal(node.addForeign(delta, isSafe("second")), "repeated");
  assert.equal(safe.length, 0);
  rig.run(50);
  assert.deepEqual(safe, ["first", "second"]);
  // Nobody can tell whether those that have it still do.
  node.addForeign(delta, isSafe("third"));
  assert.equal(safe.length, 2);
  rig.run(50);
  assert.deepEqual(safe, ["first", "second", "third"]);
  rig.passes = (from) => from === "none";
  node.addForeign(rig.delta("f"), isSafe("alone"));
  rig.run(950);
  assert.equal(safe.length, 3);
  rig.run(150);
  assert.equal(safe.at(-1), "alone");
  assert.equal(node.addForeign(rig.delta("f", rig.interval + 100), isSafe("never")), "late");
  assert.equal(node.view().counts.lateSamples, 1);
});

test("a foreign delta that one member has from another goes on to the third before it is safe", () => {
  const rig = new ClusterRig();
  rig.elect("a");
  rig.nextInterval();
  const delta = rig.delta("f");
  rig.passes = (from, to) => from !== "c" && to !== "c";
  rig.get("b").node.addForeign(delta, () => {});
  rig.run(50);
  rig.passes = (from, to) => from !== "b" && to !== "b";
  let isSafe = false;
  assert.equal(
    rig.get("a").node.addForeign(delta, () => {
      isSafe = true;
    }),
    "repeated",
  );
  assert.equal(isSafe, false);
  rig.run(50);
  assert.equal(isSafe, true);
  assert.ok(
    rig.sentOf("deltas", "a").some(({ deltas }) => deltas.some(({ source }) => source === delta.source)),
  );
});

test("deltas are sent once, again when they are not acknowledged, and kept for a peer that is away", () => {
  const rig = new ClusterRig({ backlogBytesMax: 100 });
  rig.elect("a");
  const { node } = rig.get("a");
  rig.passes = (_from, to) => to !== "c";
  rig.add("a");
  rig.run(400);
  const sent = (): string[] => rig.sentOf("deltas", "a").flatMap(({ deltas }) => deltas.map(nameOf));
  assert.deepEqual(sent(), ["a0", "a0"]);
  rig.run(300);
  assert.deepEqual(sent(), ["a0", "a0", "a0"]);
  for (let count = 0; count < 14; count++) {
    rig.add("a");
    rig.run(30);
  }
  const peer = node.view().peers.find(({ name }) => name === "c");
  assert.deepEqual([peer?.backlogDeltas, peer?.backlogBytes], [10, 100]);
  assert.equal(node.view().counts.backlogDropped, 5);
});

test("what is old is forgotten when it is delivered, and what comes for it then is late", () => {
  const rig = new ClusterRig({ retainIntervals: 3 });
  const { node } = rig.elect("a");
  rig.nextInterval();
  rig.add("a");
  const ended = rig.nextInterval();
  for (let count = 0; count < 5; count++) {
    rig.closeAll();
    rig.nextInterval();
  }
  rig.add("a", ended);
  assert.equal(node.view().counts.lateSamples, 1);
  assert.ok(node.view().intervals.every(({ interval }) => interval > ended));
});

test("what nobody has written is kept for as long as there is memory", () => {
  const rig = new ClusterRig({ retainIntervals: 3, holdBytesMax: 1000 });
  rig.run(100);
  const first = rig.interval;
  rig.add("a", first, 400);
  rig.run(10 * INTERVAL_MS);
  const held = (): number[] =>
    rig
      .get("a")
      .node.view()
      .intervals.filter(({ deltas }) => deltas > 0)
      .map(({ interval }) => interval);
  assert.deepEqual(held(), [first]);
  const next = rig.interval;
  rig.add("a", next, 700);
  assert.deepEqual(held(), [next]);
  assert.equal(rig.get("a").node.view().counts.forgottenSamples, 1);
});

test("nonsense is counted, and changes nothing", () => {
  const rig = new ClusterRig();
  rig.elect("a");
  const { node } = rig.get("b");
  const huge = [{ source: "z", from: 0, to: 2 ** 50 }];
  const twice = [...manifestOf("z0"), ...manifestOf("z0")];
  const interval = rig.interval;
  const before = node.view();
  const senseless: Message[] = [
    { kind: "beat", term: 2 ** 60, floor: 0 },
    { kind: "beat", term: Number.NaN, floor: 0 },
    { kind: "intent", term: 1, interval, revision: 0, manifest: [] },
    { kind: "intent", term: 1, interval: -1, revision: 1, manifest: [] },
    { kind: "intent", term: 1, interval, revision: 1, manifest: huge },
    { kind: "intent", term: 1, interval, revision: 1, manifest: twice },
    { kind: "pull", interval, wanted: huge },
    { kind: "deltas-ack", held: huge },
    { kind: "digest", undelivered: [[interval, huge]] },
    { kind: "stale", term: 2 ** 60 },
    { kind: "clock-answer", askedMs: Number.NaN, clockMs: 0 },
    { kind: "deltas", deltas: [{ ...rig.delta("z"), sequence: -1 }], incarnation: "x", wantsAck: true },
    { kind: "deltas", deltas: [rig.delta("z", interval + 1000)], incarnation: "x", wantsAck: true },
  ];
  for (const message of senseless) node.receive("a", message);
  node.receive("stranger", { kind: "beat", term: 9, floor: 0 });
  const after = node.view();
  assert.equal(after.counts.staleMessages - before.counts.staleMessages, senseless.length + 1);
  assert.equal(after.term, before.term);
  assert.deepEqual(after.intervals, before.intervals);
});

test("a member that is late again and again is not waited for, until it is in time", () => {
  const peer = new Peer({ name: "b", isWitness: false });
  peer.heardMs = 0;
  const isWaitedFor = (interval: number, sinceEndMs: number): boolean =>
    peer.holdsUp(interval, sinceEndMs, 1000, 0);
  for (const interval of [1, 2, 3]) {
    assert.equal(isWaitedFor(interval, 900), true, `interval ${interval}`);
    assert.equal(isWaitedFor(interval, 1000), false);
  }
  assert.equal(isWaitedFor(4, 50), true, "it may be in time again");
  assert.equal(isWaitedFor(4, 100), false);
  peer.close(6);
  assert.equal(isWaitedFor(5, 50), false);
  assert.equal(isWaitedFor(6, 900), true);
});
