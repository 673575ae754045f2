/**
 * What the naming rules make of an aggregate's output names, as text and before any series is known: what
 * goes in front of a series' name, behind it, and among its tags.
 */
import type { AggregateText } from "./config-values.ts";
import { type Aggregate, METRIC_TYPES, type MetricType } from "./metric.ts";

/**
 * Where an aggregate's name goes: into a tag or into the name, as the series is tagged or not, or into
 * both.
 */
export type NamingDestination = "smart" | "name" | "tag" | "both";

/**
 * graphite: parts of names are joined by dots. prometheus: by underscores, all other characters that
 * Prometheus does not take become such, and `smart` tells percentiles in a tag and everything else in the
 * name.
 */
export type NamingStyle = "graphite" | "prometheus";

/** How the outputs of one metric type are named: a `[naming.TYPE]` section. */
export interface NamingRule {
  readonly destination: NamingDestination;
  /** Goes before the name with a dot; empty for none. */
  readonly prefix: string;
  /** Goes behind name and postfix with a dot; empty for none. */
  readonly suffix?: string;
  /** Key of the tag that tells the aggregate. */
  readonly tag: string;
  /** Prefixes of single aggregates, which take the place of `prefix`. Of several for one the last counts. */
  readonly prefixOverrides?: readonly AggregateText[];
  /** What single aggregates are called in names; empty for nothing, not even a dot. */
  readonly postfixes?: readonly AggregateText[];
  /** What single aggregates are called in tags; empty for no tag at all. */
  readonly tagValues?: readonly AggregateText[];
}

/** What is put around a series' name and tags. */
export interface OutputName {
  /** In front of the name, with its separator, or empty. */
  readonly prefix: string;
  /** Key of the tag, without separators. */
  readonly tagKey: string;
  /** Of a series without tags. */
  readonly untagged: OutputParts;
  /** Of a series with tags. */
  readonly tagged: OutputParts;
}

export interface OutputParts {
  /** Behind the name: postfix and suffix, with their separators, or empty. */
  readonly postfix: string;
  /** Among the tags: `;aggregate=sum`, or empty. */
  readonly tag: string;
}

/** Characters that Prometheus does not take in the name of a metric. */
const NOT_PROMETHEUS = /[^a-zA-Z0-9_:]/g;

/** Returns what a rule makes of an aggregate. */
export function outputName(rule: NamingRule, aggregate: Aggregate, style: NamingStyle): OutputName {
  const separator = style === "prometheus" ? "_" : ".";
  const spell = (text: string): string => (style === "prometheus" ? text.replace(NOT_PROMETHEUS, "_") : text);
  const join = (text: string): string => (text === "" ? "" : `${separator}${spell(text)}`);
  // A part written with its dot means the same as one without.
  const prefix = (textOf(rule.prefixOverrides, aggregate) ?? rule.prefix).replace(/\.+$/, "");
  const suffix = (rule.suffix ?? "").replace(/^\.+/, "");
  const postfix = (textOf(rule.postfixes, aggregate) ?? aggregate.label).replace(/^\.+/, "");
  const tagValue = textOf(rule.tagValues, aggregate) ?? aggregate.label;
  const tag = tagValue === "" ? "" : `;${rule.tag}=${tagValue}`;
  const parts = (inName: boolean, inTag: boolean): OutputParts => ({
    postfix: join(inName ? postfix : "") + join(suffix),
    tag: inTag ? tag : "",
  });
  const { destination } = rule;
  const always = destination === "both";
  const smartTag = (isTagged: boolean): boolean =>
    style === "prometheus" ? aggregate.kind === "percentile" : isTagged;
  const partsOf = (isTagged: boolean): OutputParts =>
    destination === "smart"
      ? parts(!smartTag(isTagged), smartTag(isTagged))
      : parts(always || destination === "name", always || destination === "tag");
  return {
    prefix: prefix === "" ? "" : `${spell(prefix)}${separator}`,
    tagKey: rule.tag,
    untagged: partsOf(false),
    tagged: partsOf(true),
  };
}

function textOf(texts: readonly AggregateText[] | undefined, { name }: Aggregate): string | undefined {
  return texts?.findLast(({ aggregate }) => aggregate === name)?.text;
}

/** Two outputs that would be written under one name. */
export interface NameCollision {
  readonly types: readonly [MetricType, MetricType];
  readonly aggregates: readonly [Aggregate, Aggregate];
  /** The name, for a series called NAME, with the tag `TAG` where only tagged series collide. */
  readonly name: string;
}

interface Output {
  readonly type: MetricType;
  readonly aggregate: Aggregate;
  readonly isBare: boolean;
  readonly name: string;
}

/**
 * Finds outputs that share a name for certain, whatever series are called:
 *
 *   of one type    any two aggregates
 *   of two types   two different aggregates, as where `postfixes = value=sum` of gauges makes a gauge look
 *                  like the sum of a timer
 *
 * The same aggregate of two types, and two that are both written under the bare name of their series, share a
 * name only where one name comes with several types; that is met at run time, and reported as a type clash.
 * Bins belong to histograms of different series.
 */
export function nameCollisions(
  rules: Readonly<Record<MetricType, NamingRule>>,
  aggregates: Readonly<Record<MetricType, readonly Aggregate[]>>,
  style: NamingStyle,
): NameCollision[] {
  const collisions: NameCollision[] = [];
  for (const isTagged of [false, true]) {
    const byName = new Map<string, Output[]>();
    for (const type of METRIC_TYPES) {
      for (const aggregate of aggregates[type]) {
        const output = outputOf(type, rules[type], aggregate, style, isTagged);
        const others = byName.get(output.name) ?? [];
        const other = others.find((one) => areRivals(one, output));
        if (other !== undefined) {
          collisions.push({
            types: [other.type, type],
            aggregates: [other.aggregate, aggregate],
            name: output.name,
          });
        }
        byName.set(output.name, [...others, output]);
      }
    }
    // What collides without tags most often does with them; once is enough to say.
    if (collisions.length > 0) break;
  }
  return collisions;
}

function outputOf(
  type: MetricType,
  rule: NamingRule,
  aggregate: Aggregate,
  style: NamingStyle,
  isTagged: boolean,
): Output {
  const { prefix, untagged, tagged } = outputName(rule, aggregate, style);
  const { postfix, tag } = isTagged ? tagged : untagged;
  const name = `${prefix}NAME${postfix}${tag}${isTagged ? ";TAG" : ""}`;
  return { type, aggregate, isBare: postfix === "" && tag === "", name };
}

function areRivals(one: Output, other: Output): boolean {
  if (one.type === other.type) return one.aggregate.kind !== "bin" || other.aggregate.kind !== "bin";
  return one.aggregate.name !== other.aggregate.name && !(one.isBare && other.isBare);
}

/** Says which outputs collide, and what can be done. */
export function describeCollision({ types, aggregates, name }: NameCollision): string {
  const [one, other] = aggregates.map((aggregate, index) => `${types[index]} ${aggregate.name}`);
  return (
    `${one} and ${other} would both be written as ${name}; ` +
    "give one of them another postfix, tag value or prefix, or drop it"
  );
}
