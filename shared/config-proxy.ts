/**
 * The flat INI file of the Rust sharding proxy, taken as it is:
 *
 *   bind_interface = 0.0.0.0
 *   bind_port = 8125
 *   threads = 3
 *   destinations = 10.0.0.1:8125 10.0.0.2:8125
 *
 * It is known by its keys bind_interface and bind_port, which no file of ours has. Its names are hashed with
 * djb2 and tags in order. The variables BIND_INTERFACE, BIND_PORT and THREADS override it, as there.
 */
import { listenAddress, printHostPort } from "./config-addresses.ts";
import { nearest } from "./config-nearest.ts";
import { optionsOf } from "./config-options.ts";
import { type ConfigFault, FAULTS_MAX, type Place, show } from "./config-report.ts";
import { UNPRINTABLE } from "./config-values.ts";

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** What such a file means in terms of [relay]. */
export interface ProxyScan {
  readonly settings: readonly ProxySetting[];
  readonly faults: readonly ConfigFault[];
  /** Where it listens; its defaults where it does not say or is at fault. */
  readonly host: string;
  readonly port: string;
}

/** A key of [relay] with its values, checked, and where they were said. */
export interface ProxySetting {
  readonly key: "listen" | "threads" | "destinations" | "hash";
  readonly values: readonly string[];
  readonly place: Place;
}

const KEYS = ["bind_interface", "bind_port", "threads", "destinations"] as const;
type Key = (typeof KEYS)[number];
const VARIABLES = { bind_interface: "BIND_INTERFACE", bind_port: "BIND_PORT", threads: "THREADS" } as const;
const DEFAULT_HOST = "0.0.0.0";
const DEFAULT_PORT = "8125";

interface Given {
  readonly text: string;
  readonly place: Place;
}

function linesOf(text: string): string[] {
  return text
    .replace(/^\uFEFF/, "")
    .split(/\r\n|\n|\r/)
    .map((line) => line.trim());
}

/** Whether a text is such a file: it has a key that only they have, and no section of ours. */
export function isProxyIni(text: string): boolean {
  const lines = linesOf(text);
  const headers = lines.flatMap((line) => /^\[([^\]]*)\]$/.exec(line)?.[1] ?? []);
  if (headers.some((name) => optionsOf(name.trim()) !== undefined)) return false;
  return lines.some((line) => /^(?:bind_interface|bind_port)\s*=/.test(line));
}

/** Reads such a file. Never throws: every fault is in the result, up to FAULTS_MAX. */
export function scanProxyIni(text: string, environment: Environment): ProxyScan {
  const faults: ConfigFault[] = [];
  const given = new Map<Key, Given>();
  for (const [index, line] of linesOf(text).entries()) {
    if (faults.length === FAULTS_MAX) {
      faults.push({
        place: { line: index + 1 },
        what: "there are too many faults; what follows was not read",
      });
      break;
    }
    const what = takeLine(line, index + 1, given);
    if (what !== undefined) faults.push({ place: { line: index + 1 }, what });
  }
  for (const [key, variable] of Object.entries(VARIABLES) as [keyof typeof VARIABLES, string][]) {
    const value = environment[variable]?.trim() ?? "";
    if (value !== "") given.set(key, { text: value, place: { variable } });
  }
  return { ...translate(given, faults), faults };
}

/** Returns what is wrong with a line, or undefined. */
function takeLine(line: string, number: number, given: Map<Key, Given>): string | undefined {
  // The section's name means nothing there.
  if (line === "" || /^[#;]/.test(line) || /^\[[^\]]*\]$/.test(line)) return undefined;
  if (UNPRINTABLE.test(line.replaceAll("\t", " "))) {
    return `${show(line)}: has a character that cannot be printed; remove it`;
  }
  const equals = line.indexOf("=");
  const written = (equals < 0 ? line : line.slice(0, equals)).trim();
  const key = KEYS.find((one) => one === written);
  if (key === undefined) {
    const close = nearest(
      written.replaceAll("_", "-"),
      KEYS.map((one) => one.replaceAll("_", "-")),
    );
    const hint = close === undefined ? "" : `did you mean ${close.replaceAll("-", "_")}? `;
    const known = KEYS.join(", ");
    return `${show(line)}: ${hint}a file of the Rust sharding proxy has ${known} and nothing else`;
  }
  if (equals < 0) return `${key}: has no value; write ${key} = VALUE`;
  const before = given.get(key);
  if (before !== undefined && "line" in before.place) {
    return `${show(line)}: is set already, in line ${before.place.line}; keep one of them`;
  }
  const text = unquote(line.slice(equals + 1).trim());
  given.set(key, { text, place: { line: number } });
  return undefined;
}

/** Takes quotes of either kind, or a comment behind a blank, off a value. */
function unquote(raw: string): string {
  const [, , quoted] = /^(["'])(.*?)\1\s*(?:[#;].*)?$/.exec(raw) ?? [];
  return (quoted ?? raw.replace(/(?:^|\s)[#;].*$/, "")).trim();
}

function translate(given: ReadonlyMap<Key, Given>, faults: ConfigFault[]): Omit<ProxyScan, "faults"> {
  const settings: ProxySetting[] = [];
  /** Checks the values of a key as those of an option. Faults name the key as the file has it. */
  const set = (
    option: ProxySetting["key"],
    key: Key,
    { text, place }: Given,
    values: readonly string[],
  ): void => {
    const { type } = optionsOf("relay")!.get(option)!;
    const what = values.map((value) => {
      const parsed = type.parse(value);
      if (!("fault" in parsed)) return undefined;
      const shown = option === "destinations" ? value : text;
      return "line" in place
        ? `${key} = ${show(shown)}: ${parsed.fault}`
        : `"${show(shown)}" ${parsed.fault}`;
    });
    const wrong = what.filter((one) => one !== undefined);
    for (const one of wrong) faults.push({ place, what: one });
    if (wrong.length === 0) settings.push({ key: option, values, place });
  };

  const hosts = given.get("bind_interface");
  const ports = given.get("bind_port");
  const host = hosts?.text.replace(/^\[(.*)\]$/, "$1") ?? DEFAULT_HOST;
  const port = ports?.text ?? DEFAULT_PORT;
  const isGoodHost = "value" in listenAddress.parse(listenUrl(host, DEFAULT_PORT));
  // Each half is checked beside the other's default, so that a fault is told where it is.
  if (hosts !== undefined && !isGoodHost) {
    set("listen", "bind_interface", hosts, [listenUrl(host, DEFAULT_PORT)]);
  } else {
    const place = ports ?? hosts ?? { text: "", place: { line: 1 } };
    set("listen", ports === undefined ? "bind_interface" : "bind_port", place, [listenUrl(host, port)]);
  }
  const threads = given.get("threads");
  if (threads !== undefined) set("threads", "threads", threads, [threads.text]);
  const destinations = given.get("destinations");
  if (destinations !== undefined) {
    const items = destinations.text.split(/\s+/).filter((item) => item !== "");
    set("destinations", "destinations", destinations, items);
  }
  settings.push({ key: "hash", values: ["djb2-mod"], place: (ports ?? hosts)?.place ?? { line: 1 } });
  return { settings, host: isGoodHost ? host : DEFAULT_HOST, port };
}

/** The listen URL of an interface without brackets and a port. */
export function listenUrl(host: string, port: string): string {
  return `udp://${printHostPort({ host, port })}`;
}
