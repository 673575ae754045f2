/** bioyino's aggregation vectors: snapshots in, named rows out. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { flushInterval } from "../../aggregator/flush.ts";
import { Interval } from "../../aggregator/interval.ts";
import { Namer } from "../../aggregator/naming.ts";
import { forEachRow } from "../../aggregator/row.ts";
import { type Aggregate, METRIC_TYPES, type MetricType, parseAggregate } from "../../shared/metric.ts";
import { newIntake } from "../support/snapshots.ts";
import { readTsvVectors, unescapeField } from "../support/vectors.ts";

/** Faults of the original, by their `snapshots` column, and what is right. */
const DIFFERENCES: Readonly<Record<string, readonly [why: string, expected: string]>> = {
  "c:1|c|@0.5\\nc:1|c|@0.25": ["mixed rates are exact", "c 6 , c.updates 2 , c.rate 0.6"],
  "c:1|c|@0.1": ["rates are doubles", "c 10 , c.updates 1 , c.rate 1"],
  "g:10|g // g:+5|g": [
    "changes apply to the value of the snapshot before",
    "g 15 , g.updates 2 , g.rate 0.2",
  ],
  "x:1|c\\nx:2|ms": ["a series has its type", "x 1 , x.updates 1 , x.rate 0.1 , x.updates 1 , x.rate 0.1"],
  "a.b;;:5|ms|name": ["no trailing semicolon", "a.b.sum 5"],
};

/** Powers of ten: 10 is the fraction 0.10 here, and 100 is 1. */
const PERCENTILE_DIFFERENCES: Readonly<Record<string, number>> = { "t.percentile.10": 2 };

function aggregatesOf(names: string): Record<MetricType, Aggregate[]> {
  const aggregates = names.split(",").map((name) => parseAggregate(name)!);
  return { counter: aggregates, gauge: aggregates, timer: aggregates, set: aggregates };
}

test("bioyino's aggregation vectors", async () => {
  for (const row of readTsvVectors("bioyino-aggregate.tsv")) {
    const aggregates = aggregatesOf(row.aggregates!);
    const intervalMs = Number(row.interval_s) * 1000;
    const interval = await Interval.create({
      intervalMs,
      seriesMax: 100,
      memoryBytesMax: 1 << 20,
      aggregates,
      updateCountThreshold: 0,
    });
    const intake = await newIntake({ intervalMs });
    for (const snapshot of row.snapshots!.split(" // ")) {
      intake.send([unescapeField(snapshot)]);
      intake.cut();
    }
    for (const frame of intake.frames) assert.equal(interval.merge(frame).kind, "merged");
    const destination = row.destination as "smart" | "name" | "tag" | "both";
    const rule = { destination, prefix: row.prefix!, tag: row.tag! };
    const rules = Object.fromEntries(METRIC_TYPES.map((type) => [type, rule])) as Record<
      MetricType,
      typeof rule
    >;
    const actual: [string, number][] = [];
    const label = { interval: 0, revision: 0, timestampSec: 0, partial: false };
    await flushInterval(interval, new Namer(rules, aggregates), label, async ({ bytes }) =>
      forEachRow(bytes, (name, value) => actual.push([name, value])),
    );
    const expected = (DIFFERENCES[row.snapshots!] ??
      DIFFERENCES[`${row.snapshots}|${row.destination}`] ?? ["", row.expected!])[1];
    const wanted = expected.split(" , ").map((pair): [string, number] => {
      const [name, value] = pair.split(" ");
      return [name!, PERCENTILE_DIFFERENCES[name!] ?? Number(value)];
    });
    assert.deepEqual(
      actual.map(([name]) => name),
      wanted.map(([name]) => name),
      row.snapshots,
    );
    actual.forEach(([name, value], index) => {
      const target = wanted[index]![1];
      const error = Math.abs(value - target);
      assert.ok(error <= Math.abs(target) * 1e-14, `${row.snapshots} ${name}: ${value}, expected ${target}`);
    });
  }
});

test("percentile numbers are fractions behind the point", () => {
  const cases: readonly (readonly [string, number])[] = [
    ["5", 0.5],
    ["25", 0.25],
    ["999", 0.999],
    ["0", 0],
    ["10", 0.1],
    ["100", 1],
    ["1000", 1],
    ["99.9", 0.999],
    ["50", 0.5],
    ["1", 0.1],
  ];
  for (const [number, fraction] of cases) {
    assert.equal(parseAggregate(`percentile-${number}`)?.fraction, fraction, number);
  }
  assert.equal(parseAggregate("percentile-"), undefined);
  assert.equal(parseAggregate("p99"), undefined);
  assert.equal(parseAggregate("SUM")?.kind, "sum");
});
