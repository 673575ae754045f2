/** The configuration of both daemons: one file, flags that override it, and the typed result. */
import { listenAddress } from "./config-addresses.ts";
import { crossCheck } from "./config-checks.ts";
import { readText } from "./config-file.ts";
import { scanIni } from "./config-ini.ts";
import { NAMED, type NamedConfig, type NamedKind, namedSection, type PLACEHOLDERS } from "./config-named.ts";
import { type NamingValues, OPTIONS, optionsOf, type SectionName } from "./config-options.ts";
import { type Environment, isProxyIni, listenUrl, type ProxyScan, scanProxyIni } from "./config-proxy.ts";
import { ConfigReader } from "./config-reader.ts";
import { type ConfigFault, show, throwFaults } from "./config-report.ts";
import {
  defaultOf,
  listRule,
  type Option,
  parentOf,
  type Section,
  type SectionValues,
} from "./config-rows.ts";
import { EXIT_CONFIG, OperatorError } from "./errors.ts";
import { METRIC_TYPES, type MetricType } from "./metric.ts";
import { applyPreset } from "./naming-preset.ts";

type Table = typeof OPTIONS;
/** Values of [log]. */
export type LogConfig = SectionValues<Table["log"]>;
/** Values of [route.NAME], with what it inherits from [relay]. */
export type RouteConfig = NamedConfig<"route">;
/** Values of [relay], and of the sections [route.NAME] in the order of the file. */
export type RelayConfig = SectionValues<Table["relay"]> & { readonly routes: readonly RouteConfig[] };
/** Values of [listener.NAME], with what it inherits from [aggregator]. */
export type ListenerConfig = NamedConfig<"listener">;
/** Values of [aggregator], and of the sections [listener.NAME] in the order of the file. */
export type AggregatorConfig = SectionValues<Table["aggregator"]> & {
  readonly listeners: readonly ListenerConfig[];
};
/** Values of [idle]. */
export type IdleConfig = SectionValues<Table["idle"]>;
/** Values of [carbon.NAME], with what it inherits from [carbon]. */
export type NamedCarbonConfig = NamedConfig<"carbon">;
/** Values of [carbon], and of the sections [carbon.NAME]. */
export type CarbonConfig = SectionValues<Table["carbon"]> & {
  readonly others: readonly NamedCarbonConfig[];
};
/** Values of [file]. */
export type FileConfig = SectionValues<Table["file"]>;
/** Values of [repeater]. */
export type RepeaterConfig = SectionValues<Table["repeater"]>;
/** Values of [console]. */
export type ConsoleConfig = SectionValues<Table["console"]>;
/** Values of [aggregation]. */
export type AggregationConfig = SectionValues<Table["aggregation"]>;
/** Values of [cluster]. */
export type ClusterConfig = SectionValues<Table["cluster"]>;
/** Values of [raft]. */
export type RaftConfig = SectionValues<Table["raft"]>;
/** Values of [etcd]. */
export type EtcdConfig = SectionValues<Table["etcd"]>;
/** Values of [consul]. */
export type ConsulConfig = SectionValues<Table["consul"]>;
/** Values of [kubernetes]. */
export type KubernetesConfig = SectionValues<Table["kubernetes"]>;

/** Everything, checked and in force: defaults, then file, then flags. Host names are not resolved yet. */
export interface SuiteConfig {
  /**
   * What kind of file it was: one of this suite (or none), or one of the Rust sharding proxy, whose users
   * have not heard of anything else here.
   */
  readonly fileKind: "suite" | "proxy";
  readonly log: LogConfig;
  readonly relay: RelayConfig;
  readonly aggregator: AggregatorConfig;
  readonly idle: IdleConfig;
  readonly aggregation: AggregationConfig;
  /** With what the types inherit from [naming.default]. */
  readonly naming: Readonly<Record<MetricType, NamingValues>>;
  readonly carbon: CarbonConfig;
  readonly file: FileConfig;
  readonly repeater: RepeaterConfig;
  readonly console: ConsoleConfig;
  readonly cluster: ClusterConfig;
  readonly raft: RaftConfig;
  readonly etcd: EtcdConfig;
  readonly consul: ConsulConfig;
  readonly kubernetes: KubernetesConfig;
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
  /**
   * The halves of a listen address of which one was given. A file of the Rust sharding proxy says them apart,
   * so there the other half is the file's.
   */
  readonly listen?: { readonly host?: string; readonly port?: string };
}

