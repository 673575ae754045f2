/** Output names: which bytes a series' aggregate is written under. */
import { EXIT_CONFIG, OperatorError } from "../shared/errors.ts";
import { type Aggregate, METRIC_TYPES, type MetricType } from "../shared/metric.ts";

/**
 * Where an aggregate's name goes: into a tag or into the name, as the series is tagged or not, or into
 * both.
 */
export type NamingDestination = "smart" | "name" | "tag" | "both";

/** How the outputs of one metric type are named: a `[naming.TYPE]` section. */
export interface NamingRule {
  readonly destination: NamingDestination;
  /** Goes before the name with a dot; empty for none. */
  readonly prefix: string;
  /** Key of the tag that tells the aggregate. */
  readonly tag: string;
}

const SEMICOLON = 0x3b;
const EQUALS = 0x3d;
const EMPTY = Buffer.alloc(0);

/** All that can be known about the names of one aggregate before any series is. */
interface NamePlan {
  /** With its dot, or empty. */
  readonly prefix: Buffer;
  /** Postfix of untagged series, with its dot, or empty. */
  readonly untaggedPostfix: Buffer;
  /** Tag of untagged series, `;aggregate=sum`, or empty. */
  readonly untaggedTag: Buffer;
  readonly taggedPostfix: Buffer;
  readonly taggedTag: Buffer;
  /** The bare key of the tag. */
  readonly tagKey: Buffer;
}

/**
 * Writes output names as bytes; keys are never decoded. The rules, for a timer's `sum` and the tag key
 * `aggregate` (after bioyino's):
 *
 *   destination   a.b                    a.b;z=1
 *   smart         a.b.sum                a.b;aggregate=sum;z=1
 *   name          a.b.sum                a.b.sum;z=1
 *   tag           a.b;aggregate=sum      a.b;aggregate=sum;z=1
 *   both          a.b.sum;aggregate=sum  a.b.sum;aggregate=sum;z=1
 *
 * The tag goes before the first part that is not byte-wise smaller than its bare key, and replaces any part
 * with the same key: two tags of one key would be two series to one reader and one to another. An aggregate
 * with an empty label (`value`) adds neither postfix nor tag, and then leaves the series' own tags alone.
 */
export class Namer {
  readonly #plans: readonly (readonly NamePlan[])[];
  /** How many bytes a name can at most be longer than its series' key. */
  readonly maxExtraBytes: number;

  /**
   * rules, aggregates: per metric type. Throws OperatorError when a rule that needs a tag has an empty key,
   * or a key that would not stay one key.
   */
  constructor(
    rules: Readonly<Record<MetricType, NamingRule>>,
    aggregates: Readonly<Record<MetricType, readonly Aggregate[]>>,
  ) {
    this.#plans = METRIC_TYPES.map((type) => {
      checkTag(type, rules[type]);
      return aggregates[type].map((aggregate) => planName(rules[type], aggregate));
    });
    this.maxExtraBytes = Math.max(0, ...this.#plans.flat().map(extraBytes));
  }

  /**
   * Writes the name of an aggregate to target[offset..], which must have room for the key and
   * `maxExtraBytes`. source[start, end): key of the series, `name` or `name;k=v;k2=v2` with sorted tags.
   * type: index in METRIC_TYPES. aggregate: index in that type's list. Returns the name's length in bytes.
   */
  write(
    target: Buffer,
    offset: number,
    source: Buffer,
    start: number,
    end: number,
    type: number,
    aggregate: number,
  ): number {
    const plan = this.#plans[type]![aggregate]!;
    let to = append(target, offset, plan.prefix);
    // Names are short: a loop over bytes is faster than any call into the buffer library, and it finds the
    // first semicolon on its way.
    let from = start;
    while (from < end) {
      const byte = source[from]!;
      if (byte === SEMICOLON) {
        to = append(target, to, plan.taggedPostfix);
        return writeTags(target, to, source, from, end, plan) - offset;
      }
      target[to++] = byte;
      from++;
    }
    to = append(target, to, plan.untaggedPostfix);
    return append(target, to, plan.untaggedTag) - offset;
  }
}

