/** Aggregates and names of the Rust bioyino in our words: its tables [aggregation] and [naming]. */
import { METRIC_TYPES, type MetricType, parseAggregate } from "../../shared/metric.ts";
import type { IniDraft } from "./ini-draft.ts";
import { showValue, type ValueTree } from "./value-tree.ts";

/** A type that nobody can send, so its settings never did anything. */
const HISTOGRAM = "custom-histogram";
const NO_HISTOGRAM = "bioyino refuses this type at its intake; aggregation.histogram has bins of timers";
const NAMING_KEYS = ["destination", "prefix", "tag", "prefix-overrides", "postfixes", "tag-values"] as const;
const ROUNDING = ["no", "up", "down"];
const DESTINATIONS = ["smart", "name", "tag", "both"];

/** Sections that say how a bare value is written, too. */
const VALUED = ["default", "counter", "gauge"];

/** What bioyino has where a section of a type says nothing: it does not look at [naming.default] then. */
const BUILT_IN = { destination: "smart", prefix: "", tag: "aggregate" } as const;

/** Takes [aggregation] and [naming] off a tree. */
export function readAggregates(tree: ValueTree, draft: IniDraft): void {
  readAggregation(tree.table("aggregation"), draft);
  const naming = tree.table("naming");
  const types = ["default", ...METRIC_TYPES, HISTOGRAM];
  const isDefault = naming.has("default");
  const said = new Map(types.filter((type) => naming.has(type)).map((type) => [type, naming.table(type)]));
  for (const [type, table] of said) {
    if (type === HISTOGRAM) draft.leave(`[naming.${type}]`, NO_HISTOGRAM);
    const isAlone = type !== "default" && isDefault;
    if (type === HISTOGRAM) for (const key of NAMING_KEYS) table.any(key);
    else readNaming(table, type, isAlone, draft);
    table.finish(NAMING_KEYS);
  }
  naming.finish(types);
}

function readAggregation(table: ValueTree, draft: IniDraft): void {
  draft.set("aggregation.rate", "samples", "As bioyino counts: samples in a second, not their sum.");
  const round = choose(table, "round-timestamp", ROUNDING);
  if (round !== undefined) draft.set("aggregation.round-timestamp", round);
  const threshold = table.take("update-count-threshold", "whole");
  if (threshold !== undefined) draft.set("aggregation.update-count-threshold", String(threshold));
  const aggregates = table.table("aggregates");
  for (const type of METRIC_TYPES) readList(aggregates, type, draft);
  if (aggregates.any(HISTOGRAM) !== undefined)
    draft.leave(`aggregation.aggregates.${HISTOGRAM}`, NO_HISTOGRAM);
  aggregates.finish([...METRIC_TYPES, HISTOGRAM]);
  table.finish(["round-timestamp", "update-count-threshold", "aggregates"]);
}

function readList(table: ValueTree, type: MetricType, draft: IniDraft): void {
  const names = table.take(type, "texts")?.map((name) => name.toLowerCase());
  if (names === undefined) return;
  const known = names.filter((name) => isAggregate(name));
  for (const name of names) {
    if (name === "bucket") draft.leave(`aggregation.aggregates.${type}: bucket`, NO_HISTOGRAM);
    else if (!isAggregate(name)) table.fault(type, `has the unknown aggregate ${showValue(name)}`);
  }
  const isMaximum = known.includes("percentile-10");
  const remark = isMaximum ? "percentile-10 is the tenth percent here; in bioyino it was the maximum." : "";
  const unique = [...new Set(known)];
  draft.set(`aggregation.${type}`, unique.length === 0 ? "none" : unique.join(" "), remark);
}

/** Those that bioyino knows; ours are more. */
function isAggregate(name: string): boolean {
  const kinds = ["value", "count", "last", "min", "max", "sum", "mean", "median", "updates", "rate"];
  return kinds.includes(name) || /^percentile-\d+$/.test(name);
}

function choose(table: ValueTree, key: string, words: readonly string[]): string | undefined {
  const word = table.take(key, "text");
  if (word === undefined || words.includes(word)) return word;
  table.fault(key, `is unknown; choose one of ${words.join(", ")}`);
  return undefined;
}

/** isAlone: [naming.default] is there as well, whose values bioyino does not take for this type. */
function readNaming(table: ValueTree, type: string, isAlone: boolean, draft: IniDraft): void {
  const section = `naming.${type}`;
  let remark = isAlone ? "bioyino takes nothing from [naming.default] where a type has a section." : "";
  /** Said once, at the first key that is there for this alone. */
  const remarkOf = (key: string): string => {
    if (table.has(key)) return "";
    const said = remark;
    remark = "";
    return said;
  };
  const write = (key: keyof typeof BUILT_IN, value: string | undefined): void => {
    const written = value ?? (isAlone ? BUILT_IN[key] : undefined);
    if (written !== undefined) draft.set(`${section}.${key}`, written, remarkOf(key));
  };
  write("destination", choose(table, "destination", DESTINATIONS));
  // Ours puts the dot between prefix and name itself, and so does bioyino.
  write("prefix", table.take("prefix", "text"));
  write("tag", table.take("tag", "text"));
  const overrides = Object(table.any("prefix-overrides")) as object;
  for (const key of ["prefix-overrides", "postfixes", "tag-values"] as const) {
    const texts = table.take(key, "names");
    if (texts === undefined && !(isAlone && !table.has(key))) continue;
    const items = Object.entries(texts ?? {}).flatMap(([name, text]) => {
      const aggregate = isAggregate(name.toLowerCase()) ? parseAggregate(name) : undefined;
      const isBare = key === "postfixes" && text === "" && !Object.hasOwn(overrides, name);
      if (isBare && aggregate?.kind !== "value" && VALUED.includes(type)) {
        draft.leave(`${section}.postfixes.${name} = ""`, "it would be written under the name of the value");
        return [];
      }
      if (aggregate !== undefined) return [`${aggregate.name}=${text}`];
      table.fault(key, `has the unknown aggregate ${showValue(name)}`);
      return [];
    });
    draft.setList(`${section}.${key}`, items, remarkOf(key));
  }
}
