/** The relay as a process: lines in over sockets, packets out to receivers of the test's own. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { startDaemon } from "../../bin/daemon.ts";
import {
  HEADER_BYTES,
  HEADER_IOV,
  HEADER_IOV_COUNT,
  IOVEC_BYTES,
  IOVEC_LENGTH,
} from "../../shared/kernel/layout.ts";
import { chooseIo, memoryAddress, openSender } from "../../shared/udp.ts";
import { type Io, type Metrics, sendDatagrams, startRelay, TestDaemon } from "../support/daemons.ts";
import { collectLines, UdpSink } from "../support/udp-sink.ts";
import { readTsvVectors } from "../support/vectors.ts";

const kinds = (await chooseIo("auto")) === "mmsg" ? (["mmsg", "dgram"] as const) : (["dgram"] as const);
const mmsgOnly = { skip: kinds[0] === "dgram" && "no mmsg here" };
const executable = fileURLToPath(new URL("../../bin/statsrelay.js", import.meta.url));

const RECEIVED = "statsrelay_lines_received_total";
const ACCEPTED = "statsrelay_lines_accepted_total";
const SENT = "statsrelay_destination_lines_sent_total";
const LOST = "statsrelay_destination_lines_lost_total";
const ROUTED = "statsrelay_destination_lines_routed_total";
const SELF = "statsrelay_self_lines_total";

/** Waits until so many lines came in and none is under way, and checks the identities then. */
async function settled(relay: TestDaemon, lines: number): Promise<Metrics> {
  const metrics = await relay.until(`${lines} lines`, (now) => {
    const gone = now.sum(SENT) + now.sum(LOST);
    return (
      now.sum(RECEIVED) >= lines &&
      now.sum(ROUTED) === gone &&
      now.sum(ROUTED) === now.sum(ACCEPTED) + now.sum(SELF)
    );
  });
  assert.equal(metrics.sum(RECEIVED), lines);
  assert.equal(metrics.sum(RECEIVED), metrics.sum(ACCEPTED) + metrics.sum("statsrelay_lines_dropped_total"));
  assert.equal(metrics.sum("statsrelay_destination_lines_waiting"), 0);
  for (const stage of ["intake", "routing", "output"]) {
    assert.equal(metrics.sum("statsrelay_conservation_error", `stage="${stage}"`), 0, stage);
  }
  return metrics;
}

function numbered(count: number): string[] {
  return Array.from({ length: count }, (_, number) => `app.request.${number}:1|c`);
}

/** Puts lines into datagrams of so many. */
function chunked(lines: readonly string[], perDatagram: number): string[] {
  const count = Math.ceil(lines.length / perDatagram);
  return Array.from({ length: count }, (_, i) =>
    lines.slice(i * perDatagram, (i + 1) * perDatagram).join("\n"),
  );
}

/** Opens receivers that are closed behind the test, however it ends; so it is with relays. */
async function openSinks(t: TestContext, count: number, host?: string): Promise<UdpSink[]> {
  const sinks = await Promise.all(Array.from({ length: count }, () => UdpSink.open(host)));
  t.after(() => Promise.all(sinks.map((sink) => sink.close())));
  return sinks;
}

async function openSink(t: TestContext, host?: string): Promise<UdpSink> {
  return (await openSinks(t, 1, host))[0]!;
}

async function start(t: TestContext, io: Io, args: readonly string[]): Promise<TestDaemon> {
  const relay = await startRelay(io, args);
  t.after(() => relay.stop());
  return relay;
}

