/** Lines that go out over TCP and TLS: connections that fail, certificates, bounds of what waits. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { AddressInfo, Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { createServer } from "node:tls";
import type { Metrics, TestDaemon } from "../support/daemons.ts";
import {
  closeBooks,
  eventOf,
  IO,
  KINDS,
  openSink,
  sendLines,
  startByCommand,
  startWith,
} from "../support/relay-rig.ts";
import { type TcpBehaviour, TcpSink, tlsPath } from "../support/tcp-sink.ts";
import { waitFor } from "../support/wait-for.ts";

const LOST = "statsrelay_destination_lines_lost_total";
const SENT = "statsrelay_destination_lines_sent_total";
const QUEUED = "statsrelay_destination_lines_queued";
const CONNECTS = "statsrelay_destination_connects_total";
const FAST = "retry-delay = 5ms\nretry-delay-max = 20ms";
const numbered = (from: number, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `app.request.${from + index}:1|c`);

async function openTcp(
  t: TestContext,
  script: readonly TcpBehaviour[] = [],
  options: { readonly isTls?: boolean; readonly asksCertificate?: boolean } = {},
): Promise<TcpSink> {
  const sink = await TcpSink.start(script, options);
  t.after(() => sink.stop());
  return sink;
}

/** Lines that were not the relay's own. */
function linesOf(sinks: readonly TcpSink[]): string[] {
  return sinks
    .flatMap(({ lines }) => lines)
    .filter((line) => !line.includes("statsProcessed"))
    .sort();
}

async function collect(sinks: readonly TcpSink[], count: number): Promise<string[]> {
  await waitFor(`${count} lines`, () => linesOf(sinks).length >= count);
  return linesOf(sinks);
}

const connected = (relay: TestDaemon): Promise<Metrics> =>
  relay.until("a connection", (now) => now.sum("statsrelay_destination_connected") === 1);

for (const io of KINDS) {
  test(`${io}: the command line of Go statsrelay for TCP, instances and all`, async (t) => {
    const sinks = [await openTcp(t), await openTcp(t)];
    const listen = ["-b", "127.0.0.1", "-p", "0", "--management", "127.0.0.1:0", "--io", io];
    const go = ["-sendproto", "TCP", "-t", "2s", "-tcpmaxactive", "100", "-prefix", "own"];
    const destinations = sinks.map(({ port }, index) => `127.0.0.1:${port}:${"ab"[index]}`);
    const relay = await startByCommand(t, [...listen, "--flush-interval", "50ms", ...go, ...destinations]);
    const lines = numbered(0, 500);
    await sendLines(relay, lines);
    assert.deepEqual(await collect(sinks, lines.length), [...lines].sort());
    const metrics = await closeBooks(relay, lines.length);
    assert.equal(metrics.sum(LOST), 0);
    for (const { connectionCount, lines: got } of sinks) {
      assert.equal(connectionCount, 1, "one lasting connection");
      assert.ok(got.length > 150);
    }
    assert.match(String(relay.events("config.warning")[0]?.text), /tcpmaxactive/);
    assert.deepEqual(await relay.stop(), { code: 0, signal: null });
  });
}

test("a peer that resets gets a new connection, and the batch once more", async (t) => {
  const sink = await openTcp(t, [{ kind: "reset", afterBytes: 1 }]);
  const relay = await startWith(t, `destinations[] = tcp://127.0.0.1:${sink.port}\n${FAST}`);
  await connected(relay);
  await sendLines(relay, numbered(0, 10));
  await eventOf(relay, "relay.connection_lost");
  await relay.until("a second connection", (now) => now.sum(CONNECTS, 'outcome="made"') >= 2);
  await sendLines(relay, numbered(10, 10));
  const later = new Set(numbered(10, 10));
  await waitFor("the later lines", () => linesOf([sink]).filter((line) => later.has(line)).length === 10);
  const metrics = await closeBooks(relay, 20);
  assert.equal(metrics.sum(LOST), 0);
  assert.equal(metrics.sum(QUEUED), 0);
});

