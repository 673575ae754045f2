/** What a running relay, or a configuration, answers to an operator; and lines that outlive their relay. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  closeBooks,
  KINDS,
  named,
  newFolder,
  openSink,
  openSinks,
  runCommand,
  sendLines,
  startWith,
} from "../support/relay-rig.ts";
import { collectLines, UdpSink } from "../support/udp-sink.ts";
import { waitFor } from "../support/wait-for.ts";

const UP = "statsrelay_destination_up";
const QUEUED = "statsrelay_destination_lines_queued";
const RESTORED = "statsrelay_destination_lines_restored_total";
const REPLAYED = "statsrelay_destination_lines_replayed_total";

test("explain says where a name goes, and the relay sends it there", async (t) => {
  const sinks = await openSinks(t, 3);
  const relay = await startWith(t, `${named(sinks)}\nreplicas = 2\nblock[] = bad.*`);
  const { code, stdout } = runCommand(["explain", "--config", relay.configPath, "app.hits:1|c", "bad.one"]);
  assert.equal(code, 0);
  assert.match(stdout, /^name app\.hits\n/);
  assert.match(stdout, /name bad\.one\n {2}dropped +filtered\n/);
  const first = /destination +(\S+)/.exec(stdout)?.[1];
  const second = /replica +(\S+)/.exec(stdout)?.[1];
  await sendLines(relay, ["app.hits:1|c"]);
  await collectLines(sinks, 2);
  const got = sinks.filter(({ lines }) => lines.length > 0).map(({ destination }) => destination);
  assert.deepEqual(got.sort(), [first, second].sort());
  await closeBooks(relay, 1);
});

test("a relay of routes alone has answers as well", (t) => {
  const file = join(newFolder(t), "routes.ini");
  writeFileSync(file, "[relay]\n[route.app]\nmatch[] = app.**\ndestinations = 127.0.0.1:1\n");
  const explained = runCommand(["explain", "--config", file, "app.hits", "web.hits"]);
  assert.equal(explained.code, 0, explained.stderr);
  assert.match(explained.stdout, /^name app\.hits\n {2}ring app /);
  assert.match(explained.stdout, /name web\.hits\n {2}dropped +no_route\n/);
  assert.match(runCommand(["ring", "--config", file]).stdout, /^app [0-9a-f]{16} /);
});

test("diff tells what moves, and its exit code whether that is too much", (t) => {
  const file = join(newFolder(t), "new.ini");
  writeFileSync(file, "[relay]\ndestinations = 127.0.0.1:1 127.0.0.1:2 127.0.0.1:3\n");
  const before = "127.0.0.1:1,127.0.0.1:2";
  const diff = ["diff", before, file, "--sample", "5000"];
  const plain = runCommand([...diff, "--json"]);
  assert.equal(plain.code, 0, plain.stderr);
  const [ring] = (JSON.parse(plain.stdout) as { rings: { ring: string; movedShare: number }[] }).rings;
  assert.equal(ring?.ring, "main");
  assert.ok(Math.abs(ring.movedShare - 1 / 3) < 0.03, `${ring.movedShare}`);
  assert.equal(runCommand([...diff, "--max", "40"]).code, 0);
  const tooMuch = runCommand([...diff, "--max", "20"]);
  assert.equal(tooMuch.code, 1);
  assert.match(tooMuch.stderr, /--max allows 20 %/);
  assert.equal(runCommand(["diff", before, "nonsense"]).code, 2);
});

test("ring prints the fingerprint that a running relay has everywhere", async (t) => {
  const sinks = await openSinks(t, 2);
  const relay = await startWith(t, `${named(sinks)}\n[route.copy]\n${named(sinks)}\nreplicas = 2`);
  const { code, stdout } = runCommand(["ring", "--config", relay.configPath, "--json"]);
  assert.equal(code, 0);
  const { rings } = JSON.parse(stdout) as { rings: Record<string, string> };
  assert.deepEqual(Object.keys(rings).sort(), ["copy", "main"]);
  assert.notEqual(rings.main, rings.copy);
  assert.deepEqual((await (await relay.get("/ring")).json()) as unknown, { rings });
  assert.deepEqual(relay.events("relay.started")[0]?.rings, rings);
  const metrics = await closeBooks(relay, 0);
  const status = await (await relay.get("/status")).text();
  for (const fingerprint of Object.values(rings)) {
    assert.equal(metrics.sum("statsrelay_ring_info", `fingerprint="${fingerprint}"`), 1);
    assert.ok(status.includes(`"fingerprint":"${fingerprint}"`));
  }
});

test("status and top --once show a running relay; where none is they say so", async (t) => {
  const sink = await openSink(t);
  const relay = await startWith(t, named([sink]));
  await sendLines(relay, ["a:1|c", "b:1|c"]);
  await closeBooks(relay, 2);
  const management = ["--management", relay.management];
  const status = runCommand(["status", ...management, "--json"]);
  assert.equal(status.code, 0, status.stderr);
  const page = JSON.parse(status.stdout) as {
    ready: boolean;
    listeners: { received: number }[];
    rings: { destinations: { destination: string; up: boolean }[] }[];
  };
  assert.equal(page.ready, true);
  assert.equal(page.listeners[0]?.received, 2);
  assert.equal(page.rings[0]?.destinations[0]?.destination, sink.destination);
  assert.match(runCommand(["status", ...management]).stdout, new RegExp(sink.destination));
  const top = runCommand(["top", ...management, "--once", "--seconds", "0.2"]);
  assert.equal(top.code, 0, top.stderr);
  assert.match(top.stdout, new RegExp(`statsrelay ${relay.management}`));
  assert.match(top.stdout, new RegExp(sink.destination));
  await closeBooks(relay, 2);
  await relay.stop();
  for (const command of ["status", "top", "reload"]) {
    const { code, stderr } = runCommand([command, ...management]);
    assert.equal(code, 1, command);
    assert.match(stderr, /no relay answers/);
  }
  assert.equal(runCommand(["status", "--management", "x"]).code, 2);
});

test("top shows the busiest names while lines come in", async (t) => {
  const sink = await openSink(t);
  const relay = await startWith(t, named([sink]));
  const lines = [...new Array<string>(300).fill("busy.name:1|c"), ...new Array<string>(20).fill("quiet:1|c")];
  let rounds = 0;
  // It looks only while somebody asks.
  await waitFor("names", async () => {
    await sendLines(relay, lines);
    rounds += 1;
    return (await (await relay.get("/top")).text()).includes('"busy.name"');
  });
  const page = (await (await relay.get("/top")).json()) as {
    snapshot: { names: { items: unknown } } & Record<string, unknown>;
    buckets: { destination: string; share: number }[];
  };
  assert.equal(page.buckets[0]?.destination, sink.destination);
  const text = JSON.stringify(page.snapshot);
  assert.ok(text.indexOf('"busy.name"') < text.indexOf('"quiet"') || !text.includes('"quiet"'), text);
  await closeBooks(relay, rounds * lines.length);
});

for (const io of KINDS) {
  test(`${io}: what is held in a spool survives kill -9 and arrives after the restart`, async (t) => {
    const folder = newFolder(t);
    const sink = await openSink(t);
    const { port, destination } = sink;
    await sink.close();
    const checks = "health-interval = 100ms\nhealth-fall = 1\nhealthy-min = 0\nhealth-rise = 1";
    const keys = `${named([{ destination }])}\non-dead = hold\nspool-dir = ${folder}\n${checks}`;
    const first = await startWith(t, keys, io);
    await first.until("it is down", (now) => now.sum(UP) === 0);
    const lines = Array.from({ length: 500 }, (_, number) => `app.request.${number}:1|c`);
    await sendLines(first, lines);
    const waiting = (where: string) => `where="${where}"`;
    await first.until("lines on disk", (now) => now.sum(QUEUED, waiting("spool")) >= lines.length);
    await closeBooks(first, lines.length);
    process.kill(first.pid, "SIGKILL");
    assert.deepEqual(await first.stop(), { code: null, signal: "SIGKILL" });
    const second = await startWith(t, keys, io);
    await second.until("the old lines", (now) => now.sum(RESTORED) >= lines.length);
    // Nothing leaves before it is known whether anybody is there.
    const stillDead = await second.until("it is down again", (now) => now.sum(UP) === 0);
    assert.ok(stillDead.sum(QUEUED) >= lines.length, "all lines wait");
    const back = await UdpSink.open("127.0.0.1", port);
    t.after(() => back.close());
    assert.deepEqual(await collectLines([back], lines.length), [...lines].sort());
    await second.until("an empty spool", (now) => now.sum(QUEUED) === 0);
    const metrics = await closeBooks(second, 0);
    assert.ok(metrics.sum(REPLAYED) >= lines.length);
  });
}
