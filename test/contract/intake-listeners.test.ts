/** Intake threads with every kind of listener: real sockets in front, the counts of the thread behind. */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { connect as connectTls } from "node:tls";
import { StatsD } from "hot-shots";
import { signDatagram } from "../../aggregator/listener/signed-datagram.ts";
import { hashHost } from "../../shared/sender-hash.ts";
import { chooseIo, openSender } from "../../shared/udp.ts";
import { IntakeRig } from "../support/intake-rig.ts";
import { fill, HEADERS, newBatch } from "../support/receive-batch.ts";
import { tlsPath } from "../support/tcp-sink.ts";
import { waitFor } from "../support/wait-for.ts";

const folder = mkdtempSync(join(tmpdir(), "listeners-"));
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
const hasMmsg = (await chooseIo("auto")) === "mmsg";
const stream = { lineBytesMax: 100, idleTimeoutMs: 60_000, connectionsMax: 10 };
const tcp = { kind: "tcp", host: "127.0.0.1", port: 0 } as const;

/** Stops an intake; what it counted in the end must add up. */
async function stopBalanced(rig: IntakeRig): Promise<void> {
  await rig.stop();
  assert.equal(rig.imbalance, 0);
}

for (const io of hasMmsg ? (["mmsg", "dgram"] as const) : (["dgram"] as const)) {
  test(`${io}: UDP lines are counted or dropped, empty datagrams are harmless`, async () => {
    for (const host of ["127.0.0.1", "::1"]) {
      const rig = await IntakeRig.start({ io, listen: { kind: "udp", host, port: 0 } });
      const socket = createSocket(host === "::1" ? "udp6" : "udp4");
      for (const text of ["a:1|c\nb:2|ms", "", "\n", "bad\n\nc:3|g\n"]) {
        await new Promise((resolve) => socket.send(text, rig.port, host, resolve));
      }
      socket.close();
      await waitFor("the lines", () => rig.counts.accepted === 3 && rig.counts.datagrams === 4);
      await stopBalanced(rig);
      assert.equal(rig.counts["dropped.no_value"], 1);
      assert.equal(rig.counts.received, 4);
    }
  });

  test(`${io}: of signed datagrams the good ones count, each once`, async () => {
    const keyPath = join(folder, "key");
    writeFileSync(keyPath, "secret\n");
    const rig = await IntakeRig.start({ io, signature: { keyPath, windowMs: 60_000 } });
    const key = Buffer.from("secret");
    const nowMs = Date.now();
    const sign = (lines: string, atMs = nowMs, withKey = key) =>
      signDatagram(withKey, atMs, 7, Buffer.from(lines));
    const good = sign("a:1|c\nb:2|c\n");
    await rig.send(good, good, "a:1|c", Buffer.alloc(100), sign("c:1|c", nowMs - 120_000));
    await rig.send(sign("d:1|c", nowMs, Buffer.from("other")), sign("e:1|c"));
    await waitFor("all datagrams", () => rig.counts.datagrams === 7);
    await stopBalanced(rig);
    const { counts } = rig;
    assert.equal(counts.accepted, 3);
    assert.equal(counts.received, 3);
    assert.equal(counts["refusedDatagrams.replayed"], 1);
    assert.equal(counts["refusedDatagrams.short"], 1);
    assert.equal(counts["refusedDatagrams.bad_signature"], 2);
    assert.equal(counts["refusedDatagrams.stale"], 1);
  });

  test(`${io}: senders are told of once, and events are posted`, async () => {
    const rig = await IntakeRig.start({ io, watchesSenders: true });
    await rig.send("a:1|c", "a:1|c", "_e{5,4}:title|text", "_sc|up|0", "_e{5,4}:cut");
    await rig.send("b:1|c");
    await waitFor("the events", () => rig.reportsOf("event").length === 2);
    await waitFor("the sender", () => rig.reportsOf("senders").length === 1);
    await waitFor("all lines", () => rig.counts.received === 6);
    await stopBalanced(rig);
    assert.deepEqual(rig.reportsOf("senders"), [
      { kind: "senders", entries: [[hashHost("127.0.0.1"), "127.0.0.1"]] },
    ]);
    const kinds = rig.reportsOf("event").map(({ event }) => event.kind);
    assert.deepEqual(kinds, ["event", "check"]);
    assert.equal(rig.counts.accepted, 5);
    assert.equal(rig.counts["dropped.bad_event"], 1);
  });
}

test("unixgram: lines come in, and the file has its permissions", {
  skip: !hasMmsg && "no mmsg here",
}, async () => {
  const path = join(folder, "in.sock");
  const rig = await IntakeRig.start({ listen: { kind: "unixgram", path }, socketMode: 0o622 });
  assert.equal(statSync(path).mode & 0o777, 0o622);
  const batch = await newBatch("mmsg");
  const remote = { kind: "unixgram", path } as const;
  const sender = await openSender("mmsg", remote, { memory: batch.memory, queueBytesMax: 0 });
  fill(batch, [Buffer.from("a:1|c\nb:1|c"), Buffer.alloc(0), Buffer.from("c:1|c\n")]);
  sender.send(HEADERS, 3);
  await waitFor("the lines", () => rig.counts.accepted === 3);
  sender.close();
  await stopBalanced(rig);
});

