// Clients as applications use them, over every transport that they have: what they said is in the rows,
// number by number, and so are their events and checks.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type ClientOptions, StatsD } from "hot-shots";
import { chooseIo } from "../../shared/udp.ts";
import { startAggregator, type TestDaemon } from "../support/daemons.ts";
import { RowFile } from "../support/row-file.ts";
import { waitFor } from "../support/wait-for.ts";

const io = await chooseIo("auto");
const python = "/usr/bin/python3";
const hasPython = spawnSync(python, ["-c", "import statsd"]).status === 0;
if (!hasPython) console.error("SKIPPED: Python's client was NOT tried, python3-statsd is not installed");

/** hot-shots needs a compiled addition for unix datagrams, which is not everywhere. */
function hasUnixDatagrams(): boolean {
  try {
    createRequire(import.meta.url)("unix-dgram");
    return io === "mmsg";
  } catch {
    return false;
  }
}
const noUnixDatagrams = !hasUnixDatagrams() && "unix-dgram, which hot-shots needs for this, is not built";

const HITS = 500;
const SAMPLED = 400;
/** Values of `speak`, but for those of `sampled`. */
const SPOKEN = HITS + 20;

/** Says something of every kind. */
function speak(client: StatsD): void {
  for (let hit = 0; hit < HITS; hit++) client.increment("hits");
  client.decrement("hits", 20);
  client.increment(["one", "two"], 2.5);
  client.increment("tagged", 3, { zone: "b", app: "web|1" });
  client.increment("tagged", 4, ["zone:c", "flag"]);
  client.gauge("level", 21.5);
  client.gaugeDelta("level", 1.25);
  client.gaugeDelta("level", -0.5);
  client.gauge("cold", -4);
  for (const value of [12, 30, 18]) client.timing("lat", value);
  for (const value of [512, 2048]) client.histogram("size", value, { kind: "body" });
  client.distribution("dist", 0.125);
  for (const user of ["ann", "bob", "ann"]) client.set("users", user);
  client.unique("users", 42);
  client.childClient({ prefix: "child.", suffix: ".end", globalTags: { env: "other" } }).increment("x", 7);
  for (let step = 0; step < SAMPLED; step++) client.increment("sampled", 1, 0.5);
  client.event("deployed", "build 7\nall well", { alert_type: "success", aggregation_key: "k" }, ["by:ann"]);
  client.check("db.up", client.CHECKS.WARNING, { hostname: "h1", message: "slow" }, ["x:y"]);
}

/** What that must come to, by name; the aggregates of tagged series are told in a tag. */
function expectedOf(prefix: string): [name: string, value: number][] {
  const tagged = (name: string, aggregate: string, tags = "env=test"): string =>
    `${prefix}${name};aggregate=${aggregate};${tags}`;
  return [
    [`${prefix}hits;env=test`, HITS - 20],
    [tagged("hits", "updates"), HITS + 1],
    [`${prefix}one;env=test`, 2.5],
    [`${prefix}two;env=test`, 2.5],
    [`${prefix}tagged;app=web_1;env=test;zone=b`, 3],
    [`${prefix}tagged;env=test;flag=true;zone=c`, 4],
    [`${prefix}level;env=test`, 22.25],
    // On its own a negative number is a change, as statsd has always had it.
    [`${prefix}cold;env=test`, -4],
    [tagged("lat", "count"), 3],
    [tagged("lat", "sum"), 60],
    [tagged("lat", "median"), 18],
    [tagged("lat", "max"), 30],
    [tagged("lat", "last"), 18],
    [tagged("size", "sum", "env=test;kind=body"), 2560],
    [tagged("size", "mean", "env=test;kind=body"), 1280],
    [tagged("dist", "max"), 0.125],
    [tagged("users", "count"), 3],
    [tagged("users", "updates"), 4],
    [`child.${prefix}x.end;env=other`, 7],
  ];
}

/** Its event and its check, in a file, without their time: that of their coming, as the client gives none. */
const ITEMS = [
  {
    kind: "event",
    title: "deployed",
    text: "build 7\nall well",
    host: "",
    tags: ["by:ann", "env:test"],
    priority: "normal",
    alert: "success",
    aggregationKey: "k",
    source: "",
  },
  { kind: "check", name: "hs.db.up", status: 1, host: "h1", tags: ["env:test", "x:y"], message: "slow" },
];

