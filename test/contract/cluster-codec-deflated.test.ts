/** Peers that deflate what they send, among others that do not. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { deflateRawSync } from "node:zlib";
import type { Message } from "../../cluster/message.ts";
import { AgentLink } from "../../cluster/transport/agent-link.ts";
import { encodeMessage } from "../../cluster/transport/codec.ts";
import { newPacket, packetKindOf } from "../../cluster/transport/packet.ts";
import { systemClock } from "../../shared/clock.ts";
import { systemRandom } from "../../shared/random.ts";
import { EventLog } from "../support/event-log.ts";
import { FakeClient, FakeServer } from "../support/fake-peer.ts";
import { helloOf, introduce, newDeltas, TestHub, TOKEN } from "../support/peer-rig.ts";
import { waitFor } from "../support/wait-for.ts";

const BEAT: Message = { kind: "beat", term: 3, floor: 17 };
const MEBIBYTE = 1 << 20;
const DEFLATED_LAST = 3;
const BULK_LANE = 1;

async function openThree(t: TestContext) {
  const n1 = await TestHub.open(t, "n1", { isDeflating: true, backlogBytesMax: 32 * MEBIBYTE });
  const [n2, n3] = [await TestHub.open(t, "n2"), await TestHub.open(t, "n3")];
  introduce({ n1, n2, n3 });
  await waitFor("all", () => n1.isJoined("n2") && n1.isJoined("n3") && n2.isJoined("n3"));
  return { n1, n2, n3 };
}

/** Bundles of several sizes, and words between them. */
function newTraffic(): Message[] {
  return [0, 1, 2, 3].flatMap((turn) => [
    newDeltas(turn * 10, 3, 100),
    newDeltas(turn * 10 + 3, 2, 400_000),
    { ...BEAT, term: turn },
    newDeltas(turn * 10 + 5, 1, 9000),
  ]);
}

test("deltas arrive whole and in order, whoever deflates them", async (t) => {
  const { n1, n2, n3 } = await openThree(t);
  const traffic = newTraffic();
  for (const message of traffic) for (const peer of ["n2", "n3"]) n1.hub.send(peer, message);
  for (const message of traffic) n2.hub.send("n1", message);
  await waitFor("all", () => [n1, n2, n3].every(({ messages }) => messages.length === traffic.length));
  const deltas = traffic.filter(({ kind }) => kind === "deltas");
  for (const { messages } of [n1, n2, n3]) {
    const heard = messages.map(({ message }) => message);
    assert.deepEqual(
      heard.filter(({ kind }) => kind === "deltas"),
      deltas,
    );
    assert.equal(heard.filter(({ kind }) => kind === "beat").length, 4);
  }
  // Bytes are counted at each heartbeat, and are those of the wire.
  await waitFor("the counts", () => n2.stateOf("n1").outgoing.counts.sentBytes > 3_200_000);
  const { sentBytes, invalidPackets } = n1.stateOf("n2").outgoing.counts;
  assert.ok(sentBytes < 100_000, `${sentBytes} bytes`);
  assert.equal(invalidPackets + n2.stateOf("n1").incoming.counts.invalidPackets, 0);
});

test("a very large message is sent bit by bit, with what is urgent between", async (t) => {
  const slow = await FakeServer.open(t);
  const peers = [slow.address];
  const n1 = await TestHub.open(t, "n1", { peers, isDeflating: true, backlogBytesMax: 64 * MEBIBYTE });
  await waitFor("the way", () => n1.hub.isConnected("n2"));
  n1.hub.send("n2", newDeltas(0, 1, 48 * MEBIBYTE));
  // So few bytes would fit into any window at once, and for as long nothing else would be done.
  assert.ok(n1.hub.pendingBytes("n2") > 40 * MEBIBYTE);
  n1.hub.send("n2", BEAT);
  await waitFor("the rest", () => n1.hub.pendingBytes("n2") < MEBIBYTE);
  const beat = Buffer.concat(encodeMessage(BEAT).pieces);
  await waitFor("the last part", () => (slow.heard.at(-1)![2]! & 1) === 1);
  const place = slow.heard.findIndex((packet) => packet.equals(beat));
  assert.ok(place >= 0 && place < 12, `the beat is number ${place} of ${slow.heard.length}`);
  assert.ok(slow.heard.filter((packet) => packetKindOf(packet) === "part").length >= 384);
});

test("an agent may deflate what it sends", async (t) => {
  const n1 = await TestHub.open(t, "n1");
  const agent = new AgentLink(
    {
      nodes: [n1.addressAs("any")],
      hello: helloOf("a1", { role: "agent", members: [] }),
      access: { token: TOKEN },
      backlogBytesMax: MEBIBYTE,
      isDeflating: true,
      clock: systemClock,
      random: systemRandom,
      log: new EventLog().log,
    },
    { onMessage: () => {} },
  );
  t.after(() => agent.close());
  agent.open();
  await waitFor("the node", () => agent.isConnected);
  const deltas = newDeltas(0, 3, 200_000);
  assert.equal(agent.send(deltas), true);
  await waitFor("the deltas", () => n1.agentMessages.length === 1);
  assert.deepEqual(n1.agentMessages[0]!.message, deltas);
});

test("a part that swells without an end ends the connection, and is counted", async (t) => {
  const n1 = await TestHub.open(t, "n1", {
    peers: [{ name: "n2", host: "127.0.0.1", port: 9 }],
  });
  const client = await FakeClient.open(t, n1.hub.port);
  await waitFor("the welcome", () => client.heard.some((packet) => packetKindOf(packet) === "welcome"));
  const bomb = newPacket("part", deflateRawSync(Buffer.alloc(64 * MEBIBYTE)));
  bomb[2] = DEFLATED_LAST;
  bomb[3] = BULK_LANE;
  client.webSocket.send(bomb);
  await waitFor("the end", () => client.closed !== undefined);
  assert.equal(client.closed?.code, 4002);
  assert.equal(n1.stateOf("n2").incoming.counts.invalidPackets, 1);
  assert.deepEqual(n1.messages, []);
});
