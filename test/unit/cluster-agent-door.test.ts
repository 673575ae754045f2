// What a member does for its agents: whom it waits for, and what it tells them.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Delta } from "../../cluster/delta.ts";
import { type Manifest, sizeOf } from "../../cluster/manifest.ts";
import type { Message } from "../../cluster/message.ts";
import { AgentDoor } from "../../cluster/running/agent-door.ts";
import { ClusterRig } from "../support/cluster-rig.ts";

const SETTLE_MS = 400;

/** A door of member "a" in a cluster of real nodes, whose clock it shares. */
function openDoor(rig = new ClusterRig()) {
  const { node } = rig.get("a");
  const closed: number[] = [];
  const door = new AgentDoor(
    {
      addForeign: node.addForeign.bind(node),
      clusterNowMs: () => node.clusterNowMs(),
      hasClock: true,
      closeBelow: (interval) => void closed.push(interval),
    },
    { incarnation: "a1", settleMs: SETTLE_MS, nowMs: () => rig.nowMs },
  );
  door.open();
  const replies: Message[] = [];
  let isTaking = true;
  const reply = (message: Message): boolean => {
    if (isTaking) replies.push(message);
    return isTaking;
  };
  const say = (deltas: readonly Delta[], closedBelow?: number, agent = "agent", incarnation = "1"): void => {
    const told = closedBelow === undefined ? {} : { closedBelow };
    door.receive(agent, { kind: "deltas", deltas, ...told, incarnation, wantsAck: true }, reply);
  };
  const run = (forMs: number): void => {
    for (let passedMs = 0; passedMs < forMs; passedMs += 50) {
      rig.run(50);
      door.tick();
    }
  };
  const acked = (): Manifest =>
    replies.flatMap((message) => (message.kind === "deltas-ack" ? message.held : []));
  const setTaking = (takes: boolean): void => {
    isTaking = takes;
  };
  return { rig, door, closed, replies, say, run, acked, setTaking };
}

test("a delta is acknowledged when a second member holds it", () => {
  const { rig, say, run, acked } = openDoor();
  rig.elect("b");
  rig.passes = (_from, _to, message) => message.kind !== "deltas-ack";
  const delta = rig.delta("x");
  say([delta]);
  run(500);
  assert.deepEqual(acked(), []);
  rig.passes = () => true;
  run(700);
  assert.deepEqual(acked(), [{ source: "x", from: 0, to: 0 }]);
  // The same again is safe already.
  say([delta]);
  run(50);
  assert.equal(sizeOf(acked()), 2);
  assert.equal(rig.get("b").node.view().counts.deltasReceived, 1);
});

test("where nobody else answers one copy has to do after a second", () => {
  const { rig, say, run, acked } = openDoor();
  rig.elect("b");
  rig.passes = () => false;
  say([rig.delta("x")]);
  run(900);
  assert.deepEqual(acked(), []);
  run(200);
  assert.equal(sizeOf(acked()), 1);
});

test("what comes when its interval is forgotten is counted, and need not come again", () => {
  const { rig, say, run, acked } = openDoor();
  rig.elect("a");
  for (let count = 0; count < 16; count++) {
    rig.closeAll();
    rig.nextInterval();
  }
  run(2000);
  say([rig.delta("x", rig.interval - 15)]);
  run(50);
  assert.equal(sizeOf(acked()), 1);
  assert.equal(rig.get("a").node.view().counts.lateSamples, 1);
});

test("an acknowledgement that finds no room is told later", () => {
  const { rig, say, run, acked, setTaking } = openDoor();
  rig.elect("b");
  setTaking(false);
  say([rig.delta("x")]);
  run(500);
  assert.deepEqual(acked(), []);
  setTaking(true);
  run(50);
  assert.equal(sizeOf(acked()), 1);
});

test("without agents intervals are closed at once", () => {
  const { door, closed } = openDoor();
  door.closeBelow(7);
  door.closeBelow(6);
  door.closeBelow(8);
  assert.deepEqual(closed, [7, 8]);
});

test("an interval waits for agents that live, and no longer than it may", () => {
  const { door, closed, say, run } = openDoor();
  say([], 5);
  say([], 6, "other");
  door.closeBelow(7);
  assert.deepEqual(closed, [5]);
  say([], 9);
  assert.deepEqual(closed, [5, 6]);
  say([], 7, "other");
  assert.deepEqual(closed, [5, 6, 7]);
  run(100);
  door.closeBelow(8);
  assert.deepEqual(closed, [5, 6, 7]);
  run(SETTLE_MS - 100);
  say([], 7, "other");
  assert.deepEqual(closed, [5, 6, 7]);
  run(100);
  assert.deepEqual(closed, [5, 6, 7, 8]);
});

test("nobody waits for agents that are silent, gone, or busy with old things", () => {
  const { door, closed, say, run } = openDoor();
  door.settleMs = 60_000;
  say([], 5);
  door.closeBelow(5);
  run(1600);
  door.closeBelow(6);
  assert.deepEqual(closed, [5, 6]);
  say([], 6);
  door.closeBelow(7);
  assert.deepEqual(closed, [5, 6]);
  door.lost("agent");
  assert.deepEqual(closed, [5, 6, 7]);
  say([], 7);
  door.closeBelow(8);
  say([]);
  assert.deepEqual(closed, [5, 6, 7, 8]);
});

test("another run of an agent says nothing of what the former one had closed", () => {
  const { door, closed, say } = openDoor();
  say([], 9);
  say([], 3, "agent", "2");
  door.closeBelow(5);
  assert.deepEqual(closed, [3]);
});

test("a member that leaves sends its agents away, and waits for none", () => {
  const { rig, door, closed, replies, say, run, acked } = openDoor();
  rig.elect("b");
  say([], 5);
  door.closeBelow(9);
  door.leave();
  assert.deepEqual(replies.at(-1), { kind: "leaving", incarnation: "a1" });
  say([rig.delta("x")]);
  run(2000);
  assert.deepEqual(acked(), []);
  assert.deepEqual(closed, [5, 9]);
});

test("a question for the time is answered, once the member knows it", () => {
  const { rig, door, replies, say, run } = openDoor();
  const answers: Message[] = [];
  door.receive("agent", { kind: "clock-request", askedMs: 12 }, (message) => {
    answers.push(message);
    return true;
  });
  const clockMs = rig.get("a").node.clusterNowMs();
  assert.deepEqual(answers, [{ kind: "clock-answer", askedMs: 12, clockMs }]);
  const lost = new AgentDoor(
    { ...rig.get("a").node, hasClock: false } as unknown as ConstructorParameters<typeof AgentDoor>[0],
    { incarnation: "a1", settleMs: SETTLE_MS, nowMs: () => rig.nowMs },
  );
  lost.open();
  lost.receive("agent", { kind: "clock-request", askedMs: 13 }, () => assert.fail("it does not know"));
  say([]);
  run(50);
  assert.deepEqual(replies, []);
});
