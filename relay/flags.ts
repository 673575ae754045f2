/** The command line of statsrelay: Go's flag grammar, the flags of the Go original, and our own. */

import type { Override } from "../shared/config.ts";
import { listenAddress, parseDestination } from "../shared/config-addresses.ts";
import { SECTIONS } from "../shared/config-options.ts";
import { listenUrl } from "../shared/config-proxy.ts";
import { show } from "../shared/config-report.ts";
import { printDuration } from "../shared/config-values.ts";
import { EXIT_START, EXIT_USAGE, OperatorError } from "../shared/errors.ts";
import { EVERY_HOST } from "../shared/every-host.ts";
import { FLAGS_BY_NAME, type Flag, relayUsage } from "./flag-table.ts";
import {
  FLAG_KIND_WORDS,
  isFlagValue,
  readBoolean,
  readDecimal,
  readDurationMs,
  readInteger,
} from "./flag-values.ts";

/** What a command line asks for. */
export interface RelayCommand {
  readonly action: "run" | "check" | "print" | "version" | "help";
  readonly configFile?: string;
  /** For loadConfig; destinations given as arguments are among them. */
  readonly overrides: readonly Override[];
  /** Sentences about flags that were taken and have no effect, or not the one that was asked for. */
  readonly warnings: readonly string[];
  /**
   * Whether nobody asked for management pages. Go statsrelay has none, so several relays on one machine must
   * not need an address each.
   */
  readonly isManagementOptional: boolean;
}

/** A flag as given, its value checked against its kind. */
interface GivenFlag {
  readonly flag: Flag;
  /** With its dashes. */
  readonly written: string;
  readonly value: string;
}

const DEFAULT_PORT = "9125";
/** What Go means by 0.0.0.0: IPv6 as well. */
const DEFAULT_HOST = EVERY_HOST;
const GO_EVERY_HOST = "0.0.0.0";
const NO_DESTINATIONS_FILE: Override = {
  section: "relay",
  key: "destinations-file",
  values: [""],
  origin: "destination",
};
/** Items of a list that a flag gives. */
const LIST_SEPARATOR = ",";

/**
 * Reads a command line, without the names of node and script. A relay needs destinations, which may also
 * come from the file: requireDestinations checks that. Throws OperatorError: exit code 2 with the usage for
 * a bad flag, 1 for a bad destination.
 */
export function parseFlags(argv: readonly string[]): RelayCommand {
  const { given, rest } = takeFlags(argv);
  if (given === "help") return { action: "help", overrides: [], warnings: [], isManagementOptional: true };
  const configFile = [...given.values()].find((one) => one.flag.effect.kind === "config")?.value;
  const warnings = [...given.values()].flatMap(({ flag: { effect }, written }) =>
    effect.kind === "nothing" ? [`${written} has no effect: ${effect.why}`] : [],
  );
  const overrides = [...optionOverrides(given, warnings), ...listenOverride(given, configFile !== undefined)];
  const isSet = (kind: string): boolean =>
    [...given.values()].some((one) => one.flag.effect.kind === kind && isTrue(one));
  const action = isSet("version") ? "version" : isSet("print") ? "print" : isSet("check") ? "check" : "run";
  if (action !== "version" && rest.length > 0) {
    overrides.push(destinationsOverride(rest));
    // They take the place of all that a file says about destinations.
    if (configFile !== undefined) overrides.push(NO_DESTINATIONS_FILE);
  }
  const isManagementOptional = configFile === undefined && !given.has(FLAGS_BY_NAME.get("management")!);
  const command = { action, overrides, warnings, isManagementOptional } as const;
  return configFile === undefined ? command : { ...command, configFile };
}

/** Where the lines of a relay may go. */
interface Outlets {
  readonly destinations: readonly string[];
  readonly destinationsFile: string;
  readonly routes: readonly unknown[];
}

/** Throws OperatorError when there is nowhere to send to. exitCode: of the error. */
export function requireDestinations(
  { destinations, destinationsFile, routes }: Outlets,
  exitCode: number = EXIT_START,
): void {
  if (destinations.length > 0 || destinationsFile !== "" || routes.length > 0) return;
  throw new OperatorError(
    "no destinations; name them as HOST:PORT arguments, or in relay.destinations of the configuration",
    exitCode,
  );
}

function usageFault(fault: string): OperatorError {
  return new OperatorError(`${fault}\n${relayUsage()}`, EXIT_USAGE);
}

/**
 * Splits a command line into flags and the rest, by the rules of Go: flags end at the first argument that is
 * none, or behind `--`; a repeated flag counts as given last; the first fault, or -h, ends it all.
 */
function takeFlags(argv: readonly string[]): {
  given: Map<Flag, GivenFlag> | "help";
  rest: readonly string[];
} {
  const given = new Map<Flag, GivenFlag>();
  let index = 0;
  while (index < argv.length) {
    const argument = argv[index]!;
    // A single dash is no flag, so it is a destination, and no good one.
    if (argument.length < 2 || !argument.startsWith("-")) break;
    index++;
    if (argument === "--") break;
    const [, written = "", name, assigned] = /^(--?([^-=][^=]*))(?:=(.*))?$/s.exec(argument) ?? [];
    if (name === undefined) throw usageFault(`"${show(argument)}" is no flag`);
    const flag = FLAGS_BY_NAME.get(name);
    if (flag === undefined && (name === "h" || name === "help")) return { given: "help", rest: [] };
    if (flag === undefined) throw usageFault(`${show(written)} is an unknown flag`);
    let value = assigned ?? (flag.kind === "boolean" ? "true" : undefined);
    if (value === undefined && index < argv.length) value = argv[index++]!;
    if (value === undefined) throw usageFault(`${written} needs a value: ${FLAG_KIND_WORDS[flag.kind]}`);
    if (!isFlagValue(flag.kind, value)) {
      throw usageFault(`${written}: "${show(value)}" is no value for it; give ${FLAG_KIND_WORDS[flag.kind]}`);
    }
    // Taken out first, so that the map is in the order of last uses: of -v and --log-level the later wins.
    given.delete(flag);
    given.set(flag, { flag, written, value });
  }
  return { given, rest: argv.slice(index) };
}