/** A daemon that flushes when it is told to end, so that everything is in one interval. */
function startListening(file: RowFile, sections: Readonly<Record<string, string>>): Promise<TestDaemon> {
  return startAggregator(io, {
    ...sections,
    aggregator: `interval = 1h\nsinks[] = file\nlisten[] = udp://127.0.0.1:0\n${sections.aggregator ?? ""}`,
    aggregation: "update-count-threshold = 1",
    file: file.config,
  });
}

/** Values that the rows tell of. */
function updatesIn(sums: ReadonlyMap<string, number>): number {
  const updates = [...sums].filter(([name]) => /[.=]updates(;|$)/.test(name));
  return updates.reduce((sum, [, value]) => sum + value, 0);
}

interface Way {
  readonly title: string;
  readonly skip: string | false;
  /** Section of a listener, where it is not that of UDP. */
  readonly listener?: (folder: string) => string;
  readonly client: (port: number, folder: string) => Promise<ClientOptions>;
  /** Datagrams that the client makes itself out of many lines. */
  readonly isBuffered: boolean;
}

const WAYS: readonly Way[] = [
  {
    title: "UDP",
    skip: false,
    client: async (port) => ({ port }),
    isBuffered: false,
  },
  {
    title: "UDP with client-side buffering",
    skip: false,
    client: async (port) => ({ port, maxBufferSize: 1400, bufferFlushInterval: 50 }),
    isBuffered: true,
  },
  {
    title: "TCP",
    skip: false,
    listener: () => "listen[] = tcp://127.0.0.1:0",
    client: async (port) => ({ port, protocol: "tcp" }),
    isBuffered: false,
  },
  {
    title: "TCP with client-side buffering",
    skip: false,
    listener: () => "listen[] = tcp://127.0.0.1:0",
    client: async (port) => ({ port, protocol: "tcp", maxBufferSize: 1400, bufferFlushInterval: 50 }),
    isBuffered: true,
  },
  {
    title: "a unix stream",
    skip: false,
    listener: (folder) => `listen[] = unix://${join(folder, "stream.sock")}`,
    client: async (_, folder) => {
      const stream = connect(join(folder, "stream.sock"));
      await once(stream, "connect");
      return { protocol: "stream", stream };
    },
    isBuffered: false,
  },
  {
    title: "unix datagrams",
    skip: noUnixDatagrams,
    listener: (folder) => `listen[] = unixgram://${join(folder, "dgram.sock")}`,
    client: async (_, folder) => ({ protocol: "uds", path: join(folder, "dgram.sock") }),
    isBuffered: false,
  },
];

for (const { title, skip, listener, client: optionsOf, isBuffered } of WAYS) {
  test(`hot-shots over ${title}`, { skip }, async () => {
    const folder = mkdtempSync(join(tmpdir(), "clients-"));
    const file = new RowFile();
    const own = listener?.(folder);
    const aggregator = await startListening(file, own === undefined ? {} : { "listener.own": own });
    const port = aggregator.ports.at(-1)!;
    const failures: Error[] = [];
    const client = new StatsD({
      host: "127.0.0.1",
      prefix: "hs.",
      globalTags: { env: "test" },
      errorHandler: (error) => void failures.push(error),
      ...(await optionsOf(port, folder)),
    });
    speak(client);
    await new Promise((resolve) => client.close(resolve));
    // The last ones said, so that everything else has come as well.
    await waitFor("event and check", () => file.items().length === 2);
    const metrics = await aggregator.until(
      "counts",
      (now) => now.sum("bioyino_lines_received_total") > SPOKEN,
    );
    assert.equal(metrics.sum("bioyino_lines_dropped_total"), 0);
    assert.deepEqual(failures, []);
    if (isBuffered) assert.ok(metrics.sum("bioyino_datagrams_total") < 100);
    assert.equal((await aggregator.stop()).code, 0);
    const last = file.sums();
    for (const [name, value] of expectedOf("hs.")) assert.equal(last.get(name), value, name);
    // Each that came stands for two.
    const sampled = last.get("hs.sampled;aggregate=updates;env=test");
    assert.equal(last.get("hs.sampled;env=test"), sampled! * 2);
    assert.ok(sampled! > SAMPLED / 4 && sampled! < SAMPLED, `${sampled}`);
    assert.equal(updatesIn(last), SPOKEN + sampled!);
    const items = file.items().map(({ timestamp, ...item }) => {
      assert.ok(Math.abs(Number(timestamp) - Date.now() / 1000) < 60, String(timestamp));
      return item;
    });
    assert.deepEqual(items, ITEMS);
    file.remove();
    rmSync(folder, { recursive: true });
  });
}

