/** The values that Go's flag package takes, so that command lines for Go statsrelay mean the same here. */

/** Kinds of flags. A boolean is true where it has no value. */
export type FlagKind = "boolean" | "integer" | "decimal" | "duration" | "string";

/** What each kind wants, for the operator. */
export const FLAG_KIND_WORDS: Readonly<Record<FlagKind, string>> = {
  boolean: "true or false",
  integer: "a whole number, such as 1400 or 0x578",
  decimal: "a number, such as 1.5",
  duration: "a duration with its unit, such as 1.5s or 1m30s",
  string: "a text",
};

const TRUTHS = ["1", "t", "T", "true", "TRUE", "True"];
const FALSEHOODS = ["0", "f", "F", "false", "FALSE", "False"];
const INTEGER_MIN = -(2n ** 63n);
const INTEGER_MAX = 2n ** 63n - 1n;
/** Ways to write an integer, and how BigInt wants each to begin. */
const NOTATIONS = [
  [/^0[xX]((?:_?[0-9a-fA-F])+)$/, "0x"],
  [/^0[bB]((?:_?[01])+)$/, "0b"],
  [/^0[oO]?((?:_?[0-7])+)$/, "0o"],
  [/^(0|[1-9](?:_?[0-9])*)$/, ""],
] as const;
const UNITS_NS = new Map([
  ["ns", 1],
  ["us", 1e3],
  ["\u00b5s", 1e3],
  ["\u03bcs", 1e3],
  ["ms", 1e6],
  ["s", 1e9],
  ["m", 60e9],
  ["h", 3600e9],
]);

/** Whether a text is a value of that kind. */
export function isFlagValue(kind: FlagKind, text: string): boolean {
  if (kind === "boolean") return readBoolean(text) !== undefined;
  if (kind === "integer") return readInteger(text) !== undefined;
  if (kind === "decimal") return isDecimal(text);
  return kind === "string" || readDurationMs(text) !== undefined;
}

/** Reads a boolean, undefined when it is none. */
export function readBoolean(text: string): boolean | undefined {
  if (TRUTHS.includes(text)) return true;
  return FALSEHOODS.includes(text) ? false : undefined;
}

/**
 * Reads a 64-bit integer: decimal, or with 0x, 0o, 0b or a leading 0 (octal), and underscores between
 * digits. Returns undefined when it is none.
 */
export function readInteger(text: string): bigint | undefined {
  const [, sign, magnitude = ""] = /^([+-]?)(.*)$/s.exec(text)!;
  for (const [pattern, mark] of NOTATIONS) {
    const digits = pattern.exec(magnitude)?.[1];
    if (digits === undefined) continue;
    const value = BigInt(mark + digits.replaceAll("_", "")) * (sign === "-" ? -1n : 1n);
    return value >= INTEGER_MIN && value <= INTEGER_MAX ? value : undefined;
  }
  return undefined;
}

/** Reads a duration in milliseconds, perhaps with a fraction: `1m30s`, `1us`, `0`; undefined for none. */
export function readDurationMs(text: string): number | undefined {
  const [, sign, magnitude = ""] = /^([+-]?)(.*)$/s.exec(text)!;
  if (magnitude === "0") return 0;
  if (!/^(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|\u00b5s|\u03bcs|ms|s|m|h))+$/.test(magnitude)) return undefined;
  let sumNs = 0;
  for (const [, number, unit] of magnitude.matchAll(/([\d.]+)([^\d.]+)/g)) {
    sumNs += Number(number) * UNITS_NS.get(unit!)!;
  }
  // Go counts nanoseconds in 64 bits and refuses more.
  return sumNs < 2 ** 63 ? ((sign === "-" ? -1 : 1) * sumNs) / 1e6 : undefined;
}

/** Reads a number with or without decimals, perhaps infinite; undefined for none and for NaN. */
export function readDecimal(text: string): number | undefined {
  if (!isDecimal(text) || /nan/i.test(text)) return undefined;
  return /inf/i.test(text) ? Number.POSITIVE_INFINITY * (text.startsWith("-") ? -1 : 1) : Number(text);
}

function isDecimal(text: string): boolean {
  return /^[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|inf|infinity|nan)$/i.test(text);
}
