/**
 * The option table: every section and key of the configuration, in the order in which they are shown.
 * Defaults, validation, --help, --print-config and the type of the configuration are all derived from it. A
 * new option is one row here and one line in config/suite.ini.
 */
import { datagramAddress, pageAddress, remoteAddress } from "./config-addresses.ts";
import { RELAY, ROUTE, routeNameOf } from "./config-relay.ts";
import {
  ADDRESSES,
  ADDRESSES_OR_NONE,
  inherit,
  many,
  type Option,
  one,
  type Section,
  type SectionValues,
  WORDS,
  WORDS_OR_NONE,
} from "./config-rows.ts";
import { aggregate, choice, count, decimal, duration, size, type TextRule, text } from "./config-values.ts";
import { DEFAULT_AGGREGATES, type MetricType } from "./metric.ts";

const trimDots = (prefix: string): string => prefix.replace(/\.+$/, "");
const NAME_PART: TextRule = { forbidden: /[\s;]/, forbiddenWords: "blanks and semicolons" };
const TAG_KEY: TextRule = {
  forbidden: /[\s;=]/,
  forbiddenWords: "blanks, semicolons and equal signs",
  isRequired: true,
};
const IO = choice(["auto", "mmsg", "dgram"]);

const NAMING = {
  destination: one(
    "destination",
    choice(["smart", "name", "tag", "both"]),
    "smart",
    "Where the aggregate is told",
    true,
  ),
  prefix: one("prefix", text("prefix", NAME_PART), "", "Put before every output name, with a dot", true),
  tag: one("tag", text("tag key", TAG_KEY), "aggregate", "Key of the tag that tells the aggregate", true),
};

/** Values of a naming section. */
export type NamingValues = SectionValues<typeof NAMING>;

/** The sections of the metric types take field by field what they do not say from [naming.default]. */
const NAMING_OF_TYPE = {
  destination: inherit(NAMING.destination, "naming.default"),
  prefix: inherit(NAMING.prefix, "naming.default"),
  tag: inherit(NAMING.tag, "naming.default"),
};

function aggregates<const Type extends MetricType>(type: Type) {
  const doc = `Aggregates of a ${type}; none silences the type`;
  return many(type, aggregate, DEFAULT_AGGREGATES[type].join(" "), doc, WORDS_OR_NONE, true);
}

