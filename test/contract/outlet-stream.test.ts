// TCP and TLS channels against receivers that refuse, stall, reset and close.
import assert from "node:assert/strict";
import { test } from "node:test";
import { channelOrder, OutletRig } from "../support/outlet-rig.ts";
import { TcpSink, tlsPath } from "../support/tcp-sink.ts";
import { waitFor } from "../support/wait-for.ts";

/** Packets of 20 lines each. */
function packets(count: number, name = "a"): string[] {
  return Array.from({ length: count }, (_, packet) =>
    Array.from({ length: 20 }, (__, line) => `${name}.${packet}.${line}:1|c\n`).join(""),
  );
}

function linesOf(texts: readonly string[]): string[] {
  return texts.flatMap((text) => text.split("\n").slice(0, -1));
}

test("lines arrive in order over one lasting connection", async (t) => {
  const sink = await TcpSink.start();
  const rig = new OutletRig(t);
  rig.order([channelOrder(1, { port: sink.port })]);
  const sent = packets(2_000);
  for (let from = 0; from < sent.length; from += 50) rig.send(1, sent.slice(from, from + 50));
  await rig.until(1, "all sent", ({ linesSent }) => linesSent === 40_000);
  await rig.drain();
  await waitFor("all lines", () => sink.lines.length === 40_000);
  assert.deepEqual(sink.lines, linesOf(sent));
  assert.equal(sink.connectionCount, 1);
  const { packetsSent, bytesSent, linesTaken, connects, retries, linesQueued } = rig.counters(1);
  assert.deepEqual(
    { packetsSent, bytesSent, linesTaken, connects, retries, linesQueued },
    {
      packetsSent: 2_000,
      bytesSent: sent.join("").length,
      linesTaken: 40_000,
      connects: 1,
      retries: 0,
      linesQueued: 0,
    },
  );
  assert.equal(rig.backlog(1), 0);
  assert.deepEqual(rig.reports, [
    { kind: "connection", id: 1, isUp: true },
    { kind: "connection", id: 1, isUp: false },
    { kind: "drained" },
  ]);
  await sink.stop();
});

test("a packet without its last line feed gets one", async (t) => {
  const sink = await TcpSink.start();
  const rig = new OutletRig(t);
  rig.order([channelOrder(1, { port: sink.port })]);
  rig.send(1, ["a:1|c", "b:2|c\n"]);
  await waitFor("both lines", () => sink.lines.length === 2);
  assert.deepEqual(sink.lines, ["a:1|c", "b:2|c"]);
  await rig.drain();
  await sink.stop();
});

test("refused: lines wait, the oldest are pushed out, the rest arrives when somebody listens", async (t) => {
  const sink = await TcpSink.start();
  await sink.stop();
  const rig = new OutletRig(t);
  rig.order([channelOrder(1, { port: sink.port })], { queueBytesMax: 100_000 });
  const sent = packets(1_000);
  rig.send(1, sent);
  await rig.until(1, "failures", ({ connectFailures }) => connectFailures >= 3);
  const before = rig.counters(1);
  assert.equal(before.linesTaken, 20_000);
  assert.ok(before.lost_queue_full > 0 && before.linesQueued > 0);
  assert.ok(before.bytesQueued <= 100_000);
  assert.ok(before.oldestMs > 0);
  assert.equal(before.connected, 0);
  await sink.restart();
  await rig.until(1, "the rest", ({ linesSent }) => linesSent === before.linesQueued);
  await rig.drain();
  await waitFor("all lines", () => sink.lines.length === before.linesQueued);
  assert.deepEqual(sink.lines, linesOf(sent).slice(-before.linesQueued));
  await sink.stop();
});

test("refused: lines grow too old", async (t) => {
  const sink = await TcpSink.start();
  await sink.stop();
  const rig = new OutletRig(t);
  rig.order([channelOrder(1, { port: sink.port })], { queueAgeMs: 100 });
  rig.send(1, packets(10));
  await rig.until(1, "too old", ({ lost_too_old }) => lost_too_old === 200);
  await rig.drain(0);
});

test("reset in the middle: the batch is written once more on a fresh connection", async (t) => {
  const sink = await TcpSink.start([{ kind: "stall" }]);
  const rig = new OutletRig(t);
  rig.order([channelOrder(1, { port: sink.port })], { writeTimeoutMs: 200 });
  const sent = packets(20_000);
  for (let from = 0; from < sent.length; from += 500) rig.send(1, sent.slice(from, from + 500));
  await rig.until(
    1,
    "all sent",
    ({ linesQueued, linesTaken }) => linesTaken === 400_000 && linesQueued === 0,
  );
  const { retries, lost_error, linesSent } = rig.counters(1);
  assert.deepEqual({ retries, lost_error, linesSent }, { retries: 1, lost_error: 0, linesSent: 400_000 });
  assert.ok(rig.events.includes("relay.connection_lost"));
  await rig.drain();
  assert.equal(sink.connectionCount, 2);
  // Each connection begins at the start of a line.
  const second = Buffer.concat(sink.received[1]!).toString("latin1");
  assert.match(second, /^a\.\d+\.0:1\|c\n/);
  await sink.stop();
});

