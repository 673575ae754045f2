/** Bins of timers: which rule holds, and what is counted in each. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Histograms, withBins } from "../../aggregator/histogram.ts";
import { OperatorError } from "../../shared/errors.ts";
import { parseAggregate } from "../../shared/metric.ts";
import { TimerTable, type TimerTableOptions } from "../support/timer-table.ts";

const { POSITIVE_INFINITY } = Number;

/** The bins of each timer, without what all their labels begin with. */
async function binsOf(lines: readonly string[], options: Partial<TimerTableOptions>) {
  const table = await TimerTable.create({ timer: [], ...options });
  table.send(lines);
  return Object.fromEntries(
    [...table.read()].map(([key, found]) => [
      key,
      Object.fromEntries(
        Object.entries(found).map(([label, value]) => [label.replace("histogram.bin_", ""), value]),
      ),
    ]),
  );
}

test("a value is in the first bin whose bound is above it; above the last it is in none", async () => {
  const histograms = [{ pattern: "**", bins: [-1, 0, 50, 100.5] }];
  const lines = ["t:-7|ms", "t:-1|ms", "t:0|ms", "t:49.9|ms", "t:50|ms", "t:100.5|ms", "t:1e9|ms"];
  for (const debug of [false, true]) {
    const bins = await binsOf(lines, { histograms, debug });
    assert.deepEqual(bins, { t: { "-1": 1, "0": 1, "50": 2, "100_5": 1 } });
  }
});

test("the first rule that fits a name without its tags holds; no bins are none", async () => {
  const histograms = [
    { pattern: "app.*.quiet", bins: [] },
    { pattern: "app.**", bins: [10, POSITIVE_INFINITY] },
    { pattern: "/^db/", bins: [10, 20] },
  ];
  const names = ["app.a.quiet", "app.a;k=v", "app.b.c", "db.x;app=1", "other", "other;x=app.y"];
  const lines = names.map((name) => `${name}:15|ms`);
  assert.deepEqual(await binsOf(lines, { histograms }), {
    "app.a.quiet": {},
    "app.a;k=v": { "10": 0, inf: 1 },
    "app.b.c": { "10": 0, inf: 1 },
    // Both rules have a bin of 10; each timer is asked for its own.
    "db.x;app=1": { "10": 0, "20": 1 },
    other: {},
    "other;x=app.y": {},
  });
});

test("bins count what samples stand for, unless weights are off", async () => {
  const histograms = [{ pattern: "**", bins: [10, 20] }];
  const lines = ["t:5|ms|@0.5", "t:5|ms", "t:15|ms|@0.1", "t:16|ms|@0.25", "t:99|ms|@0.1"];
  assert.deepEqual(await binsOf(lines, { histograms }), { t: { "10": 3, "20": 14 } });
  assert.deepEqual(await binsOf(lines, { histograms, weights: false }), { t: { "10": 2, "20": 2 } });
});

test("bins of all rules are aggregates of timers, each bound once, in ascending order", () => {
  const rules = [
    { pattern: "a", bins: [20, POSITIVE_INFINITY] },
    { pattern: "b", bins: [10, 20] },
  ];
  const names = withBins([parseAggregate("sum")!], rules).map(({ name }) => name);
  assert.deepEqual(names, ["sum", "bin-10", "bin-20", "bin-inf"]);
});

test("more than can be computed is refused at the start", () => {
  const wide = Array.from({ length: 9 }, (_, rule) => ({
    pattern: "**",
    bins: Array.from({ length: 32 }, (_, bin) => rule * 32 + bin),
  }));
  const tooMany = Array.from({ length: 65 }, () => ({ pattern: "a", bins: [1] }));
  const isFault = (error: Error) =>
    error instanceof OperatorError && /aggregation\.histogram/.test(error.message);
  assert.throws(() => withBins([], wide), isFault);
  assert.throws(() => new Histograms(tooMany), isFault);
});

test("the rule of a name is found whatever its bytes, and again when many came between", () => {
  const histograms = new Histograms([
    { pattern: "é.**", bins: [1] },
    { pattern: "/\\xff/", bins: [1] },
  ]);
  const ruleOf = (key: Buffer) =>
    histograms.ruleOf(Buffer.concat([Buffer.from("x;"), key]), 2, 2 + key.length);
  for (let round = 0; round < 2; round++) {
    assert.equal(ruleOf(Buffer.from("é.a;k=v")), 0);
    assert.equal(ruleOf(Buffer.from("e.a;é.b=v")), -1);
    assert.equal(ruleOf(Buffer.from([0x61, 0xff, 0x3b, 0x61])), 1);
    for (let i = 0; i < 300_000 && round === 0; i++) ruleOf(Buffer.from(`n${i}`));
  }
});
