/** All flags of statsrelay: those of the Go original, then our own. */

import { SECTIONS } from "../shared/config-options.ts";
import { defaultOf } from "../shared/config-rows.ts";
import { parseSize } from "../shared/config-values.ts";
import type { FlagKind } from "./flag-values.ts";

/** What a flag does. */
export type FlagEffect =
  /** Sets an option of the configuration. */
  | { readonly kind: "option"; readonly section: "relay" | "log"; readonly key: string }
  /** Sets several options to the same value. */
  | { readonly kind: "options"; readonly section: "relay"; readonly keys: readonly string[] }
  /** Half of the listen address. */
  | { readonly kind: "bind" | "port" }
  /** Lists the listen addresses. */
  | { readonly kind: "listen" }
  /** Sets the log level to debug. */
  | { readonly kind: "verbose" }
  /** Chooses what the command does, or with which file. */
  | { readonly kind: "config" | "check" | "print" | "version" }
  /** Is taken for the sake of old command lines; why tells what holds instead. */
  | { readonly kind: "nothing"; readonly why: string };

/** One flag. */
export interface Flag {
  /** Without dashes; the first one is the flag's own, the others are short or long forms of it. */
  readonly names: readonly string[];
  readonly kind: FlagKind;
  /** Default as shown in the usage; empty for none. */
  readonly fallback: string;
  readonly doc: string;
  readonly effect: FlagEffect;
}

const ONE_CONNECTION = "each destination has one lasting connection";
const ONE_RETRY = "what could not be sent is tried once more over a new connection, then queued";
const NO_CACHE =
  "names are looked up in the background and the last good address is kept (--resolve-interval)";
const NO_PPROF = "that is a profiler of Go; node --cpu-prof takes its place";

/** A flag that sets an option, and has its default. */
function sets(names: string, kind: FlagKind, section: "relay" | "log", key: string, doc: string): Flag {
  const option = SECTIONS.get(section)?.get(key);
  const written = option === undefined ? "" : defaultOf(option);
  // Go's integers know no 16m.
  const fallback = kind === "integer" ? String(parseSize(written)) : written;
  return { names: names.split(" "), kind, fallback, doc, effect: { kind: "option", section, key } };
}

/** A flag of Go for a span of time, which sets several options. */
function setsAll(names: string, fallback: string, keys: readonly string[], doc: string): Flag {
  const effect = { kind: "options", section: "relay", keys } as const;
  return { names: names.split(" "), kind: "duration", fallback, doc, effect };
}

/** A flag that nothing depends on. */
function idle(names: string, kind: FlagKind, fallback: string, doc: string, why: string): Flag {
  return { names: names.split(" "), kind, fallback, doc, effect: { kind: "nothing", why } };
}

/** A flag that is neither. */
function acts(
  names: string,
  kind: FlagKind,
  fallback: string,
  doc: string,
  effect: Exclude<FlagEffect["kind"], "option" | "options" | "nothing">,
): Flag {
  return { names: names.split(" "), kind, fallback, doc, effect: { kind: effect } };
}