function ignore(): void {}

/**
 * Reads a configuration file, or takes the defaults when there is none.
 * warn: takes a sentence about each thing that was put right without asking, or is probably not meant.
 * environment: overrides a file of the Rust sharding proxy, and no other.
 * Throws OperatorError whose message reports all faults: exit code 78, or 2 when only overrides are at
 * fault.
 */
export function loadConfig(
  path?: string,
  overrides: readonly Override[] = [],
  warn: (text: string) => void = ignore,
  environment: Environment = process.env,
): SuiteConfig {
  const text = path === undefined ? "" : readText(path);
  return parseConfig(text, path ?? "the defaults", overrides, warn, environment);
}

/** A file of another aggregator would bring a fault for each of its lines, none of which says what to do. */
function refuseForeign(fileName: string, [first]: readonly ConfigFault[]): void {
  if (first === undefined || !/\.(?:toml|json|js)$/i.test(fileName)) return;
  const place = first.place !== undefined && "line" in first.place ? `line ${first.place.line}: ` : "";
  const remedy =
    "bioyino import FILE > suite.ini turns a file of the Rust bioyino or of etsy's statsd into one";
  throw new OperatorError(`${show(fileName)}: ${place}${first.what}; ${remedy}`, EXIT_CONFIG);
}

/** Does for a text what loadConfig does for a file. fileName: what the report calls it. */
export function parseConfig(
  text: string,
  fileName: string,
  overrides: readonly Override[] = [],
  warn: (text: string) => void = ignore,
  environment: Environment = {},
): SuiteConfig {
  const proxy = isProxyIni(text) ? scanProxyIni(text, environment) : undefined;
  const { settings, faults, sections } = scanIni(proxy === undefined ? text : "");
  refuseForeign(fileName, faults);
  const reader = new ConfigReader(proxy?.faults ?? faults, warn);
  for (const { section, key, value, line } of settings) reader.add(section, key, value, { line });
  for (const { key, values, place } of proxy?.settings ?? []) reader.replace("relay", key, values, place);
  for (const override of overrides) {
    const { section, key, origin } = override;
    reader.replace(section, key, valuesOf(override, proxy), { flag: origin });
  }
  // Nobody has this section's values but those who inherit them; read alone, its faults always show.
  reader.section("naming.default");
  const named = <Kind extends NamedKind>(kind: Kind): NamedConfig<Kind>[] =>
    [...sections.keys()].flatMap((section) => {
      const one = namedSection(section);
      return one?.kind === kind ? [reader.named(kind, one.name)] : [];
    });
  const written: SuiteConfig = {
    fileKind: proxy === undefined ? "suite" : "proxy",
    log: reader.section("log"),
    relay: { ...reader.section("relay"), routes: named("route") },
    aggregator: { ...reader.section("aggregator"), listeners: named("listener") },
    idle: reader.section("idle"),
    aggregation: reader.section("aggregation"),
    naming: {
      counter: reader.section("naming.counter"),
      gauge: reader.section("naming.gauge"),
      timer: reader.section("naming.timer"),
      set: reader.section("naming.set"),
    },
    carbon: { ...reader.section("carbon"), others: named("carbon") },
    file: reader.section("file"),
    repeater: reader.section("repeater"),
    console: reader.section("console"),
    cluster: reader.section("cluster"),
    raft: reader.section("raft"),
    etcd: reader.section("etcd"),
    consul: reader.section("consul"),
    kubernetes: reader.section("kubernetes"),
  };
  const config = { ...written, ...applyPreset(written, (path) => reader.isSet(path)) };
  crossCheck(config, reader, sections);
  throwFaults(reader.faults, fileName);
  if (proxy !== undefined) {
    const { hash, listen } = config.relay;
    warn(
      `${fileName} is a file of the Rust sharding proxy: the relay listens on ` +
        `${listen.map(listenAddress.print).join(" ")}, with hash = ${hash}`,
    );
  }
  return config;
}

/** The other half of a listen address is that of the file, where that has halves. */
function valuesOf({ values, listen }: Override, proxy: ProxyScan | undefined): readonly string[] {
  if (proxy === undefined || listen === undefined) return values;
  return [listenUrl(listen.host ?? proxy.host, listen.port ?? proxy.port)];
}

/**
 * Prints a configuration as INI text that parses to the same one. What the metric types have in common is
 * printed as [naming.default].
 */
