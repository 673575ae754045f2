/** Kinds of configuration values that are no addresses: how each is read from INI text and written back. */
import { AGGREGATE_FORMS, type Aggregate, parseAggregate } from "./metric.ts";

/**
 * A value, or what is wrong with its text and how to mend it: `is no size; write bytes, or 64k, 16m, 2g`.
 */
export type Parsed<Value> = { readonly value: Value } | { readonly fault: string };

/** A kind of value. Invariant: parse(print(value)) is the value again. */
export interface ValueType<Value> {
  /** What may be written, in a few words for --help: `10ms..1m`. */
  readonly shape: string;
  /** Least and greatest value of a number, in its unit. */
  readonly bounds?: readonly [least: number, most: number];
  /** Reads a text without blanks around it. */
  parse(text: string): Parsed<Value>;
  print(value: Value): string;
}

/** Characters that would break a line of a log, of a protocol, or of the printed configuration. */
export const UNPRINTABLE = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]/u;

const TEXT_LENGTH_MAX = 1024;
/** A year. */
const FOREVER_MS_MAX = 8_760 * 3_600_000;
const DURATION_UNITS = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const;
const SIZE_UNITS = { g: 2 ** 30, m: 2 ** 20, k: 2 ** 10 } as const;

/**
 * Reads a duration in milliseconds: `250ms`, `1.5s`, `1m30s`, or a bare number of milliseconds.
 * Returns undefined when the text is none, or is no whole number of milliseconds.
 */
export function parseDuration(text: string): number | undefined {
  if (/^\d+$/.test(text)) return Number(text);
  if (!/^(?:\d+(?:\.\d+)?(?:ms|s|m|h))+$/.test(text)) return undefined;
  let sumMs = 0;
  for (const [, number, unit] of text.matchAll(/([\d.]+)(ms|s|m|h)/g)) {
    sumMs += Number(number) * DURATION_UNITS[unit as keyof typeof DURATION_UNITS];
  }
  const wholeMs = Math.round(sumMs);
  // Decimal fractions such as 0.29s are not exact in binary, so a hair's breadth still counts as whole.
  return Math.abs(sumMs - wholeMs) < 1e-6 ? wholeMs : undefined;
}

/** Writes whole milliseconds in the largest unit that leaves no fraction: 90000 is `90s`. */
export function printDuration(ms: number): string {
  return printUnits(ms, DURATION_UNITS);
}

/** Reads bytes: `65507`, or with a unit of 1024, 1024^2 or 1024^3 bytes: `64k`, `16m`, `2g`. */
export function parseSize(text: string): number | undefined {
  const [, number, unit] = /^(\d+)([kmg]?)$/i.exec(text) ?? [];
  if (number === undefined) return undefined;
  return Number(number) * (SIZE_UNITS[unit?.toLowerCase() as keyof typeof SIZE_UNITS] ?? 1);
}

/** Writes bytes in the largest unit that leaves no fraction: 16777216 is `16m`. */
export function printSize(bytes: number): string {
  return printUnits(bytes, SIZE_UNITS);
}

function printUnits(value: number, units: Readonly<Record<string, number>>): string {
  if (value === 0) return "0";
  const unit = Object.entries(units).find(([, factor]) => value % factor === 0);
  return unit === undefined ? String(value) : `${value / unit[1]}${unit[0]}`;
}

/** Milliseconds within bounds, which are texts as in the INI file. isZeroFine: 0 is taken too, as `off`. */
export function duration(least: string, most: string, isZeroFine = false): ValueType<number> {
  const type = bounded(least, most, parseDuration, printDuration);
  const remedy = "write 250ms, 30s, 5m or 1h";
  return {
    shape: isZeroFine ? `${type.shape}, or 0 for off` : type.shape,
    bounds: type.bounds,
    parse(text) {
      const value = parseDuration(text);
      if (value === undefined) return { fault: `is no duration of whole milliseconds; ${remedy}` };
      return isZeroFine && value === 0 ? { value } : type.check(value, isZeroFine ? ", or 0 for off" : "");
    },
    print: printDuration,
  };
}

