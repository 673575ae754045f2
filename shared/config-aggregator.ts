/** The aggregator's rows of the option table: [aggregator], the sections [listener.NAME], and [idle]. */
import { intakeAddress, pageAddress } from "./config-addresses.ts";
import { ADDRESSES, ADDRESSES_OR_NONE, inherit, type ListRule, many, one, WORDS } from "./config-rows.ts";
import { cap } from "./config-shaping.ts";
import {
  choice,
  count,
  duration,
  durationOrForever,
  fileMode,
  path,
  size,
  type TextRule,
  text,
  yesNo,
} from "./config-values.ts";

const trimDots = (prefix: string): string => prefix.replace(/\.+$/, "");
const NAME_PART: TextRule = { forbidden: /[\s;]/, forbiddenWords: "blanks and semicolons" };
const SECRET: TextRule = { forbidden: /[^!-~]/, forbiddenWords: "blanks and characters beyond ASCII" };
const SINK_NAME: TextRule = { forbidden: /[^A-Za-z0-9._-]/, forbiddenWords: "anything but sink names" };
const CAPS: ListRule = { ...ADDRESSES_OR_NONE, isUnique: true };

/** How lines come in and are read: what each listener may say for itself. */
const INTAKE = {
  dialect: one(
    "dialect",
    choice(["auto", "statsd", "dogstatsd", "bioyino"]),
    "auto",
    "Protocol of the lines",
  ),
  threads: one("threads", count(1, 64), "1", "Receiver threads for each listen address"),
  "receive-buffer": one("receiveBufferBytes", size("1k", "1g"), "16m", "Receive buffer of each socket"),
  sanitize: one(
    "sanitize",
    choice(["bioyino", "etsy", "off"]),
    "bioyino",
    "What becomes of characters that a name should not have",
  ),
  "influx-tags": one("influxTags", yesNo, "no", "Whether name,k=v is a name with tags"),
  "unknown-type": one(
    "unknownType",
    choice(["drop", "counter"]),
    "drop",
    "What becomes of lines of an unknown type",
  ),
  framing: one("framing", choice(["lines", "length"]), "lines", "How streams are cut into lines"),
  "line-bytes-max": one("lineBytesMax", size("64", "63k"), "8k", "Bytes of a line that comes over a stream"),
  "idle-timeout": one("idleTimeoutMs", duration("1s", "24h", true), "5m", "Silence that ends a stream"),
  "connections-max": one("connectionsMax", count(1, 65_536), "1024", "Streams of each listen address"),
  "socket-mode": one("socketMode", fileMode, "", "Permissions of the files of unix sockets"),
  "tls-cert": one("tlsCert", path, "", "Certificate (PEM) that tls listeners show"),
  "tls-key": one("tlsKey", path, "", "Key (PEM) of that certificate"),
  "tls-client-ca": one("tlsClientCa", path, "", "Certificates (PEM) of which clients must show one"),
  "hmac-key-file": one("hmacKeyFile", path, "", "File with the key that datagrams must be signed with"),
  "hmac-window": one(
    "hmacWindowMs",
    duration("1s", "1h"),
    "60s",
    "Age at which signed datagrams are refused",
  ),
};

