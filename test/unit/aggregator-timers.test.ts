/** Timers of any size: exact whatever memory there is to sort them in, and no larger than they must be. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Aggregate } from "../../shared/metric.ts";
import { newIntake } from "../support/snapshots.ts";
import { TimerTable } from "../support/timer-table.ts";

/** Numbers in [0, 1) that are the same in every run (Lehmer's generator). */
function newRandom(): () => number {
  let state = 12_345;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

/** Percentiles that fall on ranks 0..count-1 of so many samples, some 200 of them. */
function percentilesOf(count: number): { ranks: number[]; aggregates: Aggregate[] } {
  const step = Math.max(1, Math.floor((count - 1) / 190));
  const ranks = Array.from({ length: Math.floor((count - 1) / step) + 1 }, (_, index) => index * step);
  const aggregates = ranks.map((rank): Aggregate => {
    const label = String(rank);
    return { kind: "percentile", fraction: count === 1 ? 0 : rank / (count - 1), name: label, label };
  });
  return { ranks, aggregates };
}

/** What the values of a test look like: spread, close together, equal, of both signs, of all magnitudes. */
const SHAPES: Readonly<Record<string, (random: () => number) => number>> = {
  uniform: (random) => random() * 1000,
  whole: (random) => Math.floor(random() * 50),
  equal: () => 7.5,
  signed: (random) => random() - 0.5,
  magnitudes: (random) => (random() - 0.5) * 10 ** Math.floor(random() * 60 - 30),
};

test("samples come in order, few or many, whatever they look like", async () => {
  const random = newRandom();
  for (const debug of [false, true]) {
    for (const count of [1, 2, 15, 16, 17, 33, 100, 2047, 2048, 2100, 9000]) {
      for (const [shape, draw] of Object.entries(SHAPES)) {
        const values = Array.from({ length: count }, () => draw(random));
        const { ranks, aggregates } = percentilesOf(count);
        const table = await TimerTable.create({ timer: aggregates, memoryBytesMax: 1 << 20, debug });
        table.send(values.map((value) => `t:${value}|ms`));
        const found = table.read().get("t")!;
        values.sort((a, b) => a - b);
        for (const rank of ranks) {
          // A rank that is found by a fraction may be off by a rounding, which interpolation makes small.
          const error = Math.abs(found[rank]! - values[rank]!);
          const slack = (Math.abs(values[0]!) + Math.abs(values.at(-1)!)) * 1e-12;
          assert.ok(error <= slack, `${count} ${shape}: rank ${rank} is ${found[rank]}, not ${values[rank]}`);
        }
      }
    }
  }
});

const EVERYTHING = [
  ...["count", "last", "min", "max", "sum", "mean", "median", "std", "sum-squares", "hmean"],
  ...["percentile-75", "percentile-99.9", "count-p90", "sum-p90", "upper-p90", "sum-squares-p50"],
  ...["count-top10", "sum-top10", "lower-top10", "mean-top1"],
];
const BINS = [{ pattern: "**", bins: [10, 100, 500, Number.POSITIVE_INFINITY] }];

/** Lines of one timer: values of a shape, and rates for some. */
function randomLines(
  count: number,
  draw: (random: () => number) => number,
  rates: readonly string[],
): string[] {
  const random = newRandom();
  return Array.from({ length: count }, () => {
    const rate = rates[Math.floor(random() * rates.length)]!;
    return `t:${draw(random)}|ms${rate}`;
  });
}

test("little memory to sort in changes no number", async () => {
  const cases: readonly (readonly [string, string[]])[] = [
    ["without rates", randomLines(30_000, SHAPES.uniform!, [""])],
    ["with rates", randomLines(20_000, SHAPES.uniform!, ["", "|@0.5", "|@0.1"])],
    ["of few values", randomLines(30_000, SHAPES.whole!, [""])],
    ["equal", randomLines(20_000, SHAPES.equal!, [""])],
    ["of both signs", randomLines(20_000, SHAPES.magnitudes!, [""])],
  ];
  for (const [what, lines] of cases) {
    for (const weights of [true, false]) {
      const options = { timer: EVERYTHING, histograms: BINS, weights };
      const roomy = await TimerTable.create(options);
      const narrow = await TimerTable.create({ ...options, debug: !weights });
      narrow.interval.kernel.exports.setScratchMax(64 << 10);
      for (const table of [roomy, narrow]) table.send(lines);
      assert.deepEqual(narrow.read(), roomy.read(), `${what}, ${weights ? "with" : "without"} weights`);
      assert.equal(narrow.interval.kernel.exports.unsortedTimers(), 0);
    }
  }
});

test("more equal values than there is room for, with rates, differ in the last digits at most", async () => {
  const lines = randomLines(20_000, () => 4.1, ["|@0.3", "|@0.7", ""]);
  const options = { timer: EVERYTHING, histograms: BINS };
  const roomy = await TimerTable.create(options);
  const narrow = await TimerTable.create(options);
  narrow.interval.kernel.exports.setScratchMax(64 << 10);
  for (const table of [roomy, narrow]) table.send(lines);
  const expected = roomy.read().get("t")!;
  const found = narrow.read().get("t")!;
  assert.deepEqual(Object.keys(found), Object.keys(expected));
  for (const [label, value] of Object.entries(expected)) {
    const error = Math.abs(found[label]! - value);
    // A deviation of nothing is all rounding.
    assert.ok(error <= Math.abs(value) * 1e-11 + 1e-10, `${label}: ${found[label]}, expected ${value}`);
  }
});

test("a timer that cannot be sorted at all still has what needs no order, and is counted", async () => {
  const table = await TimerTable.create({ timer: ["count", "last", "rate", "max", "percentile-75"] });
  table.interval.kernel.exports.setScratchMax(16);
  table.send(["t:3|ms", "t:1|ms", "t:2|ms|@0.5", "u:9|ms"]);
  assert.deepEqual(table.read().get("t"), { count: 4, last: 2, rate: 0.4 });
  assert.equal(table.interval.kernel.exports.unsortedTimers(), 1);
});

test("a million samples in a timer have all aggregates, and take hardly more than their bytes", async () => {
  const count = 1_000_000;
  const table = await TimerTable.create({ timer: EVERYTHING });
  table.send(Array.from({ length: count }, (_, index) => `t:${(index * 7919) % count}|ms`));
  const found = table.read().get("t")!;
  assert.equal(found.count, count);
  assert.equal(found.min, 0);
  assert.equal(found.max, count - 1);
  assert.equal(found.sum, (count * (count - 1)) / 2);
  assert.equal(found.median, (count - 1) / 2);
  assert.equal(found.upper_90, count * 0.9 - 1);
  assert.equal(found.lower_top10, count * 0.9);
  const deviation = Math.sqrt((count ** 2 - 1) / 12);
  assert.ok(Math.abs(found.std! - deviation) < deviation * 1e-11, `${found.std}, expected ${deviation}`);
  assert.ok(table.interval.tableBytes / count < 8.2, `${table.interval.tableBytes} bytes`);
});

test("timers of a hundred samples take no more than ten bytes a sample, snapshot by snapshot", async () => {
  const series = 200;
  // In one snapshot, and in as many as one of each second of an interval.
  for (const snapshots of [1, 10]) {
    const table = await TimerTable.create({ timer: ["count"] });
    const empty = table.interval.tableBytes;
    for (let snapshot = 0; snapshot < snapshots; snapshot++) {
      table.send(
        Array.from({ length: (series * 100) / snapshots }, (_, index) => `t${index % series}:${index}|ms`),
      );
    }
    for (const { count } of table.read().values()) assert.equal(count, 100);
    const bytes = (table.interval.tableBytes - empty) / series;
    assert.ok(bytes <= 1080, `${bytes} bytes a timer of 100 samples, in ${snapshots} snapshots`);
  }
});

test("an intake holds timers as tightly", async () => {
  const count = 100_000;
  // What it holds must fit; else a snapshot would be cut before the end.
  const intake = await newIntake({ heapBytesMax: count * 8.6 });
  const lines = Array.from({ length: count }, (_, index) => `t:${index}|ms`);
  for (let first = 0; first < count; first += 4000) {
    intake.send([Buffer.from(lines.slice(first, first + 4000).join("\n"))]);
  }
  assert.equal(intake.frames.length, 0);
  intake.cut();
  assert.equal(intake.frames.length, 1);
});

test("a deviation is right where squares would lose it, and only finite numbers come out", async () => {
  const table = await TimerTable.create({ timer: ["std", "sum-squares", "hmean", "sum", "mean"] });
  table.send(["far:1000000001|ms", "far:1000000002|ms", "far:1000000003|ms"]);
  table.send(["huge:1e200|ms", "huge:-1e200|ms", "zero:0|ms", "zero:5|ms", "ones:1|ms:4|ms|@0.5"]);
  const found = table.read();
  assert.equal(found.get("far")!.std, Math.sqrt(2 / 3));
  assert.deepEqual(found.get("huge"), { sum: 0, mean: 0 });
  assert.deepEqual(found.get("zero"), { std: 2.5, sum_squares: 25, hmean: 0, sum: 5, mean: 2.5 });
  // A value of 1, and one of 4 that counts twice.
  assert.deepEqual(found.get("ones"), { std: Math.sqrt(2), sum_squares: 33, hmean: 2, sum: 9, mean: 3 });
});
