/** How listeners read lines: each option on listeners of one daemon, side by side. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { OptionRig, rowsOf } from "../support/option-rig.ts";

/** Only what was counted, without the number of updates. */
const VALUES = "counter = value\ngauge = value\ntimer = count sum\nset = count";

/** A section for each value of an option. The listener of [aggregator] comes first and gets nothing. */
function listeners(values: Readonly<Record<string, string>>): Record<string, string> {
  const sections = Object.entries(values).map(([name, keys]) => {
    return [`listener.${name}`, `listen[] = udp://127.0.0.1:0\n${keys}`];
  });
  return Object.fromEntries(sections) as Record<string, string>;
}

/** Sends the same lines to each listener, with its name as a prefix, and returns what became of them. */
async function readBy(
  rig: OptionRig,
  names: readonly string[],
  lines: readonly string[],
): Promise<Record<string, Record<string, number>>> {
  for (const [index, name] of names.entries()) {
    await rig.send(
      lines.map((line) => `${name}.${line}`),
      index + 1,
    );
  }
  await rig.settled(names.length * lines.length);
  const rows = Object.entries(await rig.rows());
  const ofListener = (name: string) =>
    rows
      .filter(([key]) => key.startsWith(`${name}.`))
      .map(([key, value]) => [key.slice(name.length + 1), value] as const);
  return Object.fromEntries(names.map((name) => [name, Object.fromEntries(ofListener(name))]));
}

test("dialect: each of the four takes what it knows and refuses the rest", async (t) => {
  const names = ["auto", "statsd", "dogstatsd", "bioyino"];
  const rig = await OptionRig.start(t, {
    aggregation: VALUES,
    ...listeners(Object.fromEntries(names.map((name) => [name, `dialect = ${name}`]))),
  });
  const lines = [
    "plain:1|c",
    "graphite;k=v:2|c",
    "tags:3|c|#k:v",
    "packed:1:2:3|ms",
    "segments:1|c:4|c",
    "distribution:5|d",
    "meter:6|m",
    "section:7|c|c:ci-1|e:it-2|card:low",
    "change:+8|g",
    "rate:1|c|@.5",
    "text:ann|s",
    "unknown:1|c|x:y",
  ];
  const all = {
    plain: 1,
    "graphite;k=v": 2,
    "tags;k=v": 3,
    "packed.count": 3,
    "packed.sum": 6,
    segments: 5,
    "distribution.count": 1,
    "distribution.sum": 5,
    meter: 6,
    section: 7,
    change: 8,
    rate: 2,
    "text.count": 1,
    unknown: 1,
  };
  const { segments, meter, ...dogstatsd } = all;
  const { plain, change, "graphite;k=v": graphite, "text.count": members } = all;
  assert.deepEqual(await readBy(rig, names, lines), {
    auto: all,
    statsd: all,
    dogstatsd,
    bioyino: { plain, change, "graphite;k=v": graphite, "text.count": members },
  });
});

test("sanitize: bioyino mends blanks, etsy all, off nothing, and no row is a bad line", async (t) => {
  const names = ["bioyino", "etsy", "off"];
  const rig = await OptionRig.start(t, {
    aggregation: VALUES,
    ...listeners(Object.fromEntries(names.map((name) => [name, `sanitize = ${name}`]))),
  });
  const lines = ["a b:1|c", "c/d:1|c", "e$f:1|c", "g\x01h:1|c", "i  j:1|c"];
  assert.deepEqual(await readBy(rig, names, lines), {
    bioyino: { a_b: 1, "c/d": 1, e$f: 1, i__j: 1 },
    etsy: { a_b: 1, "c-d": 1, ef: 1, gh: 1, i_j: 1 },
    off: { "a b": 1, "c/d": 1, e$f: 1, "g\x01h": 1, "i  j": 1 },
  });
});

test("influx-tags, unknown-type and what listeners inherit from [aggregator]", async (t) => {
  const rig = await OptionRig.start(t, {
    aggregator: "listen[] = udp://127.0.0.1:0\ninflux-tags = yes\nunknown-type = counter",
    aggregation: VALUES,
    ...listeners({ heir: "", own: "influx-tags = no\nunknown-type = drop" }),
  });
  assert.deepEqual(await readBy(rig, ["heir", "own"], ["a,k=v,b=w:1|c", "x:2|nothing", "y:3|c"]), {
    heir: { "a;b=w;k=v": 1, x: 2, y: 3 },
    own: { "a,k=v,b=w": 1, y: 3 },
  });
});

test("untagged-copy counts tagged lines under their bare name as well", async (t) => {
  const lines = ["a;k=1:1|c", "a;k=2:2|c", "b:3|ms|#k:1", "plain:4|c"];
  const rows = await rowsOf(t, { aggregator: "untagged-copy = yes", aggregation: VALUES }, lines);
  assert.deepEqual(rows, {
    a: 3,
    "a;k=1": 1,
    "a;k=2": 2,
    "b.count": 1,
    "b.sum": 3,
    "b;aggregate=count;k=1": 1,
    "b;aggregate=sum;k=1": 3,
    plain: 4,
  });
});

test("name-bytes-max and tags-bytes-max refuse what is longer by one", async (t) => {
  const rig = await OptionRig.start(t, {
    aggregator: "name-bytes-max = 5\ntags-bytes-max = 6",
    aggregation: VALUES,
  });
  await rig.send([
    "12345:1|c",
    "123456:1|c",
    "a;k=1234:1|c",
    "a;k=12345:1|c",
    "b:1|c|#k:1234",
    "b:1|c|#k:12345",
  ]);
  const metrics = await rig.settled(6);
  assert.equal(metrics.sum("bioyino_lines_dropped_total", 'reason="name_too_long"'), 1);
  assert.equal(metrics.sum("bioyino_lines_dropped_total", 'reason="tags_too_long"'), 2);
  assert.deepEqual(await rig.rows(), { 12345: 1, "a;k=1234": 1, "b;k=1234": 1 });
});
