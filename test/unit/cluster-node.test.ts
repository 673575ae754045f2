/** A cluster without faults, and what is decided in which order. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ClusterRig } from "../support/cluster-rig.ts";

test("an interval is written once all have closed it, with what all have held", () => {
  const rig = new ClusterRig();
  const { writer, node } = rig.elect("a");
  rig.nextInterval();
  const [a0, b0, c0] = [rig.add("a"), rig.add("b"), rig.add("c")];
  const ended = rig.nextInterval();
  assert.deepEqual(writer.of(ended), []);
  rig.closeAll();
  rig.run(100);
  const [written, ...more] = writer.of(ended);
  assert.deepEqual(more, []);
  assert.deepEqual([...written!.folded].sort(), [a0, b0, c0]);
  assert.equal(written!.order.cause, "first");
  assert.equal(written!.order.isDegraded, false);
  const view = node.view();
  assert.equal(view.role, "leader");
  assert.equal(view.intervals.find(({ interval }) => interval === ended)?.state, "delivered");
  for (const name of ["b", "c"]) {
    const closed = rig.get(name).writer.closed.find(({ interval }) => interval === ended);
    assert.deepEqual([...closed!.folded].sort(), [a0, b0, c0]);
    assert.deepEqual(rig.get(name).writer.written, []);
  }
});

test("a silent member holds an interval up for the settling time, and no longer than it lives", () => {
  const rig = new ClusterRig();
  const { writer, node } = rig.elect("a");
  rig.nextInterval();
  rig.add("a");
  const ended = rig.nextInterval();
  node.closeBelow(ended + 1);
  rig.run(250);
  assert.deepEqual(writer.of(ended), []);
  rig.run(150);
  assert.equal(writer.of(ended).length, 1);
  rig.kill("b");
  const next = rig.nextInterval();
  node.closeBelow(next + 1);
  rig.get("c").node.closeBelow(next + 1);
  rig.run(250);
  assert.deepEqual(writer.of(next), [], "it may be there still");
  rig.nextInterval();
  const last = rig.nextInterval();
  node.closeBelow(last + 1);
  rig.get("c").node.closeBelow(last + 1);
  rig.run(100);
  assert.equal(writer.of(last).length, 1);
});

test("an interval with nothing in it is written as well", () => {
  const rig = new ClusterRig({ names: ["a"] });
  const { writer } = rig.elect("a");
  rig.nextInterval();
  const ended = rig.nextInterval();
  rig.closeAll();
  rig.run(50);
  assert.deepEqual(
    writer.of(ended).map(({ folded, order }) => [folded, order.cause]),
    [[[], "first"]],
  );
});

test("what an interval starts from is one more delta of it, the last, and goes to the others", () => {
  const rig = new ClusterRig();
  const { writer } = rig.elect("a");
  rig.nextInterval();
  writer.levels = (interval) => rig.delta("k", interval);
  const a0 = rig.add("a");
  const ended = rig.nextInterval();
  rig.closeAll();
  rig.run(100);
  const [written] = writer.of(ended);
  assert.deepEqual(written!.folded.slice(0, 1), [a0]);
  assert.match(written!.folded[1]!, /^k/);
  assert.deepEqual(rig.get("b").writer.closed.at(-1)!.folded, written!.folded);
});

test("more of a written interval amends it: new names, in the order that was written, then the rest", () => {
  const rig = new ClusterRig();
  const { writer } = rig.elect("a");
  rig.nextInterval();
  const a0 = rig.add("a");
  const ended = rig.nextInterval();
  rig.closeAll();
  rig.run(100);
  const b0 = rig.add("b", ended);
  rig.run(1200);
  const [, amended, ...more] = writer.of(ended);
  assert.deepEqual(more, []);
  assert.deepEqual(amended!.folded, [a0, b0]);
  assert.equal(amended!.order.cause, "amend");
  assert.equal(amended!.order.revision, 2);
  assert.deepEqual(
    amended!.order.added?.map(({ source }) => source),
    ["b"],
  );
  rig.run(8500);
  assert.deepEqual(
    writer.of(ended).map(({ order }) => order.cause),
    ["first", "amend", "settle"],
  );
  const closed = rig.get("c").writer.closed.filter(({ interval }) => interval === ended);
  assert.deepEqual(
    closed.map(({ folded }) => folded),
    [[a0], [a0, b0]],
  );
});

test("a successor finishes what was about to be written, from the same manifest", () => {
  const rig = new ClusterRig();
  const first = rig.elect("a");
  rig.nextInterval();
  first.writer.acknowledges = false;
  const [c0, a0, b0] = [rig.add("c"), rig.add("a"), rig.add("b")];
  const ended = rig.nextInterval();
  rig.closeAll();
  rig.run(100);
  const [written] = first.writer.of(ended);
  assert.equal(written!.folded.length, 3);
  rig.kill("a");
  const second = rig.elect("b", 2);
  rig.run(200);
  const [again] = second.writer.of(ended);
  assert.deepEqual(again!.folded, written!.folded);
  assert.equal(again!.order.cause, "takeover");
  assert.equal(again!.order.revision, 1);
  assert.deepEqual([...again!.folded].sort(), [a0, b0, c0]);
});

test("a sink that takes nothing delays no interval, and what it lacks is left to the next leader", () => {
  const rig = new ClusterRig();
  const first = rig.elect("a");
  first.writer.names = ["carbon", "influx"];
  first.writer.acknowledges = false;
  rig.nextInterval();
  const intervals = [0, 1, 2].map(() => {
    rig.add("a");
    const ended = rig.nextInterval();
    rig.closeAll();
    rig.run(100);
    for (const { progress } of first.writer.of(ended)) progress("carbon", true);
    return ended;
  });
  for (const interval of intervals) assert.equal(first.writer.of(interval).length, 1);
  rig.run(100);
  rig.kill("a");
  const second = rig.get("b");
  second.writer.names = ["carbon", "influx"];
  rig.elect("b", 2);
  rig.run(300);
  for (const interval of intervals) {
    assert.deepEqual(second.writer.of(interval)[0]?.order.deliveredTo, ["carbon"]);
  }
});
