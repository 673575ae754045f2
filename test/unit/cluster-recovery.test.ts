/** What a successor finds out before it writes, and what it never does. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ClusterRig, manifestOf } from "../support/cluster-rig.ts";

test("nothing is written before a majority has answered, nor without a lease", () => {
  const rig = new ClusterRig();
  rig.nextInterval();
  const { election, writer } = rig.get("a");
  rig.passes = (_from, _to, { kind }) => kind !== "query-answer";
  rig.add("a");
  election.win(1);
  const ended = rig.nextInterval();
  rig.closeAll();
  rig.run(1500);
  assert.deepEqual(writer.written, []);
  election.win(1, 0);
  rig.passes = () => true;
  rig.run(1000);
  assert.deepEqual(writer.written, []);
  election.win(1);
  rig.run(200);
  assert.equal(writer.of(ended).length, 1);
});

test("an intent is written only when a majority has recorded it", () => {
  const rig = new ClusterRig();
  const { writer } = rig.elect("a");
  rig.nextInterval();
  rig.add("a");
  rig.passes = (_from, _to, { kind }) => kind !== "intent-ack";
  const ended = rig.nextInterval();
  rig.closeAll();
  rig.run(3000);
  assert.deepEqual(writer.written, []);
  assert.ok(rig.sentOf("intent", "a").length > 8, "it is sent again");
  rig.passes = () => true;
  rig.run(500);
  assert.equal(writer.of(ended).length, 1);
});

test("with one copy a leader waits for a second one, and then writes degraded", () => {
  const rig = new ClusterRig();
  const { writer, node } = rig.elect("a");
  rig.nextInterval();
  rig.passes = (from, _to, { kind }) => !(from === "a" && kind === "deltas");
  rig.add("a");
  const ended = rig.nextInterval();
  rig.run(1000);
  assert.deepEqual(writer.of(ended), []);
  rig.run(600);
  assert.equal(writer.of(ended)[0]?.order.isDegraded, true);
  assert.equal(node.view().counts.degraded > 0, true);
});

test("a leader that lacks what was about to be written looks for it, then is in doubt", () => {
  const rig = new ClusterRig();
  const first = rig.elect("a");
  first.writer.acknowledges = false;
  rig.nextInterval();
  const lonely = new Set(["deltas", "pull"]);
  rig.passes = (from, _to, { kind }) => !(from === "a" && lonely.has(kind));
  const [a0, b0] = [rig.add("a"), rig.add("b")];
  const ended = rig.nextInterval();
  rig.run(1700);
  assert.deepEqual(
    first.writer.of(ended).map(({ folded }) => folded),
    [[a0, b0]],
  );
  rig.kill("a");
  rig.passes = () => true;
  const { writer, node } = rig.elect("b", 2);
  rig.run(2500);
  assert.deepEqual(writer.of(ended), []);
  rig.run(700);
  const [written] = writer.of(ended);
  assert.deepEqual(written?.folded, [b0]);
  assert.deepEqual([written?.order.isInDoubt, written?.order.cause], [true, "takeover"]);
  assert.equal(node.view().counts.inDoubt, 1);
});

test("what was delivered is never written without a part of it", () => {
  const rig = new ClusterRig();
  rig.elect("a");
  rig.nextInterval();
  const lonely = new Set(["deltas", "pull"]);
  rig.passes = (from, _to, { kind }) => !(from === "a" && lonely.has(kind));
  rig.add("a");
  const ended = rig.nextInterval();
  rig.run(1700);
  assert.equal(rig.get("a").writer.of(ended).length, 1);
  const dead = rig.kill("a");
  rig.passes = () => true;
  const { writer, node } = rig.elect("b", 2);
  rig.add("c", ended);
  rig.run(5000);
  assert.deepEqual(writer.of(ended), []);
  assert.equal(node.view().intervals.find(({ interval }) => interval === ended)?.state, "unmergeable");
  assert.equal(dead.writer.of(ended)[0]?.folded.length, 1);
});

test("a leader of an older term is refused, and told so", () => {
  const rig = new ClusterRig();
  rig.elect("a", 5);
  const { node } = rig.get("b");
  const manifest = manifestOf("z0");
  const interval = rig.interval;
  node.receive("c", { kind: "intent", term: 4, interval, revision: 1, manifest });
  assert.deepEqual(rig.sentOf("stale", "b").at(-1), { kind: "stale", term: 5 });
  assert.equal(rig.get("b").disk.registers.get(interval), undefined);
});

test("two leaders at a time are seen by all", () => {
  const rig = new ClusterRig();
  rig.elect("a", 3);
  rig.get("c").election.win(3);
  rig.run(300);
  for (const name of ["a", "b", "c"]) {
    const { counts, alarms } = rig.get(name).node.view();
    assert.ok(counts.rivalsSeen > 0, name);
    assert.ok(
      alarms.some((text) => text.includes("two leaders")),
      name,
    );
  }
});

test("rows that were refused while the lease had a gap are written again", () => {
  const rig = new ClusterRig();
  const { writer, election, node } = rig.elect("a");
  writer.acknowledges = false;
  rig.nextInterval();
  rig.add("a");
  const ended = rig.nextInterval();
  rig.closeAll();
  rig.run(100);
  election.win(1, rig.nowMs);
  rig.run(200);
  election.win(1);
  rig.run(50);
  writer.of(ended)[0]!.progress("carbon", false);
  writer.acknowledges = true;
  rig.run(100);
  assert.deepEqual(
    writer.of(ended).map(({ order }) => order.cause),
    ["first", "takeover"],
  );
  assert.equal(node.view().intervals.find(({ interval }) => interval === ended)?.state, "delivered");
});

test("what a sink has given up for good holds nothing up", () => {
  const rig = new ClusterRig();
  const { writer, node } = rig.elect("a");
  writer.acknowledges = false;
  rig.nextInterval();
  rig.add("a");
  const ended = rig.nextInterval();
  rig.closeAll();
  rig.run(100);
  writer.of(ended)[0]!.progress("carbon", false);
  rig.run(500);
  assert.equal(writer.of(ended).length, 1);
  const view = node.view().intervals.find(({ interval }) => interval === ended);
  assert.deepEqual([view?.state, view?.deliveredTo], ["delivered", []]);
});

test("a disk that takes nothing is counted and loud, and the interval is written all the same", () => {
  const rig = new ClusterRig();
  const { writer, disk, node } = rig.elect("a");
  disk.isFull = true;
  rig.nextInterval();
  const ended = rig.nextInterval();
  rig.closeAll();
  rig.run(100);
  assert.equal(writer.of(ended).length, 1);
  const { counts, alarms } = node.view();
  assert.ok(counts.unsavedWrites > 0);
  assert.ok(alarms.some((text) => text.includes("takes no writes")));
});
