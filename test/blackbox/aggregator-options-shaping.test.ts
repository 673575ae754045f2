/** What is computed and how it is called: every key of [aggregation] and [naming.*] as rows show it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { OptionRig, rowsOf } from "../support/option-rig.ts";

/** One of each type, with what the presets differ in. */
const ONE_OF_EACH = ["app.hits:4|c|@0.5", "app.level:7|g", "app.wait:10:20|ms", "app.who:ann|s"];

test("naming: each preset has its names", async (t) => {
  const presets = {
    bioyino: ["app.hits", "app.level", "app.wait.percentile.999", "app.who.count", "app.wait.sum"],
    etsy: [
      "stats.counters.app.hits.rate",
      "stats.counters.app.hits.count",
      "stats.timers.app.wait.upper_90",
      "stats.timers.app.wait.count_ps",
      "stats.gauges.app.level",
      "stats.sets.app.who.count",
      "stats.counters.statsd.packets_received.count",
    ],
    "etsy-legacy": [
      "stats.app.hits",
      "stats_counts.app.hits",
      "stats.timers.app.wait.mean_90",
      "stats.gauges.app.level",
      "stats.sets.app.who.count",
    ],
    veneur: ["app.hits", "app.level", "app.wait.avg", "app.wait.99percentile", "app.who"],
    prometheus: ["app_hits", "app_level", "app_wait_count", "app_wait;quantile=0.99", "app_who_count"],
  };
  const run = async ([preset, names]: [string, readonly string[]]): Promise<void> => {
    const rows = await rowsOf(t, { aggregation: `naming = ${preset}` }, ONE_OF_EACH);
    for (const name of names) {
      assert.ok(name in rows, `${preset}: ${name} is not in ${Object.keys(rows).join(" ")}`);
    }
    const hits = { etsy: "stats.counters.app.hits.count", "etsy-legacy": "stats_counts.app.hits" }[preset];
    assert.equal(rows[hits ?? names[0]!], 8, preset);
  };
  await Promise.all(Object.entries(presets).map(run));
});

test("lists of aggregates, none, rate = samples, update-count-threshold", async (t) => {
  const aggregation = `counter = value rate sample-rate updates
gauge = none
timer = count percentile-99.9 percentile-5 std sum-squares hmean upper-p50 lower-top50 median
set = count updates
rate = samples
update-count-threshold = 2`;
  const lines = ["a.c:6|c|@0.5", "a.c:2|c", "b.c:1|c", "x:1|g", "t:10:20:30:40|ms", "s:m|s"];
  // The rate of a whole hour; an interval that ends early is still one.
  const rows = await rowsOf(t, { aggregator: "interval = 1h", aggregation }, lines);
  assert.deepEqual(Object.keys(rows).sort(), [
    "a.c",
    "a.c.rate",
    "a.c.sample_rate",
    "a.c.updates",
    "b.c",
    "b.c.rate",
    "b.c.sample_rate",
    "s.count",
    "t.count",
    "t.hmean",
    "t.lower_top50",
    "t.median",
    "t.percentile.5",
    "t.percentile.99.9",
    "t.std",
    "t.sum_squares",
    "t.upper_50",
  ]);
  assert.equal(rows["a.c"], 14);
  assert.equal(rows["a.c.updates"], 2);
  assert.equal(rows["a.c.rate"], rows["a.c.sample_rate"]);
  assert.equal(rows["t.percentile.5"], 25);
  assert.equal(rows["t.upper_50"], 20);
  assert.equal(rows["t.lower_top50"], 30);
  assert.equal(rows["t.sum_squares"], 3000);
});

