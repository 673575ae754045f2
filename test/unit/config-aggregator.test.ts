/** Every option of the aggregator and its sinks: its default, a value that it takes, one that it does not. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfig } from "../../shared/config.ts";
import { LISTENER } from "../../shared/config-aggregator.ts";
import { OPTIONS } from "../../shared/config-options.ts";
import type { Option } from "../../shared/config-rows.ts";
import { faultsOf } from "../support/config-fault.ts";
import {
  bytes,
  filePath,
  HOUR,
  MINUTE,
  type OptionCase,
  PAGE,
  span,
  testOptions,
  texts,
  toggle,
  WHOLE,
  whole,
  within,
  words,
} from "../support/option-cases.ts";

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const SOCKET = "unix:///a unixgram:///b tls://[::1]:1 tcp://*:0 udp://a:2";
const MODE = "is no file mode; write octal digits such as 0660";
const SECRET = "must not contain blanks and characters beyond ASCII; remove them";
const NO_DURATION = "is no duration; write 0, 5m, 24h or forever";
const SIZE = "is no size; write bytes, or 64k, 16m, 2g";
const NO_PORT = 'has the port "0"; choose within 1..65535';

/** Pairs need each other, so one alone is no good value; see config-checks-aggregator.test.ts. */
const half = (property: string): OptionCase => ({ ...filePath(property), good: { "": "" } });

/** A switch between words that may contradict other defaults: only these are tried. */
const some = (one: OptionCase, good: Readonly<Record<string, unknown>>): OptionCase => ({ ...one, good });

