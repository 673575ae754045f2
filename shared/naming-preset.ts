/**
 * The names and aggregates of other aggregators, as defaults: `naming` of [aggregation]. Whatever file or
 * flags say wins, value by value; lists of what single aggregates are called are put together, item by item.
 *
 *   bioyino      the defaults of the option table
 *   etsy-legacy  stats.NAME (a counter's rate), stats_counts.NAME, stats.timers.NAME.upper_90,
 *                stats.gauges.NAME, stats.sets.NAME.count
 *   etsy         stats.counters.NAME.rate and .count, stats.timers.NAME.upper_90, stats.gauges.NAME,
 *                stats.sets.NAME.count: etsy's with legacyNamespace false
 *   veneur       NAME.max .min .sum .avg .count (samples per second) .median .99percentile; counters,
 *                gauges and sets as NAME. Veneur sends counters to Datadog as rates; carbon gets their value
 *   prometheus   NAME_count, NAME;quantile=0.99, for what stores Prometheus's names and tags: VictoriaMetrics
 */
import type { SuiteConfig } from "./config.ts";
import type { AggregateText } from "./config-values.ts";
import { type Aggregate, METRIC_TYPES, type MetricType, parseAggregate } from "./metric.ts";
import type { NamingStyle } from "./output-name.ts";

export type Preset = SuiteConfig["aggregation"]["preset"];
type Aggregation = SuiteConfig["aggregation"];
type Naming = SuiteConfig["naming"];
type NamingValues = Naming[MetricType];
type Presettable = Pick<SuiteConfig, "aggregation" | "naming" | "aggregator">;

/** Returns how a preset spells names. */
export function namingStyle(preset: Preset): NamingStyle {
  return preset === "prometheus" ? "prometheus" : "graphite";
}

/** Whether a preset is one of etsy's, whose own metrics are etsy's as well. */
export function isEtsy(preset: Preset): boolean {
  return preset === "etsy" || preset === "etsy-legacy";
}

/** What a preset says of one metric type. Absent is as in the option table. */
interface TypePreset {
  readonly aggregates?: readonly string[];
  readonly destination?: NamingValues["destination"];
  readonly prefix?: string;
  readonly tag?: string;
  /** By aggregate. */
  readonly prefixOverrides?: Readonly<Record<string, string>>;
  readonly postfixes?: Readonly<Record<string, string>>;
}

/**
 * Whether a preset has something of its own to say about a type, in the place of the option table's default.
 */
export function hasOwn(
  preset: Preset,
  type: MetricType,
  what: "aggregates" | "prefix" | "destination",
): boolean {
  // Etsy's list depends on percent-threshold.
  const isList = what === "aggregates" && type === "timer" && isEtsy(preset);
  return isList || PRESETS[preset][type]?.[what] !== undefined;
}

/** What etsy's calls the aggregates of timers. */
const ETSY_TIMER_POSTFIXES = { max: "upper", min: "lower", rate: "count_ps" };

const PRESETS: Readonly<Record<Preset, Partial<Record<MetricType, TypePreset>>>> = {
  bioyino: {},
  "etsy-legacy": {
    counter: {
      aggregates: ["rate", "value"],
      destination: "name",
      prefix: "stats",
      prefixOverrides: { value: "stats_counts" },
      postfixes: { rate: "" },
    },
    gauge: { aggregates: ["value"], destination: "name", prefix: "stats.gauges" },
    timer: { destination: "name", prefix: "stats.timers", postfixes: ETSY_TIMER_POSTFIXES },
    set: { aggregates: ["count"], destination: "name", prefix: "stats.sets" },
  },
  etsy: {
    counter: {
      aggregates: ["rate", "value"],
      destination: "name",
      prefix: "stats.counters",
      postfixes: { value: "count" },
    },
    gauge: { aggregates: ["value"], destination: "name", prefix: "stats.gauges" },
    timer: { destination: "name", prefix: "stats.timers", postfixes: ETSY_TIMER_POSTFIXES },
    set: { aggregates: ["count"], destination: "name", prefix: "stats.sets" },
  },
  veneur: {
    counter: { aggregates: ["value"], destination: "name" },
    gauge: { aggregates: ["value"], destination: "name" },
    timer: {
      aggregates: "max min sum mean rate median percentile-50 percentile-75 percentile-99".split(" "),
      destination: "name",
      postfixes: { mean: "avg", rate: "count" },
    },
    set: { aggregates: ["count"], destination: "name", postfixes: { count: "" } },
  },
  prometheus: {
    counter: { aggregates: ["value"] },
    gauge: { aggregates: ["value"] },
    timer: {
      aggregates: "count sum min max mean percentile-50 percentile-90 percentile-95 percentile-99".split(" "),
      tag: "quantile",
    },
    set: { aggregates: ["count"] },
  },
};

