/** Where rows go: every way to carbon, files, queues and spools, as their sections say. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type Metrics, sendDatagrams, startAggregator } from "../support/daemons.ts";
import { FakeCarbon } from "../support/fake-carbon.ts";
import { IO, OptionRig } from "../support/option-rig.ts";
import { tlsPath } from "../support/tcp-sink.ts";
import { UdpSink } from "../support/udp-sink.ts";
import { waitFor } from "../support/wait-for.ts";

const VALUES = "counter = value";

function newFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "options-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function newCarbon(t: TestContext, ...rest: Parameters<typeof FakeCarbon.start>): Promise<FakeCarbon> {
  const carbon = await FakeCarbon.start(...rest);
  t.after(() => carbon.stop());
  return carbon;
}

/** Values by name, of lines `name value timestamp`. */
function valuesOf(lines: readonly string[]): Record<string, string> {
  return Object.fromEntries(lines.map((line) => line.split(" ").slice(0, 2)));
}

/** Whether all that came is in some flush. */
function isFlushed(metrics: Metrics): boolean {
  return metrics.sum("bioyino_flushed_samples_total") === metrics.sum("bioyino_samples_total");
}

const numbered = (count: number): string[] => Array.from({ length: count }, (_, index) => `name${index}:1|c`);

test("one row by tcp, udp and tls, as plaintext and pickle, each section in its own way", async (t) => {
  const tls = { cert: readFileSync(tlsPath("server.pem")), key: readFileSync(tlsPath("server.key")) };
  const [plain, pickle, secure] = [await newCarbon(t), await newCarbon(t), await newCarbon(t, [], tls)];
  const datagrams = await UdpSink.open();
  t.after(() => datagrams.close());
  const rig = await OptionRig.start(t, {
    aggregator: "sinks[] = carbon, carbon.pickle, carbon.udp, carbon.tls",
    aggregation: VALUES,
    carbon: `address[] = 127.0.0.1:${plain.port}\nbind-address = 127.0.0.5\nconnections = 2`,
    "carbon.pickle": `address[] = 127.0.0.1:${pickle.port}\nformat = pickle\nbind-address =`,
    "carbon.udp": `address[] = ${datagrams.destination}\nprotocol = udp\nconnections = 1\npacket-bytes = 100`,
    "carbon.tls": `address[] = localhost:${secure.port}\nprotocol = tls\ntls-ca = ${tlsPath("ca.pem")}`,
  });
  const lines = numbered(1000);
  await rig.send([lines.slice(0, 500).join("\n"), lines.slice(500).join("\n")]);
  await rig.settled(lines.length);
  const { code } = await rig.daemon.stop();
  assert.equal(code, 0);
  const wanted = Object.fromEntries(lines.map((line) => [line.split(":")[0]!, "1"]));
  assert.deepEqual(valuesOf(plain.lines()), wanted);
  assert.deepEqual(valuesOf(secure.lines()), wanted);
  assert.ok(plain.remotes.every((host) => host === "127.0.0.5"));
  // An empty value is said as well: the system chooses.
  assert.deepEqual([...new Set(pickle.remotes)], ["127.0.0.1"]);
  // What is inherited is left out.
  assert.deepEqual([...new Set(secure.remotes)], ["127.0.0.5"]);
  await waitFor("the datagrams", () => datagrams.lines.length === lines.length);
  assert.deepEqual(valuesOf(datagrams.lines), wanted);
  assert.ok(datagrams.packets.every((packet) => packet.length <= 100));
  assert.ok(datagrams.packets.some((packet) => packet.split("\n").length > 3));
  const bytes = Buffer.concat(pickle.acknowledged);
  assert.ok(bytes.readUInt32BE(0) < bytes.length && bytes[4] === 0x80, "frames of pickle's protocol 2");
  assert.ok(lines.every((line) => bytes.includes(line.split(":")[0]!)));
});

test("several addresses get all rows each", async (t) => {
  const carbons = [await newCarbon(t), await newCarbon(t)];
  const rig = await OptionRig.start(t, {
    aggregator: "sinks[] = carbon",
    aggregation: VALUES,
    carbon: carbons.map(({ port }) => `address[] = 127.0.0.1:${port}`).join("\n"),
  });
  await rig.send(["a:1|c"]);
  await rig.settled(1);
  await rig.daemon.stop();
  for (const carbon of carbons) assert.deepEqual(valuesOf(carbon.lines()), { a: "1" });
});

