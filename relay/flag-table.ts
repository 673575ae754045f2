/** All flags of statsrelay: those of the Go original, then our own. */
import { SECTIONS } from "../shared/config-options.ts";
import { parseSize } from "../shared/config-values.ts";
import type { FlagKind } from "./flag-values.ts";

/** What a flag does. */
export type FlagEffect =
  /** Sets an option of the configuration. */
  | { readonly kind: "option"; readonly section: "relay" | "log"; readonly key: string }
  /** Half of the listen address. */
  | { readonly kind: "bind" | "port" }
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

const UDP_ONLY = "it concerns TCP, and this version sends UDP only";
const RESOLVED_ONCE = "destinations are resolved once, at the start";
const NO_PPROF = "that is a profiler of Go; node --cpu-prof takes its place";

/** A flag that sets an option, and has its default. */
function sets(names: string, kind: FlagKind, section: "relay" | "log", key: string, doc: string): Flag {
  const option = SECTIONS.get(section)?.get(key);
  const written = option === undefined || option.kind === "inherited" ? "" : option.default;
  // Go's integers know no 16m.
  const fallback = kind === "integer" ? String(parseSize(written)) : written;
  return { names: names.split(" "), kind, fallback, doc, effect: { kind: "option", section, key } };
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
  effect: Exclude<FlagEffect["kind"], "option" | "nothing">,
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
  sets("sendproto", "string", "relay", "sendproto", "UDP, or TEST to discard all"),
  acts("v verbose", "boolean", "false", "same as --log-level debug", "verbose"),
  idle("t tcptimeout", "duration", "1s", "timeout of TCP", UDP_ONLY),
  idle("tcpmaxactive", "integer", "500", "TCP connections of a destination", UDP_ONLY),
  idle("tcpmaxidle", "integer", "10", "idle TCP connections of a destination", UDP_ONLY),
  idle("tcpmaxtimeout", "duration", "5m", "lifetime of an idle TCP connection", UDP_ONLY),
  idle("tcpmaxnew", "integer", "100", "TCP connections being made at a time", UDP_ONLY),
  idle("backoff-retries", "integer", "3", "retries of a TCP connection", UDP_ONLY),
  idle("backoff-min", "duration", "50ms", "first pause between TCP retries", UDP_ONLY),
  idle("backoff-max", "duration", "1s", "longest pause between TCP retries", UDP_ONLY),
  idle("backoff-factor", "decimal", "1.5", "growth of the pauses", UDP_ONLY),
  idle("dnscache", "boolean", "false", "cache of host names", RESOLVED_ONCE),
  idle("dnscache-time", "duration", "1s", "lifetime in that cache", RESOLVED_ONCE),
  idle("dnscache-purge", "duration", "5s", "pace at which that cache is cleaned", RESOLVED_ONCE),
  idle("dnscache-expiration", "duration", "1s", "age at which its entries expire", RESOLVED_ONCE),
  idle("maxprocs", "integer", "0", "processors of Go", "--threads sets the number of receivers"),
  idle("pprof", "boolean", "false", "profiling pages of Go", NO_PPROF),
  idle("pprof-bind", "string", ":8080", "address of those pages", NO_PPROF),
  acts("config c", "string", "", "configuration file (INI); flags override it", "config"),
  acts("check-config", "boolean", "false", "check the configuration, then exit", "check"),
  acts("print-config", "boolean", "false", "print the configuration in force, then exit", "print"),
  acts("version", "boolean", "false", "print the version, then exit", "version"),
  sets("threads", "string", "relay", "threads", "receiver threads"),
  sets("io", "string", "relay", "io", "auto, mmsg or dgram"),
  sets("flush-interval", "string", "relay", "flush-interval", "longest wait of a line"),
  sets("management", "string", "relay", "management", "address of the management pages, or empty for none"),
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
    "usage: statsrelay [FLAGS] HOST:PORT[:INSTANCE] ...",
    "       statsrelay --config FILE [FLAGS] [HOST:PORT[:INSTANCE] ...]",
    "",
    "Relays statsd lines; a line's name decides by consistent hashing which destination gets it.",
    "Flags go before destinations, with one dash or two; -f VALUE and -f=VALUE are the same.",
    "",
    ...lines,
    `  ${"-h, -help".padEnd(COLUMN)} print this text, then exit`,
  ].join("\n");
}
