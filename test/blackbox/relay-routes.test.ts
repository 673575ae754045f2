/** Routes: which names they take or copy, what they put around lines, and rules that drop or rename. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { TestDaemon } from "../support/daemons.ts";
import {
  closeBooks,
  dropped,
  KINDS,
  named,
  openSink,
  openSinks,
  runCommand,
  sendLines,
  startWith,
} from "../support/relay-rig.ts";
import { collectLines, type UdpSink } from "../support/udp-sink.ts";

const COPIED = "statsrelay_lines_copied_total";
const ROUTED = "statsrelay_destination_lines_routed_total";
const NAMES = Array.from({ length: 400 }, (_, number) => `app.request.${number}`);

/** Sends lines of value 1 and returns, receiver by receiver, what has come of them in sorted order. */
async function pass(
  relay: TestDaemon,
  sinks: readonly UdpSink[],
  names: readonly string[],
  leaving: number,
): Promise<string[][]> {
  await sendLines(
    relay,
    names.map((name) => `${name}:1|c`),
  );
  await collectLines(sinks, leaving);
  await closeBooks(relay, names.length);
  const got = sinks.map(({ lines }) => [...lines].sort());
  assert.equal(got.flat().length, leaving);
  return got;
}

for (const io of KINDS) {
  test(`${io}: a route copies the names that match, another takes them away`, async (t) => {
    const sinks = await openSinks(t, 3);
    const [main, copies, moved] = sinks.map((sink) => named([sink]));
    const keys = [
      main,
      "[route.copies]",
      copies,
      "match[] = app.*",
      "match[] = /^web\\./",
      "[route.moved]",
      moved,
      "mode = move",
      "match[] = app.b?",
    ];
    const relay = await startWith(t, keys.join("\n"), io);
    const names = ["app.a", "app.b1", "app.b.c", "web.x.y", "other"];
    const got = await pass(relay, sinks, names, 8);
    assert.deepEqual(got[0], ["app.a:1|c", "app.b.c:1|c", "other:1|c", "web.x.y:1|c"]);
    assert.deepEqual(got[1], ["app.a:1|c", "app.b1:1|c", "web.x.y:1|c"]);
    assert.deepEqual(got[2], ["app.b1:1|c"]);
    const metrics = await relay.metrics();
    assert.equal(metrics.sum(COPIED), 3);
    assert.equal(metrics.sum(ROUTED, 'ring="copies"'), 3);
    assert.equal(metrics.sum(ROUTED, 'ring="moved"'), 1);
  });
}

/** Starts a relay that copies a quarter of the names. */
async function startSharing(t: TestContext, mode: "copy" | "move") {
  const sinks = await openSinks(t, 2);
  const keys = `${named([sinks[0]!])}\n[route.part]\n${named([sinks[1]!])}\nshare = 25\nmode = ${mode}`;
  return { sinks, relay: await startWith(t, keys) };
}

test("a share takes the same names wholly, in every relay", async (t) => {
  const copying = await startSharing(t, "copy");
  const moving = await startSharing(t, "move");
  await sendLines(
    copying.relay,
    [...NAMES, ...NAMES].map((name) => `${name}:1|c`),
  );
  await collectLines([copying.sinks[0]!], 2 * NAMES.length);
  const metrics = await closeBooks(copying.relay, 2 * NAMES.length);
  const copies = metrics.sum(COPIED);
  await collectLines([copying.sinks[1]!], copies);
  const taken = [...new Set(copying.sinks[1]!.lines)].sort();
  assert.equal(copies, 2 * taken.length, "a name is taken each time or never");
  // Four standard deviations of a binomial distribution around 100 of 400.
  assert.ok(Math.abs(taken.length - NAMES.length / 4) < 35, `${taken.length} names`);
  const [stayed, moved] = await pass(moving.relay, moving.sinks, NAMES, NAMES.length);
  assert.deepEqual(moved, taken);
  assert.equal(stayed!.length, NAMES.length - taken.length);
});

test("a route has its own prefix, suffix and tags, and those of [relay] by default", async (t) => {
  const sinks = await openSinks(t, 3);
  const [main, own, heir] = sinks.map((sink) => named([sink]));
  const keys = [
    main,
    "metrics-prefix = p",
    "metrics-suffix = s",
    "metrics-tags = k:v",
    "[route.own]",
    own,
    "metrics-prefix = copy",
    "metrics-suffix =",
    "metrics-tags =",
    "[route.heir]",
    heir,
  ];
  const relay = await startWith(t, keys.join("\n"));
  await sendLines(relay, ["app.a:1|c", "app;t=1:2|g|#x:y"]);
  await collectLines(sinks, 6);
  const changed = ["p.app.a.s:1|c|#k:v", "p.app.s;t=1:2|g|#x:y,k:v"];
  assert.deepEqual([...sinks[0]!.lines].sort(), changed);
  assert.deepEqual([...sinks[1]!.lines].sort(), ["copy.app.a:1|c", "copy.app;t=1:2|g|#x:y"]);
  assert.deepEqual([...sinks[2]!.lines].sort(), changed);
  await closeBooks(relay, 2);
});

