/** The configuration of both daemons: one file, flags that override it, and the typed result. */
import { closeSync, openSync, readSync } from "node:fs";
import { scanIni } from "./config-ini.ts";
import {
  type NamingValues,
  OPTIONS,
  type Option,
  SECTIONS,
  type SectionName,
  type SectionValues,
} from "./config-options.ts";
import { ConfigReader } from "./config-reader.ts";
import { show, throwFaults } from "./config-report.ts";
import { printDuration } from "./config-values.ts";
import { EXIT_CONFIG, OperatorError } from "./errors.ts";
import { METRIC_TYPES, type MetricType } from "./metric.ts";

type Table = typeof OPTIONS;
/** Values of [log]. */
export type LogConfig = SectionValues<Table["log"]>;
/** Values of [relay]. */
export type RelayConfig = SectionValues<Table["relay"]>;
/** Values of [aggregator]. */
export type AggregatorConfig = SectionValues<Table["aggregator"]>;
/** Values of [carbon]. */
export type CarbonConfig = SectionValues<Table["carbon"]>;
/** Values of [console]. */
export type ConsoleConfig = SectionValues<Table["console"]>;
/** Values of [aggregation]. */
export type AggregationConfig = SectionValues<Table["aggregation"]>;
/** Values of [cluster]. */
export type ClusterConfig = SectionValues<Table["cluster"]>;

