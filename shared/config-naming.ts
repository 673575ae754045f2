/** The rows of the option table for what is computed and how it is named: [aggregation], [naming.TYPE]. */
import {
  ADDRESSES_OR_NONE,
  inherit,
  inheritList,
  type ListRule,
  many,
  one,
  RULES,
  WORDS_OR_NONE,
} from "./config-rows.ts";
import { histogram, rename } from "./config-shaping.ts";
import {
  aggregate,
  aggregateText,
  choice,
  count,
  percentThreshold,
  type TextRule,
  text,
  yesNo,
} from "./config-values.ts";
import { DEFAULT_AGGREGATES, type MetricType } from "./metric.ts";

const NAME_PART: TextRule = { forbidden: /[\s;]/, forbiddenWords: "blanks and semicolons" };
const TAG_KEY: TextRule = {
  forbidden: /[\s;=]/,
  forbiddenWords: "blanks, semicolons and equal signs",
  isRequired: true,
};
/** Items `AGGREGATE=TEXT`, where the text may be empty. */
const TEXTS: ListRule = { ...ADDRESSES_OR_NONE, isUnique: true };

function aggregates<const Type extends MetricType>(type: Type) {
  const doc = `Aggregates of a ${type}; none silences the type`;
  return many(type, aggregate, DEFAULT_AGGREGATES[type].join(" "), doc, WORDS_OR_NONE, true);
}

/** [aggregation]. */
export const AGGREGATION = {
  naming: one(
    "preset",
    choice(["bioyino", "etsy", "etsy-legacy", "veneur", "prometheus"]),
    "bioyino",
    "Whose names and aggregates are the defaults of what follows",
    true,
  ),
  counter: aggregates("counter"),
  gauge: aggregates("gauge"),
  timer: aggregates("timer"),
  set: aggregates("set"),
  "percent-threshold": many(
    "percentThresholds",
    percentThreshold,
    "90",
    "Percentiles of etsy's timers",
    { ...WORDS_OR_NONE },
    true,
  ),
  histogram: many("histograms", histogram, "", "Bins of timers, as PATTERN = 10 100 inf", RULES, true),
  rate: one(
    "rate",
    choice(["value", "samples"]),
    "value",
    "What the rate of a counter counts in a second",
    true,
  ),
  weights: one(
    "weights",
    yesNo,
    "yes",
    "Whether a sampled timer value stands for all that were not sent",
    true,
  ),
  "update-count-threshold": one(
    "updateCountThreshold",
    count(0, 4_294_967_295),
    "200",
    "Updates that a series needs for its updates to be written",
    true,
  ),
  "round-timestamp": one(
    "roundTimestamp",
    choice(["no", "up", "down"]),
    "no",
    "Timestamp of rows within their interval",
    true,
  ),
  rename: many("rename", rename, "", "New names for output; the first rule that matches counts", RULES, true),
};

/** [naming.default]. */
export const NAMING = {
  destination: one(
    "destination",
    choice(["smart", "name", "tag", "both"]),
    "smart",
    "Where the aggregate is told",
    true,
  ),
  prefix: one("prefix", text("prefix", NAME_PART), "", "Put before every output name, with a dot", true),
  suffix: one("suffix", text("suffix", NAME_PART), "", "Put behind every output name, with a dot", true),
  tag: one("tag", text("tag key", TAG_KEY), "aggregate", "Key of the tag that tells the aggregate", true),
  "prefix-overrides": many(
    "prefixOverrides",
    aggregateText,
    "",
    "Prefixes of aggregates, as sum=PREFIX",
    TEXTS,
    true,
  ),
  postfixes: many("postfixes", aggregateText, "", "Their names in names, as max=upper", TEXTS, true),
  "tag-values": many("tagValues", aggregateText, "", "Their names in tags, as max=upper", TEXTS, true),
};

/** The sections of the metric types take field by field what they do not say from [naming.default]. */
export const NAMING_OF_TYPE = {
  destination: inherit(NAMING.destination, "naming.default"),
  prefix: inherit(NAMING.prefix, "naming.default"),
  suffix: inherit(NAMING.suffix, "naming.default"),
  tag: inherit(NAMING.tag, "naming.default"),
  "prefix-overrides": inheritList(NAMING["prefix-overrides"], "naming.default"),
  postfixes: inheritList(NAMING.postfixes, "naming.default"),
  "tag-values": inheritList(NAMING["tag-values"], "naming.default"),
};
