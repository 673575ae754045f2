/** What no key of [aggregation] and [naming.TYPE] can tell by itself: outputs that would share a name. */
import type { SuiteConfig } from "./config.ts";
import type { ConfigReader } from "./config-reader.ts";
import { DEFAULT_AGGREGATES, METRIC_TYPES, type MetricType } from "./metric.ts";
import { hasOwn, namingStyle } from "./naming-preset.ts";
import { describeCollision, nameCollisions } from "./output-name.ts";
import { compilePattern, patternFault } from "./pattern.ts";

const NAMING_KEYS = ["postfixes", "tag-values", "prefix-overrides", "destination", "prefix", "suffix", "tag"];
const ARROW = " -> ";

/** Adds what is wrong with names and rename rules to the reader's faults. The preset has been applied. */
export function checkOutputNames(config: SuiteConfig, reader: ConfigReader): void {
  const { aggregation, naming } = config;
  for (const rule of aggregation.rename) {
    const fault = outputRenameFault(rule);
    if (fault !== undefined) reader.faultBetween(new Map([["aggregation.rename", fault]]));
  }
  // A list that could not be read stands at its default, which says nothing about what is meant.
  if (METRIC_TYPES.some((type) => reader.isFaulty(`aggregation.${type}`))) return;
  const plain = plainKeys(config, reader);
  const hint =
    plain.length === 0 ? "" : `; or leave out ${plain.join(", ")}, which keep the preset from its own`;
  for (const collision of nameCollisions(naming, aggregation, namingStyle(aggregation.preset))) {
    const what = `lets two rows share a name: ${describeCollision(collision)}${hint}`;
    // Told at the first key that was set and has to do with it.
    const sections = [...collision.types.map((type) => `naming.${type}`), "naming.default"];
    const keys = [
      ...NAMING_KEYS.flatMap((key) => sections.map((section) => `${section}.${key}`)),
      ...collision.types.map((type) => `aggregation.${type}`),
      "aggregation.naming",
    ];
    reader.faultBetween(new Map(keys.map((key) => [key, what])));
  }
}

/**
 * Warns of keys that are written out as they are without a preset, as in a copy of suite.ini: they win over
 * the preset, which then does little.
 */
export function warnOfPreset(config: SuiteConfig, reader: ConfigReader): void {
  const plain = plainKeys(config, reader);
  if (plain.length === 0) return;
  reader.warn(
    `aggregation.naming = ${config.aggregation.preset} does not change what is written out as without a ` +
      `preset: ${plain.join(", ")}; leave those keys out to have the preset's`,
  );
}

/** Lists keys that are set to what they are without a preset, where there is one that would say otherwise. */
function plainKeys({ aggregation, naming }: SuiteConfig, reader: ConfigReader): string[] {
  const { preset } = aggregation;
  if (preset === "bioyino") return [];
  const namesOf = (type: MetricType): string => aggregation[type].map(({ name }) => name).join();
  const lists = METRIC_TYPES.filter(
    (type) => hasOwn(preset, type, "aggregates") && namesOf(type) === DEFAULT_AGGREGATES[type].join(),
  );
  const says = (what: "prefix" | "destination"): boolean =>
    METRIC_TYPES.some((type) => hasOwn(preset, type, what));
  const rules = METRIC_TYPES.map((type) => naming[type]);
  const keys = [
    ...lists.map((type) => `aggregation.${type}`),
    ...(says("prefix") && rules.every(({ prefix }) => prefix === "") ? ["naming.default.prefix"] : []),
    ...(says("destination") && rules.every(({ destination }) => destination === "smart")
      ? ["naming.default.destination"]
      : []),
  ];
  return keys.filter((path) => reader.isSet(path));
}

/**
 * Says what is wrong with a rule that renames output names, and how to mend it: it would write tags, or it
 * would give all the names that its wildcards let in a single one. Returns undefined where it is fine.
 */
export function outputRenameFault(rule: string): string | undefined {
  const arrow = rule.lastIndexOf(ARROW);
  const [from, to] = [rule.slice(0, arrow).trim(), rule.slice(arrow + ARROW.length).trim()];
  if (arrow < 0) return `has the rule ${rule} without an arrow; write PATTERN -> REPLACEMENT`;
  const fault = patternFault(from);
  if (fault !== undefined) return `has the pattern ${from} that ${fault}`;
  if (to.includes(";")) return `has the rule ${rule}, but tags cannot be renamed; remove the semicolon`;
  // A regular expression replaces only what it matches, and the rest may still tell names apart.
  const isCopying = /\$[0-9]/.test(to.replaceAll("$$", ""));
  const isMerging = !from.startsWith("/") && compilePattern(from).captureCount > 0 && !isCopying;
  return isMerging
    ? `has the rule ${rule}, which gives one name to all that match; use $1 for what * stands for`
    : undefined;
}