const AGGREGATOR: Readonly<Record<keyof typeof OPTIONS.aggregator, OptionCase>> = {
  listen: {
    property: "listen",
    fallback: [{ kind: "udp", host: "0.0.0.0", port: 8125 }],
    good: {
      "unix:///a unixgram:///b udp://a:2": [
        { kind: "unix", path: "/a" },
        { kind: "unixgram", path: "/b" },
        { kind: "udp", host: "a", port: 2 },
      ],
      "tcp://*:0": [{ kind: "tcp", host: "*", port: 0 }],
    },
    bad: {
      "8125":
        "is no listen URL; write udp://HOST:PORT, tcp://HOST:PORT, tls://HOST:PORT, unixgram:///PATH or " +
        "unix:///PATH",
      "a:1": "has no scheme; write udp://a:1",
      "http://a:1": 'has the scheme "http"; choose one of udp, tcp, tls, unixgram, unix',
    },
  },
  dialect: words("dialect", "auto", "auto, statsd, dogstatsd, bioyino"),
  threads: whole("threads", 1, 1, 64),
  "receive-buffer": bytes("receiveBufferBytes", 16 * MIB, ["1k", "1g"], [1024, GIB]),
  sanitize: words("sanitize", "bioyino", "bioyino, etsy, off"),
  "influx-tags": toggle("influxTags", false),
  "unknown-type": words("unknownType", "drop", "drop, counter"),
  framing: some(words("framing", "lines", "lines, length"), { lines: "lines" }),
  "line-bytes-max": bytes("lineBytesMax", 8192, ["64", "63k"], [64, 63 * 1024]),
  "idle-timeout": span("idleTimeoutMs", 5 * MINUTE, ["1s", "24h"], [1000, 24 * HOUR], true),
  "connections-max": whole("connectionsMax", 1024, 1, 65_536),
  "socket-mode": {
    property: "socketMode",
    fallback: undefined,
    good: { "": undefined, "0660": 0o660, "777": 0o777, "000": 0 },
    bad: { "888": MODE, "66": MODE, "1777": MODE, "rw-rw----": MODE, "00660": MODE },
  },
  "tls-cert": half("tlsCert"),
  "tls-key": half("tlsKey"),
  "tls-client-ca": filePath("tlsClientCa"),
  "hmac-key-file": filePath("hmacKeyFile"),
  "hmac-window": span("hmacWindowMs", MINUTE, ["1s", "1h"], [1000, HOUR]),
  io: words("io", "auto", "auto, mmsg, dgram"),
  "untagged-copy": toggle("untaggedCopy", false),
  interval: {
    ...span("intervalMs", 30_000, ["100ms", "1h"], [100, HOUR]),
    // Shorter ones contradict cluster.snapshot-interval.
    good: { "1s": 1000, "1h": HOUR },
  },
  "late-window": {
    ...span("lateWindowMs", 0, ["0", "1h"], [0, HOUR]),
    good: { "0": 0, "3m": 3 * MINUTE },
  },
  watchdog: whole("watchdogIntervals", 3, 0, 1000),
  history: whole("historyIntervals", 2, 0, 100),
  "history-bytes": {
    ...bytes("historyBytesMax", 64 * MIB, ["0", "4g"], [0, 4 * GIB]),
    bad: { "1MB": SIZE },
  },
  management: { ...PAGE, property: "management", fallback: { host: "127.0.0.1", port: 8137 } },
  "management-token": texts("managementToken", "s3cret!", { "a b": SECRET, é: SECRET }),
  admin: { ...PAGE, property: "admin" },
  "stats-prefix": {
    property: "statsPrefix",
    fallback: "resources.monitoring.bioyino",
    good: { "a.b..": "a.b" },
    bad: { "": "is empty; give it a prefix", "a b": "must not contain blanks and semicolons; remove them" },
  },
  "stats-interval": span("statsIntervalMs", 10_000, ["100ms", "1h"], [100, HOUR], true),
  sinks: {
    property: "sinks",
    fallback: ["carbon"],
    good: { "console carbon": ["console", "carbon"] },
    bad: {
      "": "is empty; name at least one",
      "a/b": "must not contain anything but sink names; remove them",
    },
  },
  "series-max": whole("seriesMax", 1_000_000, 1, 16_000_000),
  "series-per-sender-max": whole("seriesPerSenderMax", 0, 0, 16_000_000),
  "series-per-prefix-max": whole("seriesPerPrefixMax", 0, 0, 16_000_000),
  "prefix-parts": whole("prefixParts", 2, 1, 16),
  "series-cap": {
    property: "seriesCaps",
    fallback: [],
    good: {
      "": [],
      "app.=5 b=1": [
        { prefix: "app.", count: 5 },
        { prefix: "b", count: 1 },
      ],
    },
    bad: { "app.": "has no count; write PREFIX=COUNT" },
  },
  "overflow-name": {
    ...texts("overflowName", "", { "a b": "must not contain blanks and semicolons; remove them" }),
    fallback: "bioyino.overflow",
  },
  "timer-samples-max": whole("timerSamplesMax", 0, 0, 4_000_000_000),
  "snapshot-series-max": whole("snapshotSeriesMax", 262_144, 1, 4_000_000),
  "name-bytes-max": whole("nameBytesMax", 512, 1, 4096),
  "tags-bytes-max": whole("tagsBytesMax", 9000, 0, 32_768),
  "backlog-bytes-max": bytes("backlogBytesMax", 256 * MIB, ["1m", "64g"], [MIB, 64 * GIB]),
  "memory-max": bytes("memoryBytesMax", 2 * GIB, ["1m", "16g"], [MIB, 16 * GIB]),
  "memory-limit": {
    property: "memoryLimitBytes",
    fallback: 0,
    good: { "0": 0, "256g": 256 * GIB },
    bad: { "257g": within("0", "256g", false), "1MB": SIZE },
  },
  "drain-timeout": span("drainTimeoutMs", 10_000, ["0", "5m"], [0, 5 * MINUTE]),
  "state-dir": filePath("stateDir"),
};
testOptions("aggregator", AGGREGATOR, ["listeners"]);

const idle = (property: string, fallback: number): OptionCase => ({
  property,
  fallback,
  good: { "0": 0, "1h30m": 90 * MINUTE, "8760h": 8760 * HOUR, forever: Number.POSITIVE_INFINITY },
  bad: {
    "": NO_DURATION,
    never: NO_DURATION,
    "-1s": NO_DURATION,
    "8761h": "is longer than 8760h; write forever",
  },
});
testOptions("idle", {
  counter: idle("counterMs", 0),
  gauge: idle("gaugeMs", 0),
  timer: idle("timerMs", 0),
  set: idle("setMs", 0),
  "gauge-level": idle("gaugeLevelMs", Number.POSITIVE_INFINITY),
} satisfies Record<keyof typeof OPTIONS.idle, OptionCase>);