test("a peer that closes its end in good order costs no line", async (t) => {
  const sink = await openTcp(t, [{ kind: "half-close" }]);
  const relay = await startWith(t, `destinations[] = tcp://127.0.0.1:${sink.port}\n${FAST}`);
  await relay.until("another connection", (now) => now.sum(CONNECTS, 'outcome="made"') >= 2);
  const lines = numbered(0, 200);
  await sendLines(relay, lines);
  assert.deepEqual(await collect([sink], lines.length), [...lines].sort());
  const metrics = await closeBooks(relay, lines.length);
  assert.equal(metrics.sum(LOST), 0);
});

test("what waits for a connection is bounded by queue-bytes: the oldest goes, counted", async (t) => {
  const sink = await openTcp(t);
  await sink.stop();
  const keys = `destinations[] = tcp://127.0.0.1:${sink.port}\nqueue-bytes = 64k\nhealth = none\n${FAST}`;
  const relay = await startWith(t, keys);
  const lines = numbered(0, 10_000);
  for (let from = 0; from < lines.length; from += 1000) {
    await sendLines(relay, lines.slice(from, from + 1000));
    await closeBooks(relay, from + 1000);
  }
  const full = await relay.until("a full queue", (now) => now.sum(LOST, 'reason="queue_full"') > 0);
  assert.ok(full.sum(CONNECTS, 'outcome="failed"') > 0);
  await closeBooks(relay, lines.length);
  await sink.restart();
  await relay.until("an empty queue", (now) => now.sum(SENT) > 0 && now.sum(QUEUED) === 0);
  const metrics = await closeBooks(relay, lines.length);
  const lost = metrics.sum(LOST, 'reason="queue_full"');
  const own = metrics.sum("statsrelay_self_lines_total");
  assert.equal(metrics.sum(SENT) + lost, lines.length + own);
  const got = await collect([sink], lines.length - lost);
  assert.ok(got.includes(lines.at(-1)!), "the newest is there");
  assert.ok(!got.includes(lines[0]!), "the oldest is not");
  const bytes = got.join("\n").length;
  assert.ok(bytes < 64 << 10 && bytes > 32 << 10, `${bytes} bytes`);
});

test("what waits longer than queue-age is dropped and counted", async (t) => {
  const sink = await openTcp(t);
  await sink.stop();
  const keys = `destinations[] = tcp://127.0.0.1:${sink.port}\nqueue-age = 100ms\nhealth = none\n${FAST}`;
  const relay = await startWith(t, `${keys}\nprefix = own`);
  await sendLines(relay, numbered(0, 50));
  await relay.until("nothing waits", (now) => now.sum(LOST, 'reason="too_old"') === 51);
  await sink.restart();
  await sendLines(relay, numbered(50, 50));
  assert.deepEqual(await collect([sink], 50), numbered(50, 50).sort());
  const metrics = await closeBooks(relay, 100);
  assert.equal(metrics.sum(LOST), 51);
});

test("a peer that reads nothing is given up after write-timeout, and nobody waits for it", async (t) => {
  const stuck = await openTcp(
    t,
    Array.from({ length: 100 }, () => ({ kind: "stall" }) as const),
  );
  const free = await openSink(t);
  const destinations = `tcp://127.0.0.1:${stuck.port} ${free.destination}`;
  const keys = `destinations = ${destinations}\nwrite-timeout = 100ms\nqueue-bytes = 64k\nhealth = none`;
  const relay = await startWith(t, `${keys}\n${FAST}\nmetrics-tags = ${"t".repeat(1000)}`);
  // Enough to fill what the system takes on behalf of a reader that sleeps.
  let sent = 0;
  const hasGivenUp = () => relay.events("relay.connection_lost").length > 0;
  await waitFor("the end of its patience", async () => {
    await sendLines(relay, numbered(sent, 2000));
    sent += 2000;
    await closeBooks(relay, sent);
    return hasGivenUp();
  });
  const metrics = await closeBooks(relay, sent);
  assert.equal(metrics.sum(LOST, `"${free.destination}"`), 0);
  assert.match(String(relay.events("relay.connection_lost")[0]?.fault), /write timeout/);
});