test("two connections in a row that take nothing: a batch is lost as error, the next goes on", async (t) => {
  const sink = await TcpSink.start([{ kind: "stall" }, { kind: "stall" }]);
  const rig = new OutletRig(t);
  rig.order([channelOrder(1, { port: sink.port })], { writeTimeoutMs: 200 });
  const sent = packets(30_000);
  for (let from = 0; from < sent.length; from += 500) rig.send(1, sent.slice(from, from + 500));
  await rig.until(1, "settled", ({ linesQueued, linesTaken }) => linesTaken === 600_000 && linesQueued === 0);
  const counters = rig.counters(1);
  assert.ok(counters.retries >= 1, JSON.stringify(counters));
  assert.equal(counters.linesSent + counters.lost_error, 600_000);
  await rig.drain();
  await sink.stop();
});

test("a slow remote is no dead one: all of it may take longer than the write timeout", async (t) => {
  const sink = await TcpSink.start([{ kind: "slow", pauseMs: 20 }]);
  const rig = new OutletRig(t);
  rig.order([channelOrder(1, { port: sink.port })], { writeTimeoutMs: 2_000 });
  const sent = packets(30_000);
  const { length } = sent.join("");
  const startedMs = performance.now();
  for (let from = 0; from < sent.length; from += 500) rig.send(1, sent.slice(from, from + 500));
  await waitFor("everything", () => sink.receivedBytes === length);
  assert.ok(performance.now() - startedMs > 2_000, "the remote was not slow");
  const { connects, retries } = rig.counters(1);
  assert.deepEqual({ connects, retries }, { connects: 1, retries: 0 });
  await rig.drain();
  await sink.stop();
});

test("resets by the remote end in a settled ledger", async (t) => {
  const resets = Array.from({ length: 5 }, () => ({ kind: "reset", afterBytes: 20_000 }) as const);
  const sink = await TcpSink.start(resets);
  const rig = new OutletRig(t);
  rig.order([channelOrder(1, { port: sink.port })]);
  const sent = packets(5_000);
  for (let from = 0; from < sent.length; from += 10) {
    rig.send(1, sent.slice(from, from + 10));
    if (from % 1_000 === 0) await waitFor("a turn", () => true);
  }
  await rig.until(1, "settled", (now) => now.linesTaken === 100_000 && now.linesQueued === 0);
  rig.send(1, ["last:1|c\n"]);
  await waitFor("the last line", () => {
    if (!sink.lines.includes("last:1|c")) rig.send(1, ["last:1|c\n"]);
    return sink.lines.includes("last:1|c");
  });
  for (const line of sink.lines) assert.match(line, /^(a\.\d+\.\d+|last):1\|c$/);
  await rig.drain();
  await sink.stop();
});

test("a remote that closes its end is left at once, before anything is written to it", async (t) => {
  const sink = await TcpSink.start([{ kind: "half-close" }]);
  const rig = new OutletRig(t);
  rig.order([channelOrder(1, { port: sink.port })]);
  await waitFor("the second connection", () => sink.connectionCount === 2);
  await rig.until(1, "connected", ({ connected, connects }) => connected === 1 && connects === 2);
  rig.send(1, packets(1));
  await waitFor("lines", () => sink.lines.length === 20);
  assert.equal(sink.received[0]!.length, 0);
  assert.equal(rig.counters(1).retries, 0);
  await rig.drain();
  await sink.stop();
});

test("a remote that talks is listened to a little, and left when it does not stop", async (t) => {
  const sink = await TcpSink.start([
    { kind: "talk", bytes: 1 << 20 },
    { kind: "talk", bytes: 100 },
  ]);
  const rig = new OutletRig(t);
  rig.order([channelOrder(1, { port: sink.port })]);
  await rig.until(1, "the second connection", ({ connects, connected }) => connects === 2 && connected === 1);
  rig.send(1, packets(1));
  await waitFor("lines", () => sink.lines.length === 20);
  await rig.drain();
  await sink.stop();
});