test("tcp: lines that are too long or broken off are received and dropped", async () => {
  const rig = await IntakeRig.start({ listen: tcp });
  const client = connect(rig.port, "127.0.0.1");
  client.write(`a:1|c\n${"x".repeat(200)}:1|c\nb:1|c\nbroken:1`);
  await waitFor("the lines", () => rig.counts.accepted === 2);
  client.resetAndDestroy();
  await waitFor("the end", () => rig.counts.connections === 0 && rig.counts["dropped.cut_off"] === 1);
  await stopBalanced(rig);
  assert.equal(rig.counts["dropped.line_too_long"], 1);
  assert.equal(rig.counts.received, 4);
  assert.equal(rig.counts.connectionsAccepted, 1);
});

test("tcp: connections beyond the bound, and idle ones, are counted", async () => {
  const limits = { ...stream, connectionsMax: 1, idleTimeoutMs: 1000 };
  const rig = await IntakeRig.start({ listen: tcp, stream: limits, watchesSenders: true });
  const client = connect(rig.port, "127.0.0.1");
  client.write("a:1|c\n");
  await waitFor("the line", () => rig.counts.accepted === 1);
  const second = connect(rig.port, "127.0.0.1").on("error", () => {});
  await once(second.resume(), "close");
  await once(client.resume(), "close");
  await waitFor("the idle one", () => rig.counts.connectionsIdle === 1);
  assert.equal(rig.counts.connectionsRefused, 1);
  await stopBalanced(rig);
  assert.deepEqual(
    rig.reportsOf("senders").map(({ entries }) => entries),
    [[[hashHost("127.0.0.1"), "127.0.0.1"]]],
  );
});

test("tls: lines come in; a client that speaks no TLS is counted", async () => {
  const tls = { certPath: tlsPath("server.pem"), keyPath: tlsPath("server.key"), clientCaPath: "" };
  const rig = await IntakeRig.start({ listen: { ...tcp, kind: "tls" }, tls });
  const client = connectTls({
    host: "127.0.0.1",
    port: rig.port,
    ca: readFileSync(tlsPath("ca.pem")),
  });
  client.end("a:1|c\nb:1|c");
  await waitFor("the lines", () => rig.counts.accepted === 2);
  connect(rig.port, "127.0.0.1")
    .on("error", () => {})
    .end("a:1|c\n");
  await waitFor("the stranger", () => rig.counts.handshakesFailed === 1);
  await stopBalanced(rig);
});

test("unix: a DogStatsD client's frames come in, whole lines each", async () => {
  const path = join(folder, "frames.sock");
  const listen = { kind: "unix", path } as const;
  const rig = await IntakeRig.start({ listen, stream: { ...stream, framing: "length" }, socketMode: 0o666 });
  const client = connect(path);
  const frame = (text: string): Buffer => {
    const head = Buffer.alloc(4);
    head.writeUInt32LE(text.length);
    return Buffer.concat([head, Buffer.from(text)]);
  };
  // What the clients of Datadog write: several lines to a frame, the last one without a line feed.
  client.write(Buffer.concat([frame("page.views:1|c|#env:dev\nfuel:0.5|g"), frame("song:240|h|@0.5")]));
  client.write(frame("_e{5,4}:title|text|#env:dev").subarray(0, 20));
  await waitFor("three lines", () => rig.counts.accepted === 3);
  client.end(frame("_e{5,4}:title|text|#env:dev").subarray(20));
  await waitFor("the event", () => rig.reportsOf("event").length === 1);
  const broken = connect(path);
  broken.on("error", () => {}).write("page.views:1|c\n");
  await once(broken.resume(), "close");
  await waitFor("the broken one", () => rig.counts["dropped.line_too_long"] === 1);
  await stopBalanced(rig);
  assert.equal(rig.counts.accepted, 4);
});

test("tcp: hot-shots' stream is read", async () => {
  const rig = await IntakeRig.start({ listen: tcp });
  const client = new StatsD({ host: "127.0.0.1", port: rig.port, protocol: "tcp", errorHandler: () => {} });
  client.increment("app.requests", 3, { env: "dev" });
  client.timing("app.latency", 42);
  client.gauge("app.level", 7);
  await waitFor("its lines", () => rig.counts.accepted === 3);
  await new Promise((resolve) => client.close(resolve));
  await stopBalanced(rig);
});

test("a snapshot larger than the backlog goes to the store, as long as none waits for it", async () => {
  const rig = await IntakeRig.start({ backlogBytesMax: 1500, snapshotIntervalMs: 3_600_000 });
  const lines = Array.from({ length: 50 }, (_, i) => `series.with.a.long.name.${i}:1|c`);
  await rig.send(lines.join("\n"));
  await waitFor("the lines", () => rig.counts.accepted === 50);
  await stopBalanced(rig);
  assert.ok(rig.counts.snapshotBytes > 1500);
  assert.equal(rig.counts.lostLines, 0);
});

test("tcp: clients wait for a store that is slow, and no line is lost", async () => {
  const rig = await IntakeRig.start({
    listen: tcp,
    backlogBytesMax: 20_000,
    seriesMax: 100,
    snapshotIntervalMs: 50,
  });
  const client = connect(rig.port, "127.0.0.1");
  client.on("error", () => {}).resume();
  // Far more than a snapshot holds, in far fewer batches.
  const lines = Array.from({ length: 20_000 }, (_, i) => `series.${i}:1|c\n`);
  client.end(lines.join(""));
  await waitFor("snapshots", () => rig.counts.snapshotBytes > 20_000);
  await waitFor("all lines", () => {
    const { snapshotBytes, snapshotBytesTaken } = rig.counts;
    rig.counters.add("snapshotBytesTaken", snapshotBytes - snapshotBytesTaken);
    return rig.counts.accepted === lines.length;
  });
  await stopBalanced(rig);
  assert.equal(rig.counts.lostLines, 0);
});