for (const io of kinds) {
  test(`${io}: lines go where Go statsrelay sends them`, async (t) => {
    const sinks = await openSinks(t, 5);
    const relay = await start(
      t,
      io,
      sinks.map(({ destination }) => destination),
    );
    const rows = readTsvVectors("routing-fnv1a-jump.tsv").filter(({ name }) =>
      /^(?!.*statsProcessed)[\w.;=,-]+$/.test(name!),
    );
    assert.ok(rows.length > 200);
    await sendDatagrams(
      relay.ports[0]!,
      chunked(
        rows.map(({ name }) => `${name}:1|c`),
        10,
      ),
    );
    await collectLines(sinks, rows.length);
    const placed = new Map(
      sinks.flatMap(({ lines }, bucket) => lines.map((line) => [line, bucket] as const)),
    );
    for (const { name, n5 } of rows) assert.equal(placed.get(`${name}:1|c`), Number(n5), name);
    const metrics = await settled(relay, rows.length);
    assert.equal(metrics.sum("statsrelay_ring_buckets"), 5);
    assert.deepEqual(await relay.stop(), { code: 0, signal: null });
  });

  test(`${io}: blank lines vanish, lines without a colon are dropped and counted`, async (t) => {
    const sink = await openSink(t);
    const relay = await start(t, io, ["-metrics-prefix", "p", "-metrics-tags", "k:v", sink.destination]);
    await sendDatagrams(relay.ports[0]!, ["a:1|c\r\n\n\nnocolon\nb:2|g|#x:y\n", "", "\n"]);
    assert.deepEqual(await collectLines([sink], 2), ["p.a:1|c\r|#k:v", "p.b:2|g|#x:y,k:v"]);
    const metrics = await settled(relay, 3);
    assert.equal(metrics.sum("statsrelay_lines_dropped_total", 'reason="no_colon"'), 1);
    assert.equal(metrics.sum("statsrelay_datagrams_received_total"), 3);
    await relay.stop();
    const own = sink.packets
      .join("")
      .split("\n")
      .filter((line) => line.includes("statsProcessed"));
    assert.deepEqual(own, ["statsrelay.statsProcessed:2|c"]);
  });

  test(`${io}: what was sent before SIGTERM arrives`, async (t) => {
    const sinks = await openSinks(t, 3);
    const relay = await start(t, io, [
      "--flush-interval",
      "1m",
      ...sinks.map(({ destination }) => destination),
    ]);
    const lines = numbered(10_000);
    await sendDatagrams(relay.ports[0]!, chunked(lines, 20));
    const exit = await relay.stop();
    assert.deepEqual(exit, { code: 0, signal: null });
    assert.deepEqual(await collectLines(sinks, lines.length), [...lines].sort());
    const [stopped] = relay.events("relay.stopped");
    assert.equal(stopped?.accepted, lines.length);
  });

  test(`${io}: a destination that refuses costs the other one nothing`, async (t) => {
    const [alive, dead] = await openSinks(t, 2);
    const refusing = dead!.destination;
    await dead!.close();
    const relay = await start(t, io, [alive!.destination, refusing]);
    const rounds = 20;
    const lines = numbered(40);
    for (let round = 0; round < rounds; round++) {
      await sendDatagrams(relay.ports[0]!, chunked(lines, 40));
      await settled(relay, lines.length * (round + 1));
    }
    const metrics = await settled(relay, lines.length * rounds);
    assert.ok(metrics.sum("statsrelay_destination_refusals_total", refusing) > 0);
    assert.equal(metrics.sum("statsrelay_destination_refusals_total", alive!.destination), 0);
    assert.equal(metrics.sum(LOST, alive!.destination), 0);
    const ours = metrics.sum(SENT, alive!.destination);
    await collectLines([alive!], ours - metrics.sum(SELF));
    await relay.stop();
  });

  test(`${io}: IPv6 on both sides`, async (t) => {
    const sink = await openSink(t, "::1");
    const relay = await start(t, io, ["-b", "::1", `${sink.destination}:a`]);
    const socket = createSocket("udp6");
    socket.send("six:1|c", relay.ports[0]!, "::1", () => socket.close());
    assert.deepEqual(await collectLines([sink], 1), ["six:1|c"]);
    await settled(relay, 1);
    await relay.stop();
  });

  test(`${io}: equal arguments get one packet, an instance makes them two`, async (t) => {
    const sink = await openSink(t);
    const { destination } = sink;
    const relay = await start(t, io, [destination, destination, `${destination}:b`]);
    const lines = numbered(60);
    await sendDatagrams(relay.ports[0]!, [lines.join("\n")]);
    assert.deepEqual(await collectLines([sink], lines.length), [...lines].sort());
    const metrics = await settled(relay, lines.length);
    assert.equal(metrics.sum("statsrelay_ring_buckets"), 3);
    assert.equal(metrics.sum("statsrelay_ring_destinations"), 2);
    assert.equal(relay.events("relay.duplicate_destinations").length, 1);
    await relay.stop();
  });

  test(`${io}: sendproto test counts and discards`, async (t) => {
    const sink = await openSink(t);
    const relay = await start(t, io, ["-sendproto", "TEST", sink.destination]);
    await sendDatagrams(relay.ports[0]!, numbered(100));
    const metrics = await settled(relay, 100);
    assert.equal(metrics.sum(SENT), 100 + metrics.sum(SELF));
    assert.ok(metrics.sum("statsrelay_destination_bytes_sent_total") > 100 * "app.request.0:1|c\n".length);
    await relay.stop();
    assert.equal(sink.packets.length, 0);
  });

  test(`${io}: pages tell readiness and metrics`, async (t) => {
    const relay = await start(t, io, ["127.0.0.1:9"]);
    for (const path of ["/healthz", "/readyz", "/metrics"])
      assert.equal((await relay.get(path)).status, 200, path);
    const [started] = relay.events("relay.started");
    assert.equal(started?.io, io);
    assert.deepEqual(started?.destinations, ["127.0.0.1:9"]);
    assert.ok(Number(started?.receiveBufferBytes) > 0);
    await relay.stop();
  });
}