test("hot-shots in telegraf's way, with tags in the name", async () => {
  const file = new RowFile();
  const aggregator = await startListening(file, { aggregator: "influx-tags = yes" });
  const port = aggregator.ports[0]!;
  const client = new StatsD({ host: "127.0.0.1", port, telegraf: true, globalTags: { env: "test" } });
  client.increment("hits", 3, { zone: "b" });
  client.timing("lat", 7);
  client.gauge("level", 2);
  client.set("users", "ann", { zone: "a" });
  await new Promise((resolve) => client.close(resolve));
  await aggregator.until("all lines", (now) => now.sum("bioyino_lines_accepted_total") === 4);
  assert.equal((await aggregator.stop()).code, 0);
  const sums = file.sums();
  assert.equal(sums.get("hits;env=test;zone=b"), 3);
  assert.equal(sums.get("lat;aggregate=max;env=test"), 7);
  assert.equal(sums.get("level;env=test"), 2);
  assert.equal(sums.get("users;aggregate=count;env=test;zone=a"), 1);
  file.remove();
});

/**
 * Speaks through each client of Python's package statsd, the last one over unix datagrams, which it has no
 * class for. Arguments: port of UDP, port of TCP, path of the stream, path of the datagrams.
 */
const PYTHON = `
import socket
import sys
from datetime import timedelta
import statsd

def speak(client):
    for _ in range(200):
        client.incr("hits")
    client.decr("hits", 20)
    client.incr("half", 3, rate=1)
    client.gauge("level", 70)
    client.gauge("level", 1.5, delta=True)
    client.gauge("level", -10, delta=True)
    client.gauge("cold", -5)
    client.timing("lat", 3.25)
    client.timing("lat", timedelta(seconds=1))
    for user in ("ann", "bob", "ann"):
        client.set("users", user)
    with client.pipeline() as pipe:
        for value in range(50):
            pipe.timing("piped", value)
    if hasattr(client, "close"):
        client.close()

speak(statsd.StatsClient("127.0.0.1", int(sys.argv[1]), prefix="udp"))
speak(statsd.TCPStatsClient("127.0.0.1", int(sys.argv[2]), prefix="tcp"))
speak(statsd.UnixSocketStatsClient(sys.argv[3], prefix="unix"))
if len(sys.argv) > 4:
    client = statsd.StatsClient("127.0.0.1", int(sys.argv[1]), prefix="unixgram")
    client._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    client._addr = sys.argv[4]
    speak(client)
`;

test("Python's statsd over UDP, TCP, a unix stream and unix datagrams", {
  skip: !hasPython && "python3-statsd is not installed",
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), "clients-"));
  const paths = ["stream.sock", "dgram.sock"].map((name) => join(folder, name));
  // Node itself has no unix datagrams.
  const ways = ["udp", "tcp", "unix", "unixgram"].slice(0, io === "mmsg" ? 4 : 3);
  const file = new RowFile();
  const aggregator = await startListening(file, {
    "listener.tcp": "listen[] = tcp://127.0.0.1:0",
    "listener.unix": `listen[] = unix://${paths[0]}`,
    ...(io === "mmsg" && { "listener.unixgram": `listen[] = unixgram://${paths[1]}` }),
  });
  const ports = aggregator.ports.slice(0, 2).map(String);
  const args = ["-c", PYTHON, ...ports, ...paths.slice(0, ways.length - 2)];
  const child = spawn(python, args, { stdio: "inherit" });
  assert.deepEqual(await once(child, "exit"), [0, null]);
  const lines = ways.length * (200 + 1 + 1 + 3 + 2 + 2 + 3 + 50);
  await aggregator.until("all lines", (now) => now.sum("bioyino_lines_accepted_total") === lines);
  assert.equal((await aggregator.stop()).code, 0);
  const sums = file.sums();
  assert.equal(updatesIn(sums), lines);
  for (const prefix of ways) {
    const expected = {
      hits: 180,
      half: 3,
      level: 61.5,
      // The client says 0 first.
      cold: -5,
      "lat.sum": 1003.25,
      "lat.min": 3.25,
      "lat.count": 2,
      "users.count": 2,
      "piped.count": 50,
      "piped.sum": 1225,
      "piped.median": 24.5,
    };
    for (const [name, value] of Object.entries(expected)) {
      assert.equal(sums.get(`${prefix}.${name}`), value, `${prefix}.${name}`);
    }
  }
  file.remove();
  rmSync(folder, { recursive: true });
});
