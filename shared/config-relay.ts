/** The relay's rows of the option table: [relay], and the sections [route.NAME]. */
import { destination, listenAddress, pageAddress, remoteAddress } from "./config-addresses.ts";
import { healthCheck } from "./config-health.ts";
import {
  ADDRESSES,
  ADDRESSES_OR_NONE,
  inherit,
  inheritList,
  type ListOption,
  type ListRule,
  many,
  one,
  RULES,
  type ScalarOption,
} from "./config-rows.ts";
import { cap, pattern, rename } from "./config-shaping.ts";
import {
  choice,
  count,
  decimal,
  duration,
  oneOf,
  path,
  percent,
  size,
  type TextRule,
  text,
  type ValueType,
  yesNo,
} from "./config-values.ts";

const LINE_PART: TextRule = { forbidden: /[\s:|]/, forbiddenWords: "blanks, colons and bars" };
const TAG_LIST: TextRule = { forbidden: /\|/, forbiddenWords: "bars" };
const SECRET: TextRule = { forbidden: /[^!-~]/, forbiddenWords: "blanks and characters beyond ASCII" };
const CAPS: ListRule = { ...ADDRESSES_OR_NONE, isUnique: true };

const HASHES = choice(
  ["fnv1a-jump", "djb2-mod", "murmur3-shards", "ketama-etsy"],
  new Map(
    Object.entries({
      fnv1a: "fnv1a-jump",
      djb2: "djb2-mod",
      murmur3: "murmur3-shards",
      ketama: "ketama-etsy",
    }).map(([short, name]) => [short, `is unknown; write ${name}`]),
  ),
);

/** Empty, or what ringFingerprint makes. */
const fingerprint: ValueType<string> = {
  shape: "16 hex digits, or empty",
  parse(text) {
    const value = text.toLowerCase();
    if (value === "" || /^[0-9a-f]{16}$/.test(value)) return { value };
    return { fault: "is no fingerprint; copy the 16 hex digits that `statsrelay ring` prints" };
  },
  print: (value) => value,
};

/** A value that a reload can change. */
function soft<Value, const Property extends string>(
  property: Property,
  type: ValueType<Value>,
  fallback: string,
  doc: string,
): ScalarOption<Value, Property> {
  return one(property, type, fallback, doc, true);
}

/** A list, empty unless set, that a reload can change. */
function softList<Value, const Property extends string>(
  property: Property,
  type: ValueType<Value>,
  doc: string,
  rule: ListRule,
): ListOption<Value, Property> {
  return many(property, type, "", doc, rule, true);
}

/** What every ring has of its own, whatever the others say. */
const OWN_RING = {
  destinations: softList(
    "destinations",
    destination,
    "Where lines go; the order is the ring",
    ADDRESSES_OR_NONE,
  ),
  "destinations-file": soft(
    "destinationsFile",
    path,
    "",
    "File with one destination a line, watched; in place of destinations",
  ),
  "expect-ring": soft("expectRing", fingerprint, "", "Fingerprint that the ring must have"),
};

/** How lines find their destination. */
const PLACEMENT = {
  hash: soft("hash", HASHES, "fnv1a-jump", "How a name chooses its destination"),
  key: soft(
    "key",
    choice(["auto", "name", "untagged", "sorted", "comma-sorted"]),
    "auto",
    "What of a name is hashed",
  ),
  shards: soft("shards", count(0, 65_536), "0", "Virtual shards of murmur3-shards; 0 takes the destinations"),
  replicas: soft("replicas", count(1, 16), "1", "Destinations that get each line"),
  "on-dead": soft(
    "onDead",
    choice(["keep", "drop", "hold", "next"]),
    "keep",
    "What becomes of lines for a destination that is down",
  ),
};

/** How lines are changed on their way. */
const REWRITE = {
  "metrics-prefix": soft("metricsPrefix", text("prefix", LINE_PART), "", "Put before every name, with a dot"),
  "metrics-suffix": soft("metricsSuffix", text("suffix", LINE_PART), "", "Put behind every name, with a dot"),
  "metrics-tags": soft("metricsTags", text("tag list", TAG_LIST), "", "Tags added to every line"),
};

/** Which names pass, and what they are called then. */
const FILTER = {
  allow: softList("allow", pattern, "Names that pass; none means all", RULES),
  block: softList("block", pattern, "Names that do not pass", RULES),
  rename: softList("rename", rename, "New names for those that match; the first rule counts", RULES),
};

