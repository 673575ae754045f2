/** What the configuration says, key by key, as text: for pages and comparisons, without its secrets. */
import type { SuiteConfig } from "../shared/config.ts";
import { NAMED } from "../shared/config-named.ts";
import { OPTIONS } from "../shared/config-options.ts";
import { listRule, type Option, type Section } from "../shared/config-rows.ts";
import { METRIC_TYPES } from "../shared/metric.ts";

/** One key and its value in force. */
export interface Setting {
  /** `aggregator.interval`, `carbon.NAME.address`. */
  readonly path: string;
  /** As in the INI file; the items of a list with a blank between them. A secret that is set reads `***`. */
  readonly text: string;
  readonly isSecret: boolean;
  /** Whether a reload can change it. */
  readonly isReloadable: boolean;
  /** The value in a form that tells any two apart, secrets too. Never shown. */
  readonly identity: string;
}

/** Stands for a secret that is set. */
export const MASK = "***";
const SECRET_KEY = /(?:^|-)(?:token|password|secret)$/;

/** Lists what the aggregator goes by, in the order of the option table; the relay's sections are left out. */
export function settingsOf(config: SuiteConfig): ReadonlyMap<string, Setting> {
  const settings = new Map<string, Setting>();
  const add = (section: string, rows: Section, values: object): void => {
    const byProperty = new Map<string, unknown>(Object.entries(values));
    for (const [key, option] of Object.entries<Option>(rows)) {
      if (!byProperty.has(option.property)) continue;
      const setting = settingOf(`${section}.${key}`, key, option, byProperty.get(option.property));
      settings.set(setting.path, setting);
    }
  };
  const { aggregator, carbon, naming } = config;
  add("log", OPTIONS.log, config.log);
  add("aggregator", OPTIONS.aggregator, aggregator);
  for (const listener of aggregator.listeners) add(`listener.${listener.name}`, NAMED.listener, listener);
  add("idle", OPTIONS.idle, config.idle);
  add("aggregation", OPTIONS.aggregation, config.aggregation);
  for (const type of METRIC_TYPES) add(`naming.${type}`, OPTIONS[`naming.${type}`], naming[type]);
  add("carbon", OPTIONS.carbon, carbon);
  for (const other of carbon.others) add(`carbon.${other.name}`, NAMED.carbon, other);
  add("file", OPTIONS.file, config.file);
  add("repeater", OPTIONS.repeater, config.repeater);
  add("console", OPTIONS.console, config.console);
  for (const section of ["cluster", "raft", "etcd", "consul", "kubernetes"] as const) {
    add(section, OPTIONS[section], config[section]);
  }
  return settings;
}

function settingOf(path: string, key: string, option: Option, value: unknown): Setting {
  const isList = listRule(option) !== undefined;
  const items = isList ? (value as readonly unknown[]) : [value];
  const printed = items.map((item) => option.type.print(item));
  const isSecret = SECRET_KEY.test(key);
  const text = printed.join(" ");
  return {
    path,
    text: isSecret && text !== "" ? MASK : text,
    isSecret,
    isReloadable: option.isReloadable,
    identity: JSON.stringify(printed),
  };
}
