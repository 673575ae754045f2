/** Peers that are slow, silent, dead or talk nonsense, and those beside them. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import type { Message } from "../../cluster/message.ts";
import { encodeMessage } from "../../cluster/transport/codec.ts";
import { newPacket, packetKindOf } from "../../cluster/transport/packet.ts";
import { FakeClient, FakeServer, upgradeHeaders } from "../support/fake-peer.ts";
import { introduce, newDeltas, TestHub } from "../support/peer-rig.ts";
import { waitFor } from "../support/wait-for.ts";

const BEAT: Message = { kind: "beat", term: 3, floor: 17 };
const MEBIBYTE = 1 << 20;

test("a peer that never reads costs what may wait for it, is lost, and others do not notice", async (t) => {
  const silent = await FakeServer.open(t);
  const backlogBytesMax = 4 * MEBIBYTE;
  const n1 = await TestHub.open(t, "n1", { backlogBytesMax });
  const n3 = await TestHub.open(t, "n3", { peers: [n1.addressAs("n1")] });
  n1.hub.setPeers([silent.address, n3.addressAs("n3")]);
  await waitFor("both", () => n1.hub.isConnected("n2") && n1.hub.isConnected("n3"));
  silent.webSocket!.pause();
  for (let bundle = 0; bundle < 40; bundle++) {
    n1.hub.send("n2", newDeltas(bundle, 1, MEBIBYTE));
    n1.hub.send("n3", BEAT);
  }
  assert.ok(n1.hub.pendingBytes("n2") <= backlogBytesMax + MEBIBYTE, `${n1.hub.pendingBytes("n2")}`);
  assert.ok(n1.stateOf("n2").outgoing.counts.droppedMessages >= 34);
  // What is urgent has some room more, and an end as well.
  const big: Message = { kind: "leaving", incarnation: "x".repeat(100_000) };
  for (let count = 0; count < 20; count++) n1.hub.send("n2", { ...big });
  assert.ok(n1.hub.pendingBytes("n2") <= backlogBytesMax + 2 * MEBIBYTE, `${n1.hub.pendingBytes("n2")}`);
  await waitFor("the messages to the other", () => n3.messages.length === 40);
  await waitFor("the loss", () => n1.changes.includes("-n2"));
  assert.match(n1.log.last("peer.lost")?.reason as string, /nothing was heard for 300 ms/);
  assert.equal(n1.hub.isConnected("n3"), true);
});

test("what is urgent overtakes deltas, of which only a window is on its way", async (t) => {
  const slow = await FakeServer.open(t, { autoPong: false });
  // Heartbeats are far apart, so that the peer is not lost for the pongs that it owes.
  const n1 = await TestHub.open(t, "n1", { peers: [slow.address], heartbeatMs: 60_000 });
  await waitFor("the way", () => n1.hub.isConnected("n2"));
  for (let bundle = 0; bundle < 4; bundle++) n1.hub.send("n2", newDeltas(bundle, 1, MEBIBYTE));
  n1.hub.send("n2", BEAT);
  // Its own words come after those that were on their way, and before the rest.
  const beat = Buffer.concat(encodeMessage(BEAT).pieces);
  await waitFor("the beat", () => slow.heard.some((packet) => packet.equals(beat)));
  assert.ok(slow.heardBytes <= 400 * 1024, `${slow.heardBytes} bytes without a pong`);
  const before = slow.heardBytes;
  slow.webSocket!.pong(slow.pings.at(-1)!);
  await waitFor("more", () => slow.heardBytes > before);
  // Pongs for what never was sent open nothing.
  slow.webSocket!.pong("99999999");
  slow.webSocket!.pong("what?");
  await waitFor("the rest", () => {
    slow.webSocket!.pong(slow.pings.at(-1)!);
    return slow.heardBytes > 4 * MEBIBYTE;
  });
  await waitFor("all", () => n1.hub.pendingBytes("n2") < 64 * 1024);
});

/** Makes a server whose backlog is full, so that it answers no SYN any more. */
async function openBlackHole(t: TestContext): Promise<number> {
  const script =
    'const s = require("net").createServer().listen(0, "127.0.0.1", 1, () => console.log(s.address().port))';
  const child: ChildProcess = spawn(process.execPath, ["-e", script], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  t.after(() => child.kill("SIGKILL"));
  const [line] = await once(child.stdout!, "data");
  const port = Number(String(line));
  child.kill("SIGSTOP");
  const sockets: Socket[] = [];
  t.after(() => {
    for (const socket of sockets) socket.destroy();
  });
  await waitFor("a full backlog", async () => {
    const socket = connect(port, "127.0.0.1").on("error", () => {});
    sockets.push(socket);
    await new Promise((resolve) => setImmediate(resolve));
    return sockets.filter(({ connecting }) => connecting).length >= 4;
  });
  return port;
}

test("a peer that answers no SYN is given up in time, and holds nobody up", async (t) => {
  const port = await openBlackHole(t);
  const n1 = await TestHub.open(t, "n1", { connectTimeoutMs: 300 });
  const n3 = await TestHub.open(t, "n3", { peers: [n1.addressAs("n1")] });
  const startedMs = performance.now();
  n1.hub.setPeers([{ name: "n2", host: "127.0.0.1", port }, n3.addressAs("n3")]);
  await waitFor("the other", () => n1.isJoined("n3"));
  await waitFor("the fault", () => n1.stateOf("n2").outgoing.lastError !== undefined);
  assert.equal(n1.stateOf("n2").outgoing.lastError, "no connection within 300 ms");
  assert.ok(performance.now() - startedMs < 1500);
  await n1.hub.close();
});

test("a peer that takes connections and says nothing is given up in time", async (t) => {
  const mute = await FakeServer.open(t, { isMute: true });
  const n1 = await TestHub.open(t, "n1", {
    peers: [mute.address],
    handshakeTimeoutMs: 200,
    connectTimeoutMs: 100,
  });
  await waitFor("a second attempt", () => mute.connections >= 2);
  assert.equal(n1.stateOf("n2").outgoing.lastError, "no answer came in time");
});

async function openVictim(t: TestContext): Promise<TestHub> {
  return TestHub.open(t, "n1", { peers: [{ name: "n2", host: "127.0.0.1", port: 1 }] });
}

/** Connects as n2, and waits until it is let in. */
async function enter(t: TestContext, victim: TestHub): Promise<FakeClient> {
  const client = await FakeClient.open(t, victim.hub.port);
  await waitFor("the welcome", () => client.heard.some((packet) => packetKindOf(packet) === "welcome"));
  return client;
}

test("messages before a hello, texts and what is no packet end a connection", async (t) => {
  const victim = await openVictim(t);
  const sound = Buffer.concat(encodeMessage(BEAT).pieces);
  const nonsense: readonly (string | Buffer)[] = [
    "text",
    Buffer.alloc(0),
    Buffer.from("garbage"),
    newPacket("part", Buffer.from("a part that no message began")).fill(9, 3, 4),
    newPacket("hello", Buffer.from("{}")),
  ];
  for (const packet of nonsense) {
    const client = await enter(t, victim);
    client.webSocket.send(packet);
    await waitFor("the end", () => client.closed !== undefined);
    assert.equal(client.closed!.code, 4002);
  }
  assert.equal(victim.stateOf("n2").incoming.counts.invalidPackets, nonsense.length);
  const early = new FakeClient(t, victim.hub.port, await upgradeHeaders(victim.hub.port));
  await once(early.webSocket, "open");
  early.webSocket.send(sound);
  await waitFor("the end", () => early.closed !== undefined);
  assert.equal(early.closed!.code, 4002);
  assert.equal(victim.messages.length, 0);
});

test("unsound messages are counted, and after some of them a connection ends", async (t) => {
  const victim = await openVictim(t);
  const client = await enter(t, victim);
  const unsound = Buffer.concat(encodeMessage(BEAT).pieces).fill(0, 20, 21);
  for (let count = 0; count < 9; count++) client.webSocket.send(unsound);
  client.webSocket.send(Buffer.concat(encodeMessage(BEAT).pieces));
  await waitFor("the sound one", () => victim.messages.length === 1);
  assert.equal(victim.stateOf("n2").incoming.counts.invalidPackets, 9);
  client.webSocket.send(unsound);
  await waitFor("the end", () => client.closed !== undefined);
  assert.deepEqual(client.closed, { code: 4002, reason: "10 messages were unsound" });
});

test("a packet that is too large ends a connection, and half a message is none", async (t) => {
  const victim = await openVictim(t);
  const large = await enter(t, victim);
  large.webSocket.send(Buffer.alloc(300 * 1024));
  await waitFor("the end", () => large.closed !== undefined);
  assert.equal(large.closed!.code, 1009);
  const half = await enter(t, victim);
  half.webSocket.send(newPacket("part", Buffer.concat(encodeMessage(BEAT).pieces)));
  half.webSocket.send(Buffer.concat(encodeMessage({ ...BEAT, term: 4 }).pieces));
  await waitFor("the whole one", () => victim.messages.length === 1);
  half.webSocket.terminate();
  await waitFor("the loss", () => !victim.stateOf("n2").incoming.isConnected);
  assert.deepEqual(
    victim.messages.map(({ message }) => message),
    [{ ...BEAT, term: 4 }],
  );
});

test("a killed peer that comes back takes its own place at once", async (t) => {
  const victim = await openVictim(t);
  const first = await enter(t, victim);
  // It is still there, and is silent: as after its machine was switched off.
  first.webSocket.pause();
  const second = await FakeClient.open(t, victim.hub.port, { incarnation: "n2-2" });
  await waitFor("the welcome", () => second.heard.some((packet) => packetKindOf(packet) === "welcome"));
  second.webSocket.send(Buffer.concat(encodeMessage(BEAT).pieces));
  await waitFor("its message", () => victim.messages.length === 1);
  assert.equal(victim.stateOf("n2").incoming.incarnation, "n2-2");
  assert.deepEqual(
    victim.refusals.filter((refusal) => refusal.includes("two nodes")),
    [],
  );
});

test("two hubs find each other again after a cut that neither was told of", async (t) => {
  const n1 = await TestHub.open(t, "n1");
  const n2 = await TestHub.open(t, "n2");
  introduce({ n1, n2 });
  await waitFor("both ways", () => n1.isJoined("n2"));
  for (let round = 1; round <= 2; round++) {
    const again = await FakeClient.open(t, n1.hub.port, { incarnation: "n2-1" });
    await waitFor("the place taken", () => again.heard.some((packet) => packetKindOf(packet) === "welcome"));
    await waitFor("the place taken back", () => again.closed?.code === 4003);
  }
  await waitFor("both ways", () => n1.isJoined("n2") && n2.isJoined("n1"));
});