/** All sections, all keys. */
export const OPTIONS = {
  log: {
    level: one(
      "level",
      choice(["error", "warn", "info", "debug"]),
      "info",
      "Least severe event logged",
      true,
    ),
    format: one("format", choice(["json", "text"]), "json", "json for machines, text for people", true),
  },
  relay: RELAY,
  aggregator: {
    listen: many("listen", datagramAddress, "udp://0.0.0.0:8125", "Where datagrams come in", ADDRESSES),
    threads: one("threads", count(1, 64), "1", "Receiver threads for each listen address"),
    io: one("io", IO, "auto", "How datagrams are moved; auto takes mmsg where it works"),
    interval: one("intervalMs", duration("100ms", "1h"), "30s", "Span of time that one flush covers"),
    management: one("management", pageAddress, "127.0.0.1:8137", "Address of the management pages"),
    "stats-prefix": one(
      "statsPrefix",
      text("prefix", { ...NAME_PART, isRequired: true, normalize: trimDots }),
      "resources.monitoring.bioyino",
      "Prefix of the aggregator's own metrics",
    ),
    "stats-interval": one("statsIntervalMs", duration("100ms", "1h", true), "10s", "Pace of its own metrics"),
    "receive-buffer": one("receiveBufferBytes", size("1k", "1g"), "16m", "Receive buffer of each socket"),
    sinks: many("sinks", choice(["carbon", "console"]), "carbon", "Where rows are written", WORDS),
    "series-max": one("seriesMax", count(1, 16_000_000), "1000000", "Series of an interval"),
    "snapshot-series-max": one("snapshotSeriesMax", count(1, 4_000_000), "262144", "Series of a snapshot"),
    "name-bytes-max": one("nameBytesMax", count(1, 4096), "512", "Bytes of a name, tags aside"),
    "tags-bytes-max": one("tagsBytesMax", count(0, 32_768), "9000", "Bytes of the tags of a line"),
    "backlog-bytes-max": one("backlogBytesMax", size("1m", "64g"), "256m", "Snapshots waiting for the store"),
    "memory-max": one("memoryBytesMax", size("1m", "4g"), "2g", "Memory of each open interval"),
    "drain-timeout": one("drainTimeoutMs", duration("0", "5m"), "10s", "Longest wait for the sinks at exit"),
  },
  carbon: {
    address: many(
      "address",
      remoteAddress,
      "127.0.0.1:2003",
      "Carbon's plaintext port; each address gets all rows",
      ADDRESSES_OR_NONE,
      true,
    ),
    "connect-timeout": one("connectTimeoutMs", duration("10ms", "5m"), "3s", "Wait for a connection", true),
    "write-timeout": one(
      "writeTimeoutMs",
      duration("10ms", "5m"),
      "10s",
      "Wait for carbon to take bytes",
      true,
    ),
    "ack-timeout": one(
      "ackTimeoutMs",
      duration("10ms", "5m"),
      "10s",
      "Wait for carbon to read to the end",
      true,
    ),
    "retry-delay": one("retryDelayMs", duration("1ms", "1h"), "250ms", "First pause after a failure", true),
    "retry-delay-multiplier": one("retryDelayMultiplier", decimal(1, 100), "2", "Growth of the pauses", true),
    "retry-delay-max": one("retryDelayMaxMs", duration("1ms", "1h"), "10s", "Longest pause", true),
    "queue-bytes": one("queueBytesMax", size("64k", "64g"), "256m", "Rows that may wait", true),
    "queue-age": one(
      "queueAgeMs",
      duration("1s", "720h"),
      "1h",
      "Age at which waiting rows are dropped",
      true,
    ),
    "chunk-bytes": one("chunkBytes", size("4k", "64m"), "1m", "Rows sent over one connection", true),
  },
  console: {
    rows: one("rows", count(1, 10_000), "40", "Rows of a flush that are shown", true),
  },
  aggregation: {
    counter: aggregates("counter"),
    gauge: aggregates("gauge"),
    timer: aggregates("timer"),
    set: aggregates("set"),
    "update-count-threshold": one(
      "updateCountThreshold",
      count(0, 4_294_967_295),
      "200",
      "Updates that a series needs for its updates to be written",
      true,
    ),
    "round-timestamp": one(
      "roundTimestamp",
      choice(["no", "up", "down"]),
      "no",
      "Timestamp of rows within their interval",
      true,
    ),
  },
  "naming.default": NAMING,
  "naming.counter": NAMING_OF_TYPE,
  "naming.gauge": NAMING_OF_TYPE,
  "naming.timer": NAMING_OF_TYPE,
  "naming.set": NAMING_OF_TYPE,
  cluster: {
    "snapshot-interval": one("snapshotIntervalMs", duration("10ms", "1m"), "1s", "Pace of snapshots"),
  },
} satisfies Readonly<Record<string, Section>>;

export type SectionName = keyof typeof OPTIONS;

/** The same table for names that come from outside: a Map knows no `constructor` and no `__proto__`. */
export const SECTIONS: ReadonlyMap<string, ReadonlyMap<string, Option>> = new Map(
  Object.entries(OPTIONS).map(([name, rows]) => [name, new Map(Object.entries<Option>(rows))]),
);

const ROUTE_OPTIONS: ReadonlyMap<string, Option> = new Map(Object.entries<Option>(ROUTE));

/** Returns the options of a section, those of routes included; undefined when there is no such section. */
export function optionsOf(section: string): ReadonlyMap<string, Option> | undefined {
  return SECTIONS.get(section) ?? (routeNameOf(section) === undefined ? undefined : ROUTE_OPTIONS);
}