/**
 * Writes the tags of source[semicolon, end) and the plan's own among them. Returns the offset behind them.
 */
function writeTags(
  target: Buffer,
  offset: number,
  source: Buffer,
  semicolon: number,
  end: number,
  plan: NamePlan,
): number {
  let to = offset;
  const hasTag = plan.taggedTag.length > 0;
  let isWritten = !hasTag;
  let start = semicolon + 1;
  while (start <= end) {
    let stop = start;
    while (stop < end && source[stop] !== SEMICOLON) stop++;
    if (!isWritten && !isSmaller(source, start, stop, plan.tagKey)) {
      // An empty part is smaller than any key, so it never gets here.
      to = append(target, to, plan.taggedTag);
      isWritten = true;
    }
    // An empty part would leave two semicolons together, or one at the end.
    if (stop > start && !(hasTag && hasKey(source, start, stop, plan.tagKey))) {
      target[to++] = SEMICOLON;
      for (let from = start; from < stop; from++) target[to++] = source[from]!;
    }
    start = stop + 1;
  }
  return isWritten ? to : append(target, to, plan.taggedTag);
}

function append(target: Buffer, offset: number, text: Buffer): number {
  for (let index = 0; index < text.length; index++) target[offset + index] = text[index]!;
  return offset + text.length;
}

/**
 * Whether source[start, stop) is byte-wise smaller than key; a shorter one is smaller than its
 * continuation.
 */
function isSmaller(source: Buffer, start: number, stop: number, key: Buffer): boolean {
  const length = Math.min(stop - start, key.length);
  for (let index = 0; index < length; index++) {
    const byte = source[start + index]!;
    if (byte !== key[index]) return byte < key[index]!;
  }
  return stop - start < key.length;
}

/** Whether the part source[start, stop) is `key` or `key=...`. */
function hasKey(source: Buffer, start: number, stop: number, key: Buffer): boolean {
  const length = stop - start;
  if (length < key.length) return false;
  if (length > key.length && source[start + key.length] !== EQUALS) return false;
  for (let index = 0; index < key.length; index++) if (source[start + index] !== key[index]) return false;
  return true;
}

function planName(rule: NamingRule, aggregate: Aggregate): NamePlan {
  const { destination } = rule;
  const { label } = aggregate;
  // A prefix written with its dot means the same as one without.
  const prefix = rule.prefix.replace(/\.+$/, "");
  const postfix = label === "" ? EMPTY : Buffer.from(`.${label}`);
  const tag = label === "" ? EMPTY : Buffer.from(`;${rule.tag}=${label}`);
  return {
    prefix: prefix === "" ? EMPTY : Buffer.from(`${prefix}.`),
    untaggedPostfix: destination === "tag" ? EMPTY : postfix,
    untaggedTag: destination === "tag" || destination === "both" ? tag : EMPTY,
    taggedPostfix: destination === "name" || destination === "both" ? postfix : EMPTY,
    taggedTag: destination === "name" ? EMPTY : tag,
    tagKey: Buffer.from(rule.tag),
  };
}

function extraBytes(plan: NamePlan): number {
  const untagged = plan.untaggedPostfix.length + plan.untaggedTag.length;
  return plan.prefix.length + Math.max(untagged, plan.taggedPostfix.length + plan.taggedTag.length);
}

function checkTag(type: MetricType, rule: NamingRule): void {
  if (rule.destination === "name") return;
  if (rule.tag !== "" && !/[;=\s]/.test(rule.tag)) return;
  throw new OperatorError(
    `naming.${type}.tag is "${rule.tag}"; expected a key without blanks, ";" and "=", or destination=name`,
    EXIT_CONFIG,
  );
}
