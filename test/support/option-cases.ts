/** What options are like: their defaults, what they take, and what is wrong with the rest. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfig } from "../../shared/config.ts";
import { optionsOf, type SectionName } from "../../shared/config-options.ts";
import { faultsOf } from "./config-fault.ts";

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;

/** What one option is like. bad: values and what is wrong with each. */
export interface OptionCase {
  /** Name in the typed configuration. */
  readonly property: string;
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

export function whole(property: string, fallback: number, least: number, most: number): OptionCase {
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
  property: string,
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
  property: string,
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

export function words(property: string, fallback: string, list: string): OptionCase {
  const good = Object.fromEntries(list.split(", ").map((word) => [word, word]));
  return { property, fallback, good, bad: { other: `is unknown; choose one of ${list}` } };
}

export function toggle(property: string, fallback: boolean): OptionCase {
  const [yes, no] = ["yes", "no"].map((word) => `is neither yes nor no; write ${word}`) as [string, string];
  return {
    property,
    fallback,
    good: { yes: true, no: false },
    bad: { true: yes, on: yes, "1": yes, false: no, off: no, "0": no, Yes: NO_SWITCH },
  };
}

export function texts(property: string, good: string, bad: Readonly<Record<string, string>>): OptionCase {
  return { property, fallback: "", good: { [good]: good, "": "" }, bad };
}

/** A path that may be empty. */
export function filePath(property: string): OptionCase {
  return texts(property, "/etc/a b.pem", { ["x".repeat(1025)]: "is longer than 1024; shorten it" });
}

/** HOST:PORT, or nothing. */
export const PAGE = {
  fallback: undefined,
  good: { "": undefined, "[::1]:0": { host: "::1", port: 0 } },
  bad: { "9126": "is no address; write HOST:PORT or [IPV6]:PORT" },
};

/**
 * Tests each option of a section, and that there are no others. also: properties that are no options.
 */
export function testOptions(
  section: Exclude<SectionName, `naming.${string}`>,
  cases: Readonly<Record<string, OptionCase>>,
  also: readonly string[] = [],
): void {
  const read = (text: string): Readonly<Record<string, unknown>> => ({
    ...parseConfig(text, "x.ini")[section],
  });
  for (const [key, { property, fallback, good, bad }] of Object.entries(cases)) {
    test(`${section}.${key}`, () => {
      assert.deepEqual(read("")[property], fallback);
      for (const [text, value] of Object.entries(good)) {
        assert.deepEqual(read(`[${section}]\n${key} = ${text}`)[property], value, text);
      }
      for (const [text, fault] of Object.entries(bad)) {
        const [line = ""] = faultsOf(`[${section}]\n${key} = ${text}`).split("\n");
        assert.ok(line.startsWith(`line 2: ${section}.${key}`), line);
        assert.ok(line.endsWith(`: ${fault}`), `${line}, not ${fault}`);
      }
    });
  }
  test(`[${section}] has a property for every key, and no other`, () => {
    const properties = Object.values(cases).map(({ property }) => property);
    assert.deepEqual(Object.keys(read("")), [...properties, ...also]);
    assert.deepEqual(Object.keys(cases), [...optionsOf(section)!.keys()]);
  });
}
