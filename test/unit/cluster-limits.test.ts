/** What lasts too long, is too much, or comes from who has no right to it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Backlog } from "../../cluster/backlog.ts";
import type { Message } from "../../cluster/message.ts";
import { AgentDoor } from "../../cluster/running/agent-door.ts";
import { nodeId } from "../../cluster/running/member-settings.ts";
import { isSoundMessage } from "../../cluster/sense.ts";
import { ClusterRig, MemoryDisk, manifestOf, nameOf } from "../support/cluster-rig.ts";

test("who is no member any more has recorded nothing", () => {
  const rig = new ClusterRig({ names: ["a", "b", "c", "d"] });
  const { writer, node } = rig.elect("a");
  rig.nextInterval();
  // Only d hears of it, which is taken out before a hears that; then two of three have to have it.
  rig.passes = (from, to, { kind }) => !(kind === "intent" && to !== "d") && from !== to;
  rig.add("a");
  const ended = rig.nextInterval();
  rig.closeAll();
  rig.run(60);
  const three = ["a", "b", "c"].map((name) => ({ name, isWitness: false }));
  node.setMembers(three);
  rig.run(1500);
  assert.deepEqual(writer.of(ended), []);
  rig.passes = () => true;
  rig.run(500);
  assert.equal(writer.of(ended).length, 1);
});

test("an interval whose deltas are lost keeps no later register, and is not asked for all the time", () => {
  const rig = new ClusterRig();
  const first = rig.interval;
  const forgotten: number[] = [];
  const disks = ["a", "b", "c"].map((name) => {
    const { disk } = rig.kill(name);
    const lost = { pending: { term: 1, revision: 1, manifest: manifestOf("x0", "y0") } };
    disk.registers.set(first, lost);
    return [name, disk] as const;
  });
  for (const [name, disk] of disks) {
    rig.begin(name, Object.assign(disk, { forgetRegister: (one: number) => void forgotten.push(one) }));
  }
  rig.elect("a", 2);
  for (let count = 0; count < 60; count++) {
    rig.nextInterval();
    rig.closeAll();
  }
  assert.ok(forgotten.includes(first + 10), "those that were delivered since are let go");
  assert.equal(forgotten.includes(first), false);
  const before = rig.sentOf("pull").length;
  for (let count = 0; count < 60; count++) {
    rig.nextInterval();
    rig.closeAll();
  }
  // Three members ask two each, ten times twice, once in a minute.
  assert.ok(rig.sentOf("pull").length - before < 150, `${rig.sentOf("pull").length - before}`);
});

test("an agent cannot speak for a member", () => {
  const rig = new ClusterRig();
  const { node } = rig.elect("a");
  const door = new AgentDoor(node, { incarnation: "a1", settleMs: 0, nowMs: () => rig.nowMs });
  door.open();
  const acked: Message[] = [];
  const send = (source: string): void => {
    const delta = { ...rig.delta("x"), source };
    const message: Message = { kind: "deltas", deltas: [delta], incarnation: "1", wantsAck: true };
    door.receive("agent", message, (reply) => acked.push(reply) > 0);
  };
  send(`${nodeId("b").toString(16)}.0.1`);
  rig.run(2000);
  door.tick();
  assert.deepEqual([acked, door.refused], [[], 1]);
  send(`${nodeId("agent").toString(16)}.0.1`);
  rig.run(100);
  door.tick();
  assert.equal(acked.length, 1);
});

test("a term that no election takes is not taken for one by anybody", () => {
  assert.equal(isSoundMessage({ kind: "stale", term: 2 ** 50 }), true);
  assert.equal(isSoundMessage({ kind: "stale", term: 2 ** 50 + 1 }), false);
});

test("a member that begins waits for the answer of one that is there, however long its way is", () => {
  const rig = new ClusterRig();
  rig.elect("a");
  rig.nextInterval();
  rig.kill("b");
  rig.passes = (_from, _to, { kind }) => kind !== "state";
  const { election } = rig.begin("b", new MemoryDisk());
  rig.run(20_000);
  assert.equal(election.isEligible, false);
  rig.run(11_000);
  assert.equal(election.isEligible, true, "but not for ever");
});

test("what a wrong clock has labelled far ahead is counted late when the clock is set", () => {
  const rig = new ClusterRig();
  rig.kill("b");
  rig.wallOffsetMs.set("b", 3_600_000);
  rig.passes = (from, to) => from !== "b" && to !== "b";
  const { node } = rig.begin("b", new MemoryDisk());
  rig.elect("a");
  rig.run(6000);
  node.add(rig.delta("b", rig.interval + 3600));
  assert.equal(node.view().counts.lateSamples, 0);
  rig.passes = () => true;
  rig.run(2000);
  assert.equal(node.view().counts.lateSamples, 1);
  assert.equal(
    node.view().intervals.some(({ interval }) => interval > rig.interval + 100),
    false,
  );
});

test("what is sent again costs nothing for what waits behind it", () => {
  const backlog = new Backlog();
  const names = (bytesMax: number, nowMs: number): string[] => backlog.next(bytesMax, nowMs).map(nameOf);
  const waiting = { source: "b", interval: 1, samples: 1, bytes: new Uint8Array(1) };
  for (let sequence = 0; sequence < 100_000; sequence++) backlog.add({ ...waiting, sequence }, 0);
  assert.deepEqual(names(2, 1), ["b0", "b1"]);
  const startedMs = performance.now();
  for (let round = 0; round < 500; round++) {
    backlog.requeue(round + 1);
    assert.deepEqual(names(2, round + 2), ["b0", "b1"]);
  }
  // All of it moved each time would be fifty million steps.
  assert.ok(performance.now() - startedMs < 1500);
  backlog.requeue(Number.POSITIVE_INFINITY);
  assert.deepEqual([backlog.size, backlog.waitingInterval, backlog.lagMs(5)], [100_000, 1, 5]);
  assert.equal(backlog.remove({ source: "b", sequence: 1 }), true);
  assert.deepEqual(names(3, 900), ["b0", "b2", "b3"]);
  assert.deepEqual([backlog.size, backlog.bytes], [99_999, 99_999]);
});