test("two threads share a port and lose nothing", mmsgOnly, async (t) => {
  const sinks = await openSinks(t, 2);
  const relay = await start(t, "mmsg", ["--threads", "2", ...sinks.map(({ destination }) => destination)]);
  const lines = numbered(2_000);
  // The system spreads senders, not datagrams, over the sockets; with 40 of them both get some.
  await Promise.all(
    Array.from({ length: 40 }, (_, sender) =>
      sendDatagrams(relay.ports[0]!, chunked(lines.slice(sender * 50, sender * 50 + 50), 10)),
    ),
  );
  assert.deepEqual(await collectLines(sinks, lines.length), [...lines].sort());
  const metrics = await settled(relay, lines.length);
  assert.equal(metrics.sum("statsrelay_threads"), 2);
  assert.equal(relay.events("relay.started")[0]?.threads, 2);
  assert.deepEqual(await relay.stop(), { code: 0, signal: null });
});

test("one thread serves where datagrams are moved one by one", async (t) => {
  const relay = await start(t, "dgram", ["--threads", "4", "127.0.0.1:9"]);
  assert.equal(relay.events("relay.one_thread").length, 1);
  assert.equal(relay.events("relay.started")[0]?.threads, 1);
  await relay.stop();
});

/** Sends one datagram to a unix socket; node has no such sockets of its own. */
async function sendToUnix(path: string, payload: string): Promise<void> {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const base = await memoryAddress("mmsg", memory);
  const view = new DataView(memory.buffer);
  const [iovec, start] = [HEADER_BYTES, HEADER_BYTES + IOVEC_BYTES];
  view.setBigUint64(HEADER_IOV, base + BigInt(iovec), true);
  view.setBigUint64(HEADER_IOV_COUNT, 1n, true);
  view.setBigUint64(iovec, base + BigInt(start), true);
  view.setBigUint64(iovec + IOVEC_LENGTH, BigInt(Buffer.byteLength(payload)), true);
  Buffer.from(memory.buffer).write(payload, start);
  const sender = await openSender("mmsg", { kind: "unixgram", path }, { memory, queueBytesMax: 1 << 20 });
  sender.send(0, 1);
  assert.equal(sender.tally.packetsSent, 1);
  sender.close();
}