test("TLS: a certificate that is trusted brings the lines through, by address and by name", async (t) => {
  const sink = await openTcp(t, [], { isTls: true, asksCertificate: true });
  const [ca, cert, key] = (["ca.pem", "server.pem", "server.key"] as const).map(tlsPath);
  const files = `tls-ca = ${ca}\ntls-cert = ${cert}\ntls-key = ${key}`;
  for (const host of ["127.0.0.1", "localhost"]) {
    const relay = await startWith(t, `destinations[] = tls://${host}:${sink.port}\n${files}`);
    const before = linesOf([sink]).length;
    await sendLines(relay, numbered(before, 100));
    await collect([sink], before + 100);
    const metrics = await closeBooks(relay, 100);
    assert.equal(metrics.sum(LOST), 0);
  }
  assert.deepEqual(linesOf([sink]), numbered(0, 200).sort());
  assert.ok(sink.serverNames.includes("localhost"));
});

/** A TLS server that counts bytes; connections whose handshake fails end with the test, too. */
async function openUntrusted(t: TestContext): Promise<{ readonly port: number; bytes: number }> {
  const server = createServer({
    cert: readFileSync(tlsPath("server.pem")),
    key: readFileSync(tlsPath("server.key")),
  });
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => sockets.add(socket));
  server.on("tlsClientError", () => {});
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const untrusted = { port: (server.address() as AddressInfo).port, bytes: 0 };
  server.on("secureConnection", (socket) => {
    socket.on("error", () => {});
    socket.on("data", ({ length }: Buffer) => {
      untrusted.bytes += length;
    });
  });
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return untrusted;
}

test("TLS: a certificate that nobody vouches for gets nothing, unless it need not be good", async (t) => {
  const sink = await openUntrusted(t);
  const destination = `destinations[] = tls://127.0.0.1:${sink.port}\n${FAST}\nprefix = own`;
  const wary = await startWith(t, `${destination}\nqueue-age = 300ms\nhealth = none`);
  await sendLines(wary, numbered(0, 10));
  const { fault } = await eventOf(wary, "relay.connect_failed");
  assert.match(String(fault), /CERT|SIGNED|VERIFY|ISSUER/);
  await wary.until("they are lost", (now) => now.sum(LOST, 'reason="too_old"') === 11);
  const metrics = await closeBooks(wary, 10);
  assert.equal(metrics.sum(SENT), 0);
  assert.equal(sink.bytes, 0);
  const trusting = await startWith(t, `${destination}\ntls-verify = no`);
  await sendLines(trusting, numbered(0, 10));
  const bytes = `${numbered(0, 10).join("\n")}\nown.statsProcessed:10|c\n`.length;
  await waitFor("the lines", () => sink.bytes >= bytes);
  assert.equal(sink.bytes, bytes);
  await closeBooks(trusting, 10);
});

test("one relay sends over UDP, TCP and TLS at a time", async (t) => {
  const udp = await openSink(t);
  const tcp = await openTcp(t);
  const tls = await openTcp(t, [], { isTls: true });
  const list = [`${udp.destination}`, `tcp://127.0.0.1:${tcp.port}`, `tls://127.0.0.1:${tls.port}`];
  const keys = `destinations = ${list.join(", ")}\nsendproto = udp\ntls-ca = ${tlsPath("ca.pem")}`;
  const relay = await startWith(t, keys, IO);
  const lines = numbered(0, 600);
  await sendLines(relay, lines);
  const all = () => [...udp.lines, ...linesOf([tcp, tls])].sort();
  await waitFor("all lines", () => all().length >= lines.length);
  assert.deepEqual(all(), [...lines].sort());
  for (const got of [udp.lines, linesOf([tcp]), linesOf([tls])]) assert.ok(got.length > 100);
  await closeBooks(relay, lines.length);
  assert.deepEqual(await relay.stop(), { code: 0, signal: null });
});