/** Bytes within bounds, which are texts as in the INI file. */
export function size(least: string, most: string): ValueType<number> {
  const type = bounded(least, most, parseSize, printSize);
  return {
    shape: `${type.shape} bytes`,
    bounds: type.bounds,
    parse(text) {
      const value = parseSize(text);
      return value === undefined ? { fault: "is no size; write bytes, or 64k, 16m, 2g" } : type.check(value);
    },
    print: printSize,
  };
}

/** A whole number within bounds. */
export function count(least: number, most: number): ValueType<number> {
  const type = bounded(String(least), String(most), Number, String);
  return {
    shape: type.shape,
    bounds: type.bounds,
    parse: (text) => (/^\d+$/.test(text) ? type.check(Number(text)) : { fault: wrongNumber("whole number") }),
    print: String,
  };
}

/** A number within bounds, with or without decimals. */
export function decimal(least: number, most: number): ValueType<number> {
  const type = bounded(String(least), String(most), Number, String);
  return {
    shape: type.shape,
    bounds: type.bounds,
    parse(text) {
      if (!/^\d+(?:\.\d+)?$/.test(text)) return { fault: wrongNumber("decimal number") };
      return type.check(Number(text));
    },
    print: String,
  };
}

/** A share in percent, 0..100, with or without decimals and the sign. */
export const percent: ValueType<number> = {
  shape: "0..100 percent",
  parse: (text) => decimal(0, 100).parse(text.replace(/\s*%$/, "")),
  print: String,
};

/** One of some numbers, as they are written. */
export function oneOf(numbers: readonly number[]): ValueType<number> {
  const words = choice(numbers.map(String));
  return {
    shape: words.shape,
    parse(text) {
      const word = words.parse(text);
      return "fault" in word ? word : { value: Number(word.value) };
    },
    print: String,
  };
}

const TRUTH_WORDS = new Map([
  ...["true", "on", "1"].map((word) => [word, "is neither yes nor no; write yes"] as const),
  ...["false", "off", "0"].map((word) => [word, "is neither yes nor no; write no"] as const),
]);

/** A switch: `yes` or `no`. */
export const yesNo: ValueType<boolean> = {
  shape: "yes|no",
  parse(text) {
    const word = choice(["yes", "no"], TRUTH_WORDS).parse(text);
    return "fault" in word ? word : { value: word.value === "yes" };
  },
  print: (value) => (value ? "yes" : "no"),
};

function wrongNumber(kind: string): string {
  return `is no ${kind}; write digits without blanks, signs or units`;
}

function bounded(
  least: string,
  most: string,
  parse: (text: string) => number | undefined,
  print: (value: number) => string,
): {
  readonly shape: string;
  readonly bounds: readonly [least: number, most: number];
  check(value: number, also?: string): Parsed<number>;
} {
  const [min, max] = [parse(least), parse(most)];
  if (min === undefined || max === undefined) throw new Error(`bad bounds ${least}..${most}`);
  const shape = `${print(min)}..${print(max)}`;
  return {
    shape,
    bounds: [min, max],
    check(value, also = "") {
      if (value >= min && value <= max) return { value };
      return { fault: `is too ${value < min ? "small" : "large"}; choose within ${shape}${also}` };
    },
  };
}

/**
 * One of some words. refused: words that mean something elsewhere, each with what to say about it
 * (`is not built in; use udp`).
 */
export function choice<const Word extends string>(
  words: readonly Word[],
  refused: ReadonlyMap<string, string> = new Map(),
): ValueType<Word> {
  const shape = words.join("|");
  return {
    shape,
    parse(text) {
      const value = words.find((word) => word === text);
      if (value !== undefined) return { value };
      return { fault: refused.get(text) ?? `is unknown; choose one of ${words.join(", ")}` };
    },
    print: (value) => value,
  };
}

/** What a text may not contain. */
export interface TextRule {
  /** Matches what is forbidden, besides characters that cannot be printed. */
  readonly forbidden: RegExp;
  /** The same in words: `blanks and colons`. */
  readonly forbiddenWords: string;
  readonly isRequired?: boolean;
  /** Brings the text into the form that is kept; must change nothing when applied again. */
  readonly normalize?: (text: string) => string;
}

