/** What a reload changes: the difference of two configurations, and the one that is in force after it. */
import type { SuiteConfig } from "../shared/config.ts";
import { NAMED } from "../shared/config-named.ts";
import { OPTIONS } from "../shared/config-options.ts";
import type { Option, Section } from "../shared/config-rows.ts";
import { OperatorError } from "../shared/errors.ts";
import { METRIC_TYPES } from "../shared/metric.ts";
import { type Setting, settingsOf } from "./settings.ts";
import { readPlan, storePlan } from "./store-plan.ts";

/** When a changed key takes effect. */
export type Applies = "now" | "next interval" | "restart";

/** One key that differs. */
export interface SettingChange {
  /** `aggregation.timer`. */
  readonly path: string;
  /** As in the INI file, secrets masked; null where the section is not there. */
  readonly before: string | null;
  readonly after: string | null;
  readonly applies: Applies;
}

/** How a reload went. */
export interface ReloadOutcome {
  readonly ok: boolean;
  readonly changed: readonly SettingChange[];
  /** For people: what was done, or every fault that was found. */
  readonly message: string;
}

/** A reload that may go on. */
export interface ReloadReview {
  readonly outcome: ReloadOutcome;
  /** What is in force from now on; undefined where the new configuration was refused. */
  readonly config: SuiteConfig | undefined;
}

/** The store takes these up with the first interval that it opens afterwards. */
const OF_INTERVALS = /^(?:aggregation|naming\.[a-z]+|idle)\.|^aggregator\.(?:series|prefix|overflow|timer)-/;

/** The log is opened once, and a listener cannot come or go. */
const FIXED = /^(?:log|listener\.[^.]+)\./;

/** Receivers that were started without this bound do not look at who sends. */
const OF_SENDERS = "aggregator.series-per-sender-max";

/** Lists the keys that differ, in the order of the option table; sections that are gone come last. */
export function diffConfig(before: SuiteConfig, after: SuiteConfig): readonly SettingChange[] {
  const [old, current] = [settingsOf(before), settingsOf(after)];
  const gone = [...old.values()].filter(({ path }) => !current.has(path));
  const changes = [...current.values()].flatMap((setting) => {
    const known = old.get(setting.path);
    return known?.identity === setting.identity ? [] : [changeOf(setting, known, setting)];
  });
  return [...changes, ...gone.map((setting) => changeOf(setting, setting, undefined))];
}

function changeOf(
  { path, isReloadable }: Setting,
  before: Setting | undefined,
  after: Setting | undefined,
): SettingChange {
  const isSoft = isReloadable && !FIXED.test(path) && !(path === OF_SENDERS && before?.text === "0");
  const soft = OF_INTERVALS.test(path) ? "next interval" : "now";
  const applies: Applies = isSoft ? soft : "restart";
  return { path, before: before?.text ?? null, after: after?.text ?? null, applies };
}

/**
 * Reads the configuration again and compares it with the one in force. read: throws OperatorError that names
 * all faults; the outcome then says so, and nothing changes.
 */
export function reviewReload(inForce: SuiteConfig, read: () => SuiteConfig): ReloadReview {
  let after: SuiteConfig;
  try {
    after = read();
    // Names that collide and too many aggregates show only now.
    readPlan(storePlan(reloadedConfig(inForce, after)));
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    return { outcome: { ok: false, changed: [], message: error.message }, config: undefined };
  }
  const changed = diffConfig(inForce, after);
  return {
    outcome: { ok: true, changed, message: describeChanges(changed) },
    config: reloadedConfig(inForce, after),
  };
}

function describeChanges(changed: readonly SettingChange[]): string {
  if (changed.length === 0) return "nothing has changed";
  const waiting = changed.filter(({ applies }) => applies === "restart").map(({ path }) => path);
  const taken = changed.length - waiting.length;
  const done = taken === 0 ? "nothing was taken over" : `${taken} key${taken > 1 ? "s" : ""} taken over`;
  return waiting.length === 0 ? done : `${done}; only after a restart: ${waiting.join(", ")}`;
}

/**
 * The configuration in force after a reload: what can be changed is as in `after`, everything else as it was,
 * so that no part of the daemon works by a value that another part does not have yet.
 */
export function reloadedConfig(before: SuiteConfig, after: SuiteConfig): SuiteConfig {
  const { listeners, seriesPerSenderMax } = before.aggregator;
  const namings = METRIC_TYPES.map(
    (type) => [type, mix(OPTIONS[`naming.${type}`], before.naming[type], after.naming[type])] as const,
  );
  return {
    ...before,
    aggregator: {
      ...mix(OPTIONS.aggregator, before.aggregator, after.aggregator),
      listeners,
      ...(seriesPerSenderMax === 0 && { seriesPerSenderMax }),
    },
    idle: mix(OPTIONS.idle, before.idle, after.idle),
    aggregation: mix(OPTIONS.aggregation, before.aggregation, after.aggregation),
    naming: Object.fromEntries(namings) as SuiteConfig["naming"],
    carbon: {
      ...mix(OPTIONS.carbon, before.carbon, after.carbon),
      others: after.carbon.others.map((other) => {
        const known = before.carbon.others.find(({ name }) => name === other.name);
        return known === undefined ? other : mix(NAMED.carbon, known, other);
      }),
    },
    file: mix(OPTIONS.file, before.file, after.file),
    repeater: mix(OPTIONS.repeater, before.repeater, after.repeater),
    console: mix(OPTIONS.console, before.console, after.console),
    cluster: mix(OPTIONS.cluster, before.cluster, after.cluster),
  };
}

/** The values of one section: reloadable ones from `after`, all others from `before`. */
function mix<Values extends object>(rows: Section, before: Values, after: Values): Values {
  const soft = new Set(
    Object.values<Option>(rows)
      .filter(({ isReloadable }) => isReloadable)
      .map(({ property }) => property),
  );
  const taken = Object.entries(after).filter(([property]) => soft.has(property));
  return { ...before, ...Object.fromEntries(taken) };
}
