/** Where lines go: each hash against what its original did, key rules, weights, replicas, destinations. */
import assert from "node:assert/strict";
import { readdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { openReceiver } from "../../shared/udp.ts";
import type { TestDaemon } from "../support/daemons.ts";
import { receive } from "../support/receive-batch.ts";
import {
  closeBooks,
  eventOf,
  IO,
  KINDS,
  named,
  newFolder,
  openSink,
  openSinks,
  runCommand,
  sendLines,
  startByCommand,
  startWith,
} from "../support/relay-rig.ts";
import { collectLines, type UdpSink } from "../support/udp-sink.ts";
import { readTsvVectors, type VectorRow } from "../support/vectors.ts";
import { waitFor } from "../support/wait-for.ts";

const mmsgOnly = { skip: IO === "dgram" && "no mmsg here" };
const ROUTED = "statsrelay_destination_lines_routed_total";
/** Long enough that the relay's own line does not come into the counts. */
const NO_FLUSH = "flush-interval = 1m";

/** Rows whose names look like names, without the relay's own; tests of kernels try the others. */
function plainRows(file: string): VectorRow[] {
  const rows = readTsvVectors(file).filter(({ name }) => /^(?!.*statsProcessed)[\w.;=,-]+$/.test(name!));
  assert.ok(rows.length > 100, file);
  return rows;
}

/** Sends each name once and returns which receivers got it, by name. */
async function place(
  relay: TestDaemon,
  sinks: readonly UdpSink[],
  names: readonly string[],
  copies = 1,
): Promise<Map<string, number[]>> {
  await sendLines(
    relay,
    names.map((name) => `${name}:1|c`),
  );
  await collectLines(sinks, names.length * copies);
  const placed = new Map<string, number[]>();
  for (const [index, { lines }] of sinks.entries()) {
    for (const line of lines) {
      const name = line.replace(/:1\|c$/, "");
      placed.set(name, [...(placed.get(name) ?? []), index]);
    }
  }
  await closeBooks(relay, names.length);
  return placed;
}

/** Checks each row's column against where its name went. */
async function checkColumn(
  t: TestContext,
  relay: TestDaemon,
  sinks: readonly UdpSink[],
  rows: readonly VectorRow[],
  bucketOf: (row: VectorRow) => number,
): Promise<void> {
  const names = [...new Set(rows.map(({ name }) => name!))];
  const placed = await place(relay, sinks, names);
  for (const row of rows) assert.deepEqual(placed.get(row.name!), [bucketOf(row)], row.name);
  t.diagnostic(`${names.length} names`);
}

for (const io of KINDS) {
  test(`${io}: djb2-mod spreads names as the Rust proxy does`, async (t) => {
    const sinks = await openSinks(t, 5);
    const relay = await startWith(t, `${named(sinks)}\nhash = djb2-mod`, io);
    await checkColumn(t, relay, sinks, plainRows("djb2.tsv"), ({ m5 }) => Number(m5));
  });

  test(`${io}: murmur3-shards spreads names as the relays of Uber and Lyft do`, async (t) => {
    const sinks = await openSinks(t, 4);
    const rows = plainRows("murmur3-shard.tsv");
    const plain = await startWith(t, `${named(sinks)}\nhash = murmur3-shards`, io);
    await checkColumn(t, plain, sinks, rows, ({ n4 }) => Number(n4));
    for (const sink of sinks) sink.packets.length = 0;
    const sharded = await startWith(t, `${named(sinks)}\nhash = murmur3-shards\nshards = 1000`, io);
    await checkColumn(t, sharded, sinks, rows, ({ n1000 }) => Number(n1000) % 4);
  });

  test(`${io}: replicas of a line go where the xorshift chain says`, async (t) => {
    const sinks = await openSinks(t, 5);
    const rows = plainRows("routing-replicas.tsv").filter(
      (row) => row.ring_size === "5" && row.replicas === "2",
    );
    assert.ok(rows.length > 20);
    const relay = await startWith(t, `${named(sinks)}\nreplicas = 2`, io);
    const names = rows.map(({ name }) => name!);
    const placed = await place(relay, sinks, names, 2);
    for (const { name, selection } of rows) {
      const wanted = selection!.split(",").map(Number).sort();
      assert.deepEqual(placed.get(name!), wanted, name);
    }
    const metrics = await closeBooks(relay, names.length);
    // The relay's own line has no replicas: they would count it twice.
    assert.equal(metrics.sum("statsrelay_lines_copied_total"), names.length);
  });
}

test("ketama-etsy spreads names as the proxy of etsy does", async (t) => {
  const rings = {
    ring3: [8127, 8129, 8131].map((port) => `127.0.0.1:${port}`),
    ring5: [1, 2, 3, 4, 5].map((host) => `10.0.0.${host}:8125`),
  };
  const rows = plainRows("ketama-etsy-proxy.tsv");
  const names = rows.map(({ name }) => name!);
  for (const [ring, destinations] of Object.entries(rings)) {
    // Their addresses belong to the vectors, so nothing is sent there.
    const keys = `destinations = ${destinations.join(" ")}\nsendproto = test\nhash = ketama-etsy`;
    const relay = await startWith(t, `${keys}\n${NO_FLUSH}`);
    await sendLines(
      relay,
      names.map((name) => `${name}:1|c`),
    );
    const metrics = await closeBooks(relay, names.length);
    for (const [bucket, destination] of destinations.entries()) {
      const wanted = rows.filter((row) => Number(row[ring]) === bucket).length;
      assert.equal(metrics.sum(ROUTED, `destination="${destination}"`), wanted, destination);
    }
    assert.equal(metrics.sum(ROUTED), names.length);
  }
});

test("ketama-etsy: lines arrive where explain says", async (t) => {
  const sinks = await openSinks(t, 3);
  const names = Array.from({ length: 60 }, (_, number) => `app.request.${number}`);
  const relay = await startWith(t, `${named(sinks)}\nhash = ketama-etsy`);
  const placed = await place(relay, sinks, names);
  const { code, stdout, stderr } = runCommand(["explain", "--config", relay.configPath, "--json", ...names]);
  assert.equal(code, 0, stderr);
  const answers = JSON.parse(stdout) as { given: string; targets: { destinations: string[] }[] }[];
  for (const { given, targets } of answers) {
    const wanted = sinks.findIndex(({ destination }) => destination === targets[0]!.destinations[0]);
    assert.deepEqual(placed.get(given), [wanted], given);
  }
  assert.equal(answers.length, names.length);
  assert.equal(new Set([...placed.values()].flat()).size, 3);
});

test("a weight is as many entries, dealt out breadth first", async (t) => {
  const sinks = await openSinks(t, 2);
  const [heavy, light] = sinks.map(({ destination }) => destination);
  const relay = await startWith(t, `destinations[] = ${heavy}*3\ndestinations[] = ${light}`);
  // Buckets are heavy, light, heavy, heavy: a ring of four.
  const owners = [0, 1, 0, 0];
  const rows = plainRows("routing-fnv1a-jump.tsv");
  await checkColumn(t, relay, sinks, rows, ({ n4 }) => owners[Number(n4)]!);
  const metrics = await relay.metrics();
  assert.equal(metrics.sum("statsrelay_ring_buckets"), 4);
  assert.equal(metrics.sum("statsrelay_ring_destinations"), 2);
});

test("key rules decide what of a name is hashed", async (t) => {
  const rows = plainRows("routing-fnv1a-jump.tsv").filter(({ name }) => /^[\w.-]+$/.test(name!));
  const bases = rows.slice(0, 60);
  const homes = new Map(bases.map(({ name, n5 }) => [name!, Number(n5)]));
  const tagged = ["", ";b=2;a=1", ";a=1;b=2"];
  const names = [...homes.keys()].flatMap((name) => tagged.map((tags) => name + tags));
  for (const key of ["name", "untagged", "sorted"] as const) {
    const sinks = await openSinks(t, 5);
    const relay = await startWith(t, `${named(sinks)}\nkey = ${key}`);
    const placed = await place(relay, sinks, names);
    const ofTags = (name: string) => tagged.map((tags) => placed.get(name + tags)![0]);
    for (const [name, home] of homes) assert.equal(ofTags(name)[0], home, name);
    const differing = (left: number, right: number) =>
      [...homes.keys()].filter((name) => ofTags(name)[left] !== ofTags(name)[right]).length;
    assert.equal(differing(1, 2) > 0, key === "name", `${key}: the order of tags counts or not`);
    assert.equal(differing(0, 1) > 0, key !== "untagged", `${key}: tags count or not`);
  }
});

test("the file of the Rust proxy works as it is, and its variables override it", async (t) => {
  const sinks = await openSinks(t, 5);
  const file = join(newFolder(t), "config.ini");
  const destinations = sinks.map(({ destination }) => destination).join("  ");
  const text = [
    "bind_interface = 192.0.2.1",
    "bind_port = 9",
    "threads = 3",
    `destinations = ${destinations}`,
  ];
  writeFileSync(file, `${text.join("\n")}\n`);
  const environment = { BIND_INTERFACE: "127.0.0.1", BIND_PORT: "0", THREADS: "1" };
  const flags = ["--config", file, "--management", "127.0.0.1:0", "--flush-interval", "50ms"];
  const relay = await startByCommand(t, flags, environment);
  await checkColumn(t, relay, sinks, plainRows("djb2.tsv"), ({ m5 }) => Number(m5));
  const [started] = relay.events("relay.started");
  assert.equal(started?.threads, 1);
  assert.match(String(started?.listen), /^udp:\/\/127\.0\.0\.1:\d+$/);
  const refused = runCommand(["--check-config", "--config", file], { BIND_PORT: "x" });
  assert.equal(refused.code, 78);
  assert.match(refused.stderr, /BIND_PORT/);
});

test("a unix datagram socket is a destination", mmsgOnly, async (t) => {
  const path = join(newFolder(t), "out.sock");
  const options = { receiveBufferBytes: 1 << 20, sharePort: false };
  const receiver = await openReceiver("mmsg", { kind: "unixgram", path }, options);
  t.after(() => receiver.close());
  const relay = await startWith(t, `destinations[] = unixgram://${path}\n${NO_FLUSH}\npacketlen = 11`);
  // The second line does not fit the packet of the first.
  await sendLines(relay, ["unix:1|c", "unix:2|c"]);
  assert.deepEqual(await receive(receiver, "mmsg", 1), ["unix:1|c\n"]);
  const metrics = await closeBooks(relay, 2);
  assert.equal(metrics.sum("statsrelay_destination_lines_waiting"), 1);
});

test("a file of destinations is followed, and a bad one is not", async (t) => {
  const sinks = await openSinks(t, 2);
  const folder = newFolder(t);
  const file = join(folder, "destinations");
  /** As whoever makes such files should: a reader never sees half of one. */
  const write = (text: string) => {
    writeFileSync(`${file}.new`, text);
    renameSync(`${file}.new`, file);
  };
  write(`# the first\n${sinks[0]!.destination}\n`);
  const relay = await startWith(t, `destinations-file = ${file}`);
  await sendLines(relay, ["before:1|c"]);
  await collectLines([sinks[0]!], 1);
  write("nonsense\n");
  await eventOf(relay, "relay.destinations_file_invalid");
  await sendLines(relay, ["meanwhile:1|c"]);
  assert.deepEqual(await collectLines([sinks[0]!], 2), ["before:1|c", "meanwhile:1|c"]);
  write(`${sinks[1]!.destination}\n`);
  await eventOf(relay, "relay.reloaded");
  await sendLines(relay, ["after:1|c"]);
  assert.deepEqual(await collectLines([sinks[1]!], 1), ["after:1|c"]);
  const metrics = await closeBooks(relay, 3);
  assert.equal(metrics.sum("statsrelay_generation"), 2);
  assert.equal(metrics.sum("statsrelay_ring_destinations"), 1);
  assert.deepEqual(readdirSync(folder), ["destinations"]);
});

test("names of destinations are looked up", async (t) => {
  const sink = await openSink(t);
  const relay = await startWith(t, `destinations[] = localhost:${sink.port}\nresolve-interval = 1s`);
  await sendLines(relay, ["named:1|c"]);
  assert.deepEqual(await collectLines([sink], 1), ["named:1|c"]);
  await relay.until("a second look-up", (now) => now.sum("statsrelay_lookups_total", "found") >= 2);
  const metrics = await closeBooks(relay, 1);
  assert.equal(metrics.sum("statsrelay_lookups_total", "failed"), 0);
  assert.equal(metrics.sum("statsrelay_generation"), 1, "an address that stays is no change");
  await waitFor("its address in the status", async () => {
    const page = await (await relay.get("/status")).text();
    return page.includes(`"address":"127.0.0.1 ${sink.port}"`);
  });
});
