/** Property: the kernel reads decimals exactly as JavaScript does. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { newIntake, outcome, type TestIntake } from "../support/snapshots.ts";

/** Sends decimals as counters of their own and returns what the kernel made of them. */
function readDecimals(intake: TestIntake, texts: readonly string[]): Map<string, number> {
  const datagrams = texts.map((text, index) => Buffer.from(`d${index}:${text}|c`));
  const { series } = outcome(intake, datagrams);
  return new Map(series.map(({ key, value }) => [texts[Number(key.slice(1))]!, value]));
}

const digits = (max: number) =>
  fc.array(fc.constantFrom(..."0123456789"), { minLength: 1, maxLength: max }).map((list) => list.join(""));
const decimalArbitrary = fc.oneof(
  fc
    .double({ noNaN: true, noDefaultInfinity: true })
    .map((value) => String(Math.abs(value)).replace("e+", "e")),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => Math.abs(value).toExponential()),
  fc
    .tuple(
      fc.double({ noNaN: true, noDefaultInfinity: true, min: 1e-9, max: 1e15 }),
      fc.integer({ min: 1, max: 60 }),
    )
    .map(([value, places]) => value.toPrecision(places)),
  fc.tuple(digits(30), digits(30)).map(([whole, part]) => `${whole}.${part}`),
  fc
    .tuple(digits(25), fc.integer({ min: -360, max: 340 }))
    .map(([whole, exponent]) => `${whole}e${exponent}`),
  fc.tuple(digits(19), fc.integer({ min: -28, max: 28 })).map(([whole, exponent]) => `${whole}e${exponent}`),
  // Half way between two doubles, in few enough digits for the short ways.
  fc
    .tuple(fc.bigInt({ min: 1n << 52n, max: (1n << 53n) - 1n }), fc.integer({ min: -3, max: 3 }))
    .map(([half, shift]) => midpoint(half, shift)),
  fc.tuple(digits(900), digits(40)).map(([whole, part]) => `0.${part}${whole}`),
  fc
    .tuple(digits(20), fc.integer({ min: -330, max: -300 }))
    .map(([whole, exponent]) => `${whole}E${exponent}`),
);

/** The decimal exactly between a double and the next, where rounding to even decides. */
function midpoint(mantissa: bigint, exponent: number): string {
  const doubled = mantissa * 2n + 1n;
  if (exponent >= 1) return String(doubled << BigInt(exponent - 1));
  const places = 1 - exponent;
  const scaled = String(doubled * 5n ** BigInt(places)).padStart(places + 1, "0");
  return `${scaled.slice(0, -places)}.${scaled.slice(-places)}`;
}

test("decimals become what Number() makes of them, to the last bit", async () => {
  const intake = await newIntake();
  const check = (texts: readonly string[]) => {
    const values = readDecimals(intake, texts);
    for (const text of texts) {
      const expected = Number(text);
      if (Number.isFinite(expected))
        assert.ok(Object.is(values.get(text), expected), `${text}: ${values.get(text)}`);
      else assert.equal(values.get(text), undefined, text);
    }
  };
  fc.assert(
    fc.property(fc.uniqueArray(decimalArbitrary, { minLength: 1, maxLength: 20 }), (texts) => check(texts)),
    { numRuns: 5000 },
  );
  const odd = fc.tuple(
    fc.bigInt({ min: 1n << 52n, max: (1n << 53n) - 1n }),
    fc.integer({ min: -300, max: 100 }),
  );
  fc.assert(
    fc.property(odd, ([mantissa, exponent]) => {
      const exact = midpoint(mantissa, exponent);
      const point = exact.includes(".") ? exact : `${exact}.0`;
      check([
        exact,
        `${point}0000000001`,
        point.replace(/\d$/, (last) => String(Number(last) - (last === "0" ? 0 : 1))),
      ]);
    }),
    { numRuns: 1000 },
  );
  check([
    "5e-324",
    "2.4703282292062327e-324",
    "2.4703282292062328e-324",
    "1.7976931348623158e308",
    "1.7976931348623159e308",
  ]);
  check([
    "2.2250738585072011e-308",
    "2.2250738585072014e-308",
    "9007199254740993",
    "0e999",
    "0.0e-999",
    "1e-99999",
  ]);
});