test("allow and block drop and count, rename gives other names", async (t) => {
  const sink = await openSink(t);
  const keys = [
    named([sink]),
    "allow[] = app.**",
    "allow[] = /^web\\.[a-z]+$/",
    "block[] = **.debug",
    "block[] = app.{x,y}",
    "rename[] = app.*.requests -> requests.$1",
    "rename[] = /^web\\.(.)(.*)$/ -> site.$2.$1",
  ];
  const relay = await startWith(t, keys.join("\n"));
  const names = [
    ...["app.eu.requests", "app.eu", "web.hits"],
    ...["app.eu.debug", "app.x", "app.y", "web.hits2", "other"],
  ];
  const [got] = await pass(relay, [sink], names, 3);
  assert.deepEqual(got, ["app.eu:1|c", "requests.eu:1|c", "site.its.h:1|c"]);
  // The same names again: those that were judged once are remembered.
  await sendLines(
    relay,
    names.map((name) => `${name}:2|c`),
  );
  await collectLines([sink], 6);
  const metrics = await closeBooks(relay, 2 * names.length);
  assert.equal(dropped(metrics, "filtered"), 10);
  const { stdout } = runCommand(["explain", "--config", relay.configPath, "app.x", "app.eu.requests"]);
  assert.match(stdout, /dropped\s+filtered/);
  assert.match(stdout, /sent as\s+requests\.eu\n/);
});

test("rules of a route are its own", async (t) => {
  const sinks = await openSinks(t, 2);
  const [main, mirror] = sinks.map((sink) => named([sink]));
  const keys = [
    main,
    "block[] = secret.**",
    "[route.mirror]",
    mirror,
    "match[] = {app,secret}.**",
    "block[] = app.debug",
    "rename[] = secret.* -> hidden.$1",
  ];
  const relay = await startWith(t, keys.join("\n"));
  const [plain, mirrored] = await pass(relay, sinks, ["app.a", "app.debug", "secret.b", "x"], 5);
  assert.deepEqual(plain, ["app.a:1|c", "app.debug:1|c", "x:1|c"]);
  assert.deepEqual(mirrored, ["app.a:1|c", "hidden.b:1|c"]);
});

test("without destinations of [relay], what no route takes is dropped and counted", async (t) => {
  const sink = await openSink(t);
  const keys = `destinations =\n[route.only]\n${named([sink])}\nmatch[] = app.*`;
  const relay = await startWith(t, keys);
  const [got] = await pass(relay, [sink], ["app.a", "other", "app.b.c"], 1);
  assert.deepEqual(got, ["app.a:1|c"]);
  const metrics = await relay.metrics();
  assert.equal(dropped(metrics, "no_route"), 2);
  assert.equal(metrics.sum("statsrelay_ring_info"), 1);
});

test("a pattern that would hang other engines costs a thread nothing", async (t) => {
  const sink = await openSink(t);
  const relay = await startWith(t, `${named([sink])}\nblock[] = /^(a+)+$/\nblock[] = /(x+x+)+y/`);
  const names = [`${"a".repeat(3000)}!`, "x".repeat(3000), "a".repeat(30), "fine"];
  const startMs = performance.now();
  const [got] = await pass(relay, [sink], names, 3);
  const tookMs = performance.now() - startMs;
  assert.ok(tookMs < 5_000, `${tookMs} ms`);
  assert.deepEqual(got, [`${names[0]}:1|c`, "fine:1|c", `${names[1]}:1|c`]);
  assert.equal(dropped(await relay.metrics(), "filtered"), 1);
});

test("names beyond a cap are dropped and counted, known ones pass", async (t) => {
  const sink = await openSink(t);
  const relay = await startWith(
    t,
    `${named([sink])}\ncap[] = user.=10\ncap[] = user.vip.=2\ncap-window = 1h`,
  );
  const users = Array.from({ length: 50 }, (_, number) => `user.${number}`);
  const vips = ["user.vip.a", "user.vip.b", "user.vip.c"];
  const others = Array.from({ length: 50 }, (_, number) => `other.${number}`);
  await sendLines(
    relay,
    [...users, ...vips, ...others].map((name) => `${name}:1|c`),
  );
  const first = await closeBooks(relay, 103);
  const passing = 103 - dropped(first, "cardinality");
  await collectLines([sink], passing);
  const known = sink.lines.filter((line) => line.startsWith("user."));
  const count = (lines: readonly string[], prefix: string) =>
    lines.filter((line) => line.startsWith(prefix)).length;
  assert.equal(count(sink.lines, "other."), 50);
  // The longest prefix of a name counts it.
  assert.equal(count(known, "user.vip."), 2);
  assert.equal(known.length, 12);
  sink.packets.length = 0;
  await sendLines(
    relay,
    [...users, ...vips].map((name) => `${name}:1|c`),
  );
  await collectLines([sink], known.length);
  const metrics = await closeBooks(relay, 156);
  assert.deepEqual([...sink.lines].sort(), [...known].sort());
  assert.equal(dropped(metrics, "cardinality"), 2 * (53 - known.length));
});

test("what is wrong with rules is told all at once", async () => {
  const set = ["allow=/(/", "rename=a.* -> b.$2", "cap=user.", "block=/(?=x)/"];
  const args = set.flatMap((one) => ["--set", one]);
  const { code, stderr } = runCommand(["explain", ...args, "--set", "destinations=127.0.0.1:9", "x"]);
  assert.equal(code, 2, stderr);
  for (const key of ["allow", "rename", "cap", "block"]) assert.match(stderr, new RegExp(`--set ${key}: `));
});
