/** What options of the relay are like: their defaults, what they take, and what is wrong with the rest. */
import type { RelayConfig } from "../../shared/config.ts";

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;

/** What one option is like. bad: values and what is wrong with each. */
export interface OptionCase {
  readonly property: keyof RelayConfig;
  readonly fallback: unknown;
  readonly good: Readonly<Record<string, unknown>>;
  readonly bad: Readonly<Record<string, string>>;
}

const DURATION = "is no duration of whole milliseconds; write 250ms, 30s, 5m or 1h";
const SIZE = "is no size; write bytes, or 64k, 16m, 2g";
export const WHOLE = "is no whole number; write digits without blanks, signs or units";
const NO_SWITCH = "is unknown; choose one of yes, no";

export const within = (least: string, most: string, isLess: boolean, also = ""): string =>
  `is too ${isLess ? "small" : "large"}; choose within ${least}..${most}${also}`;

export function whole(
  property: keyof RelayConfig,
  fallback: number,
  least: number,
  most: number,
): OptionCase {
  return {
    property,
    fallback,
    good: { [least]: least, [most]: most },
    bad: {
      ...(least === 0 ? {} : { [least - 1]: within(String(least), String(most), true) }),
      [most + 1]: within(String(least), String(most), false),
      "1.5": WHOLE,
      x: WHOLE,
    },
  };
}

/** bounds: as texts, then in milliseconds. */
export function span(
  property: keyof RelayConfig,
  fallback: number,
  [least, most]: readonly [string, string],
  [leastMs, mostMs]: readonly [number, number],
  isZeroFine = false,
): OptionCase {
  const also = isZeroFine ? ", or 0 for off" : "";
  return {
    property,
    fallback,
    good: { [least]: leastMs, [most]: mostMs, ...(isZeroFine ? { "0": 0 } : {}) },
    bad: {
      ...(leastMs === 0 ? {} : { [leastMs - 1]: within(least, most, true, also) }),
      [mostMs + 1]: within(least, most, false, also),
      soon: DURATION,
    },
  };
}

export function bytes(
  property: keyof RelayConfig,
  fallback: number,
  [least, most]: readonly [string, string],
  [leastBytes, mostBytes]: readonly [number, number],
): OptionCase {
  return {
    property,
    fallback,
    good: { [least]: leastBytes, [most]: mostBytes },
    bad: {
      [leastBytes - 1]: within(least, most, true),
      [mostBytes + 1]: within(least, most, false),
      "1MB": SIZE,
    },
  };
}

export function words(property: keyof RelayConfig, fallback: string, list: string): OptionCase {
  const good = Object.fromEntries(list.split(", ").map((word) => [word, word]));
  return { property, fallback, good, bad: { other: `is unknown; choose one of ${list}` } };
}

export function toggle(property: keyof RelayConfig, fallback: boolean): OptionCase {
  const [yes, no] = ["yes", "no"].map((word) => `is neither yes nor no; write ${word}`) as [string, string];
  return {
    property,
    fallback,
    good: { yes: true, no: false },
    bad: { true: yes, on: yes, "1": yes, false: no, off: no, "0": no, Yes: NO_SWITCH },
  };
}

export function texts(
  property: keyof RelayConfig,
  good: string,
  bad: Readonly<Record<string, string>>,
): OptionCase {
  return { property, fallback: "", good: { [good]: good, "": "" }, bad };
}