const CARBON: Readonly<Record<keyof typeof OPTIONS.carbon, OptionCase>> = {
  address: {
    property: "address",
    fallback: [{ host: "127.0.0.1", port: 2003 }],
    good: {
      "a:1 [::1]:2": [
        { host: "a", port: 1 },
        { host: "::1", port: 2 },
      ],
    },
    bad: { "a:0": NO_PORT },
  },
  protocol: words("protocol", "tcp", "tcp, udp, tls"),
  format: words("format", "plaintext", "plaintext, pickle"),
  "bind-address": {
    property: "bindAddress",
    fallback: undefined,
    good: {
      "": undefined,
      "10.0.0.1": { host: "10.0.0.1", port: 0 },
      "10.0.0.1:5": { host: "10.0.0.1", port: 5 },
      "::1": { host: "::1", port: 0 },
      "[::1]:5": { host: "::1", port: 5 },
    },
    bad: {
      "a:1": "is a name; write an address of this machine",
      a: "is no address; write IP, IP:PORT or [IPV6]:PORT",
      "1.2.3": "is no address; write IP, IP:PORT or [IPV6]:PORT",
    },
  },
  connections: whole("connections", 1, 1, 64),
  "packet-bytes": whole("packetBytes", 1400, 64, 65_507),
  "connect-timeout": span("connectTimeoutMs", 3000, ["10ms", "5m"], [10, 5 * MINUTE]),
  "write-timeout": span("writeTimeoutMs", 10_000, ["10ms", "5m"], [10, 5 * MINUTE]),
  "ack-timeout": span("ackTimeoutMs", 10_000, ["10ms", "5m"], [10, 5 * MINUTE]),
  "retry-delay": span("retryDelayMs", 250, ["1ms", "1h"], [1, HOUR]),
  "retry-delay-multiplier": {
    property: "retryDelayMultiplier",
    fallback: 2,
    good: { "1": 1, "100": 100, "2.25": 2.25 },
    bad: { "0.9": within("1", "100", true), "1e1": WHOLE.replace("whole", "decimal") },
  },
  "retry-delay-max": span("retryDelayMaxMs", 10_000, ["1ms", "1h"], [1, HOUR]),
  "queue-bytes": bytes("queueBytesMax", 256 * MIB, ["64k", "64g"], [2 ** 16, 64 * GIB]),
  "queue-age": span("queueAgeMs", HOUR, ["1s", "720h"], [1000, 720 * HOUR]),
  "spool-dir": filePath("spoolDir"),
  "spool-bytes": bytes("spoolBytesMax", GIB, ["1m", "1024g"], [MIB, 1024 * GIB]),
  "chunk-bytes": bytes("chunkBytes", MIB, ["4k", "64m"], [4096, 64 * MIB]),
  "tls-ca": filePath("tlsCa"),
  "tls-cert": half("tlsCert"),
  "tls-key": half("tlsKey"),
  "tls-verify": toggle("tlsVerify", true),
};
testOptions("carbon", CARBON, ["others"]);

testOptions("file", {
  path: filePath("path"),
  format: words("format", "tsv", "tsv, json"),
  "rotate-bytes": bytes("rotateBytes", 100 * MIB, ["64k", "1024g"], [2 ** 16, 1024 * GIB]),
  "rotate-interval": span("rotateIntervalMs", 0, ["1m", "720h"], [MINUTE, 720 * HOUR], true),
  keep: whole("keep", 5, 1, 10_000),
  "queue-bytes": bytes("queueBytesMax", 64 * MIB, ["64k", "64g"], [2 ** 16, 64 * GIB]),
} satisfies Record<keyof typeof OPTIONS.file, OptionCase>);

