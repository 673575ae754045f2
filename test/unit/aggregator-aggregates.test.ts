/** bioyino's aggregation vectors: snapshots in, named rows out. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Interval } from "../../aggregator/interval.ts";
import { Namer } from "../../aggregator/naming.ts";
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
    const namer = new Namer(rules, aggregates);
    const output = Buffer.alloc(1000);
    for (const { source, start, end, type, values } of interval.series()) {
      values.forEach((value, aggregate) => {
        if (Number.isNaN(value)) return;
        const bytes = namer.write(output, 0, source, start, end, type, aggregate);
        actual.push([output.toString("latin1", 0, bytes), value]);
      });
    }
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