test("a file may name several listen addresses, unix sockets among them", mmsgOnly, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "statsrelay-"));
  const file = join(folder, "suite.ini");
  const path = join(folder, "in.sock");
  const sink = await openSink(t);
  const text = [
    "[relay]",
    `listen[] = unixgram://${path}`,
    "listen[] = udp://127.0.0.1:0",
    `destinations[] = ${sink.destination}`,
    "management = 127.0.0.1:0",
    "flush-interval = 50ms",
  ];
  writeFileSync(file, `${text.join("\n")}\n`);
  const output: string[] = [];
  const daemon = startDaemon(executable, ["--config", file], {
    startedEvent: "relay.started",
    onLine: (line) => output.push(line),
  });
  const { listen, management } = await daemon.started;
  const relay = new TestDaemon(daemon, output, listen, management, folder);
  t.after(() => relay.stop());
  await sendToUnix(path, "unix:1|c\nunix:2|c");
  await sendDatagrams(relay.ports[1]!, ["udp:1|c"]);
  assert.deepEqual(await collectLines([sink], 3), ["udp:1|c", "unix:1|c", "unix:2|c"]);
  await settled(relay, 3);
  assert.deepEqual(await relay.stop(), { code: 0, signal: null });
});

/** Runs the executable to its end, which must come by itself. */
function runOnce(...args: readonly string[]): { code: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [executable, ...args], {
    encoding: "utf8",
    timeout: 20_000,
  });
  return { code: status, stdout, stderr };
}

test("what is wrong at start is told on stderr, with the exit code of its kind", async () => {
  const folder = mkdtempSync(join(tmpdir(), "statsrelay-"));
  const file = join(folder, "bad.ini");
  writeFileSync(file, "[relay]\nthreads = none\nnonsense = 1\n");
  const cases: [readonly string[], number, RegExp][] = [
    [["-nosuch"], 2, /-nosuch is an unknown flag/],
    [["-p", "x", "127.0.0.1:9"], 2, /-p: "x"/],
    [[], 1, /no destinations/],
    [["nohost"], 1, /nohost/],
    [["1:2:3:4"], 1, /1:2:3:4/],
    [["name.invalid:8125"], 1, /destination name\.invalid:8125: the name name\.invalid cannot be resolved/],
    [["127.0.0.1:nosuchservice"], 1, /nosuchservice/],
    [["-b", "192.0.2.1", "-p", "0", "127.0.0.1:9"], 1, /listen udp:\/\/192\.0\.2\.1:0/],
    [["--config", file, "127.0.0.1:9"], 78, /threads[\s\S]*nonsense/],
    [["--config", file, "--check-config"], 78, /threads[\s\S]*nonsense/],
    [["--check-config"], 78, /destinations/],
  ];
  for (const [args, code, message] of cases) {
    const run = runOnce("--management", "127.0.0.1:0", ...args);
    assert.equal(run.code, code, `${args.join(" ")}: ${run.stderr}`);
    assert.match(run.stderr, message);
    assert.equal(run.stdout, "");
  }
  rmSync(folder, { recursive: true });
});

test("ports in use are refused, also by a relay whose threads share theirs", async (t) => {
  const socket = createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  const args = ["-b", "127.0.0.1", "-p", String(socket.address().port), "--management", "127.0.0.1:0"];
  for (const threads of ["1", "2"]) {
    const { code, stderr } = runOnce(...args, "--threads", threads, "127.0.0.1:9");
    assert.equal(code, 1);
    assert.match(stderr, /in use/);
  }
  await new Promise<void>((resolve) => socket.close(resolve));
  const relay = await start(t, "dgram", ["127.0.0.1:9"]);
  const { code, stderr } = runOnce(
    "-b",
    "127.0.0.1",
    "-p",
    "0",
    "--management",
    relay.management,
    "127.0.0.1:9",
  );
  assert.equal(code, 1);
  assert.match(stderr, /management/);
  await relay.stop();
});

test("questions about itself are answered without a socket", () => {
  assert.match(runOnce("--version").stdout, /^\d+\.\d+\.\d+\n$/);
  assert.deepEqual(runOnce("--check-config", "127.0.0.1:9"), { code: 0, stdout: "ok\n", stderr: "" });
  assert.match(runOnce("--print-config", "-packetlen", "512", "127.0.0.1:9").stdout, /^packetlen = 512$/m);
  assert.equal(runOnce("-h").code, 0);
});