/**
 * Puts what the preset says in the place of defaults. isSet: whether file or flags say something about a key,
 * given as `aggregation.timer`; what a type inherits from a key of [naming.default] that is set counts as
 * set. Applied to its own result it changes nothing.
 */
export function applyPreset(config: Presettable, isSet: (path: string) => boolean): Presettable {
  const { aggregation, naming, aggregator } = config;
  const { preset } = aggregation;
  const isOwn = isEtsy(preset);
  const lists = Object.fromEntries(
    METRIC_TYPES.map((type) => [
      type,
      isSet(`aggregation.${type}`) ? aggregation[type] : presetAggregates(aggregation, type),
    ]),
  ) as Pick<Aggregation, MetricType>;
  const weights = isOwn && !isSet("aggregation.weights") ? false : aggregation.weights;
  const applied = METRIC_TYPES.map(
    (type) => [type, presetNaming(preset, type, naming[type], lists[type], isSet)] as const,
  );
  const hasOwnPrefix = isOwn && !isSet("aggregator.stats-prefix");
  return {
    aggregation: { ...aggregation, ...lists, weights },
    naming: Object.fromEntries(applied) as Naming,
    aggregator: hasOwnPrefix ? { ...aggregator, statsPrefix: "statsd" } : aggregator,
  };
}

function presetAggregates(aggregation: Aggregation, type: MetricType): readonly Aggregate[] {
  const { preset, percentThresholds } = aggregation;
  if (type === "timer" && isEtsy(preset)) return etsyTimer(percentThresholds).map(readAggregate);
  return PRESETS[preset][type]?.aggregates?.map(readAggregate) ?? aggregation[type];
}

/** The statistics of etsy's timers, in its order. thresholds: percent, negative for the top ones. */
function etsyTimer(thresholds: readonly number[]): string[] {
  const names = thresholds.flatMap((threshold) => {
    const [share, bound] = threshold < 0 ? ["top", "lower"] : ["p", "upper"];
    return ["count", "mean", bound, "sum", "sum-squares"].map(
      (statistic) => `${statistic}-${share}${Math.abs(threshold)}`,
    );
  });
  // 90 and 90.0 are the same number.
  const unique = [...new Set(names)];
  return [...unique, ..."std max min count rate sum sum-squares mean median".split(" ")];
}

function readAggregate(name: string): Aggregate {
  const aggregate = parseAggregate(name);
  if (aggregate === undefined) throw new Error(`a preset has the aggregate ${name}, which there is not`);
  return aggregate;
}

function presetNaming(
  preset: Preset,
  type: MetricType,
  values: NamingValues,
  aggregates: readonly Aggregate[],
  isSet: (path: string) => boolean,
): NamingValues {
  const said = PRESETS[preset][type] ?? {};
  const isFree = (key: string): boolean => !isSet(`naming.${type}.${key}`) && !isSet(`naming.default.${key}`);
  return {
    ...values,
    ...(said.destination !== undefined && isFree("destination") && { destination: said.destination }),
    ...(said.prefix !== undefined && isFree("prefix") && { prefix: said.prefix }),
    ...(said.tag !== undefined && isFree("tag") && { tag: said.tag }),
    prefixOverrides: merge(said.prefixOverrides ?? {}, values.prefixOverrides),
    postfixes: merge({ ...said.postfixes, ...percentilePostfixes(preset, aggregates) }, values.postfixes),
    tagValues: merge(percentileTags(preset, aggregates), values.tagValues),
  };
}

/** Veneur writes the shortest decimal of the percent: `99.9percentile`. */
function percentilePostfixes(preset: Preset, aggregates: readonly Aggregate[]): Record<string, string> {
  if (preset !== "veneur") return {};
  return eachPercentile(aggregates, (fraction) => `${Number((fraction * 100).toPrecision(12))}percentile`);
}

function percentileTags(preset: Preset, aggregates: readonly Aggregate[]): Record<string, string> {
  return preset === "prometheus" ? eachPercentile(aggregates, String) : {};
}

function eachPercentile(
  aggregates: readonly Aggregate[],
  write: (fraction: number) => string,
): Record<string, string> {
  const percentiles = aggregates.filter(({ kind }) => kind === "percentile");
  return Object.fromEntries(percentiles.map(({ name, fraction }) => [name, write(fraction ?? 0)]));
}

/** Puts together what the preset and what the configuration call aggregates; the latter wins. */
function merge(
  said: Readonly<Record<string, string>>,
  set: readonly AggregateText[],
): readonly AggregateText[] {
  const free = Object.entries(said).filter(([name]) => !set.some(({ aggregate }) => aggregate === name));
  return [...free.map(([aggregate, text]) => ({ aggregate, text })), ...set];
}
