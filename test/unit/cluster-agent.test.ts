// What an agent says to its member, and when it looks for another one.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Delta } from "../../cluster/delta.ts";
import { withDeltas } from "../../cluster/manifest.ts";
import type { Deltas, Message } from "../../cluster/message.ts";
import { AgentHistory } from "../support/agent-simulation.ts";

/** A history without faults, in which only the test makes deltas. */
function begin(holdBytesMax = 1 << 20, spoolBytesMax = 0): AgentHistory {
  const history = new AgentHistory(7, { holdBytesMax, spoolBytesMax, faultMs: 0, crashesAgent: false });
  history.isQuiet = true;
  return history;
}

function sentDeltas(history: AgentHistory): Deltas[] {
  return history.way.sent.flatMap(({ message }) => (message.kind === "deltas" ? [message] : []));
}

function sequencesOf(messages: readonly Deltas[]): number[] {
  return messages.flatMap(({ deltas }) => deltas.map(({ sequence }) => sequence));
}

function ackOf(...deltas: readonly Delta[]): Message {
  return { kind: "deltas-ack", held: withDeltas([], deltas) };
}

test("deltas go out at once, oldest first and in bundles, and are held until they are acknowledged", () => {
  const history = begin(4000);
  const waiting = Array.from({ length: 10 }, () => history.add(300));
  assert.equal(history.agent.standing().heldDeltas, 10);
  history.run(300);
  // Half of the memory may be under way; bundles are not larger either.
  const first = sentDeltas(history).filter(({ deltas }) => deltas.length > 0);
  assert.deepEqual(sequencesOf(first).slice(0, 6), [0, 1, 2, 3, 4, 5]);
  assert.ok(first.every(({ deltas, wantsAck }) => deltas.length <= 6 && wantsAck));
  history.run(1000);
  assert.deepEqual(
    sequencesOf(sentDeltas(history)),
    waiting.map(({ sequence }) => sequence),
  );
  const { heldDeltas, heldBytes, ackedDeltas, droppedSamples, member, failovers } = history.agent.standing();
  assert.deepEqual([heldDeltas, heldBytes, ackedDeltas, droppedSamples, failovers], [0, 0, 10, 0, 0]);
  assert.equal(member, history.way.connected[0]);
});

test("an interval is called closed only when all of it is on its way", () => {
  const history = begin(4000);
  history.run(500);
  const before = sentDeltas(history).length;
  const interval = history.interval + 10;
  for (let count = 0; count < 6; count++) history.add(600);
  history.agent.closeBelow(interval);
  const told = () => sentDeltas(history).slice(before);
  assert.ok(sequencesOf(told()).length < 6);
  assert.ok(told().every(({ closedBelow }) => closedBelow! < interval));
  history.run(1000);
  const last = told().findIndex(({ closedBelow }) => closedBelow === interval);
  assert.deepEqual(sequencesOf(told().slice(0, last + 1)), [0, 1, 2, 3, 4, 5]);
});

test("after a failover nothing is called closed before it was sent to the new member", () => {
  const history = begin();
  history.run(500);
  const [first] = history.way.connected;
  history.members.find(({ name }) => name === first)!.pause(60_000);
  history.add();
  const interval = history.interval + 1;
  history.agent.closeBelow(interval);
  history.way.cut();
  history.run(500);
  const toNext = history.way.sent.filter(({ to, message }) => to !== first && message.kind === "deltas");
  const { deltas, closedBelow } = toNext[0]!.message as Deltas;
  assert.equal(deltas.length, 1);
  assert.equal(closedBelow, interval);
  assert.equal(history.agent.standing().failovers, 1);
});

test("what the former member was told of does not hold for the new one", () => {
  const history = begin(4000);
  history.run(500);
  const [first] = history.way.connected;
  history.members.find(({ name }) => name === first)!.pause(60_000);
  for (let count = 0; count < 7; count++) history.add(300);
  const interval = history.interval + 1;
  history.agent.closeBelow(interval);
  assert.equal(sentDeltas(history).at(-1)!.closedBelow, interval);
  history.way.cut();
  history.run(500);
  const toNext = history.way.sent.flatMap(({ to, message }) =>
    to !== first && message.kind === "deltas" ? [message] : [],
  );
  // They do not fit into one bundle.
  assert.deepEqual(sequencesOf(toNext.slice(0, 1)), [0, 1, 2, 3, 4, 5]);
  assert.equal(toNext[0]!.closedBelow, 0);
  assert.equal(toNext[1]!.closedBelow, interval);
});

