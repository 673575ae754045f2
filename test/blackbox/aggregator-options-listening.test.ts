/** How lines come in: streams and their bounds, certificates, signatures, threads. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { connect as connectTls } from "node:tls";
import { signDatagram } from "../../aggregator/listener/signed-datagram.ts";
import { sendDatagrams, startAggregator } from "../support/daemons.ts";
import { IO, OptionRig } from "../support/option-rig.ts";
import { TcpSink, tlsPath } from "../support/tcp-sink.ts";
import { UdpSink } from "../support/udp-sink.ts";
import { waitFor } from "../support/wait-for.ts";

const VALUES = "counter = value";
const mmsgOnly = IO === "mmsg" ? {} : { skip: "without koffi one thread has the port" };

function open(port: number): Socket {
  return connect(port, "127.0.0.1")
    .on("error", () => {})
    .resume();
}

test("threads share a port, and their sums are one", mmsgOnly, async (t) => {
  const rig = await OptionRig.start(t, {
    aggregator: "threads = 2\nreceive-buffer = 1m",
    aggregation: VALUES,
  });
  const [started] = rig.daemon.events("aggregator.started");
  assert.equal(started!.threads, 2);
  // Linux grants twice what is asked for, where it may.
  assert.ok(Number(started!.receiveBufferBytes) <= 2 << 20);
  // Each call has a port of its own, so that the system spreads them.
  for (let index = 0; index < 20; index++) await rig.send(["a:1|c"]);
  await rig.settled(20);
  assert.deepEqual(await rig.rows(), { a: 20 });
});

test("line-bytes-max, idle-timeout and connections-max of a stream, each for its listener", async (t) => {
  const rig = await OptionRig.start(t, {
    aggregator: "listen[] = tcp://127.0.0.1:0\nline-bytes-max = 64",
    aggregation: VALUES,
    "listener.busy": "listen[] = tcp://127.0.0.1:0\nconnections-max = 2\nidle-timeout = 1s",
    "listener.framed": "listen[] = tcp://127.0.0.1:0\nframing = length\nline-bytes-max = 64",
  });
  const [plain, busy, framed] = rig.daemon.ports;
  open(plain!).end(`${"x".repeat(64)}:1|c\nshort:1|c\n${"y".repeat(60)}:1|c`);
  const metrics = await rig.settled(3);
  assert.equal(metrics.sum("bioyino_lines_dropped_total", 'reason="line_too_long"'), 1);

  const streams = [open(busy!), open(busy!)];
  await Promise.all(streams.map((stream) => once(stream, "connect")));
  streams[0]!.write("first:1|c\n");
  await rig.settled(4);
  await once(open(busy!), "close");
  // Silence ends the others.
  await Promise.all(streams.map((stream) => once(stream, "close")));
  open(busy!).end("next:1|c\n");
  await rig.settled(5);

  const frame = Buffer.alloc(4 + 9);
  frame.writeUInt32LE(9);
  frame.write("frame:1|c", 4);
  open(framed!).end(frame);
  await rig.settled(6);
  const status = (await (await rig.daemon.get("/status")).json()) as { listeners: { name: string }[] };
  assert.deepEqual([...new Set(status.listeners.map(({ name }) => name))], ["aggregator", "busy", "framed"]);
  assert.deepEqual(await rig.rows(), { short: 1, ["y".repeat(60)]: 1, first: 1, next: 1, frame: 1 });
});

test("tls-cert and tls-key serve everybody, tls-client-ca only who has a certificate", async (t) => {
  const files = `tls-cert = ${tlsPath("server.pem")}\ntls-key = ${tlsPath("server.key")}`;
  const rig = await OptionRig.start(t, {
    aggregator: `listen[] = tls://127.0.0.1:0\n${files}`,
    aggregation: VALUES,
    "listener.strict": `listen[] = tls://127.0.0.1:0\ntls-client-ca = ${tlsPath("ca.pem")}`,
  });
  const ca = readFileSync(tlsPath("ca.pem"));
  const own = { cert: readFileSync(tlsPath("server.pem")), key: readFileSync(tlsPath("server.key")) };
  const say = (port: number, line: string, certificate: object) =>
    connectTls({ host: "127.0.0.1", port, ca, ...certificate })
      .on("error", () => {})
      .resume()
      .end(line);
  const [everybody, strict] = rig.daemon.ports;
  say(everybody!, "open:1|c\n", {});
  say(strict!, "none:1|c\n", {});
  say(strict!, "shown:1|c\n", own);
  await rig.daemon.until("both", (metrics) => {
    return (
      metrics.sum("bioyino_lines_received_total") === 2 && metrics.sum("bioyino_samples_in_flight") === 0
    );
  });
  assert.deepEqual(await rig.rows(), { open: 1, shown: 1 });
});

test("hmac-window refuses what was signed before it, or after the clock's time", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "hmac-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, "key"), "secret\n");
  const rig = await OptionRig.start(t, {
    aggregator: `hmac-key-file = ${join(folder, "key")}\nhmac-window = 30s`,
    aggregation: VALUES,
  });
  const key = Buffer.from("secret");
  const signed = [-100, -10, 0, 10, 100].map((offsetSec, nonce) => {
    return signDatagram(key, Date.now() + offsetSec * 1000, nonce, Buffer.from("a:1|c"));
  });
  const [port] = rig.daemon.ports;
  await sendDatagrams(port!, signed);
  const metrics = await rig.settled(3);
  assert.equal(metrics.sum("bioyino_datagrams_refused_total", 'reason="stale"'), 2);
  await sendDatagrams(port!, [signDatagram(Buffer.from("other"), Date.now(), 1, Buffer.from("a:1|c"))]);
  await rig.daemon.until("the forgery", (now) => {
    return now.sum("bioyino_datagrams_refused_total", 'reason="bad_signature"') === 1;
  });
  assert.deepEqual(await rig.rows(), { a: 3 });
});

test("unix sockets: datagrams and streams, with permissions of their own", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "unix-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const stream = join(folder, "stream.sock");
  const rig = await OptionRig.start(t, {
    aggregator: `listen[] = unix://${stream}\nsocket-mode = 0600`,
    aggregation: VALUES,
  });
  connect(stream).end("a:1|c\nb:2|c");
  await rig.settled(2);
  assert.deepEqual(await rig.rows(), { a: 1, b: 2 });
});

test("repeater: everything goes on by udp and by tcp, as it came, whatever becomes of it here", async (t) => {
  const [lines, datagrams] = [await TcpSink.start(), await UdpSink.open()];
  t.after(async () => {
    await lines.stop();
    await datagrams.close();
  });
  const rig = await OptionRig.start(t, {
    aggregation: VALUES,
    repeater: `address[] = tcp://127.0.0.1:${lines.port}\naddress[] = udp://${datagrams.destination}`,
  });
  await rig.send(["a:1|c\nbad line\n", "b:2|c"]);
  await rig.settled(3);
  await waitFor("both", () => lines.lines.length === 3 && datagrams.packets.length === 2);
  assert.deepEqual(lines.lines, ["a:1|c", "bad line", "b:2|c"]);
  assert.deepEqual(datagrams.packets, ["a:1|c\nbad line\n", "b:2|c"]);
  assert.deepEqual(await rig.rows(), { a: 1, b: 2 });
});

test("a receive buffer that the system does not grant is told", async (t) => {
  // Only mmsg can go beyond the limit of the system, and only for root.
  const aggregator = await startAggregator("dgram", {
    aggregator: "listen[] = udp://127.0.0.1:0\nreceive-buffer = 1g",
    "listener.modest": "listen[] = udp://127.0.0.1:0\nreceive-buffer = 16k",
    "listener.streams": "listen[] = tcp://127.0.0.1:0\nreceive-buffer = 1g",
  });
  t.after(() => aggregator.stop());
  const [warning, ...others] = aggregator.events("intake.small_receive_buffer");
  assert.deepEqual(others, []);
  assert.equal(warning!.listen, `udp://127.0.0.1:${aggregator.ports[0]}`);
  assert.equal(warning!.wantedBytes, 2 ** 30);
  assert.ok(Number(warning!.grantedBytes) < 2 ** 30);
});