/** A text. An empty one is fine unless the rule requires something. noun: what it is, such as `prefix`. */
export function text(noun: string, rule: TextRule): ValueType<string> {
  return {
    shape: `${noun} without ${rule.forbiddenWords}`,
    parse(text) {
      if (text.length > TEXT_LENGTH_MAX) return { fault: `is longer than ${TEXT_LENGTH_MAX}; shorten it` };
      if (UNPRINTABLE.test(text)) return { fault: "contains a character that cannot be printed; remove it" };
      if (rule.forbidden.test(text)) return { fault: `must not contain ${rule.forbiddenWords}; remove them` };
      const value = rule.normalize?.(text) ?? text;
      if (value === "" && rule.isRequired) return { fault: `is empty; give it a ${noun}` };
      return { value };
    },
    print: (value) => value,
  };
}

/** Path of a file or folder; empty for none. */
export const path: ValueType<string> = {
  ...text("path", { forbidden: /\0/, forbiddenWords: "zero bytes" }),
  shape: "path, or empty for none",
};

/** The name of an aggregate, as parseAggregate takes it. */
export const aggregate: ValueType<Aggregate> = {
  shape: AGGREGATE_FORMS.join("|"),
  parse(text) {
    const value = parseAggregate(text);
    if (value !== undefined) return { value };
    return { fault: `is no aggregate; choose from ${AGGREGATE_FORMS.join(", ")}` };
  },
  print: (value) => value.name,
};

/** A duration that may have no end: `forever` is Infinity. */
export const durationOrForever: ValueType<number> = {
  shape: "duration, 0 for never, or forever",
  parse(text) {
    if (text === "forever") return { value: Number.POSITIVE_INFINITY };
    const ms = parseDuration(text);
    if (ms === undefined) return { fault: "is no duration; write 0, 5m, 24h or forever" };
    return ms <= FOREVER_MS_MAX ? { value: ms } : { fault: "is longer than 8760h; write forever" };
  },
  print: (value) => (Number.isFinite(value) ? printDuration(value) : "forever"),
};

/** Permissions of a file, in octal; empty to leave them to the system. */
export const fileMode: ValueType<number | undefined> = {
  shape: "three or four octal digits, or empty",
  parse(text) {
    if (text === "") return { value: undefined };
    if (/^0?[0-7]{3}$/.test(text)) return { value: Number.parseInt(text, 8) };
    return { fault: "is no file mode; write octal digits such as 0660" };
  },
  print: (value) => (value === undefined ? "" : value.toString(8).padStart(4, "0")),
};

/** A percentile of etsy's timers: 90 is that of the lower 90 percent, -10 that of the top 10. */
export const percentThreshold: ValueType<number> = {
  shape: "percent; negative for the top ones",
  parse(text) {
    // Six decimals are what prints without an exponent.
    const value = /^-?\d{1,3}(?:\.\d{1,6})?$/.test(text) ? Number(text) : Number.NaN;
    if (value !== 0 && Math.abs(value) <= 100) return { value };
    return { fault: "is no percentile; choose within -100..100, but not 0" };
  },
  print: String,
};

/** What one aggregate is called, or put behind. */
export interface AggregateText {
  readonly aggregate: string;
  readonly text: string;
}

/** `AGGREGATE=TEXT`; the text may be empty. */
export const aggregateText: ValueType<AggregateText> = {
  shape: "AGGREGATE=TEXT",
  parse(written) {
    const [, name = "", value] = /^([^=]*)=(.*)$/s.exec(written) ?? [];
    if (value === undefined) return { fault: "has no equal sign; write AGGREGATE=TEXT" };
    const found = parseAggregate(name);
    if (found === undefined)
      return { fault: `names no aggregate; choose from ${AGGREGATE_FORMS.join(", ")}` };
    if (/[\s;,]/.test(value) || UNPRINTABLE.test(value)) {
      return { fault: "has a blank, comma or semicolon in its text; remove it" };
    }
    return { value: { aggregate: found.name, text: value } };
  },
  print: ({ aggregate: name, text: value }) => `${name}=${value}`,
};