export function printConfig(config: SuiteConfig): string {
  const { naming, fileKind: _, ...sections } = config;
  const [first, ...others] = METRIC_TYPES.map((type) => naming[type]);
  const isCommon = (property: keyof NamingValues): boolean =>
    others.every((one) => JSON.stringify(one[property]) === JSON.stringify(first![property]));
  const pick = (values: NamingValues, wanted: boolean): object =>
    Object.fromEntries(
      Object.entries(values).filter(([name]) => isCommon(name as keyof NamingValues) === wanted),
    );
  const values = new Map<string, object>(Object.entries(sections));
  values.set("naming.default", pick(first!, true));
  for (const type of METRIC_TYPES) values.set(`naming.${type}`, pick(naming[type], false));
  const blocks = (Object.keys(OPTIONS) as SectionName[]).flatMap((name) => [
    printSection(name, OPTIONS[name], values.get(name)!),
    ...printNamedOf(name, config),
  ]);
  return blocks.filter((block) => block !== "").join("\n");
}

/** The named sections that are shown behind a section. */
function printNamedOf(section: SectionName, { relay, aggregator, carbon }: SuiteConfig): string[] {
  if (section === "relay") return relay.routes.map((one) => printNamed("route", one, relay));
  if (section === "aggregator")
    return aggregator.listeners.map((one) => printNamed("listener", one, aggregator));
  return section === "carbon" ? carbon.others.map((one) => printNamed("carbon", one, carbon)) : [];
}

/** What a named section has in common with its parent it inherits, also when it is read again. */
function printNamed<Kind extends NamedKind>(
  kind: Kind,
  { name, ...values }: NamedConfig<Kind>,
  parent: object,
): string {
  const ofParent = new Map<string, unknown>(Object.entries(parent));
  const inherited = Object.values<Option>(NAMED[kind]).filter((option) => parentOf(option) !== undefined);
  const isInherited = (property: string, value: unknown): boolean =>
    inherited.some((option) => option.property === property) &&
    JSON.stringify(ofParent.get(property)) === JSON.stringify(value);
  const own = Object.entries(values).filter(([property, value]) => !isInherited(property, value));
  return printSection(`${kind}.${name}`, NAMED[kind], Object.fromEntries(own));
}

/** values: by property. Those that are absent are left out, and with all of them the section. */
function printSection(name: string, rows: Section, values: object): string {
  const byProperty = new Map<string, unknown>(Object.entries(values));
  const lines = Object.entries<Option>(rows).flatMap(([key, option]) => {
    return byProperty.has(option.property) ? printOption(key, option, byProperty.get(option.property)) : [];
  });
  return lines.length === 0 ? "" : `[${name}]\n${lines.join("\n")}\n`;
}

function printOption(key: string, option: Option, value: unknown): string[] {
  const rule = listRule(option);
  if (rule === undefined) return [printLine(key, option.type.print(value))];
  const items = (value as readonly unknown[]).map((item) => option.type.print(item));
  if (items.length === 0) return [printLine(key, rule.empty === "none" ? "none" : "")];
  return rule.isInline ? [printLine(key, items.join(" "))] : items.map((item) => printLine(`${key}[]`, item));
}

/** Writes a setting as it stands in a file: `key = value`, quoted where that is needed. */
export function printLine(key: string, value: string): string {
  // JSON's quoting is that of INI; whatever could mean something unquoted gets it.
  const written = /^(?:[A-Za-z0-9_.:/@%+*,[\]-]+(?: [A-Za-z0-9_.:-]+)*)?$/.test(value)
    ? value
    : JSON.stringify(value);
  return `${key} = ${written}`.trimEnd();
}

/**
 * Describes the keys of a section for --help, two lines each: key and default, then what it is for.
 * section: also one of PLACEHOLDERS.
 */
export function describeOptions(section: SectionName | (typeof PLACEHOLDERS)[number]): string[] {
  const lines = [...optionsOf(section)!].flatMap(([key, option]) => {
    const written = listRule(option) === undefined ? key : `${key}[]`;
    const parent = parentOf(option);
    const fallback = parent === undefined ? defaultOf(option) : `(as in [${parent}])`;
    return [`  ${`${written} = ${fallback}`.trimEnd()}`, `      ${option.doc} (${option.type.shape}).`];
  });
  return [`[${section}]`, ...lines];
}
