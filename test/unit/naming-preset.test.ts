/** What `naming = PRESET` makes of the defaults, and what of it gives way to file and flags. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Namer } from "../../aggregator/naming.ts";
import { parseConfig, printConfig, type SuiteConfig } from "../../shared/config.ts";
import { METRIC_TYPES, type MetricType } from "../../shared/metric.ts";
import { applyPreset, type Preset } from "../../shared/naming-preset.ts";

const PRESETS: readonly Preset[] = ["bioyino", "etsy", "etsy-legacy", "veneur", "prometheus"];

function configOf(preset: string, lines = ""): SuiteConfig {
  return parseConfig(`[aggregation]\nnaming = ${preset}\n${lines}`, "suite.ini");
}

/** Output names of a key, in the order of the type's aggregates. */
function namesOf({ aggregation, naming }: SuiteConfig, type: MetricType, key: string): string[] {
  const namer = new Namer(naming, aggregation, { preset: aggregation.preset });
  const source = Buffer.from(key);
  const target = Buffer.alloc(source.length + namer.maxExtraBytes);
  return aggregation[type].map((_, index) => {
    const code = METRIC_TYPES.indexOf(type);
    const length = namer.write(target, 0, source, 0, source.length, code, index);
    return target.toString("utf8", 0, length);
  });
}

function allNames(config: SuiteConfig, key: string): Record<MetricType, string[]> {
  const names = METRIC_TYPES.map((type) => [type, namesOf(config, type, key)] as const);
  return Object.fromEntries(names) as Record<MetricType, string[]>;
}

const ETSY_TIMER = (
  "count_90 mean_90 upper_90 sum_90 sum_squares_90 " +
  "std upper lower count count_ps sum sum_squares mean median"
).split(" ");

test("bioyino leaves the defaults alone", () => {
  assert.deepEqual(configOf("bioyino"), parseConfig("", "suite.ini"));
});

test("etsy-legacy gives the names of etsy's older namespace", () => {
  const config = configOf("etsy-legacy");
  assert.deepEqual(allNames(config, "k"), {
    counter: ["stats.k", "stats_counts.k"],
    gauge: ["stats.gauges.k"],
    timer: ETSY_TIMER.map((statistic) => `stats.timers.k.${statistic}`),
    set: ["stats.sets.k.count"],
  });
  assert.deepEqual(namesOf(config, "counter", "k;a=b;c"), ["stats.k;a=b;c", "stats_counts.k;a=b;c"]);
  assert.equal(config.aggregation.weights, false);
  assert.equal(config.aggregator.statsPrefix, "statsd");
});

test("etsy gives the names of etsy's newer namespace", () => {
  assert.deepEqual(allNames(configOf("etsy"), "k"), {
    counter: ["stats.counters.k.rate", "stats.counters.k.count"],
    gauge: ["stats.gauges.k"],
    timer: ETSY_TIMER.map((statistic) => `stats.timers.k.${statistic}`),
    set: ["stats.sets.k.count"],
  });
});

test("veneur gives veneur's", () => {
  assert.deepEqual(allNames(configOf("veneur"), "k"), {
    counter: ["k"],
    gauge: ["k"],
    timer: "max min sum avg count median 50percentile 75percentile 99percentile"
      .split(" ")
      .map((statistic) => `k.${statistic}`),
    set: ["k"],
  });
  const config = configOf("veneur", "timer = percentile-29 percentile-57 percentile-999 percentile-99");
  assert.deepEqual(
    namesOf(config, "timer", "k;z=1"),
    ["k.29percentile", "k.57percentile", "k.99.9percentile", "k.99percentile"].map((name) => `${name};z=1`),
  );
});

test("prometheus gives names and tags that Prometheus takes", () => {
  assert.deepEqual(allNames(configOf("prometheus"), "app.k-x"), {
    counter: ["app_k_x"],
    gauge: ["app_k_x"],
    timer: [
      ...["count", "sum", "min", "max", "mean"].map((statistic) => `app_k_x_${statistic}`),
      ...["0.5", "0.9", "0.95", "0.99"].map((quantile) => `app_k_x;quantile=${quantile}`),
    ],
    set: ["app_k_x_count"],
  });
  const config = configOf("prometheus", "timer = percentile-999 max\n[naming.timer]\ntag = q");
  assert.deepEqual(namesOf(config, "timer", "k;z=1"), ["k;q=0.999;z=1", "k_max;z=1"]);
});

