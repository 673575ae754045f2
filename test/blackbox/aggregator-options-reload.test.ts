/** Reloads: what takes effect at once, with the next interval, after a restart, and what is refused. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import type { ReloadOutcome } from "../../aggregator/reload.ts";
import { OptionRig } from "../support/option-rig.ts";
import { RowFile } from "../support/row-file.ts";
import { waitFor } from "../support/wait-for.ts";

/** Replaces texts of its configuration file. */
function rewrite({ daemon: { configPath } }: OptionRig, changes: Readonly<Record<string, string>>): void {
  let text = readFileSync(configPath, "utf8");
  for (const [from, to] of Object.entries(changes)) {
    assert.ok(text.includes(from), from);
    text = text.replace(from, to);
  }
  writeFileSync(configPath, text);
}

async function reload(rig: OptionRig): Promise<{ status: number; outcome: ReloadOutcome }> {
  const response = await fetch(`http://${rig.daemon.management}/-/reload`, { method: "POST" });
  return { status: response.status, outcome: (await response.json()) as ReloadOutcome };
}

const appliesTo = ({ changed }: ReloadOutcome): Record<string, string> =>
  Object.fromEntries(changed.map(({ path, applies }) => [path, applies]));

/** Sends lines until a row of this name is there. */
async function sendUntil(rig: OptionRig, line: string, name: string, file = rig.file): Promise<void> {
  await waitFor(name, async () => {
    await rig.send([line]);
    return file.rows().some((row) => row.name === name);
  });
}

test("aggregates, names, renames, idle spans and bounds: with the next interval, by SIGHUP", async (t) => {
  const rig = await OptionRig.start(t, {
    aggregator: "interval = 200ms\nseries-cap[] = x=5\noverflow-name = over",
    aggregation: "counter = value\ntimer = max",
    idle: "counter = 0",
    "naming.default": "prefix = before",
  });
  await sendUntil(rig, "a:1|c", "before.a");
  rewrite(rig, {
    "timer = max": "timer = min\nrename[] = before.** -> none.$1\nrename[] = after.x.** -> x.$1",
    "counter = 0": "counter = forever",
    "prefix = before": "prefix = after",
    "series-cap[] = x=5": "series-cap[] = y=1",
  });
  rig.daemon.signal("SIGHUP");
  await waitFor("the reload", () => rig.daemon.events("config.reloaded").length === 1);
  const [event] = rig.daemon.events("config.reloaded");
  assert.deepEqual(appliesTo(event as unknown as ReloadOutcome), {
    "aggregator.series-cap": "next interval",
    "idle.counter": "next interval",
    "aggregation.timer": "next interval",
    "aggregation.rename": "next interval",
    "naming.counter.prefix": "next interval",
    "naming.gauge.prefix": "next interval",
    "naming.timer.prefix": "next interval",
    "naming.set.prefix": "next interval",
  });
  await sendUntil(rig, "a:1|c\nx.b:3|ms\ny1:1|c\ny2:1|c", "after.over");
  const names = new Set(rig.file.rows().map(({ name }) => name));
  for (const name of ["after.a", "x.b.min"]) assert.ok(names.has(name), [...names].join(" "));
  const zeros = () => rig.file.rows().filter(({ name, value }) => name === "after.a" && value === 0);
  await waitFor("zeros", () => zeros().length > 1);
});

test("sinks, and what they are told: at once", async (t) => {
  const rig = await OptionRig.start(t, { aggregator: "interval = 200ms" });
  await sendUntil(rig, "a:1|c", "a");
  const other = new RowFile();
  t.after(() => other.remove());
  rewrite(rig, {
    [rig.file.path]: other.path,
    "sinks[] = file": "sinks[] = file, console\ndrain-timeout = 1s",
    "drain-timeout = 5s": "",
  });
  const { status, outcome } = await reload(rig);
  assert.equal(status, 200);
  assert.deepEqual(appliesTo(outcome), {
    "aggregator.sinks": "now",
    "aggregator.drain-timeout": "now",
    "file.path": "now",
  });
  await sendUntil(rig, "b:1|c", "b", other);
  await waitFor("the table", () => rig.daemon.output.some((line) => /^ {2}b +\d/.test(line)));
});