/** Everything, checked and in force: defaults, then file, then flags. Host names are not resolved yet. */
export interface SuiteConfig {
  readonly log: LogConfig;
  readonly relay: RelayConfig;
  readonly aggregator: AggregatorConfig;
  readonly carbon: CarbonConfig;
  readonly console: ConsoleConfig;
  readonly aggregation: AggregationConfig;
  /** With what the types inherit from [naming.default]. */
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

function ignore(): void {}

/**
 * Reads a configuration file, or takes the defaults when there is none.
 * warn: takes a sentence about each thing that was put right without asking.
 * Throws OperatorError whose message reports all faults: exit code 78, or 2 when only overrides are at
 * fault.
 */
export function loadConfig(
  path?: string,
  overrides: readonly Override[] = [],
  warn: (text: string) => void = ignore,
): SuiteConfig {
  return parseConfig(path === undefined ? "" : readText(path), path ?? "the defaults", overrides, warn);
}

/** Does for a text what loadConfig does for a file. fileName: what the report calls it. */
export function parseConfig(
  text: string,
  fileName: string,
  overrides: readonly Override[] = [],
  warn: (text: string) => void = ignore,
): SuiteConfig {
  const { settings, faults } = scanIni(text);
  const reader = new ConfigReader(faults, warn);
  for (const { section, key, value, line } of settings) reader.add(section, key, value, { line });
  for (const { section, key, values, origin } of overrides) {
    reader.replace(section, key, values, { flag: origin });
  }
  // Nobody has this section's values but those who inherit them; read alone, its faults always show.
  reader.section("naming.default");
  const config: SuiteConfig = {
    log: reader.section("log"),
    relay: reader.section("relay"),
    aggregator: reader.section("aggregator"),
    carbon: reader.section("carbon"),
    console: reader.section("console"),
    aggregation: reader.section("aggregation"),
    naming: {
      counter: reader.section("naming.counter"),
      gauge: reader.section("naming.gauge"),
      timer: reader.section("naming.timer"),
      set: reader.section("naming.set"),
    },
    cluster: reader.section("cluster"),
  };
  crossCheck(config, reader);
  throwFaults(reader.faults, fileName);
  return config;
}

/** Checks what no option can tell by itself. */
function crossCheck({ aggregator, carbon, cluster }: SuiteConfig, reader: ConfigReader): void {
  const [interval, snapshot] = [aggregator.intervalMs, cluster.snapshotIntervalMs].map(printDuration);
  if (cluster.snapshotIntervalMs > aggregator.intervalMs) {
    const ofSnapshot = `is longer than aggregator.interval (${interval}); choose at most that`;
    const ofInterval = `is shorter than cluster.snapshot-interval (${snapshot}); lower that as well`;
    reader.faultBetween(
      new Map([
        ["cluster.snapshot-interval", ofSnapshot],
        ["aggregator.interval", ofInterval],
      ]),
    );
  }
  if (aggregator.sinks.includes("carbon") && carbon.address.length === 0) {
    const what = "is empty, but aggregator.sinks has carbon; name one, or drop that sink";
    reader.faultBetween(new Map([["carbon.address", what]]));
  }
}

/** Throws OperatorError for what is no readable text of a bearable size. */
function readText(path: string): string {
  const refuse = (what: string): OperatorError => new OperatorError(`${show(path)}: ${what}`, EXIT_CONFIG);
  const bytes = Buffer.alloc(FILE_BYTES_MAX + 1);
  let length = 0;
  try {
    const file = openSync(path, "r");
    try {
      // A pipe hands over piece by piece; only 0 bytes are its end.
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
  const text = content.includes(0) ? undefined : decode(content);
  if (text === undefined) throw refuse("is no UTF-8 text; name a configuration file");
  return text;
}

function decode(content: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(content);
  } catch {
    // The one thing that can go wrong is what the caller asks about.
    return undefined;
  }
}

/**
 * Prints a configuration as INI text that parses to the same one. What the metric types have in common is
 * printed as [naming.default].
 */
export function printConfig(config: SuiteConfig): string {
  const { naming, ...sections } = config;
  const [first, ...others] = METRIC_TYPES.map((type) => naming[type]);
  const isCommon = (property: keyof NamingValues): boolean =>
    others.every((one) => one[property] === first![property]);
  const pick = (values: NamingValues, wanted: boolean): object =>
    Object.fromEntries(
      Object.entries(values).filter(([name]) => isCommon(name as keyof NamingValues) === wanted),
    );
  const values = new Map<string, object>(Object.entries(sections));
  values.set("naming.default", pick(first!, true));
  for (const type of METRIC_TYPES) values.set(`naming.${type}`, pick(naming[type], false));
  const blocks = (Object.keys(OPTIONS) as SectionName[]).map((name) => printSection(name, values.get(name)!));
  return blocks.filter((block) => block !== "").join("\n");
}

/** values: by property. Those that are absent are left out, and with all of them the section. */
function printSection(name: SectionName, values: object): string {
  const byProperty = new Map<string, unknown>(Object.entries(values));
  const lines = Object.entries<Option>(OPTIONS[name]).flatMap(([key, option]) => {
    return byProperty.has(option.property) ? printOption(key, option, byProperty.get(option.property)) : [];
  });
  return lines.length === 0 ? "" : `[${name}]\n${lines.join("\n")}\n`;
}

function printOption(key: string, option: Option, value: unknown): string[] {
  if (option.kind !== "list") return [printLine(key, option.type.print(value))];
  const items = (value as readonly unknown[]).map((item) => option.type.print(item));
  if (items.length === 0) return [printLine(key, option.rule.empty === "none" ? "none" : "")];
  return option.rule.isInline
    ? [printLine(key, items.join(" "))]
    : items.map((item) => printLine(`${key}[]`, item));
}

function printLine(key: string, value: string): string {
  // JSON's quoting is that of INI; whatever could mean something unquoted gets it.
  const written = /^[A-Za-z0-9_.:/@%+*,[\]-]*(?: [A-Za-z0-9_.:-]+)*$/.test(value)
    ? value
    : JSON.stringify(value);
  return `${key} = ${written}`.trimEnd();
}

/** Describes the keys of a section for --help, two lines each: key and default, then what it is for. */
export function describeOptions(section: SectionName): string[] {
  const lines = [...SECTIONS.get(section)!].flatMap(([key, option]) => {
    const written = option.kind === "list" ? `${key}[]` : key;
    const fallback = option.kind === "inherited" ? `(as in [${option.from}])` : option.default;
    return [`  ${`${written} = ${fallback}`.trimEnd()}`, `      ${option.doc} (${option.type.shape}).`];
  });
  return [`[${section}]`, ...lines];
}
