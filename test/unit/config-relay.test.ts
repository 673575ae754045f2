/** Every option of the relay: its default, a value that it takes, one that it does not. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { OPTIONS } from "../../shared/config-options.ts";
import { ROUTE } from "../../shared/config-relay.ts";
import {
  bytes,
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

const NO_PART = "must not contain blanks, colons and bars; remove them";
const TOO_LONG = { ["x".repeat(1025)]: "is longer than 1024; shorten it" };
const FINGERPRINT = "is no fingerprint; copy the 16 hex digits that `statsrelay ring` prints";
const KINDS = "choose auto, none, refusal, tcp, tcp:PORT, http:PORT/PATH or statsd:PORT";

const CASES: Readonly<Record<keyof typeof OPTIONS.relay, OptionCase>> = {
  listen: {
    property: "listen",
    fallback: [{ kind: "udp", host: "0.0.0.0", port: 9125 }],
    good: {
      "tcp://[::1]:1": [{ kind: "tcp", host: "::1", port: 1 }],
      "unix:///a unixgram:///b": [
        { kind: "unix", path: "/a" },
        { kind: "unixgram", path: "/b" },
      ],
      "tcp://*:0": [{ kind: "tcp", host: "*", port: 0 }],
    },
    bad: {
      "unix://a": "needs an absolute path; write unix:///PATH",
      "tcp://a": "is no address; write HOST:PORT or [IPV6]:PORT",
      "tls://a:1": 'has the scheme "tls"; choose one of udp, tcp, unixgram, unix',
      [`unix:///${"a".repeat(107)}`]: "has a path of more than 107 bytes; choose a shorter one",
    },
  },
  threads: whole("threads", 1, 1, 64),
  io: words("io", "auto", "auto, mmsg, dgram"),
  "receive-buffer": bytes("receiveBufferBytes", 2 ** 24, ["1k", "1g"], [2 ** 10, 2 ** 30]),
  "line-bytes-max": bytes("lineBytesMax", 2 ** 13, ["64", "63k"], [64, 63 * 2 ** 10]),
  "idle-timeout": span("idleTimeoutMs", 5 * MINUTE, ["1s", "24h"], [1000, 24 * HOUR], true),
  "connections-max": whole("connectionsMax", 1024, 1, 65_536),
  destinations: {
    property: "destinations",
    fallback: [],
    good: { "": [], "a:1 tls://b:2*3 unixgram:///c": ["a:1", "tls://b:2*3", "unixgram:///c"] },
    bad: { "a:1*0": 'has the weight "0"; choose within 1..1000' },
  },
  "destinations-file": texts("destinationsFile", "/etc/ring.txt", TOO_LONG),
  "expect-ring": texts("expectRing", "0123456789abcdef", {
    "0123456789abcde": FINGERPRINT,
    "0123456789abcdeg": FINGERPRINT,
  }),
  hash: {
    ...words("hash", "fnv1a-jump", "fnv1a-jump, djb2-mod, murmur3-shards, ketama-etsy"),
    bad: {
      djb2: "is unknown; write djb2-mod",
      ketama: "is unknown; write ketama-etsy",
      sdbm: "is unknown; choose one of fnv1a-jump, djb2-mod, murmur3-shards, ketama-etsy",
    },
  },
  key: words("key", "auto", "auto, name, untagged, sorted, comma-sorted"),
  shards: { ...whole("shards", 0, 0, 65_536), good: { "0": 0 } },
  replicas: whole("replicas", 1, 1, 16),
  "on-dead": words("onDead", "keep", "keep, drop, hold, next"),
  packetlen: whole("packetlen", 1400, 0, 65_507),
  "strict-packetlen": toggle("strictPacketlen", false),
  "flush-interval": span("flushIntervalMs", 1000, ["10ms", "1m"], [10, MINUTE]),
  "trim-cr": toggle("trimCr", false),
  "tags-in-section": toggle("tagsInSection", false),
  validate: toggle("validate", false),
  "tag-format": words("tagFormat", "keep", "keep, graphite, name"),
  "metrics-prefix": texts("metricsPrefix", "a.b", { "a:b": NO_PART, "a|b": NO_PART, "a b": NO_PART }),
  "metrics-suffix": texts("metricsSuffix", "a.b", { "a:b": NO_PART, "a|b": NO_PART, ...TOO_LONG }),
  "metrics-tags": texts("metricsTags", "a:b,c", { "a|b": "must not contain bars; remove them" }),
  allow: { property: "allow", fallback: [], good: { "": [], "app.*": ["app.*"] }, bad: {} },
  block: { property: "block", fallback: [], good: { "": [], "/^a\\.b$/": ["/^a\\.b$/"] }, bad: {} },
  rename: {
    property: "rename",
    fallback: [],
    good: { "": [] },
    bad: { "a->b": "has no arrow between two names; write PATTERN -> REPLACEMENT" },
  },
  "sample-threshold": whole("sampleThreshold", 0, 0, 4_294_967_295),
  "sample-rate": {
    property: "sampleRate",
    fallback: 0.1,
    good: { "0.1": 0.1, "0.01": 0.01, "0.001": 0.001 },
    bad: {
      "0.5": "is unknown; choose one of 0.1, 0.01, 0.001",
      "1": "is unknown; choose one of 0.1, 0.01, 0.001",
    },
  },
  cap: {
    property: "caps",
    fallback: [],
    good: {
      "a.b=10 c=10000000": [
        { prefix: "a.b", count: 10 },
        { prefix: "c", count: 10_000_000 },
      ],
      '"a;k=v=1"': [{ prefix: "a;k=v", count: 1 }],
    },
    bad: {
      "a.b": "has no count; write PREFIX=COUNT",
      "=1": "has no prefix; write PREFIX=COUNT",
      "a:b=1": "has a colon or bar in its prefix; remove it",
      "a=0": 'has the count "0"; choose within 1..10000000',
      "a=10000001": 'has the count "10000001"; choose within 1..10000000',
      "a=": 'has the count ""; choose within 1..10000000',
    },
  },
  "cap-window": span("capWindowMs", HOUR, ["1s", "168h"], [1000, 168 * HOUR]),
  sendproto: words("sendproto", "udp", "udp, tcp, tls, test"),
  "queue-bytes": bytes("queueBytesMax", 2 ** 24, ["64k", "64g"], [2 ** 16, 2 ** 36]),
  "queue-age": span("queueAgeMs", MINUTE, ["100ms", "24h"], [100, 24 * HOUR]),
  "connect-timeout": span("connectTimeoutMs", 1000, ["10ms", "5m"], [10, 5 * MINUTE]),
  "write-timeout": span("writeTimeoutMs", 5000, ["10ms", "5m"], [10, 5 * MINUTE]),
  "retry-delay": span("retryDelayMs", 50, ["1ms", "1h"], [1, HOUR]),
  "retry-delay-multiplier": {
    property: "retryDelayMultiplier",
    fallback: 1.5,
    good: { "1": 1, "100": 100, "2.25": 2.25 },
    bad: { "0.9": within("1", "100", true), "1e1": WHOLE.replace("whole", "decimal") },
  },
  "retry-delay-max": span("retryDelayMaxMs", 1000, ["1ms", "1h"], [1, HOUR]),
  "tls-ca": texts("tlsCa", "/etc/a b.pem", TOO_LONG),
  "tls-cert": { ...texts("tlsCert", "", TOO_LONG), good: {} },
  "tls-key": { ...texts("tlsKey", "", TOO_LONG), good: {} },
  "tls-verify": toggle("tlsVerify", true),
  health: {
    property: "health",
    fallback: { kind: "auto" },
    good: {
      none: { kind: "none" },
      refusal: { kind: "refusal" },
      tcp: { kind: "tcp" },
      "tcp:1": { kind: "tcp", port: 1 },
      "http:80": { kind: "http", port: 80, path: "/" },
      "http:65535/a/b?c=d": { kind: "http", port: 65_535, path: "/a/b?c=d" },
      "statsd:8126": { kind: "statsd", port: 8126 },
    },
    bad: {
      http: "has no port to ask; write http:PORT/PATH",
      "http:/x": "has no port to ask; write http:PORT/PATH",
      statsd: "has no port to ask; write statsd:PORT",
      "tcp:": "has no port to ask; write tcp:PORT",
      "tcp:0": 'has the port "0"; choose within 1..65535',
      "http:x": 'has the port "x"; choose within 1..65535',
      "tcp:1/x": "has a path; write tcp:PORT",
      "http:1/a b": "has a character in its path that must be escaped there; write it as %XX",
      ping: `is no health check; ${KINDS}`,
      "": `is no health check; ${KINDS}`,
      "none:1": `is no health check; ${KINDS}`,
    },
  },
  "health-interval": span("healthIntervalMs", 1000, ["100ms", "1h"], [100, HOUR]),
  "health-timeout": span("healthTimeoutMs", 1000, ["10ms", "5m"], [10, 5 * MINUTE]),
  "health-rise": whole("healthRise", 2, 1, 1000),
  "health-fall": whole("healthFall", 3, 1, 1000),
  "health-return-delay": span("healthReturnDelayMs", 0, ["0", "1h"], [0, HOUR]),
  "healthy-min": whole("healthyMin", 1, 0, 65_536),
  "hold-bytes": bytes("holdBytesMax", 2 ** 26, ["64k", "64g"], [2 ** 16, 2 ** 36]),
  "hold-age": span("holdAgeMs", 10 * MINUTE, ["1s", "720h"], [1000, 720 * HOUR]),
  "spool-dir": texts("spoolDir", "/var/spool/statsrelay", TOO_LONG),
  "spool-bytes": bytes("spoolBytesMax", 2 ** 30, ["1m", "1024g"], [2 ** 20, 2 ** 40]),
  "replay-rate": whole("replayLinesPerSecond", 50_000, 1, 100_000_000),
  "resolve-interval": span("resolveIntervalMs", 30_000, ["1s", "24h"], [1000, 24 * HOUR], true),
  handover: span("handoverMs", 0, ["0", "24h"], [0, 24 * HOUR]),
  "reload-moved-max": {
    property: "reloadMovedMaxPercent",
    fallback: 100,
    good: { "0": 0, "12.5": 12.5, "12.5%": 12.5, "100": 100 },
    bad: {
      "101": within("0", "100", false),
      "-1": WHOLE.replace("whole", "decimal"),
      "%": WHOLE.replace("whole", "decimal"),
    },
  },
  peers: {
    property: "peers",
    fallback: [],
    good: {
      "": [],
      "a:1,[::1]:2": [
        { host: "a", port: 1 },
        { host: "::1", port: 2 },
      ],
    },
    bad: { "a:0": 'has the port "0"; choose within 1..65535' },
  },
  "peers-interval": span("peersIntervalMs", 10_000, ["100ms", "1h"], [100, HOUR]),
  management: { ...PAGE, property: "management", fallback: { host: "127.0.0.1", port: 9126 } },
  "management-token": texts("managementToken", "s3cret!", {
    "a b": "must not contain blanks and characters beyond ASCII; remove them",
    é: "must not contain blanks and characters beyond ASCII; remove them",
  }),
  "health-listen": { ...PAGE, property: "healthListen" },
  prefix: { ...texts("prefix", "a.b", { "a:b": NO_PART }), fallback: "statsrelay" },
  stats: words("stats", "go", "go, full"),
  "drain-delay": span("drainDelayMs", 0, ["0", "5m"], [0, 5 * MINUTE]),
  "drain-timeout": span("drainTimeoutMs", 5000, ["0", "5m"], [0, 5 * MINUTE]),
};

testOptions("relay", CASES, ["routes"]);

test("what holds sockets, threads or files open is not reloadable, everything else is", () => {
  const fixed = Object.entries({ ...OPTIONS.relay, ...ROUTE }).filter(
    ([, { isReloadable }]) => !isReloadable,
  );
  assert.deepEqual(fixed.map(([key]) => key).sort(), [
    "connections-max",
    "health-listen",
    "idle-timeout",
    "io",
    "line-bytes-max",
    "listen",
    "management",
    "management-token",
    "receive-buffer",
    "spool-dir",
    "threads",
  ]);
});