test("percent-threshold, histogram and weights, as etsy has them", async (t) => {
  const aggregation = `naming = etsy
percent-threshold = 50 -25
histogram[] = app.* = 15 35 inf
histogram[] = app.none =
histogram[] = ** = 100`;
  const lines = ["app.a:10:20:30:40|ms", "app.b:10|ms|@0.5", "other.a:99|ms"];
  const rows = await rowsOf(t, { aggregation }, lines);
  const timer = (name: string) => rows[`stats.timers.${name}`];
  assert.deepEqual([timer("app.a.upper_50"), timer("app.a.lower_top25")], [20, 40]);
  assert.equal(timer("app.a.upper_90"), undefined);
  const bins = ["15", "35", "inf"].map((bin) => timer(`app.a.histogram.bin_${bin}`));
  assert.deepEqual(bins, [1, 2, 1]);
  assert.equal(timer("other.a.histogram.bin_100"), 1);
  // etsy's rate counts, and is in nothing else.
  assert.deepEqual([timer("app.b.count"), timer("app.b.sum")], [2, 10]);
  const weighted = await rowsOf(t, { aggregation: `${aggregation}\nweights = yes` }, lines);
  assert.equal(weighted["stats.timers.app.b.sum"], 20);
});

test("round-timestamp: rows bear the end of their interval, or its start", async (t) => {
  const stamps = new Map<string, number>();
  for (const choice of ["up", "down"]) {
    const rig = await OptionRig.start(t, { aggregation: `round-timestamp = ${choice}` });
    await rig.send(["a:1|c"]);
    await rig.settled(1);
    await rig.rows();
    const [row] = rig.file.rows();
    stamps.set(choice, row!.timestamp - row!.interval * 3600);
  }
  assert.deepEqual([...stamps.values()], [3600, 0]);
});

test("rename: the first rule that matches gives the name, tags stay", async (t) => {
  const aggregation = `counter = value
timer = max
rename[] = app.*.hits -> hits.$1
rename[] = /^app\\.(.*)\\.wait/ -> wait.$1
rename[] = app.** -> rest.$1`;
  const lines = ["app.web.hits:1|c", "app.web.wait:2|ms", "app.x;k=v:3|c", "other:4|c"];
  assert.deepEqual(await rowsOf(t, { aggregation }, lines), {
    "hits.web": 1,
    "wait.web.max": 2,
    "rest.x;k=v": 3,
    other: 4,
  });
});

test("destination: tag and both; smart and name are in the other tests", async (t) => {
  const wanted = {
    tag: ["a;aggregate=sum", "b;aggregate=sum;k=v"],
    both: ["a.sum;aggregate=sum", "b.sum;aggregate=sum;k=v"],
  };
  const run = async ([destination, names]: [string, readonly string[]]): Promise<void> => {
    const rows = await rowsOf(
      t,
      { aggregation: "timer = sum", "naming.default": `destination = ${destination}` },
      ["a:1|ms", "b;k=v:1|ms"],
    );
    assert.deepEqual(Object.keys(rows).sort(), names, destination);
  };
  await Promise.all(Object.entries(wanted).map(run));
});

test("prefix, suffix, tag, overrides, postfixes and tag values, inherited field by field", async (t) => {
  const rows = await rowsOf(
    t,
    {
      aggregation: "counter = value\ngauge = value\ntimer = max min updates\nset = count",
      "naming.default":
        "prefix = site\nsuffix = end\ntag = stat\npostfixes[] = max=upper\ntag-values[] = min=lowest",
      "naming.timer": "prefix = timers\nprefix-overrides[] = updates=debug",
      "naming.gauge": "prefix =\nsuffix =",
      "naming.set": "destination = name\nprefix = sets\npostfixes[] = count=",
    },
    ["c:1|c", "g:2|g", "t:3:4|ms", "u;k=v:5|ms", "s;k=v:m|s"],
  );
  assert.deepEqual(rows, {
    "site.c.end": 1,
    g: 2,
    "timers.t.upper.end": 4,
    "timers.t.min.end": 3,
    "timers.u.end;k=v;stat=max": 5,
    "timers.u.end;k=v;stat=lowest": 5,
    "sets.s.end;k=v": 1,
  });
});