test("what a listener, a thread or a page was opened with waits for a restart", async (t) => {
  const rig = await OptionRig.start(t, {
    log: "level = info\nformat = json",
    aggregator: "interval = 1h\ndialect = statsd",
    "listener.more": "listen[] = udp://127.0.0.1:0",
  });
  rewrite(rig, {
    "level = info": "level = error",
    "interval = 1h": "interval = 2h\nthreads = 2\nseries-per-sender-max = 5\nhistory = 7\nlate-window = 3h",
    "dialect = statsd": "dialect = dogstatsd\nmanagement-token = secret\nwatchdog = 9",
    "[listener.more]": "[listener.another]\nsocket-mode = 0600",
    "snapshot-interval = 50ms": "snapshot-interval = 60ms\n[repeater]\naddress = udp://127.0.0.1:9",
  });
  // Two things are wrong at once, and the late window is longer than can be kept open.
  const refused = await reload(rig);
  assert.equal(refused.status, 409);
  assert.equal(refused.outcome.ok, false);
  assert.match(refused.outcome.message, /late-window/);
  rewrite(rig, { "\nlate-window = 3h": "", "interval = 2h": "interval = 30m" });
  const { status, outcome } = await reload(rig);
  assert.equal(status, 200, outcome.message);
  const applies = appliesTo(outcome);
  assert.deepEqual([...new Set(Object.values(applies))], ["restart"]);
  for (const path of [
    "log.level",
    "aggregator.interval",
    "aggregator.threads",
    "aggregator.dialect",
    "aggregator.history",
    "aggregator.watchdog",
    "aggregator.management-token",
    // Nobody looks at senders where the bound was 0 at the start.
    "aggregator.series-per-sender-max",
    "listener.more.listen",
    "listener.another.listen",
    "repeater.address",
    "cluster.snapshot-interval",
  ]) {
    assert.ok(path in applies, `${path} in ${Object.keys(applies).join(" ")}`);
  }
  // The secret is not shown, and not asked for yet.
  assert.ok(!JSON.stringify(outcome).includes('"secret"'));
  const { settings } = (await (await rig.daemon.get("/config")).json()) as {
    settings: Record<string, string>;
  };
  assert.equal(settings["aggregator.interval"], "1h");
  assert.equal(settings["aggregator.series-per-sender-max"], "0");
  // The same difference is told again: it is still there.
  assert.deepEqual(appliesTo((await reload(rig)).outcome), applies);
});

test("a file with a fault changes nothing, and every fault is told", async (t) => {
  const rig = await OptionRig.start(t, { aggregator: "interval = 200ms", aggregation: "counter = value" });
  rewrite(rig, { "counter = value": "counter = nothing\ntimer = bad\nunknown = 1" });
  rig.daemon.signal("SIGHUP");
  await waitFor("the refusal", () => rig.daemon.events("config.refused").length === 1);
  const reason = String(rig.daemon.events("config.refused")[0]!.reason);
  for (const part of ["3 faults", "nothing", "bad", "unknown"]) assert.ok(reason.includes(part), reason);
  await sendUntil(rig, "a:1|c", "a");
  rewrite(rig, { "counter = nothing\ntimer = bad\nunknown = 1": "counter = value" });
  assert.equal((await reload(rig)).outcome.message, "nothing has changed");
});

test("a reload to a preset of etsy's and back takes the aggregator's own metrics along", async (t) => {
  const rig = await OptionRig.start(t, {
    aggregator: "interval = 200ms\nstats-interval = 100ms\nstats-prefix = own",
    aggregation: "naming = bioyino",
  });
  const lastOf = (name: string): number =>
    Math.max(-1, ...rig.file.rows().flatMap((row) => (row.name === name ? row.interval : [])));
  const etsy = "stats.counters.own.packets_received.rate";
  await waitFor("its own metrics", () => lastOf("own.ingress") >= 0);
  assert.equal(lastOf(etsy), -1);
  rewrite(rig, { "naming = bioyino": "naming = etsy" });
  assert.equal((await reload(rig)).status, 200);
  await waitFor("etsy's, and only those", () => lastOf(etsy) > lastOf("own.ingress"));
  rewrite(rig, { "naming = etsy": "naming = bioyino" });
  assert.equal((await reload(rig)).status, 200);
  await waitFor("its own again", () => lastOf("own.ingress") > lastOf(etsy));
});
