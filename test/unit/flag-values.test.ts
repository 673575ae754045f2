/** Values of flags, as Go's flag package reads them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { readDecimal, readDurationMs, readInteger } from "../../relay/flag-values.ts";

test("integers and durations of Go", () => {
  const integers = { "0": 0n, "-0x_fF": -255n, "0B11": 3n, "0_7": 7n, "0o17": 15n, "1_2_3": 123n, "00": 0n };
  for (const [text, value] of Object.entries(integers)) assert.equal(readInteger(text), value, text);
  for (const text of ["", "-", "0x", "0b2", "0o8", "1_", "x", " 1", "1e3", "ff", "0_", "--1"]) {
    assert.equal(readInteger(text), undefined, text);
  }
  const durations = {
    "0": 0,
    "-0": 0,
    "1h1m1s": 3_661_000,
    "-1.5s": -1500,
    "+1.s": 1000,
    "1us": 0.001,
    "1m1m": 120_000,
  };
  for (const [text, ms] of Object.entries(durations)) assert.equal(readDurationMs(text), ms, text);
  for (const text of ["", "1", "s", "1 s", "1S", "-", "1s1", "1e3s", "9999999h"]) {
    assert.equal(readDurationMs(text), undefined, text);
  }
});

test("decimals of Go", () => {
  const decimals = {
    "1.5e0": 1.5,
    "-.5": -0.5,
    "1.": 1,
    "+Inf": Number.POSITIVE_INFINITY,
    "-infinity": -Number.POSITIVE_INFINITY,
  };
  for (const [text, value] of Object.entries(decimals)) assert.equal(readDecimal(text), value, text);
  for (const text of ["", "x", ".", "1,5", "NaN", "0x1"]) assert.equal(readDecimal(text), undefined, text);
});
