/** A configuration of etsy's statsd in our words. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { importEtsy } from "../../aggregator/import/etsy.ts";
import { importFile } from "../../aggregator/import/import.ts";
import { parseConfig, type SuiteConfig } from "../../shared/config.ts";
import { OperatorError } from "../../shared/errors.ts";

const folder = mkdtempSync(join(tmpdir(), "import-test-"));
after(() => rmSync(folder, { recursive: true }));

function load(config: object): { readonly config: SuiteConfig; readonly ini: string } {
  const { ini, faults } = importEtsy(JSON.stringify(config), "config.json");
  assert.deepEqual(faults, []);
  return { config: parseConfig(ini, "x.ini"), ini };
}

function faultsOf(config: object): readonly string[] {
  return importEtsy(JSON.stringify(config), "config.json").faults;
}

const names = (list: SuiteConfig["aggregation"]["timer"]): string => list.map(({ name }) => name).join(" ");

test("an empty file comes to what etsy's statsd does by itself", () => {
  const { aggregator, idle, aggregation, carbon } = load({}).config;
  assert.deepEqual(aggregator.listen, [{ kind: "udp", host: "0.0.0.0", port: 8125 }]);
  assert.deepEqual(aggregator.admin, { host: "127.0.0.1", port: 8126 });
  const { intervalMs, sanitize, unknownType, sinks } = aggregator;
  assert.deepEqual([intervalMs, sanitize, unknownType, sinks], [10_000, "etsy", "counter", ["carbon"]]);
  assert.deepEqual(
    Object.values(idle),
    Array.from({ length: 5 }, () => Number.POSITIVE_INFINITY),
  );
  assert.equal(aggregation.preset, "etsy-legacy");
  assert.deepEqual(carbon.address, [{ host: "127.0.0.1", port: 2003 }]);
});

test("every key is taken over, or told of", () => {
  const { config, ini } = load({
    port: 8125,
    address: "10.0.0.1",
    servers: [
      { server: "./servers/udp" },
      { server: "./servers/tcp", address: "::", port: 8127 },
      { server: "./servers/tcp", socket: "/run/statsd.sock", socket_mod: "0770" },
    ],
    mgmt_address: "::1",
    mgmt_port: 8128,
    flushInterval: 20_000,
    percentThreshold: [90, -10, 99.9, 0],
    histogram: [
      { metric: "foo", bins: [] },
      { metric: "a*b", bins: [1, 2.5, "inf"] },
      { metric: "", bins: [50, 100] },
    ],
    calculatedTimerMetrics: ["count", "upper_90", "lower_top10", "count_ps", "mean_99_9", "histogram"],
    deleteIdleStats: true,
    deleteCounters: false,
    gaugesMaxTTL: 3,
    keyNameSanitize: false,
    prefixStats: "own",
    keyFlush: { interval: 10_000 },
    backends: ["./backends/graphite", "./backends/console.js", "./backends/repeater", "statsd-kafka"],
    graphiteHost: "graphite.example",
    graphitePort: 2003,
    graphitePicklePort: 2014,
    graphiteProtocol: "pickle",
    graphite: { legacyNamespace: false, globalPrefix: "g", prefixCounter: "c", globalSuffix: "host" },
    flush_counts: false,
    console: { prettyprint: true },
    repeater: [{ host: "10.0.0.2", port: 8125 }],
    repeaterProtocol: "tcp",
    dumpMessages: true,
    debug: true,
    log: { backend: "syslog" },
    title: "statsd",
    healthStatus: "up",
    automaticConfigReload: true,
  });
  const { aggregator, idle, aggregation, naming, carbon, repeater } = config;
  assert.deepEqual(aggregator.listen, [
    { kind: "udp", host: "10.0.0.1", port: 8125 },
    { kind: "tcp", host: "::", port: 8127 },
    { kind: "unix", path: "/run/statsd.sock" },
  ]);
  assert.deepEqual(aggregator.admin, { host: "::1", port: 8128 });
  assert.deepEqual([aggregator.socketMode, aggregator.sanitize], [0o770, "bioyino"]);
  assert.deepEqual([aggregator.intervalMs, aggregator.statsPrefix], [20_000, "own"]);
  assert.deepEqual(aggregator.sinks, ["carbon", "console"]);
  assert.deepEqual(idle, {
    counterMs: Number.POSITIVE_INFINITY,
    gaugeMs: 40_000,
    timerMs: 0,
    setMs: 0,
    gaugeLevelMs: 40_000,
  });
  assert.deepEqual(aggregation.percentThresholds, [90, -10, 99.9]);
  assert.deepEqual(aggregation.histograms, [
    { pattern: "**foo**", bins: [] },
    { pattern: "/a\\*b/", bins: [1, 2.5, Number.POSITIVE_INFINITY] },
    { pattern: "**", bins: [50, 100] },
  ]);
  assert.equal(names(aggregation.timer), "count upper-p90 lower-top10 rate mean-p99.9");
  assert.equal(names(aggregation.counter), "rate");
  assert.deepEqual(
    [naming.counter, naming.timer, naming.gauge, naming.set].map(({ prefix, suffix }) => [prefix, suffix]),
    [
      ["g.c", "host"],
      ["g.timers", "host"],
      ["g.gauges", "host"],
      ["g.sets", "host"],
    ],
  );
  assert.deepEqual([carbon.address, carbon.format], [[{ host: "graphite.example", port: 2014 }], "pickle"]);
  assert.deepEqual(repeater.address, [{ protocol: "tcp", host: "10.0.0.2", port: 8125 }]);
  const left = [
    "keyFlush",
    "statsd-kafka",
    "console",
    "dumpMessages",
    "debug",
    "log",
    "title",
    "healthStatus",
  ];
  for (const name of [...left, "automaticConfigReload"]) assert.match(ini, new RegExp(`^# .*${name}`, "m"));
});

test("prefixes are for the newer names alone", () => {
  const { naming } = load({ graphite: { globalPrefix: "g", prefixTimer: "t" } }).config;
  assert.equal(naming.timer.prefix, "stats.timers");
  const bare = load({ graphite: { legacyNamespace: false, globalPrefix: "" } }).config.naming;
  assert.equal(bare.timer.prefix, "timers");
});

test("statistics that are not wanted are not there", () => {
  const { aggregation } = load({
    calculatedTimerMetrics: ["count"],
    histogram: [{ metric: "", bins: [1] }],
    percentThreshold: 95,
  }).config;
  assert.deepEqual([names(aggregation.timer), aggregation.histograms], ["count", []]);
  assert.deepEqual(aggregation.percentThresholds, [95]);
  assert.match(names(load({ percentThreshold: 95 }).config.aggregation.timer), /upper-p95/);
  assert.doesNotMatch(names(load({ percentThreshold: [] }).config.aggregation.timer), /upper-p/);
});

test("gauges that are deleted are shown once, or as often as they may", () => {
  const { gaugeMs, gaugeLevelMs } = load({ deleteGauges: true }).config.idle;
  assert.deepEqual([gaugeMs, gaugeLevelMs], [0, 0]);
  assert.equal(load({ gaugesMaxTTL: 5 }).config.idle.gaugeMs, Number.POSITIVE_INFINITY);
});

test("all faults come at once", () => {
  assert.deepEqual(
    faultsOf({
      prot: 1,
      flushInterval: "x",
      servers: [{ server: "./x", prot: 1 }],
      percentThreshold: [200],
      histogram: [1],
      calculatedTimerMetrics: ["p90"],
      graphite: { legacy: true },
      graphiteProtocol: "udp",
      repeater: {},
      repeaterProtocol: "sctp",
    }),
    [
      'servers.0.server = "./x": is no server of etsy\'s statsd; name ./servers/udp or tcp',
      "servers.0.prot: is an unknown key; did you mean port?",
      'flushInterval = "x": is no whole number from 0 on',
      "graphite.legacy: is an unknown key; remove it",
      "percentThreshold = [200]: has what is no percentile; choose within -100..100",
      'calculatedTimerMetrics = ["p90"]: has "p90", which no timer of etsy\'s statsd has',
      "histogram = [1]: is no list of objects with metric and bins",
      'graphiteProtocol = "udp": is unknown; choose one of text, pickle',
      'repeaterProtocol = "sctp": is unknown; choose one of udp4, udp6, tcp',
      "repeater = {}: is no list of objects with host and port",
      "prot: is an unknown key; did you mean port?",
    ],
  );
  assert.deepEqual(importEtsy("[]", "x").faults, ["is no JSON object"]);
  assert.match(importEtsy("{a: 1}", "x").faults.join(), /^is no JSON: /);
});

/** What an import of a file is refused with. */
function refusalOf(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  try {
    importFile(path, () => {});
  } catch (error) {
    assert.ok(error instanceof OperatorError, String(error));
    assert.equal(error.exitCode, 78);
    return error.message.replaceAll(`${folder}/`, "");
  }
  assert.fail(`accepted: ${text}`);
}

test("files are known by their ending", () => {
  assert.match(
    refusalOf("config.js", "{}"),
    /^config\.js: is JavaScript, which is not run here; .*\n {2}node -p/,
  );
  assert.match(
    refusalOf("config.yaml", "{}"),
    /^config\.yaml: is no \.toml of bioyino and no \.json of etsy/,
  );
  assert.equal(
    refusalOf("two.json", '{"prot": 1, "pot": 2}'),
    "two.json: 2 faults\n  prot: is an unknown key; did you mean port?\n" +
      "  pot: is an unknown key; did you mean port?",
  );
});

test("what cannot be said here is told in the words of the new file", () => {
  const text = refusalOf("long.toml", "[carbon]\ninterval = 86400000");
  assert.match(
    text,
    /^what .*long\.toml comes to: 1 fault\n {2}line \d+: aggregator\.interval = 24h: is too large/,
  );
});
