/**
 * The option table: every section and key of the configuration, in the order in which they are shown.
 * Defaults, validation, --help, --print-config and the type of the configuration are all derived from it. A
 * new option is one row here and one line in config/suite.ini.
 */
import { destination, listenAddress, pageAddress, remoteAddress } from "./config-addresses.ts";
import {
  aggregate,
  choice,
  count,
  decimal,
  duration,
  size,
  type TextRule,
  text,
  type ValueType,
} from "./config-values.ts";
import { DEFAULT_AGGREGATES, type MetricType } from "./metric.ts";

/** What every option has. */
interface OptionRow<Property extends string> {
  /** Name in the typed configuration: camelCase, unit last. */
  readonly property: Property;
  /** One line for --help. */
  readonly doc: string;
  /** Whether a running daemon could take a new value without closing a socket or dropping what it holds. */
  readonly isReloadable: boolean;
}

/** An option with one value. */
export interface ScalarOption<Value, Property extends string = string> extends OptionRow<Property> {
  readonly kind: "scalar";
  readonly type: ValueType<Value>;
  readonly default: string;
}

/** An option that is taken from the same key of another section where it is not set. */
export interface InheritedOption<Value, Property extends string = string> extends OptionRow<Property> {
  readonly kind: "inherited";
  readonly type: ValueType<Value>;
  readonly from: "naming.default";
}

/** An option with any number of values, in order. */
export interface ListOption<Value, Property extends string = string> extends OptionRow<Property> {
  readonly kind: "list";
  readonly type: ValueType<Value>;
  /** The items, with blanks between them. */
  readonly default: string;
  readonly rule: ListRule;
}

/** What a list may look like. */
export interface ListRule {
  /** How an empty list is written: by nothing, by the word `none`, or not at all. */
  readonly empty: "blank" | "none" | "refused";
  /** Whether an item that comes again is left out, with a warning. */
  readonly isUnique: boolean;
  /** Whether --print-config writes it on one line, as suits short words. */
  readonly isInline: boolean;
}

export type Option = ScalarOption<unknown> | InheritedOption<unknown> | ListOption<unknown>;
export type Section = Readonly<Record<string, Option>>;

/** Values of a section by property. */
export type SectionValues<Rows> = {
  readonly [Key in keyof Rows as Rows[Key] extends OptionRow<infer Name> ? Name : never]: OptionValue<
    Rows[Key]
  >;
};
type OptionValue<Row> =
  Row extends ListOption<infer Value>
    ? readonly Value[]
    : Row extends ScalarOption<infer Value> | InheritedOption<infer Value>
      ? Value
      : never;

/** One value. fallback: the default, as INI text. */
function one<Value, const Property extends string>(
  property: Property,
  type: ValueType<Value>,
  fallback: string,
  doc: string,
  isReloadable = false,
): ScalarOption<Value, Property> {
  return { kind: "scalar", property, type, default: fallback, doc, isReloadable };
}

/** Many values. fallback: the default items, with blanks between them. */
function many<Value, const Property extends string>(
  property: Property,
  type: ValueType<Value>,
  fallback: string,
  doc: string,
  rule: ListRule,
  isReloadable = false,
): ListOption<Value, Property> {
  return { kind: "list", property, type, default: fallback, doc, rule, isReloadable };
}

const ADDRESSES: ListRule = { empty: "refused", isUnique: false, isInline: false };
const ADDRESSES_OR_NONE: ListRule = { ...ADDRESSES, empty: "blank" };
const WORDS: ListRule = { empty: "refused", isUnique: true, isInline: true };
const WORDS_OR_NONE: ListRule = { ...WORDS, empty: "none" };

const trimDots = (prefix: string): string => prefix.replace(/\.+$/, "");
const LINE_PART: TextRule = { forbidden: /[\s:|]/, forbiddenWords: "blanks, colons and bars" };
const NAME_PART: TextRule = { forbidden: /[\s;]/, forbiddenWords: "blanks and semicolons" };
const TAG_KEY: TextRule = {
  forbidden: /[\s;=]/,
  forbiddenWords: "blanks, semicolons and equal signs",
  isRequired: true,
};
const TAG_LIST: TextRule = { forbidden: /\|/, forbiddenWords: "bars" };
const IO = choice(["auto", "mmsg", "dgram"]);
const NO_TCP_YET = new Map([["tcp", "is not supported: this version sends UDP only; write udp"]]);

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

function inherit<Value, const Property extends string>({
  property,
  type,
  doc,
}: ScalarOption<Value, Property>): InheritedOption<Value, Property> {
  return { kind: "inherited", property, type, from: "naming.default", doc, isReloadable: true };
}

/** The sections of the metric types take field by field what they do not say from [naming.default]. */
const NAMING_OF_TYPE = {
  destination: inherit(NAMING.destination),
  prefix: inherit(NAMING.prefix),
  tag: inherit(NAMING.tag),
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
  relay: {
    listen: many("listen", listenAddress, "udp://0.0.0.0:9125", "Where datagrams come in", ADDRESSES),
    threads: one("threads", count(1, 64), "1", "Receiver threads for each listen address"),
    io: one("io", IO, "auto", "How datagrams are moved; auto takes mmsg where it works"),
    prefix: one("prefix", text("prefix", LINE_PART), "statsrelay", "Prefix of the relay's own metric"),
    destinations: many(
      "destinations",
      destination,
      "",
      "Where lines go; the order is the ring",
      ADDRESSES_OR_NONE,
      true,
    ),
    hash: one("hash", choice(["fnv1a-jump"]), "fnv1a-jump", "How a name chooses its destination"),
    packetlen: one("packetlen", count(0, 65_507), "1400", "Bytes up to which lines are packed together"),
    "flush-interval": one("flushIntervalMs", duration("10ms", "1m"), "1s", "Longest wait of a line"),
    "metrics-prefix": one(
      "metricsPrefix",
      text("prefix", LINE_PART),
      "",
      "Put before every name, with a dot",
    ),
    "metrics-tags": one("metricsTags", text("tag list", TAG_LIST), "", "Tags added to every line"),
    sendproto: one("sendproto", choice(["udp", "test"], NO_TCP_YET), "udp", "test discards all"),
    management: one("management", pageAddress, "127.0.0.1:9126", "Address of the management pages"),
    "receive-buffer": one("receiveBufferBytes", size("1k", "1g"), "16m", "Receive buffer of each socket"),
    "drain-timeout": one(
      "drainTimeoutMs",
      duration("0", "5m"),
      "5s",
      "Longest wait for the last lines at exit",
    ),
  },
  aggregator: {
    listen: many("listen", listenAddress, "udp://0.0.0.0:8125", "Where datagrams come in", ADDRESSES),
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