test("tls-verify: a certificate of nobody is refused, unless it shall not be looked at", async (t) => {
  const tls = { cert: readFileSync(tlsPath("server.pem")), key: readFileSync(tlsPath("server.key")) };
  const carbon = await newCarbon(t, [], tls);
  const rig = await OptionRig.start(t, {
    aggregator: "sinks[] = carbon, carbon.any\ndrain-timeout = 1s",
    aggregation: VALUES,
    carbon: `address[] = 127.0.0.1:${carbon.port}\nprotocol = tls`,
    "carbon.any": `address[] = 127.0.0.1:${carbon.port}\ntls-verify = no`,
  });
  await rig.send(["a:1|c"]);
  await rig.settled(1);
  await rig.daemon.stop();
  assert.deepEqual(valuesOf(carbon.lines()), { a: "1" });
  const failed = rig.daemon.events("sink.failed");
  assert.deepEqual([...new Set(failed.map(({ sink }) => sink))], ["carbon"]);
});

test("spool-dir: rows that the end could not deliver are sent by the next process", async (t) => {
  const spool = newFolder(t);
  const carbon = await newCarbon(t);
  await carbon.stop();
  const config = {
    aggregation: VALUES,
    carbon: `address[] = 127.0.0.1:${carbon.port}\nspool-dir = ${spool}`,
  };
  const first = await OptionRig.start(t, {
    ...config,
    aggregator: "sinks[] = carbon\ndrain-timeout = 200ms",
  });
  await first.send(["a:1|c\nb:2|c"]);
  await first.settled(2);
  await first.daemon.stop();
  assert.ok(readdirSync(spool, { recursive: true }).some((name) => String(name).endsWith(".rows")));
  await carbon.restart();
  const second = await OptionRig.start(t, { ...config, aggregator: "sinks[] = carbon" });
  await waitFor("the rows", () => carbon.lines().length === 2);
  assert.deepEqual(valuesOf(carbon.lines()), { a: "1", b: "2" });
  await second.daemon.until("the account", (now) => now.sum("bioyino_sink_rows_sent_total") === 2);
});

test("queue-bytes: beyond it the oldest rows go, counted, and the newest arrive", async (t) => {
  const carbon = await newCarbon(t);
  await carbon.stop();
  const rig = await OptionRig.start(t, {
    aggregator: "sinks[] = carbon\ninterval = 200ms",
    aggregation: VALUES,
    carbon: `address[] = 127.0.0.1:${carbon.port}\nqueue-bytes = 64k\nretry-delay-max = 100ms`,
  });
  const lines = numbered(1500)
    .map((line) => `${"long.".repeat(10)}${line}`)
    .join("\n");
  const lost = 'reason="queue_full"';
  await waitFor("losses", async () => {
    await rig.send([lines.slice(0, 60_000)]);
    return (await rig.daemon.metrics()).sum("bioyino_sink_rows_lost_total", lost) > 0;
  });
  // In an interval of its own: a batch with the flood in it is larger than the queue.
  const flood = await rig.daemon.until("the flood flushed", isFlushed);
  const floodCount = flood.sum("bioyino_samples_total");
  await rig.send(["newest:1|c"]);
  await rig.daemon.until(
    "the newest",
    (now) => now.sum("bioyino_samples_total") > floodCount && isFlushed(now),
  );
  await carbon.restart();
  await waitFor("the newest", () => carbon.lines().some((line) => line.startsWith("newest ")));
});

test("file: tsv lines, new files beyond rotate-bytes, keep of the old ones", async (t) => {
  const path = join(newFolder(t), "rows.tsv");
  const rig = await OptionRig.start(t, {
    aggregator: "interval = 200ms",
    aggregation: VALUES,
    file: `path = ${path}\nrotate-bytes = 64k\nkeep = 2`,
  });
  const lines = numbered(1500).map((line) => `${"long.".repeat(5)}${line}`);
  await waitFor("three files", async () => {
    await rig.send([lines.join("\n").slice(0, 60_000)]);
    return existsSync(`${path}.2`) && existsSync(path);
  });
  await rig.daemon.stop();
  assert.ok(!existsSync(`${path}.3`));
  for (const file of [path, `${path}.1`, `${path}.2`]) {
    const text = readFileSync(file, "utf8");
    assert.ok(text.length <= 65_536, `${file}: ${text.length}`);
    for (const line of text.split("\n").slice(0, -1)) assert.match(line, /^(?:long\.){5}\w+\t\d+\t\d{10}$/);
  }
});

test("console: so many rows of a flush as its section says", async (t) => {
  const daemon = await startAggregator(IO, {
    aggregator: "sinks[] = console\ninterval = 1h",
    aggregation: VALUES,
    console: "rows = 2",
  });
  t.after(() => daemon.stop());
  await sendDatagrams(daemon.ports[0]!, ["a:1|c\nb:1|c\nc:1|c"]);
  await daemon.until("the lines", (now) => now.sum("bioyino_samples_merged_total") === 3);
  await daemon.stop();
  const shown = daemon.output.filter((line) => /^ {2}[abc] +1/.test(line));
  assert.equal(shown.length, 2, daemon.output.join("\n"));
});
