/** Bounds of [aggregator]: what is beyond is refused and counted, totals stay right, and who it was shows. */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { type TestContext, test } from "node:test";
import type { Offenders } from "../../aggregator/questions.ts";
import type { Metrics } from "../support/daemons.ts";
import { OptionRig } from "../support/option-rig.ts";
import { waitFor } from "../support/wait-for.ts";

const VALUES = "counter = value\ngauge = value\ntimer = count\nset = count";

const numbered = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${prefix}${index}:1|c`);

interface Case {
  readonly keys: string;
  readonly lines: readonly string[];
  /** Refused samples by reason. */
  readonly refused: Readonly<Record<string, number>>;
}

const refusedOf = (metrics: Metrics, reason: string): number =>
  metrics.sum("bioyino_samples_refused_total", `reason="${reason}"`);

async function statusOf(rig: OptionRig): Promise<{ limits: Record<string, number>; offenders: Offenders }> {
  const response = await rig.daemon.get("/status");
  return (await response.json()) as { limits: Record<string, number>; offenders: Offenders };
}

async function runCase(t: TestContext, { keys, lines, refused }: Case): Promise<void> {
  const rig = await OptionRig.start(t, { aggregator: keys, aggregation: VALUES });
  await rig.send(lines);
  const metrics = await rig.settled(lines.length);
  for (const [reason, count] of Object.entries(refused)) {
    assert.equal(refusedOf(metrics, reason), count, `${keys}: ${reason}`);
  }
  assert.equal(metrics.sum("bioyino_conservation_error"), 0);
  const overflow = Object.values(refused).reduce((sum, count) => sum + count, 0);
  assert.equal((await statusOf(rig)).limits.overflowedLines, overflow, keys);
  const rows = await rig.rows();
  assert.equal(rows["bioyino.overflow"], overflow, keys);
  const total = Object.values(rows).reduce((sum, value) => sum + value, 0);
  assert.equal(total, lines.length, `${keys}: no sample is lost`);
}

test("series-max, series-per-prefix-max, prefix-parts, series-cap: overflowed, never lost", async (t) => {
  const cases: Case[] = [
    { keys: "series-max = 5", lines: numbered("a.", 9), refused: { series: 4 } },
    {
      keys: "series-per-prefix-max = 2",
      lines: [...numbered("a.b.", 4), ...numbered("a.c.", 2)],
      refused: { prefix: 2 },
    },
    {
      keys: "series-per-prefix-max = 2\nprefix-parts = 1",
      lines: [...numbered("a.b.", 4), ...numbered("a.c.", 2)],
      refused: { prefix: 4 },
    },
    {
      keys: "series-cap[] = user.=3\nseries-cap[] = x=1",
      lines: [...numbered("user.", 5), ...numbered("x", 4), ...numbered("y", 4)],
      refused: { cap: 5 },
    },
  ];
  await Promise.all(cases.map((one) => runCase(t, one)));
});

/** Sends from an address of this machine. */
async function sendFrom(host: string, port: number, lines: readonly string[]): Promise<void> {
  const socket = createSocket("udp4").bind(0, host);
  await once(socket, "listening");
  for (const line of lines) {
    await new Promise((resolve) => socket.send(line, port, "127.0.0.1", resolve));
  }
  await new Promise<void>((resolve) => socket.close(resolve));
}

const hasHost = ({ name }: { readonly name: string }): boolean => name.includes(".");

test("series-per-sender-max stops one sender and no other; /status names both", async (t) => {
  const keys = "series-per-sender-max = 3\nseries-per-prefix-max = 100\nprefix-parts = 1";
  const rig = await OptionRig.start(t, { aggregator: keys, aggregation: VALUES });
  const [port] = rig.daemon.ports;
  await sendFrom("127.0.0.2", port!, numbered("bad.", 8));
  await rig.settled(8);
  await sendFrom("127.0.0.3", port!, numbered("good.", 2));
  const metrics = await rig.settled(10);
  assert.equal(refusedOf(metrics, "sender"), 5);
  // Hosts are told of once a second; until then there are only their numbers.
  await waitFor("the hosts", async () => (await statusOf(rig)).offenders.senders.every(hasHost));
  const { senders, prefixes } = (await statusOf(rig)).offenders;
  assert.deepEqual(senders, [
    { name: "127.0.0.2", series: 3, refusedLines: 5 },
    { name: "127.0.0.3", series: 2, refusedLines: 0 },
  ]);
  assert.deepEqual(
    prefixes.map(({ name, series }) => [name, series]),
    [
      ["bad", 3],
      ["good", 2],
    ],
  );
  const rows = await rig.rows();
  assert.equal(rows["bioyino.overflow"], 5);
  assert.ok("good.1" in rows);
});

test("timer-samples-max, overflow-name empty or another: refused is counted all the same", async (t) => {
  const timers = ["t:1:2:3:4:5|ms", "u:1|ms"];
  const rig = await OptionRig.start(t, { aggregator: "timer-samples-max = 3", aggregation: VALUES });
  await rig.send(timers);
  const metrics = await rig.settled(2);
  assert.equal(refusedOf(metrics, "timer_samples"), 2);
  const rows = await rig.rows();
  assert.deepEqual([rows["t.count"], rows["u.count"]], [3, 1]);

  for (const name of ["", "lost.series"]) {
    const keys = `series-max = 2\noverflow-name = ${name}`;
    const other = await OptionRig.start(t, { aggregator: keys, aggregation: VALUES });
    await other.send(numbered("a", 5));
    const after = await other.settled(5);
    assert.equal(refusedOf(after, "series"), 3);
    assert.equal(after.sum("bioyino_conservation_error"), 0);
    assert.deepEqual(await other.rows(), { a0: 1, a1: 1, ...(name !== "" && { [name]: 3 }) });
  }
});

test("memory-max: names without end are refused, and their values are in the overflow series", async (t) => {
  const keys = "memory-max = 2m\nprefix-parts = 1";
  const rig = await OptionRig.start(t, { aggregator: keys, aggregation: VALUES });
  const names = numbered("app.user.", 40_000);
  const datagrams = Array.from({ length: 1000 }, (_, index) =>
    names.slice(index * 40, (index + 1) * 40).join("\n"),
  );
  await rig.send(datagrams);
  const metrics = await rig.settled(names.length);
  assert.ok(refusedOf(metrics, "memory") > 1000);
  assert.equal(metrics.sum("bioyino_conservation_error"), 0);
  await waitFor("the log", () => rig.daemon.events("store.limit").length > 0);
  const [event] = rig.daemon.events("store.limit");
  assert.equal(event!.prefix, "app");
  const rows = await rig.rows();
  assert.equal(rows["bioyino.overflow"], refusedOf(metrics, "memory"));
  assert.equal(
    Object.values(rows).reduce((sum, value) => sum + value, 0),
    names.length,
  );
});

test("snapshot-series-max cuts ahead of time and loses nothing", async (t) => {
  const keys = "snapshot-series-max = 10";
  const rig = await OptionRig.start(t, {
    aggregator: keys,
    aggregation: VALUES,
    cluster: "snapshot-interval = 1m",
  });
  // One datagram, so that no snapshot can be due for another reason.
  const lines = numbered("a", 100);
  await rig.send([lines.join("\n")]);
  await rig.daemon.until("snapshots", (metrics) => metrics.sum("bioyino_snapshots_total") >= 9);
  const rows = await rig.rows();
  assert.equal(Object.keys(rows).length, 100);
});

test("series-max follows a reload with the next interval", async (t) => {
  const keys = "interval = 200ms\nseries-max = 2\noverflow-name = over";
  const rig = await OptionRig.start(t, { aggregator: keys, aggregation: VALUES });
  const sendAll = async (prefix: string): Promise<void> => rig.send([numbered(prefix, 6).join("\n")]);
  const has = (name: string): boolean => rig.file.rows().some((row) => row.name === name);
  await sendAll("a");
  await waitFor("the overflow", () => has("over"));
  assert.ok(!has("a5"));
  const { configPath } = rig.daemon;
  writeFileSync(configPath, readFileSync(configPath, "utf8").replace("series-max = 2", "series-max = 100"));
  rig.daemon.signal("SIGHUP");
  await waitFor("the reload", () => rig.daemon.events("config.reloaded").length === 1);
  await waitFor("all of them", async () => {
    await sendAll("b");
    return has("b5");
  });
  await rig.daemon.stop();
});