/** In the order of the usage. */
export const FLAGS: readonly Flag[] = [
  acts("b bind", "string", "0.0.0.0", "address to listen on; 0.0.0.0 and * mean IPv6 too", "bind"),
  acts("p port", "integer", "9125", "UDP port to listen on", "port"),
  sets("prefix", "string", "relay", "prefix", "prefix of the relay's own metric"),
  sets("metrics-prefix", "string", "relay", "metrics-prefix", "put before every name, with a dot"),
  sets("metrics-tags", "string", "relay", "metrics-tags", "tags added to every line, with commas between"),
  sets("packetlen", "integer", "relay", "packetlen", "bytes up to which lines are packed together"),
  sets("bufsize", "integer", "relay", "receive-buffer", "receive buffer of a socket in bytes"),
  sets("sendproto", "string", "relay", "sendproto", "UDP, TCP, TLS, or TEST to discard all"),
  acts("v verbose", "boolean", "false", "same as --log-level debug", "verbose"),
  setsAll("t tcptimeout", "1s, 5s", ["connect-timeout", "write-timeout"], "wait of a connection, of a write"),
  idle("tcpmaxactive", "integer", "500", "TCP connections of a destination", ONE_CONNECTION),
  idle("tcpmaxidle", "integer", "10", "idle TCP connections of a destination", ONE_CONNECTION),
  idle("tcpmaxtimeout", "duration", "5m", "lifetime of an idle TCP connection", ONE_CONNECTION),
  idle("tcpmaxnew", "integer", "100", "TCP connections being made at a time", ONE_CONNECTION),
  idle("backoff-retries", "integer", "3", "retries of a TCP connection", ONE_RETRY),
  sets("backoff-min", "duration", "relay", "retry-delay", "first pause between TCP connections that fail"),
  sets("backoff-max", "duration", "relay", "retry-delay-max", "longest such pause"),
  sets("backoff-factor", "decimal", "relay", "retry-delay-multiplier", "growth of these pauses"),
  idle("dnscache", "boolean", "false", "cache of host names", NO_CACHE),
  idle("dnscache-time", "duration", "1s", "lifetime in that cache", NO_CACHE),
  idle("dnscache-purge", "duration", "5s", "pace at which that cache is cleaned", NO_CACHE),
  idle("dnscache-expiration", "duration", "1s", "age at which its entries expire", NO_CACHE),
  idle("maxprocs", "integer", "0", "processors of Go", "--threads sets the number of receivers"),
  idle("pprof", "boolean", "false", "profiling pages of Go", NO_PPROF),
  idle("pprof-bind", "string", ":8080", "address of those pages", NO_PPROF),
  acts("config c", "string", "", "configuration file (INI); flags override it", "config"),
  acts("check-config", "boolean", "false", "check the configuration, then exit", "check"),
  acts("print-config", "boolean", "false", "print the configuration in force, then exit", "print"),
  acts("version", "boolean", "false", "print the version, then exit", "version"),
  acts("listen", "string", "", "listen URLs with commas between, in place of -b and -p", "listen"),
  sets("threads", "string", "relay", "threads", "receiver threads"),
  sets("io", "string", "relay", "io", "auto, mmsg or dgram"),
  sets("flush-interval", "string", "relay", "flush-interval", "longest wait of a line"),
  sets("hash", "string", "relay", "hash", "fnv1a-jump, djb2-mod, murmur3-shards or ketama-etsy"),
  sets("key", "string", "relay", "key", "hashed part: auto, name, untagged, sorted or comma-sorted"),
  sets("replicas", "string", "relay", "replicas", "destinations that get each line"),
  sets("on-dead", "string", "relay", "on-dead", "lines of a dead destination: keep, drop, hold or next"),
  sets("expect-ring", "string", "relay", "expect-ring", "fingerprint that the ring must have"),
  sets(
    "strict-packetlen",
    "boolean",
    "relay",
    "strict-packetlen",
    "count prefix, tags and line feed as well",
  ),
  sets("trim-cr", "boolean", "relay", "trim-cr", "drop a carriage return at the end of a line"),
  sets("tags-in-section", "boolean", "relay", "tags-in-section", "add tags inside a line's tag section"),
  sets("validate", "boolean", "relay", "validate", "drop lines that are no statsd"),
  sets("tag-format", "string", "relay", "tag-format", "form of tags sent on: keep, graphite or name"),
  sets("metrics-suffix", "string", "relay", "metrics-suffix", "put behind every name, with a dot"),
  sets("health", "string", "relay", "health", "check: auto, none, refusal, tcp, http:PORT/PATH, statsd:PORT"),
  sets("health-listen", "string", "relay", "health-listen", "address that answers load balancers"),
  sets("spool-dir", "string", "relay", "spool-dir", "folder in which held lines survive a restart"),
  sets("resolve-interval", "string", "relay", "resolve-interval", "pace of new look-ups; 0 for never"),
  sets("handover", "string", "relay", "handover", "time in which moved names stay, after a reload"),
  sets("stats", "string", "relay", "stats", "own metrics: go for the one of Go, full for all"),
  sets("management", "string", "relay", "management", "address of the management pages, or empty for none"),
  sets("drain-delay", "string", "relay", "drain-delay", "time between not being ready and the stop"),
  sets("drain-timeout", "string", "relay", "drain-timeout", "longest wait for the last lines at exit"),
  sets("log-level", "string", "log", "level", "error, warn, info or debug"),
  sets("log-format", "string", "log", "format", "json or text"),
];

/** Flags by each of their names. */
export const FLAGS_BY_NAME: ReadonlyMap<string, Flag> = new Map(
  FLAGS.flatMap((flag) => flag.names.map((name) => [name, flag] as const)),
);

const COLUMN = 32;

/** The usage: how to call statsrelay, and every flag with its default. Ends without a newline. */
export function relayUsage(): string {
  const lines = FLAGS.map(({ names, kind, fallback, doc, effect }) => {
    const written = names.map((name) => `-${name}`).join(", ");
    const value = kind === "boolean" ? "" : ` ${kind.toUpperCase()}`;
    const notes = [
      ...(fallback === "" || kind === "boolean" ? [] : [`default ${fallback}`]),
      ...(effect.kind === "nothing" ? ["no effect here"] : []),
    ];
    const note = notes.length === 0 ? "" : ` (${notes.join("; ")})`;
    return `  ${`${written}${value}`.padEnd(COLUMN)} ${doc}${note}`;
  });
  return [
    "usage: statsrelay [FLAGS] DESTINATION ...",
    "       statsrelay --config FILE [FLAGS] [DESTINATION ...]",
    "       statsrelay explain | diff | top | status | reload | ring   (each has --help)",
    "",
    "Relays statsd lines; a line's name decides by consistent hashing which destination gets it.",
    "A destination is [udp://|tcp://|tls://]HOST:PORT[:INSTANCE][*WEIGHT] or unixgram:///PATH[*WEIGHT].",
    "Flags go before destinations, with one dash or two; -f VALUE and -f=VALUE are the same.",
    "",
    ...lines,
    `  ${"-h, -help".padEnd(COLUMN)} print this text, then exit`,
  ].join("\n");
}