test("a reload moves a channel to another address, and ends one that is not wanted any more", async (t) => {
  const sinks = [await TcpSink.start(), await TcpSink.start(), await TcpSink.start()];
  const rig = new OutletRig(t);
  const moved = channelOrder(1, { port: sinks[0]!.port });
  const ended = channelOrder(2, { port: sinks[1]!.port });
  rig.order([moved, ended]);
  rig.send(1, ["before:1|c\n"]);
  rig.send(2, ["only:1|c\n"]);
  await waitFor("both", () => sinks[0]!.lines.length === 1 && sinks[1]!.lines.length === 1);
  rig.order([{ ...moved, port: sinks[2]!.port }]);
  rig.send(1, ["after:1|c\n"]);
  rig.send(2, ["straggler:1|c\n"]);
  await waitFor("moved", () => sinks[2]!.lines.includes("after:1|c"));
  await rig.until(2, "ended", ({ connected, linesSent }) => connected === 0 && linesSent === 2);
  rig.send(2, ["late:1|c\n"]);
  await rig.until(2, "the late line", ({ linesTaken }) => linesTaken === 3);
  const { linesSent, lost_shutdown } = rig.counters(2);
  assert.deepEqual({ linesSent, lost_shutdown }, { linesSent: 2, lost_shutdown: 1 });
  assert.deepEqual(sinks[1]!.lines, ["only:1|c", "straggler:1|c"]);
  await rig.drain();
  for (const sink of sinks) await sink.stop();
});

test("drop and next: lines of a destination that is down are lost at once, as down", async (t) => {
  const sink = await TcpSink.start();
  const rig = new OutletRig(t);
  rig.order([
    channelOrder(1, { port: sink.port, policy: "drop" }),
    channelOrder(2, { port: sink.port, policy: "next" }),
  ]);
  for (const id of [1, 2]) {
    rig.tell({ kind: "state", id, isUp: false });
    await rig.until(id, "connected", ({ connected }) => connected === 1);
    rig.send(id, packets(3));
    await rig.until(id, "lost", ({ lost_down }) => lost_down === 60);
    rig.tell({ kind: "state", id, isUp: true });
    await rig.until(id, "sent", ({ linesSent }) => {
      rig.send(id, packets(1));
      return linesSent > 0;
    });
  }
  await rig.drain();
  await sink.stop();
});

test("drain: what a dead destination was meant to get is counted as shutdown, in time", async (t) => {
  const sink = await TcpSink.start();
  await sink.stop();
  const rig = new OutletRig(t);
  rig.order([channelOrder(1, { port: sink.port })]);
  rig.send(1, packets(5));
  await rig.drain(100);
  const { lost_shutdown, linesQueued } = rig.counters(1);
  assert.deepEqual({ lost_shutdown, linesQueued }, { lost_shutdown: 100, linesQueued: 0 });
});

test("TLS: a good certificate, its name told, and the client's own", async (t) => {
  const sink = await TcpSink.start([], { isTls: true, asksCertificate: true });
  const rig = new OutletRig(t);
  const order = channelOrder(1, { protocol: "tls", port: sink.port, serverName: "statsd.test" });
  rig.order([order, channelOrder(2, { protocol: "tls", port: sink.port })], {
    tls: { ca: tlsPath("ca.pem"), cert: tlsPath("server.pem"), key: tlsPath("server.key"), verify: true },
  });
  rig.send(1, packets(500));
  rig.send(2, packets(1));
  await waitFor("lines", () => sink.lines.length === 10_020);
  assert.ok(sink.serverNames.includes("statsd.test"));
  await rig.drain();
  assert.equal(rig.counters(1).linesSent, 10_000);
  await sink.stop();
});

test("TLS: a wrong name, an unknown authority or an unreadable file connects to nobody", async (t) => {
  const sink = await TcpSink.start([], { isTls: true });
  const wrong = [
    { serverName: "other.test", tls: { ca: tlsPath("ca.pem"), verify: true } },
    { serverName: "statsd.test", tls: { verify: true } },
    { serverName: "statsd.test", tls: { ca: "/no/such/ca.pem", verify: true } },
  ];
  for (const { serverName, tls } of wrong) {
    const rig = new OutletRig(t);
    rig.order([channelOrder(1, { protocol: "tls", port: sink.port, serverName })], { tls });
    rig.send(1, packets(1));
    await rig.until(1, "failures", ({ connectFailures }) => connectFailures >= 2);
    assert.equal(rig.counters(1).connects, 0);
    await rig.drain(0);
    assert.equal(rig.counters(1).lost_shutdown, 20);
  }
  assert.equal(sink.lines.length, 0);
  const rig = new OutletRig(t);
  rig.order([channelOrder(1, { protocol: "tls", port: sink.port })], { tls: { verify: false } });
  rig.send(1, packets(1));
  await waitFor("lines", () => sink.lines.length === 20);
  await rig.drain();
  await sink.stop();
});