function isTrue({ flag, value }: GivenFlag): boolean {
  return flag.kind !== "boolean" || readBoolean(value) === true;
}

/** The options that flags set, each checked like a line of the file. warnings: gets what was bent. */
function optionOverrides(given: ReadonlyMap<Flag, GivenFlag>, warnings: string[]): Override[] {
  return [...given.values()].flatMap((one): Override[] => {
    const { effect } = one.flag;
    if (effect.kind === "verbose") {
      return isTrue(one) ? [{ section: "log", key: "level", values: ["debug"], origin: one.written }] : [];
    }
    if (effect.kind === "option") return [optionOverride(one, effect.section, effect.key, warnings)];
    if (effect.kind !== "options") return [];
    return effect.keys.map((key) => optionOverride(one, effect.section, key, warnings));
  });
}

function optionOverride(one: GivenFlag, section: string, key: string, warnings: string[]): Override {
  const { type } = SECTIONS.get(section)!.get(key)!;
  const { text, isBent } = translate(one, type.bounds);
  const parsed = type.parse(text);
  if ("fault" in parsed) throw usageFault(`${one.written}: "${show(one.value)}" ${parsed.fault}`);
  if (isBent) warnings.push(`${one.written} ${one.value} is out of bounds: ${section}.${key} is ${text}`);
  return { section, key, values: [text], origin: one.written };
}

/**
 * From Go's way of writing a value to that of the configuration. Go takes any span of time, any factor and
 * any buffer size, so these are bent to the bounds of the option instead of being faults.
 */
function translate(
  { flag, written, value }: GivenFlag,
  bounds: readonly [number, number] | undefined,
): { readonly text: string; readonly isBent: boolean } {
  const bend = (number: number, print: (number: number) => string) => {
    const [least, most] = bounds!;
    const bent = Math.min(Math.max(number, least), most);
    return { text: print(bent), isBent: bent !== number };
  };
  const plain = (text: string) => ({ text, isBent: false });
  if (flag.kind === "integer") {
    const number = readInteger(value)!;
    return flag.names.includes("bufsize") ? bend(Number(number), String) : plain(String(number));
  }
  if (flag.kind === "duration") return bend(Math.round(readDurationMs(value)!), printDuration);
  if (flag.kind === "decimal") {
    const number = readDecimal(value);
    if (number !== undefined) return bend(number, String);
    throw usageFault(`${written}: "${show(value)}" is no value for it; give ${FLAG_KIND_WORDS.decimal}`);
  }
  if (flag.kind === "boolean") return plain(readBoolean(value) === true ? "yes" : "no");
  return plain(flag.names.includes("sendproto") ? value.toLowerCase() : value.trim());
}

/**
 * -b and -p replace the listen addresses of the configuration, even if only one of them is given. Their
 * defaults hold where there is no file. --listen names them all.
 */
function listenOverride(given: ReadonlyMap<Flag, GivenFlag>, hasFile: boolean): Override[] {
  const bind = given.get(FLAGS_BY_NAME.get("b")!);
  const port = given.get(FLAGS_BY_NAME.get("p")!);
  const list = given.get(FLAGS_BY_NAME.get("listen")!);
  const halves = [bind, port].filter((one) => one !== undefined);
  if (list !== undefined) {
    if (halves.length === 0) return [listOverride(list)];
    throw usageFault(`${list.written} and ${halves[0]!.written} both say where to listen; give one of them`);
  }
  if (halves.length === 0 && hasFile) return [];
  // Go listens everywhere when the address is empty.
  const written = bind?.value.replace(/^\[(.*)\]$/, "$1") ?? "";
  const host = written === "" || written === GO_EVERY_HOST ? DEFAULT_HOST : written;
  const number = port === undefined ? DEFAULT_PORT : String(readInteger(port.value));
  const url = listenUrl(host, number);
  const origin = halves.length === 0 ? "default" : halves.map((one) => one.written).join(" ");
  const parsed = listenAddress.parse(url);
  if ("fault" in parsed) {
    throw usageFault(`${origin}: "${show(`${bind?.value ?? host}:${number}`)}" ${parsed.fault}`);
  }
  const listen = { ...(bind === undefined ? {} : { host }), ...(port === undefined ? {} : { port: number }) };
  return [{ section: "relay", key: "listen", values: [url], origin, listen }];
}

function listOverride({ written, value }: GivenFlag): Override {
  const values = value
    .split(LIST_SEPARATOR)
    .map((item) => item.trim())
    .filter((item) => item !== "");
  if (values.length === 0) throw usageFault(`${written}: "" is empty; name at least one listen URL`);
  for (const text of values) {
    const parsed = listenAddress.parse(text);
    if ("fault" in parsed) throw usageFault(`${written}: "${show(text)}" ${parsed.fault}`);
  }
  return { section: "relay", key: "listen", values, origin: written };
}

function destinationsOverride(rest: readonly string[]): Override {
  for (const text of rest) {
    const parsed = parseDestination(text);
    if (!("fault" in parsed)) continue;
    const hint = text.startsWith("-") ? " (flags go before the destinations)" : "";
    throw new OperatorError(`destination "${show(text)}" ${parsed.fault}${hint}`, EXIT_START);
  }
  return { section: "relay", key: "destinations", values: rest, origin: "destination" };
}
