/** The configuration of both daemons: one file, flags that override it, and the typed result. */
import { closeSync, openSync, readSync } from "node:fs";
import { scanIni } from "./config-ini.ts";
import {
  type ListOption,
  type NamingValues,
  OPTIONS,
  type Option,
  SECTIONS,
  type SectionName,
  type SectionValues,
} from "./config-options.ts";
import { type ConfigFault, type Place, show, throwFaults } from "./config-report.ts";
import { type Parsed, printDuration } from "./config-values.ts";
import { assert, EXIT_CONFIG, OperatorError } from "./errors.ts";
import { METRIC_TYPES, type MetricType } from "./metric.ts";

type Table = typeof OPTIONS;
export type LogConfig = SectionValues<Table["log"]>;
export type RelayConfig = SectionValues<Table["relay"]>;
export type AggregatorConfig = SectionValues<Table["aggregator"]>;
export type CarbonConfig = SectionValues<Table["carbon"]>;
export type ConsoleConfig = SectionValues<Table["console"]>;
export type AggregationConfig = SectionValues<Table["aggregation"]>;
export type ClusterConfig = SectionValues<Table["cluster"]>;

/** Everything, checked and in force: defaults, file, flags. Host names are not resolved yet. */
export interface SuiteConfig {
  readonly log: LogConfig;
  readonly relay: RelayConfig;
  readonly aggregator: AggregatorConfig;
  readonly carbon: CarbonConfig;
  readonly console: ConsoleConfig;
  readonly aggregation: AggregationConfig;
  /** Inheritance from [naming.default] is resolved. */
  readonly naming: Readonly<Record<MetricType, NamingValues>>;
  readonly cluster: ClusterConfig;
}

/** A flag that sets an option, whatever the file says. Of several for one option the last counts. */
export interface Override {
  /** Section and key as in the option table. */
  readonly section: string;
  readonly key: string;
  /** One value, or the items of a list; they are not split any further. */
  readonly values: readonly string[];
  /** The flag as given: `--threads`. */
  readonly origin: string;
}

/** Larger files are not read: no configuration is. */
const FILE_BYTES_MAX = 2 ** 20;

/**
 * Reads a configuration file, or the defaults when there is none.
 * warn: takes each thing that was put right without asking, as a sentence.
 * Throws OperatorError whose message reports all faults: exit code 78, or 2 when only overrides are at fault.
 */
export function loadConfig(
  path?: string,
  overrides: readonly Override[] = [],
  warn: (text: string) => void = () => {},
): SuiteConfig {
  return parseConfig(path === undefined ? "" : readText(path), path, overrides, warn);
}

/** Does what loadConfig does with a text. fileName: what the report calls it. */
export function parseConfig(
  text: string,
  fileName: string | undefined,
  overrides: readonly Override[] = [],
  warn: (text: string) => void = () => {},
): SuiteConfig {
  const { settings, faults } = scanIni(text);
  const reader = new Reader(warn, faults);
  for (const { section, key, value, line } of settings) {
    const isList = SECTIONS.get(section)?.get(key)?.kind === "list";
    reader.add(section, key, isList ? splitList(value) : [value], { line });
  }
  for (const { section, key, values, origin } of overrides) reader.replace(section, key, values, { flag: origin });
  const config = reader.build();
  throwFaults(reader.faults, fileName);
  return config;
}

function splitList(value: string): string[] {
  return value.split(/[\s,]+/).filter((item) => item !== "");
}

function readText(path: string): string {
  const refuse = (what: string): OperatorError => new OperatorError(`${show(path)}: ${what}`, EXIT_CONFIG);
  const bytes = Buffer.alloc(FILE_BYTES_MAX + 1);
  let length = 0;
  try {
    const file = openSync(path, "r");
    try {
      // A pipe gives what it has, so only 0 is the end.
      for (let got = -1; got !== 0 && length < bytes.length; length += got) {
        got = readSync(file, bytes, length, bytes.length - length, null);
      }
    } finally {
      closeSync(file);
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw refuse(`cannot be read (${code ?? String(error)}); name a file that this user may read`);
  }
  if (length > FILE_BYTES_MAX) throw refuse("is larger than 1 MiB; name a configuration file");
  const content = bytes.subarray(0, length);
  try {
    if (!content.includes(0)) return new TextDecoder("utf-8", { fatal: true }).decode(content);
  } catch {
    // Invalid UTF-8 gets the same answer as a zero byte.
  }
  throw refuse("is no UTF-8 text; name a configuration file");
}

/** What was set for one key: texts, each with its place. No texts: an empty value. */
interface Given {
  readonly place: Place;
  readonly texts: { readonly text: string; readonly place: Place }[];
}

/** Turns settings into values and gathers the faults. */
class Reader {
  readonly faults: ConfigFault[];
  readonly #warn: (text: string) => void;
  readonly #given = new Map<string, Given>();
  /** Keys whose value is the default only because the given one is faulty. */
  readonly #faulty = new Set<string>();

  constructor(warn: (text: string) => void, faults: readonly ConfigFault[]) {
    this.#warn = warn;
    this.faults = [...faults];
  }

  add(section: string, key: string, texts: readonly string[], place: Place): void {
    const given = this.#given.get(`${section}.${key}`) ?? { place, texts: [] };
    given.texts.push(...texts.map((text) => ({ text, place })));
    this.#given.set(`${section}.${key}`, given);
  }

  replace(section: string, key: string, texts: readonly string[], place: Place): void {
    const option = SECTIONS.get(section)?.get(key);
    assert(option !== undefined, `no option ${section}.${key} for ${JSON.stringify(place)}`);
    assert(option.kind === "list" || texts.length === 1, `one value for ${section}.${key}`);
    this.#given.delete(`${section}.${key}`);
    this.add(section, key, texts, place);
  }

  build(): SuiteConfig {
    const naming = METRIC_TYPES.map((type) => [type, this.#section(`naming.${type}`)]);
    const sections = (["log", "relay", "aggregator", "carbon", "console", "aggregation", "cluster"] as const).map(
      (name) => [name, this.#section(name)],
    );
    // Only this section of the others is asked for its own sake; its faults count even if all types override it.
    this.#section("naming.default");
    // The types are those of the rows that the values were read with, which a loop over names cannot show.
    const config = Object.fromEntries([...sections, ["naming", Object.fromEntries(naming)]]) as SuiteConfig;
    this.#crossCheck(config);
    return config;
  }

  #section(name: SectionName): Record<string, unknown> {
    const rows = Object.entries<Option>(OPTIONS[name]);
    return Object.fromEntries(rows.map(([key, option]) => [option.property, this.#value(name, key, option)]));
  }

  #value(section: string, key: string, option: Option): unknown {
    const given = this.#given.get(`${section}.${key}`);
    if (option.kind === "list") return this.#list(section, key, option, given);
    const first = given?.texts[0];
    if (first !== undefined) return this.#take(section, key, first, option) ?? this.#fallback(section, key);
    return this.#fallback(section, key);
  }
}
