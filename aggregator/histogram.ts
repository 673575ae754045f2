/**
 * Which bins a timer's samples are counted in: the first rule whose pattern fits its name says so. The bins
 * of all rules are aggregates of every timer, and a timer has nothing to say for those that are not its own.
 */
import type { HistogramRule } from "../shared/config-shaping.ts";
import { EXIT_CONFIG, OperatorError } from "../shared/errors.ts";
import { type Aggregate, binAggregate } from "../shared/metric.ts";
import { compilePattern, decodeName, nameEncoding, type Pattern } from "../shared/pattern.ts";
import { checkAggregateCount } from "./aggregation.ts";

/** What the kernel has room for; see kernel/histogram.ts. */
const RULES_MAX = 64;
/** Names whose rule is remembered, and their bytes; beyond either all are forgotten. */
const NAMES_MAX = 262_144;
const NAMES_BYTES_MAX = 32 << 20;
const SEMICOLON = 0x3b;

/**
 * Adds the bins of the rules to the aggregates of timers: one for each bound, whichever rules have it. Throws
 * OperatorError when these are more than can be computed.
 */
export function withBins(timer: readonly Aggregate[], rules: readonly HistogramRule[]): readonly Aggregate[] {
  const bounds = [...new Set(rules.flatMap(({ bins }) => bins))].sort((a, b) => a - b);
  const aggregates = [...timer, ...bounds.map(binAggregate)];
  checkAggregateCount("timer", aggregates.length);
  return aggregates;
}

/** Finds the rules of timers. A name is matched once, however often it comes. */
export class Histograms {
  readonly rules: readonly HistogramRule[];
  readonly #patterns: readonly Pattern[];
  readonly #known = new Map<string, number>();
  #knownBytes = 0;

  /** Throws OperatorError for a broken pattern, or too many rules. */
  constructor(rules: readonly HistogramRule[]) {
    if (rules.length > RULES_MAX) {
      throw new OperatorError(
        `aggregation.histogram has ${rules.length} rules; remove some until there are ${RULES_MAX}`,
        EXIT_CONFIG,
      );
    }
    this.rules = rules;
    this.#patterns = rules.map(({ pattern }) => compilePattern(pattern));
  }

  /** Whether there is no rule, so that nothing need be asked for. */
  get isEmpty(): boolean {
    return this.rules.length === 0;
  }

  /** Returns the index of the rule for the key source[start, end), `name` or `name;k=v`, or -1 for none. */
  ruleOf(source: Buffer, start: number, end: number): number {
    let nameEnd = start;
    while (nameEnd < end && source[nameEnd] !== SEMICOLON) nameEnd++;
    const bytes = source.toString("latin1", start, nameEnd);
    const known = this.#known.get(bytes);
    if (known !== undefined) return known;
    const name = source.subarray(start, nameEnd);
    const text = decodeName(name, nameEncoding(name));
    const rule = this.#patterns.findIndex((pattern) => pattern.matches(text));
    this.#knownBytes += bytes.length;
    if (this.#known.size >= NAMES_MAX || this.#knownBytes > NAMES_BYTES_MAX) {
      this.#known.clear();
      this.#knownBytes = bytes.length;
    }
    this.#known.set(bytes, rule);
    return rule;
  }
}