/** Values of a metric that the packing follows. */
const PACKING = {
  packetlen: soft("packetlen", count(0, 65_507), "1400", "Bytes up to which lines are packed together"),
  "strict-packetlen": soft("strictPacketlen", yesNo, "no", "Count prefix, tags and line feed in packetlen"),
  "flush-interval": soft("flushIntervalMs", duration("10ms", "1m"), "1s", "Longest wait of a line"),
  "trim-cr": soft("trimCr", yesNo, "no", "Drop a carriage return at the end of a line"),
  "tags-in-section": soft("tagsInSection", yesNo, "no", "Add metrics-tags inside a line's own tag section"),
  validate: soft("validate", yesNo, "no", "Drop lines that are no statsd"),
  "tag-format": soft(
    "tagFormat",
    choice(["keep", "graphite", "name"]),
    "keep",
    "Form in which |#tags are sent on",
  ),
};

const INTAKE = {
  listen: many("listen", listenAddress, "udp://0.0.0.0:9125", "Where datagrams and lines come in", ADDRESSES),
  threads: one("threads", count(1, 64), "1", "Receiver threads for each listen address"),
  io: one(
    "io",
    choice(["auto", "mmsg", "dgram"]),
    "auto",
    "How datagrams are moved; auto takes mmsg where it works",
  ),
  "receive-buffer": one("receiveBufferBytes", size("1k", "1g"), "16m", "Receive buffer of each socket"),
  "line-bytes-max": one("lineBytesMax", size("64", "63k"), "8k", "Bytes of a line that comes over a stream"),
  "idle-timeout": one("idleTimeoutMs", duration("1s", "24h", true), "5m", "Silence that ends a stream"),
  "connections-max": one("connectionsMax", count(1, 65_536), "1024", "Streams of each listen address"),
};

const LIMITS = {
  "sample-threshold": soft(
    "sampleThreshold",
    count(0, 4_294_967_295),
    "0",
    "Lines of a name in a flush interval beyond which it is sampled; 0 for never",
  ),
  "sample-rate": soft("sampleRate", oneOf([0.1, 0.01, 0.001]), "0.1", "Part that sampling lets through"),
  cap: softList("caps", cap, "Different names of a prefix that pass in a window", CAPS),
  "cap-window": soft("capWindowMs", duration("1s", "168h"), "1h", "Window of the caps"),
};

const OUTPUT = {
  sendproto: soft(
    "sendproto",
    choice(["udp", "tcp", "tls", "test"]),
    "udp",
    "Protocol of destinations without a scheme; test discards all",
  ),
  "queue-bytes": soft("queueBytesMax", size("64k", "64g"), "16m", "Lines that may wait for a connection"),
  "queue-age": soft("queueAgeMs", duration("100ms", "24h"), "1m", "Age at which they are dropped"),
  "connect-timeout": soft("connectTimeoutMs", duration("10ms", "5m"), "1s", "Wait for a connection"),
  "write-timeout": soft(
    "writeTimeoutMs",
    duration("10ms", "5m"),
    "5s",
    "Wait for a connection to take bytes",
  ),
  "retry-delay": soft("retryDelayMs", duration("1ms", "1h"), "50ms", "First pause after a failure"),
  "retry-delay-multiplier": soft("retryDelayMultiplier", decimal(1, 100), "1.5", "Growth of the pauses"),
  "retry-delay-max": soft("retryDelayMaxMs", duration("1ms", "1h"), "1s", "Longest pause"),
  "tls-ca": soft("tlsCa", path, "", "Certificates (PEM) to trust; empty for those of the system"),
  "tls-cert": soft("tlsCert", path, "", "Certificate (PEM) to show"),
  "tls-key": soft("tlsKey", path, "", "Key (PEM) of that certificate"),
  "tls-verify": soft("tlsVerify", yesNo, "yes", "Whether a destination's certificate must be good"),
};