test("percent-threshold gives etsy's statistics for each", () => {
  const config = configOf("etsy", "percent-threshold = 90 -10 99.9 90");
  const names = namesOf(config, "timer", "k").map((name) => name.replace("stats.timers.k.", ""));
  const of = (bound: string, label: string) =>
    ["count", "mean", bound, "sum", "sum_squares"].map((statistic) => `${statistic}_${label}`);
  assert.deepEqual(names.slice(0, 15), [
    ...of("upper", "90"),
    ...of("lower", "top10"),
    ...of("upper", "99_9"),
  ]);
  assert.equal(names.length, 15 + 9);
  assert.deepEqual(namesOf(configOf("etsy", "percent-threshold = none"), "timer", "k").length, 9);
});

test("what the configuration says wins, value by value", () => {
  const config = configOf(
    "etsy-legacy",
    "counter = rate\ntimer = max min\nweights = yes\n" +
      "[naming.timer]\npostfixes[] = max=top\nprefix = t\n[aggregator]\nstats-prefix = me",
  );
  assert.deepEqual(namesOf(config, "counter", "k"), ["stats.k"]);
  assert.deepEqual(namesOf(config, "timer", "k"), ["t.k.top", "t.k.lower"]);
  assert.deepEqual(namesOf(config, "gauge", "k"), ["stats.gauges.k"]);
  assert.equal(config.aggregation.weights, true);
  assert.equal(config.aggregator.statsPrefix, "me");
});

test("what all types have from [naming.default] wins as well", () => {
  const config = configOf(
    "etsy",
    "counter = rate\n[naming.default]\nprefix = all\nsuffix = h\npostfixes = min=low",
  );
  assert.deepEqual(namesOf(config, "counter", "k"), ["all.k.rate.h"]);
  assert.deepEqual(namesOf(config, "gauge", "k;a=b"), ["all.k.h;a=b"]);
  assert.ok(namesOf(config, "timer", "k").includes("all.k.low.h"));
  assert.ok(namesOf(config, "timer", "k").includes("all.k.upper.h"));
  // With one prefix for all, a counter's count looks like that of a timer.
  assert.throws(() => configOf("etsy", "[naming.default]\nprefix = all"), /all\.NAME\.count/);
});

test("none silences a type under every preset", () => {
  for (const preset of PRESETS) {
    assert.deepEqual(configOf(preset, "timer = none").aggregation.timer, [], preset);
  }
});

test("an applied preset is printed so that it reads the same, and applies to itself without a change", () => {
  for (const preset of PRESETS) {
    const config = configOf(preset, "percent-threshold = 90 -10\n[naming.timer]\npostfixes[] = sum=total");
    assert.deepEqual(parseConfig(printConfig(config), "printed.ini"), config, preset);
    const { aggregation, naming, aggregator } = config;
    const again = applyPreset(config, () => true);
    assert.deepEqual(again, { aggregation, naming, aggregator }, preset);
  }
});

test("flags count as set", () => {
  const override = { section: "aggregation", key: "set", values: ["updates"], origin: "--set" };
  const config = parseConfig("[aggregation]\nnaming = etsy", "suite.ini", [override]);
  assert.deepEqual(namesOf(config, "set", "k"), ["stats.sets.k.updates"]);
});

test("keys that are written out as without a preset are warned of", () => {
  const warnings: string[] = [];
  const lines = "timer = none\nset = count updates\n[naming.default]\nprefix =\ndestination = smart";
  parseConfig(`[aggregation]\nnaming = etsy-legacy\n${lines}`, "suite.ini", [], (text) =>
    warnings.push(text),
  );
  assert.deepEqual(warnings, [
    "aggregation.naming = etsy-legacy does not change what is written out as without a preset: " +
      "aggregation.set, naming.default.prefix, naming.default.destination; " +
      "leave those keys out to have the preset's",
  ]);
  assert.throws(
    () => parseConfig(`[aggregation]\nnaming = etsy\n${lines}`, "suite.ini"),
    /NAME\.count; .*; or leave out aggregation\.set, naming\.default\.prefix, naming\.default\.dest/,
  );
  const none: string[] = [];
  parseConfig("[aggregation]\nnaming = etsy-legacy", "suite.ini", [], (text) => none.push(text));
  parseConfig(lines.replace("timer", "[aggregation]\ntimer"), "suite.ini", [], (text) => none.push(text));
  assert.deepEqual(none, []);
});