testOptions("repeater", {
  address: {
    property: "address",
    fallback: [],
    good: {
      "": [],
      "udp://a:1 tcp://[::1]:2": [
        { protocol: "udp", host: "a", port: 1 },
        { protocol: "tcp", host: "::1", port: 2 },
      ],
    },
    bad: { "a:1": "needs a scheme; write udp:// or tcp://HOST:PORT", "udp://a:0": NO_PORT },
  },
  "queue-bytes": bytes("queueBytesMax", 16 * MIB, ["64k", "1g"], [2 ** 16, GIB]),
  "connect-timeout": span("connectTimeoutMs", 3000, ["10ms", "5m"], [10, 5 * MINUTE]),
} satisfies Record<keyof typeof OPTIONS.repeater, OptionCase>);

test("what holds sockets, threads or memory open is not reloadable, everything else is", () => {
  const { aggregator, idle, aggregation, carbon, file, repeater } = OPTIONS;
  const fixed = Object.entries({ aggregator, idle, aggregation, carbon, file, repeater }).flatMap(
    ([section, rows]) =>
      Object.entries<Option>(rows).flatMap(([key, { isReloadable }]) =>
        isReloadable ? [] : [`${section}.${key}`],
      ),
  );
  const ofIntake = Object.keys(LISTENER).map((key) => `aggregator.${key}`);
  assert.deepEqual(
    fixed.filter((path) => !ofIntake.includes(path)),
    [
      ..."io untagged-copy interval late-window watchdog history history-bytes management".split(" "),
      ..."management-token admin stats-prefix stats-interval snapshot-series-max name-bytes-max".split(" "),
      ..."tags-bytes-max backlog-bytes-max memory-max memory-limit state-dir".split(" "),
    ]
      .map((key) => `aggregator.${key}`)
      .concat("repeater.address", "repeater.queue-bytes", "repeater.connect-timeout"),
  );
  assert.ok(ofIntake.every((path) => fixed.includes(path)));
});

test("a listener has from [aggregator] what it does not say itself", () => {
  const text =
    `[listener.x]\nlisten = ${SOCKET}\nframing = length\ntls-cert = c\ntls-key = k\n` +
    "[aggregator]\nlisten = udp://b:1\ndialect = bioyino\nidle-timeout = 0\nsocket-mode = 600";
  const [listener] = parseConfig(text, "x.ini").aggregator.listeners;
  const { name, listen, dialect, framing, idleTimeoutMs, socketMode, threads } = listener!;
  assert.deepEqual(
    listen.map(({ kind }) => kind),
    ["unix", "unixgram", "tls", "tcp", "udp"],
  );
  assert.deepEqual(
    [name, dialect, framing, idleTimeoutMs, socketMode, threads],
    ["x", "bioyino", "length", 0, 0o600, 1],
  );
});

test("a carbon of its own has from [carbon] all but the address", () => {
  const text =
    "[carbon]\naddress = a:1\nqueue-age = 2h\nformat = pickle\n[carbon.b]\naddress = b:2\n" +
    "format = plaintext\n" +
    "[aggregator]\nsinks = carbon.b";
  const [other] = parseConfig(text, "x.ini").carbon.others;
  const { name, address, queueAgeMs, format } = other!;
  assert.deepEqual([name, queueAgeMs, format], ["b", 2 * HOUR, "plaintext"]);
  assert.deepEqual(address, [{ host: "b", port: 2 }]);
});

test("names of sections are letters, digits, _ and -", () => {
  for (const kind of ["listener", "carbon"]) {
    const remedy = `write [${kind}.NAME], with up to 32 letters, digits, _ and - for NAME`;
    for (const name of [`${kind}.a.b`, `${kind}.`, `${kind}s`, `${kind}.${"x".repeat(33)}`]) {
      assert.equal(faultsOf(`[${name}]`), `line 1: [${name}]: is no name of a ${kind}; ${remedy}`);
    }
    const many = Array.from(
      { length: 32 },
      (_, i) => `[${kind}.n${i}]\n${kind === "carbon" ? "address = a:1" : `listen = udp://a:${i + 1}`}`,
    );
    const line = 63;
    assert.equal(
      faultsOf(many.join("\n")),
      `line ${line}: [${kind}.n31]: is one ${kind} too many; have at most 31`,
    );
  }
});