const DEATH = {
  health: soft("health", healthCheck, "auto", "How to find out whether a destination lives"),
  "health-interval": soft("healthIntervalMs", duration("100ms", "1h"), "1s", "Pace of the checks"),
  "health-timeout": soft("healthTimeoutMs", duration("10ms", "5m"), "1s", "Wait for an answer"),
  "health-rise": soft("healthRise", count(1, 1000), "2", "Good checks in a row that bring it back"),
  "health-fall": soft("healthFall", count(1, 1000), "3", "Bad checks in a row that take it down"),
  "health-return-delay": soft("healthReturnDelayMs", duration("0", "1h"), "0", "Wait before it serves again"),
  "healthy-min": soft(
    "healthyMin",
    count(0, 65_536),
    "1",
    "Destinations of a ring with on-dead = next that are never taken down",
  ),
  "hold-bytes": soft(
    "holdBytesMax",
    size("64k", "64g"),
    "64m",
    "Lines held for each destination that is down",
  ),
  "hold-age": soft("holdAgeMs", duration("1s", "720h"), "10m", "Age at which they are dropped"),
  "spool-dir": one("spoolDir", path, "", "Folder in which held lines survive a restart"),
  "spool-bytes": soft("spoolBytesMax", size("1m", "1024g"), "1g", "Bytes of that folder"),
  "replay-rate": soft("replayLinesPerSecond", count(1, 100_000_000), "50000", "Held lines sent on a second"),
};

const OPERATION = {
  "resolve-interval": soft(
    "resolveIntervalMs",
    duration("1s", "24h", true),
    "30s",
    "Pace at which names of destinations are looked up again",
  ),
  handover: soft("handoverMs", duration("0", "24h"), "0", "Time in which moved names stay, after a reload"),
  "reload-moved-max": soft(
    "reloadMovedMaxPercent",
    percent,
    "100",
    "Share of names that a reload may move unless forced",
  ),
  peers: softList(
    "peers",
    remoteAddress,
    "Management addresses of relays that must have equal rings",
    ADDRESSES_OR_NONE,
  ),
  "peers-interval": soft("peersIntervalMs", duration("100ms", "1h"), "10s", "Pace at which they are asked"),
  management: one("management", pageAddress, "127.0.0.1:9126", "Address of the management pages"),
  "management-token": one(
    "managementToken",
    text("token", SECRET),
    "",
    "Password of requests that change something",
  ),
  "health-listen": one("healthListen", pageAddress, "", "Address that answers load balancers"),
  prefix: soft("prefix", text("prefix", LINE_PART), "statsrelay", "Prefix of the relay's own metrics"),
  stats: soft("stats", choice(["go", "full"]), "go", "Own metrics: the one of Go statsrelay, or all"),
  "drain-delay": soft("drainDelayMs", duration("0", "5m"), "0", "Time between not being ready and the stop"),
  "drain-timeout": soft(
    "drainTimeoutMs",
    duration("0", "5m"),
    "5s",
    "Longest wait for the last lines at exit",
  ),
};

/** [relay]. */
export const RELAY = {
  ...INTAKE,
  ...OWN_RING,
  ...PLACEMENT,
  ...PACKING,
  ...REWRITE,
  ...FILTER,
  ...LIMITS,
  ...OUTPUT,
  ...DEATH,
  ...OPERATION,
};

/** [route.NAME]: what it does not say about rings and rewriting it takes from [relay]. */
export const ROUTE = {
  match: softList("match", pattern, "Names that the route takes; none means all", RULES),
  mode: soft(
    "mode",
    choice(["copy", "move"]),
    "copy",
    "move keeps what it takes from later routes and [relay]",
  ),
  share: soft("sharePercent", percent, "100", "Share of those names, chosen by hash"),
  ...OWN_RING,
  hash: inherit(PLACEMENT.hash, "relay"),
  key: inherit(PLACEMENT.key, "relay"),
  shards: inherit(PLACEMENT.shards, "relay"),
  replicas: inherit(PLACEMENT.replicas, "relay"),
  "on-dead": inherit(PLACEMENT["on-dead"], "relay"),
  "metrics-prefix": inherit(REWRITE["metrics-prefix"], "relay"),
  "metrics-suffix": inherit(REWRITE["metrics-suffix"], "relay"),
  "metrics-tags": inherit(REWRITE["metrics-tags"], "relay"),
  allow: inheritList(FILTER.allow, "relay"),
  block: inheritList(FILTER.block, "relay"),
  rename: inheritList(FILTER.rename, "relay"),
};

/** The ring of [relay] is called so. */
export const MAIN_RING = "main";