test("a member that acknowledges nothing is left, though it answers all else", () => {
  const history = begin();
  history.run(500);
  const [first] = history.way.connected;
  history.members.find(({ name }) => name === first)!.addForeign = () => "held";
  history.add();
  history.run(3000);
  // Sent once more to the same one first.
  assert.equal(sequencesOf(sentDeltas(history)).length, 2);
  assert.deepEqual(history.way.connected, [first]);
  history.run(4000);
  assert.equal(history.way.connected.length, 2);
  assert.equal(history.agent.standing().heldDeltas, 0);
});

test("a slow line is no reason to leave a member", () => {
  const history = begin();
  history.run(500);
  history.way.pendingBytes = () => 100;
  history.members.find(({ name }) => name === history.way.connected[0])!.pause(30_000);
  history.add();
  history.run(20_000);
  assert.equal(history.way.connected.length, 1);
  assert.equal(sequencesOf(sentDeltas(history)).length, 1);
});

test("a member that leaves the cluster is left, but not again and again", () => {
  const history = begin();
  history.run(500);
  for (const { door } of history.members) door.leave();
  history.add();
  history.run(3000);
  const count = history.way.connected.length;
  assert.ok(count >= 2 && count <= 5, `${count} connections in 3 s`);
  assert.equal(history.agent.standing().heldDeltas, 1);
});

test("acknowledgements of what was never sent, and unsound messages, change nothing", () => {
  const history = begin();
  history.run(500);
  const stranger: Delta = { source: "x", sequence: 9, interval: 1, samples: 1, bytes: new Uint8Array(1) };
  history.agent.receive(ackOf(stranger));
  history.agent.receive({ kind: "deltas-ack", held: [{ source: "agent.1.1", from: 0, to: 2 ** 40 }] });
  history.agent.receive({ kind: "beat", term: 1, floor: 2 });
  assert.equal(history.agent.standing().ackedDeltas, 0);
});

test("beyond the memory the oldest that wait are dropped, and their samples are counted", () => {
  const history = begin(1000);
  history.isIsolated = true;
  const added = Array.from({ length: 5 }, () => history.add(300));
  const { heldDeltas, heldBytes, droppedSamples } = history.agent.standing();
  assert.deepEqual([heldDeltas, heldBytes], [3, 900]);
  assert.equal(droppedSamples, added[0]!.samples + added[1]!.samples);
  history.isIsolated = false;
  history.run(1000);
  assert.deepEqual(sequencesOf(sentDeltas(history)), [2, 3, 4]);
});

test("what was sent may have arrived, and is dropped last", () => {
  const history = begin(1000);
  history.run(500);
  for (const member of history.members) member.pause(60_000);
  const added = Array.from({ length: 4 }, () => history.add(300));
  assert.deepEqual(sequencesOf(sentDeltas(history)), [0, 1]);
  assert.equal(history.agent.standing().droppedSamples, added[2]!.samples);
});

test("a leaving agent without a disk waits for its members", () => {
  const history = begin();
  history.isIsolated = true;
  history.add();
  history.agent.leave();
  history.run(5000);
  assert.equal(history.agent.isDrained, false);
  history.isIsolated = false;
  history.run(1000);
  assert.equal(history.agent.isDrained, true);
  assert.deepEqual(history.agent.takeRest(), []);
});

test("a leaving agent with a disk puts on it what members do not take in time", () => {
  const history = begin(1 << 20, 1 << 20);
  history.isIsolated = true;
  history.add();
  assert.equal(history.agent.isDrained, false);
  history.agent.leave();
  history.run(200);
  assert.equal(history.agent.isDrained, true);
  assert.ok(history.spool!.bytes > 0);
});

test("who has old things on disk does not say what is closed, so that nobody waits for it", () => {
  const history = begin(1 << 20, 1 << 20);
  history.isIsolated = true;
  for (let count = 0; count < 20; count++) history.add();
  history.run(5000);
  assert.equal(history.agent.standing().heldDeltas, 0);
  assert.equal(history.agent.standing().spooledBytes, history.spool!.bytes);
  history.isIsolated = false;
  history.run(2000);
  const messages = sentDeltas(history);
  assert.equal(messages[0]!.closedBelow, undefined);
  assert.equal(sequencesOf(messages).length, 20);
  assert.equal(messages.at(-1)!.closedBelow, history.interval);
  assert.equal(history.spool!.bytes, 0);
});
