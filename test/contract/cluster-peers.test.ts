/** Peers that talk, that come and go, and that do not fit together. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { Message } from "../../cluster/message.ts";
import type { Hello } from "../../cluster/transport/hello.ts";
import { helloOf, introduce, MEMBERS, newDeltas, TestHub } from "../support/peer-rig.ts";
import { waitFor } from "../support/wait-for.ts";

const BEAT: Message = { kind: "beat", term: 3, floor: 17 };

async function openPair(t: TestContext, other: Partial<Hello> = {}): Promise<{ n1: TestHub; n2: TestHub }> {
  const n1 = await TestHub.open(t, "n1");
  const n2 = await TestHub.open(t, "n2", { hello: helloOf("n2", other) });
  introduce({ n1, n2 });
  return { n1, n2 };
}

test("three peers hear each other, and know who speaks", async (t) => {
  const hubs: Record<string, TestHub> = {};
  for (const name of MEMBERS) hubs[name] = await TestHub.open(t, name);
  introduce(hubs);
  for (const name of MEMBERS) {
    const others = MEMBERS.filter((other) => other !== name);
    await waitFor("all ways", () => others.every((other) => hubs[name]!.isJoined(other)));
    for (const other of others) hubs[name]!.hub.send(other, BEAT);
  }
  for (const name of MEMBERS) {
    await waitFor("both messages", () => hubs[name]!.messages.length === 2);
    const from = hubs[name]!.messages.map((one) => one.from).sort();
    assert.deepEqual(
      from,
      MEMBERS.filter((other) => other !== name),
    );
    assert.deepEqual(hubs[name]!.messages[0]!.message, BEAT);
    assert.deepEqual(hubs[name]!.refusals, []);
  }
});

test("deltas arrive whole and in order, however large", async (t) => {
  const { n1, n2 } = await openPair(t);
  await waitFor("the way", () => n1.hub.isConnected("n2"));
  const sent = [newDeltas(0, 3), newDeltas(3, 2, 1_500_000), newDeltas(5, 500, 3000), newDeltas(505, 1, 0)];
  for (const message of sent) n1.hub.send("n2", message);
  await waitFor("all of them", () => n2.messages.length === sent.length);
  assert.deepEqual(
    n2.messages.map(({ message }) => message),
    sent,
  );
  await waitFor("nothing pending", () => n1.hub.pendingBytes("n2") === 0);
  await waitFor("counts", () => n2.stateOf("n1").incoming.counts.receivedBytes > 4_500_000);
  const { outgoing } = n1.stateOf("n2");
  assert.equal(outgoing.counts.sentMessages, 4);
  assert.equal(outgoing.counts.droppedMessages, 0);
  assert.ok(outgoing.roundTripMs! >= 0);
});

test("what is sent to a peer that is not there is dropped, and it is found when it comes", async (t) => {
  const n1 = await TestHub.open(t, "n1");
  const gone = await TestHub.open(t, "n2");
  const address = gone.addressAs("n2");
  await gone.hub.close();
  n1.hub.setPeers([address]);
  n1.hub.send("n2", BEAT);
  n1.hub.send("nobody", BEAT);
  await waitFor("a fault", () => /ECONNREFUSED/.test(n1.stateOf("n2").outgoing.lastError ?? ""));
  assert.equal(n1.stateOf("n2").outgoing.counts.droppedMessages, 1);
  assert.equal(n1.hub.otherCounts.droppedMessages, 1);
  assert.equal(n1.hub.pendingBytes("n2"), 0);
  assert.deepEqual(n1.refusals, []);
  const n2 = await TestHub.open(t, "n2", { listen: address, peers: [n1.addressAs("n1")] });
  await waitFor("both ways", () => n1.isJoined("n2"));
  n1.hub.send("n2", BEAT);
  await waitFor("the message", () => n2.messages.length === 1);
});

test("a peer that goes is told of once, and again when it is back as another run", async (t) => {
  const { n1, n2 } = await openPair(t);
  await waitFor("both ways", () => n1.isJoined("n2"));
  await n2.hub.close();
  await waitFor("the loss", () => n1.changes.join() === "+n2,-n2");
  assert.equal(n1.log.last("peer.lost")?.reason, "the node stops");
  const hello = helloOf("n2", { incarnation: "n2-2" });
  const listen = n1.stateOf("n2");
  await TestHub.open(t, "n2", { hello, listen, peers: [n1.addressAs("n1")] });
  await waitFor("both ways", () => n1.isJoined("n2"));
  assert.deepEqual(n1.changes, ["+n2", "-n2", "+n2"]);
  assert.equal(n1.stateOf("n2").outgoing.reconnects, 1);
  assert.equal(n1.stateOf("n2").incoming.incarnation, "n2-2");
});

test("a peer that comes back with another configuration is refused, and lost once", async (t) => {
  const { n1, n2 } = await openPair(t);
  await waitFor("both ways", () => n1.isJoined("n2"));
  await n2.hub.close();
  await waitFor("the loss", () => n1.changes.length === 2);
  const hello = helloOf("n2", { incarnation: "n2-2", settings: { interval: "1000" } });
  const listen = n1.stateOf("n2");
  const other = await TestHub.open(t, "n2", { hello, listen, peers: [n1.addressAs("n1")] });
  await waitFor("refusals", () => n1.refusals.length === 1 && other.refusals.length === 1);
  assert.deepEqual(n1.refusals, ['n2: interval is "10000" here and "1000" there']);
  const isRefusedAgain = () => n1.stateOf("n2").outgoing.refusal !== undefined;
  await waitFor("the refusal of this way, too", isRefusedAgain);
  assert.deepEqual(n1.changes, ["+n2", "-n2"]);
});

const refusals: readonly [what: string, other: Partial<Hello>, here: string][] = [
  [
    "interval",
    { settings: { "aggregation.timer": "count", interval: "30000" } },
    'interval is "10000" here and "30000" there',
  ],
  [
    "aggregation key",
    { settings: { "aggregation.timer": "count, max", interval: "10000" } },
    'aggregation.timer is "count" here and "count, max" there',
  ],
  [
    "set of members",
    { members: ["n1", "n2", "n4", "n5"] },
    "members are n1, n2, n3 here and n1, n2, n4, n5 there",
  ],
  ["membership", { members: ["n2", "n3"] }, '"n1" is no member of the cluster there'],
  ["protocol", { version: 3 }, "protocol version is 1 here and 3 there; upgrade one version at a time"],
];
for (const [what, other, here] of refusals) {
  test(`another ${what} is refused within a second, by both and naming it`, async (t) => {
    const startedMs = performance.now();
    const { n1, n2 } = await openPair(t, other);
    await waitFor("refusals", () => n1.refusals.length === 1 && n2.refusals.length === 1);
    assert.ok(performance.now() - startedMs < 1000);
    assert.deepEqual(n1.refusals, [`n2: ${here}`]);
    assert.equal(n1.stateOf("n2").outgoing.refusal ?? n1.stateOf("n2").incoming.refusal, here);
    assert.equal(n1.log.last("peer.refused")?.level, "error");
    assert.equal(n1.isJoined("n2"), false);
    assert.deepEqual(n1.changes, []);
    // Later attempts are refused in silence.
    const attempts = () => n1.stateOf("n2").incoming.counts.receivedBytes;
    const before = attempts();
    await waitFor("another attempt", () => attempts() > before);
    assert.equal(n1.log.events.filter((event) => event === "peer.refused").length, 1);
  });
}

test("one version, one member and unknown settings may differ; the member is warned of", async (t) => {
  const settings = { "aggregation.timer": "count", interval: "10000", "naming.new": "x" };
  const { n1, n2 } = await openPair(t, { version: 2, members: [...MEMBERS, "n4"], settings });
  await waitFor("both ways", () => n1.isJoined("n2") && n2.isJoined("n1"));
  assert.equal(n1.stateOf("n2").outgoing.warning, '"n4" is a member there and not here');
  assert.equal(n2.stateOf("n1").outgoing.warning, '"n4" is a member here and not there');
  assert.equal(n1.log.last("peer.members-differ")?.peer, "n2");
});

test("a membership changes while peers are connected", async (t) => {
  const { n1, n2 } = await openPair(t);
  await waitFor("both ways", () => n1.isJoined("n2"));
  const members = [...MEMBERS, "n4"];
  n1.hub.setPeers([n2.addressAs("n2")], helloOf("n1", { members }));
  await waitFor("the warning", () => n2.stateOf("n1").outgoing.warning !== undefined);
  n2.hub.setPeers([n1.addressAs("n1")], helloOf("n2", { members }));
  await waitFor("no warning", () => n1.stateOf("n2").outgoing.warning === undefined);
  assert.deepEqual(n1.changes, ["+n2"]);
  // Who is no member any more is let go.
  n1.hub.setPeers([], helloOf("n1", { members: ["n1"] }));
  await waitFor("the end", () => n2.refusals.length === 1);
  assert.match(n2.refusals[0]!, /"n2" is no member of the cluster (?:here|there)/);
  assert.equal(n2.hub.isConnected("n1"), false);
});

test("a peer that has moved is lost at once, and found at its new place", async (t) => {
  const { n1, n2 } = await openPair(t);
  await waitFor("both ways", () => n1.isJoined("n2"));
  const moved = await TestHub.open(t, "n2", { hello: helloOf("n2", { incarnation: "n2-2" }) });
  n1.hub.setPeers([moved.addressAs("n2")]);
  assert.deepEqual(n1.changes, ["+n2", "-n2"]);
  await n2.hub.close();
  moved.hub.setPeers([n1.addressAs("n1")]);
  await waitFor("both ways", () => n1.isJoined("n2"));
  assert.deepEqual(n1.changes, ["+n2", "-n2", "+n2"]);
  assert.deepEqual(n1.refusals, []);
});

test("two nodes of one name: the one that is there stays", async (t) => {
  const { n1, n2 } = await openPair(t);
  await waitFor("both ways", () => n1.isJoined("n2"));
  const hello = helloOf("n2", { incarnation: "n2-elsewhere" });
  const startedMs = performance.now();
  const twin = await TestHub.open(t, "n2", { hello, peers: [n1.addressAs("n1")] });
  await waitFor("the refusal", () => twin.refusals.length === 1 && n1.refusals.length === 1);
  assert.ok(performance.now() - startedMs < 1000);
  assert.match(n1.refusals[0]!, /two nodes claim the name "n2", the other one at .*127\.0\.0\.1:\d+/);
  assert.match(twin.refusals[0]!, /two nodes claim the name "n2"/);
  n2.hub.send("n1", BEAT);
  await waitFor("a message of the first", () => n1.messages.length === 1);
});

test("an address that leads to another node, or to this one, is refused", async (t) => {
  const n1 = await TestHub.open(t, "n1");
  const n3 = await TestHub.open(t, "n3");
  n1.hub.setPeers([n3.addressAs("n2"), n1.addressAs("n3")]);
  await waitFor("both refusals", () => n1.refusals.length === 2);
  const [own, wrong] = [...n1.refusals].sort().reverse();
  assert.match(own!, /^n3: the node at 127\.0\.0\.1:\d+ is "n1" and not "n3"/);
  assert.match(wrong!, /^n2: the node at 127\.0\.0\.1:\d+ is "n3" and not "n2"/);
});

test("a witness is a peer, and hears as much", async (t) => {
  const { n1, n2 } = await openPair(t, { role: "witness", settings: {} });
  await waitFor("both ways", () => n1.isJoined("n2"));
  n1.hub.send("n2", BEAT);
  await waitFor("the message", () => n2.messages.length === 1);
});
