/**
 * The option table: every section and key of the configuration, in the order in which they are shown.
 * Defaults, validation, --help, --print-config and the type of the configuration are all derived from it. A
 * new option is one row here and one line in config/suite.ini.
 */
import { AGGREGATOR, IDLE } from "./config-aggregator.ts";
import { CLUSTER, CONSUL, ETCD, KUBERNETES, RAFT } from "./config-cluster.ts";
import { NAMED, namedSection } from "./config-named.ts";
import { AGGREGATION, NAMING, NAMING_OF_TYPE } from "./config-naming.ts";
import { RELAY } from "./config-relay.ts";
import { type Option, one, type Section, type SectionValues } from "./config-rows.ts";
import { CARBON, CONSOLE, FILE, REPEATER } from "./config-sinks.ts";
import { choice } from "./config-values.ts";

/** Values of a naming section. */
export type NamingValues = SectionValues<typeof NAMING>;

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
  aggregator: AGGREGATOR,
  idle: IDLE,
  aggregation: AGGREGATION,
  "naming.default": NAMING,
  "naming.counter": NAMING_OF_TYPE,
  "naming.gauge": NAMING_OF_TYPE,
  "naming.timer": NAMING_OF_TYPE,
  "naming.set": NAMING_OF_TYPE,
  carbon: CARBON,
  file: FILE,
  repeater: REPEATER,
  console: CONSOLE,
  cluster: CLUSTER,
  raft: RAFT,
  etcd: ETCD,
  consul: CONSUL,
  kubernetes: KUBERNETES,
} satisfies Readonly<Record<string, Section>>;

export type SectionName = keyof typeof OPTIONS;

/** The same table for names that come from outside: a Map knows no `constructor` and no `__proto__`. */
export const SECTIONS: ReadonlyMap<string, ReadonlyMap<string, Option>> = new Map(
  Object.entries(OPTIONS).map(([name, rows]) => [name, new Map(Object.entries<Option>(rows))]),
);

const NAMED_OPTIONS: ReadonlyMap<string, ReadonlyMap<string, Option>> = new Map(
  Object.entries(NAMED).map(([kind, rows]) => [kind, new Map(Object.entries<Option>(rows))]),
);

/** Returns the options of a section, named ones included; undefined when there is no such section. */
export function optionsOf(section: string): ReadonlyMap<string, Option> | undefined {
  const named = namedSection(section);
  return SECTIONS.get(section) ?? (named && NAMED_OPTIONS.get(named.kind));
}