/** [aggregator]. */
export const AGGREGATOR = {
  listen: many("listen", intakeAddress, "udp://0.0.0.0:8125", "Where lines come in", ADDRESSES),
  ...INTAKE,
  io: one(
    "io",
    choice(["auto", "mmsg", "dgram"]),
    "auto",
    "How datagrams are moved; auto takes mmsg where it works",
  ),
  "untagged-copy": one(
    "untaggedCopy",
    yesNo,
    "no",
    "Whether tagged lines count under their bare name as well",
  ),
  interval: one("intervalMs", duration("100ms", "1h"), "30s", "Span of time that one flush covers"),
  "late-window": one("lateWindowMs", duration("0", "1h"), "0", "Time that an interval waits for late lines"),
  watchdog: one("watchdogIntervals", count(0, 1000), "3", "Intervals without a flush that raise an alarm"),
  history: one("historyIntervals", count(0, 100), "2", "Flushed intervals that can be looked at"),
  "history-bytes": one("historyBytesMax", size("0", "4g"), "64m", "Memory for them"),
  management: one("management", pageAddress, "127.0.0.1:8137", "Address of the management pages"),
  "management-token": one("managementToken", text("token", SECRET), "", "Password of the management pages"),
  admin: one("admin", pageAddress, "", "Address of etsy's administration port"),
  "stats-prefix": one(
    "statsPrefix",
    text("prefix", { ...NAME_PART, isRequired: true, normalize: trimDots }),
    "resources.monitoring.bioyino",
    "Prefix of the aggregator's own metrics",
  ),
  "stats-interval": one("statsIntervalMs", duration("100ms", "1h", true), "10s", "Pace of its own metrics"),
  sinks: many("sinks", text("sink", SINK_NAME), "carbon", "Where rows are written", WORDS, true),
  "series-max": one("seriesMax", count(1, 16_000_000), "1000000", "Series of an interval", true),
  "series-per-sender-max": one("seriesPerSenderMax", count(0, 16_000_000), "0", "Series of one sender", true),
  "series-per-prefix-max": one("seriesPerPrefixMax", count(0, 16_000_000), "0", "Series of one prefix", true),
  "prefix-parts": one("prefixParts", count(1, 16), "2", "Dotted parts of a name that are its prefix", true),
  "series-cap": many("seriesCaps", cap, "", "Series of names that begin so, as PREFIX=COUNT", CAPS, true),
  "overflow-name": one(
    "overflowName",
    text("name", NAME_PART),
    "bioyino.overflow",
    "Series that gets what was refused",
    true,
  ),
  "timer-samples-max": one("timerSamplesMax", count(0, 4_000_000_000), "0", "Samples of one timer", true),
  "snapshot-series-max": one("snapshotSeriesMax", count(1, 4_000_000), "262144", "Series of a snapshot"),
  "name-bytes-max": one("nameBytesMax", count(1, 4096), "512", "Bytes of a name, tags aside"),
  "tags-bytes-max": one("tagsBytesMax", count(0, 32_768), "9000", "Bytes of the tags of a line"),
  "backlog-bytes-max": one("backlogBytesMax", size("1m", "64g"), "256m", "Snapshots waiting for the store"),
  "memory-max": one("memoryBytesMax", size("1m", "16g"), "2g", "Memory of all tables"),
  "memory-limit": one("memoryLimitBytes", size("0", "256g"), "0", "Memory of the whole process"),
  "drain-timeout": one(
    "drainTimeoutMs",
    duration("0", "5m"),
    "10s",
    "Longest wait for the sinks at exit",
    true,
  ),
  "state-dir": one("stateDir", path, "", "Folder for what a node of a cluster must not forget"),
};

/** [listener.NAME]: further addresses, read in a way of their own; what is not said is as in [aggregator]. */
export const LISTENER = {
  listen: many("listen", intakeAddress, "", "Where lines come in", ADDRESSES),
  dialect: inherit(INTAKE.dialect, "aggregator"),
  threads: inherit(INTAKE.threads, "aggregator"),
  "receive-buffer": inherit(INTAKE["receive-buffer"], "aggregator"),
  sanitize: inherit(INTAKE.sanitize, "aggregator"),
  "influx-tags": inherit(INTAKE["influx-tags"], "aggregator"),
  "unknown-type": inherit(INTAKE["unknown-type"], "aggregator"),
  framing: inherit(INTAKE.framing, "aggregator"),
  "line-bytes-max": inherit(INTAKE["line-bytes-max"], "aggregator"),
  "idle-timeout": inherit(INTAKE["idle-timeout"], "aggregator"),
  "connections-max": inherit(INTAKE["connections-max"], "aggregator"),
  "socket-mode": inherit(INTAKE["socket-mode"], "aggregator"),
  "tls-cert": inherit(INTAKE["tls-cert"], "aggregator"),
  "tls-key": inherit(INTAKE["tls-key"], "aggregator"),
  "tls-client-ca": inherit(INTAKE["tls-client-ca"], "aggregator"),
  "hmac-key-file": inherit(INTAKE["hmac-key-file"], "aggregator"),
  "hmac-window": inherit(INTAKE["hmac-window"], "aggregator"),
};

/** [idle]: for how long series of each type are written that get no lines any more. */
export const IDLE = {
  counter: one("counterMs", durationOrForever, "0", "Time in which idle counters are written as 0", true),
  gauge: one("gaugeMs", durationOrForever, "0", "Time in which idle gauges are written again", true),
  timer: one("timerMs", durationOrForever, "0", "Time in which idle timers have a count of 0", true),
  set: one("setMs", durationOrForever, "0", "Time in which idle sets are written as 0", true),
  "gauge-level": one(
    "gaugeLevelMs",
    durationOrForever,
    "forever",
    "Time after which a gauge's level is forgotten",
    true,
  ),
};
