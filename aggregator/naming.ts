/** Output names: which bytes a series' aggregate is written under. */
import { EXIT_CONFIG, OperatorError } from "../shared/errors.ts";
import { type Aggregate, METRIC_TYPES, type MetricType } from "../shared/metric.ts";
import { isEtsy, namingStyle, type Preset } from "../shared/naming-preset.ts";
import { describeCollision, type NamingRule, nameCollisions, outputName } from "../shared/output-name.ts";
import { OutputRenamer, RENAMED_BYTES_MAX } from "./naming/output-renamer.ts";
import { append, isDigit, MENDED_BYTES_MAX, type TagSpelling, TagWriter } from "./naming/tag-writer.ts";

export type { NamingDestination, NamingRule } from "../shared/output-name.ts";

/** What names depend on beside the rules of their types. */
export interface NamerOptions {
  /** Decides how names and tags are spelled; bioyino where it is absent. */
  readonly preset?: Preset;
  /** Rename rules, `PATTERN -> REPLACEMENT`. */
  readonly rename?: readonly string[];
}

const SEMICOLON = 0x3b;
const UNDERSCORE = 0x5f;

/** All that can be known about the names of one aggregate before any series is. */
interface NamePlan {
  readonly prefix: Buffer;
  readonly untaggedPostfix: Buffer;
  readonly untaggedTag: Buffer;
  readonly taggedPostfix: Buffer;
  readonly taggedTag: Buffer;
  /** The bare key of the tag. */
  readonly tagKey: Buffer;
}

/** What each byte of a name becomes for Prometheus. */
const PROMETHEUS_NAME = Uint8Array.from({ length: 256 }, (_, byte) =>
  /[a-zA-Z0-9_:]/.test(String.fromCharCode(byte)) ? byte : UNDERSCORE,
);

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
 *
 * Tags are mended so that carbon takes them (see TagSpelling), but under the presets of etsy's, which promise
 * its names byte by byte. Renaming comes last, and sees the name without its tags.
 */
export class Namer {
  readonly #plans: readonly (readonly NamePlan[])[];
  readonly #tags: TagWriter;
  readonly #nameBytes: Uint8Array | undefined;
  readonly #renamer: OutputRenamer | undefined;
  /** How many bytes a name can at most be longer than its series' key. */
  readonly maxExtraBytes: number;

  /**
   * rules, aggregates: per metric type. Throws OperatorError when a rule that needs a tag has an empty key,
   * or a key that would not stay one key, when two outputs would share a name (see nameCollisions), or when a
   * rename rule is faulty.
   */
  constructor(
    rules: Readonly<Record<MetricType, NamingRule>>,
    aggregates: Readonly<Record<MetricType, readonly Aggregate[]>>,
    { preset = "bioyino", rename = [] }: NamerOptions = {},
  ) {
    const style = namingStyle(preset);
    for (const type of METRIC_TYPES) checkTag(type, rules[type]);
    const [collision] = nameCollisions(rules, aggregates, style);
    if (collision !== undefined) {
      throw new OperatorError(`naming: ${describeCollision(collision)}`, EXIT_CONFIG);
    }
    this.#plans = METRIC_TYPES.map((type) =>
      aggregates[type].map((aggregate) => planOf(outputName(rules[type], aggregate, style))),
    );
    this.#tags = new TagWriter(tagSpelling(preset));
    this.#nameBytes = style === "prometheus" ? PROMETHEUS_NAME : undefined;
    this.#renamer = rename.length === 0 ? undefined : new OutputRenamer(rename);
    this.maxExtraBytes =
      Math.max(0, ...this.#plans.flat().map(extraBytes)) +
      MENDED_BYTES_MAX +
      (this.#nameBytes === undefined ? 0 : 1) +
      (this.#renamer === undefined ? 0 : RENAMED_BYTES_MAX);
  }

  /** Rows that kept their name because what a rename rule made of it is no name. */
  get refusedRenames(): number {
    return this.#renamer?.refused ?? 0;
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
    const bytes = this.#nameBytes;
    if (bytes !== undefined && to === offset && isDigit(source[start]!)) target[to++] = UNDERSCORE;
    // Names are short: a loop over bytes is faster than any call into the buffer library, and it finds the
    // first semicolon on its way.
    let from = start;
    while (from < end) {
      const byte = source[from]!;
      if (byte === SEMICOLON) {
        to = this.#rename(target, offset, append(target, to, plan.taggedPostfix));
        return this.#tags.write(target, to, source, from, end, plan.taggedTag, plan.tagKey) - offset;
      }
      target[to++] = bytes === undefined ? byte : bytes[byte]!;
      from++;
    }
    to = this.#rename(target, offset, append(target, to, plan.untaggedPostfix));
    return append(target, to, plan.untaggedTag) - offset;
  }

  #rename(target: Buffer, offset: number, end: number): number {
    return this.#renamer === undefined ? end : this.#renamer.rename(target, offset, end);
  }
}

function tagSpelling(preset: Preset): TagSpelling {
  if (preset === "prometheus") return "prometheus";
  return isEtsy(preset) ? "raw" : "graphite";
}

function planOf({ prefix, tagKey, untagged, tagged }: ReturnType<typeof outputName>): NamePlan {
  return {
    prefix: Buffer.from(prefix),
    untaggedPostfix: Buffer.from(untagged.postfix),
    untaggedTag: Buffer.from(untagged.tag),
    taggedPostfix: Buffer.from(tagged.postfix),
    taggedTag: Buffer.from(tagged.tag),
    tagKey: Buffer.from(tagKey),
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
