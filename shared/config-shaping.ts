/** Kinds of configuration values that choose, rename and limit names. */
import type { Parsed, ValueType } from "./config-values.ts";
import { patternFault, replacementFault } from "./pattern.ts";

/** At most `count` different names that begin with `prefix` are let through in a window of time. */
export interface CardinalityCap {
  readonly prefix: string;
  readonly count: number;
}

const CAP_COUNT_MAX = 10_000_000;
const RENAME_REMEDY = "write PATTERN -> REPLACEMENT";
const REPLACEMENT_LENGTH_MAX = 1024;

/** A pattern of names, kept as written: a glob, or a regular expression between slashes. */
export const pattern: ValueType<string> = {
  shape: "glob, or /REGEX/",
  parse(text) {
    if (text === "") return { fault: "is empty; write a pattern, or remove the line" };
    const fault = patternFault(text);
    return fault === undefined ? { value: text } : { fault };
  },
  print: (value) => value,
};

/** What stands on both sides of the last arrow of a rule, without blanks around it. */
function splitRename(text: string): { readonly from: string; readonly to: string } | undefined {
  const [, from, to] = /^(.*\S)\s+->(?:\s+(.*))?$/s.exec(text) ?? [];
  return from === undefined ? undefined : { from: from.trim(), to: (to ?? "").trim() };
}

/** A rename rule `PATTERN -> REPLACEMENT`, kept in this form; $1..$9 in it stand for what was captured. */
export const rename: ValueType<string> = {
  shape: "PATTERN -> REPLACEMENT",
  parse(text): Parsed<string> {
    const rule = splitRename(text);
    if (rule === undefined) return { fault: `has no arrow between two names; ${RENAME_REMEDY}` };
    const fault = patternFault(rule.from);
    if (fault !== undefined) return { fault };
    if (rule.to === "") return { fault: `has nothing behind its arrow; ${RENAME_REMEDY}` };
    if (rule.to.length > REPLACEMENT_LENGTH_MAX) {
      return { fault: `has a replacement longer than ${REPLACEMENT_LENGTH_MAX}; shorten it` };
    }
    // Either would make two fields, or two lines, of one name.
    if (/[\s:|]/.test(rule.to)) {
      return { fault: "has a blank, colon or bar in its replacement; remove it" };
    }
    const reference = replacementFault(rule.from, rule.to);
    return reference === undefined ? { value: `${rule.from} -> ${rule.to}` } : { fault: reference };
  },
  print: (value) => value,
};

/** A cap `PREFIX=COUNT`. */
export const cap: ValueType<CardinalityCap> = {
  shape: "PREFIX=COUNT",
  parse(text) {
    const [, prefix = "", digits] = /^(.*)=([^=]*)$/s.exec(text) ?? [];
    if (digits === undefined) return { fault: "has no count; write PREFIX=COUNT" };
    if (prefix === "") return { fault: "has no prefix; write PREFIX=COUNT" };
    if (/[:|]/.test(prefix)) return { fault: "has a colon or bar in its prefix; remove it" };
    const count = /^\d+$/.test(digits) ? Number(digits) : Number.NaN;
    if (count >= 1 && count <= CAP_COUNT_MAX) return { value: { prefix, count } };
    return { fault: `has the count "${digits}"; choose within 1..${CAP_COUNT_MAX}` };
  },
  print: ({ prefix, count }) => `${prefix}=${count}`,
};

/** Bins for the values of timers whose name the pattern matches; no bins for none. */
export interface HistogramRule {
  readonly pattern: string;
  /** Upper bounds, ascending; a value is in the first bin whose bound is above it. */
  readonly bins: readonly number[];
}

const BINS_MAX = 32;
/** No hexadecimal numbers and no blank ones, which Number would take. */
const BOUND = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;

/** NaN for what is no bound. */
function parseBound(word: string): number {
  if (word === "inf") return Number.POSITIVE_INFINITY;
  const value = BOUND.test(word) ? Number(word) : Number.NaN;
  // An overflow would pass for inf. Adding 0 makes -0 the 0 that it prints as.
  return Number.isFinite(value) ? value + 0 : Number.NaN;
}

/** `PATTERN = 10 100 inf`. */
export const histogram: ValueType<HistogramRule> = {
  shape: "PATTERN = BOUNDS",
  parse(text): Parsed<HistogramRule> {
    const [, from, bounds] = /^(.*\S)\s+=\s*(.*)$/s.exec(text) ?? [];
    if (from === undefined) return { fault: "has no equal sign between blanks; write PATTERN = 10 100 inf" };
    const fault = patternFault(from);
    if (fault !== undefined) return { fault };
    const words = (bounds ?? "").split(/[\s,]+/).filter((word) => word !== "");
    if (words.length > BINS_MAX) return { fault: `has more than ${BINS_MAX} bins; remove some` };
    const bins = words.map(parseBound);
    if (bins.some(Number.isNaN)) return { fault: "has a bound that is no number; write numbers, or inf" };
    if (bins.some((bin, index) => index > 0 && bin <= bins[index - 1]!)) {
      return { fault: "has bounds that do not ascend; sort them" };
    }
    return { value: { pattern: from, bins } };
  },
  print: ({ pattern: from, bins }) =>
    `${from} = ${bins.map((bin) => (Number.isFinite(bin) ? String(bin) : "inf")).join(" ")}`.trimEnd(),
};
