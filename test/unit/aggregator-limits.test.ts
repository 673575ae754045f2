/** Which series a store takes, and what becomes of the others. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Interval, type IntervalOptions } from "../../aggregator/interval.ts";
import { addressOf } from "../../aggregator/kernel.ts";
import { type LimitOptions, REFUSALS, type Refusal } from "../../aggregator/limits.ts";
import { METRIC_TYPES, parseAggregate } from "../../shared/metric.ts";
import { newIntake } from "../support/snapshots.ts";

const AGGREGATES: IntervalOptions["aggregates"] = {
  counter: [parseAggregate("value")!],
  gauge: [parseAggregate("value")!],
  timer: [parseAggregate("count")!, parseAggregate("sum")!],
  set: [parseAggregate("count")!],
};

interface Outcome {
  /** First aggregate by `type key`. */
  readonly rows: ReadonlyMap<string, number>;
  readonly taken: number;
  readonly lost: number;
  readonly refused: (reason: Refusal) => number;
  readonly overflowed: (reason: Refusal) => number;
  readonly interval: Interval;
}

/** Merges lines, one datagram for each sender, under some bounds. */
async function merge(
  bounds: Partial<LimitOptions> & { readonly memoryBytesMax?: number },
  datagrams: readonly (readonly string[])[],
): Promise<Outcome> {
  const interval = await Interval.create({
    seriesMax: 1000,
    memoryBytesMax: 64 << 20,
    overflowName: "overflow",
    intervalMs: 10_000,
    updateCountThreshold: 0,
    aggregates: AGGREGATES,
    ...bounds,
  });
  interval.open(1);
  let taken = 0;
  let lost = 0;
  const intake = await newIntake({ seriesMax: 100_000 });
  const { exports, memory } = intake.snapshotter.kernel;
  for (const [index, lines] of datagrams.entries()) {
    const senders = new Uint32Array(memory.buffer, addressOf(exports.batchSenders()), 1);
    senders[0] = 100 + index;
    intake.send([Buffer.from(lines.join("\n"))]);
    const result = interval.merge(intake.cut()!);
    assert.equal(result.kind, "merged");
    if (result.kind !== "merged") continue;
    taken += result.takenLines;
    lost += result.refusedLines;
  }
  const rows = new Map<string, number>();
  for (const { source, start, end, type, values, updates } of interval.series()) {
    if (updates > 0) rows.set(`${METRIC_TYPES[type]} ${source.toString("latin1", start, end)}`, values[0]!);
  }
  const kernel = interval.kernel.exports;
  return {
    rows,
    taken,
    lost,
    refused: (reason) => kernel.refusedSamples(REFUSALS.indexOf(reason)),
    overflowed: (reason) => kernel.overflowedSamples(REFUSALS.indexOf(reason)),
    interval,
  };
}

const numbered = (count: number, line: (index: number) => string): string[] =>
  Array.from({ length: count }, (_, index) => line(index));

test("what is beyond the bound goes to one series of its type, so that totals stay right", async () => {
  const lines = [
    ...numbered(20, (index) => `c${index}:2|c`),
    ...numbered(5, (index) => `t${index}:10|ms`),
    ...numbered(5, (index) => `s${index}:member${index % 2}|s`),
    ...numbered(3, (index) => `g${index}:1|g`),
  ];
  const { rows, taken, lost, overflowed, refused } = await merge({ seriesMax: 8 }, [lines]);
  assert.equal(rows.get("counter overflow"), 24);
  assert.equal(rows.get("timer overflow"), 5);
  assert.equal(rows.get("set overflow"), 2);
  assert.equal(rows.size, 8 + 3);
  assert.equal(overflowed("series"), 12 + 5 + 5);
  assert.equal(refused("series"), 3, "a gauge has no total that could stay right");
  assert.equal(taken + lost, lines.length);
  assert.equal(lost, 3);
});

test("without a name for the overflow, what is refused is lost and counted", async () => {
  const { rows, lost, refused } = await merge({ seriesMax: 5, overflowName: "" }, [
    numbered(9, (index) => `c${index}:2|c`),
  ]);
  assert.equal(rows.size, 5);
  assert.equal(lost, 4);
  assert.equal(refused("series"), 4);
});

test("a sender has its own bound, and others are none the worse", async () => {
  const flood = numbered(50, (index) => `flood.c${index}:1|c`);
  const calm = numbered(5, (index) => `calm.c${index}:1|c`);
  const { rows, overflowed, interval } = await merge({ seriesPerSenderMax: 10 }, [flood, calm, flood]);
  assert.equal([...rows.keys()].filter((key) => key.startsWith("counter flood.")).length, 20);
  assert.equal([...rows.keys()].filter((key) => key.startsWith("counter calm.")).length, 5);
  assert.equal(rows.get("counter overflow"), 70);
  assert.equal(overflowed("sender"), 70);
  assert.deepEqual(
    tallies(interval, "sender").map(({ series, refused, hash }) => [hash, series, refused]),
    [
      [102, 10, 30],
      [101, 5, 0],
      [100, 10, 40],
    ],
  );
});

test("a prefix has its own bound: so many dotted parts, without tags", async () => {
  const lines = [
    ...numbered(30, (index) => `app.user.id${index}:1|c`),
    ...numbered(30, (index) => `app.user;id=${index}:1|c`),
    ...numbered(8, (index) => `app.web.id${index}:1|c`),
  ];
  const { rows, overflowed, interval } = await merge({ seriesPerPrefixMax: 10, prefixParts: 2 }, [lines]);
  assert.equal([...rows.keys()].filter((key) => key.startsWith("counter app.user")).length, 10);
  assert.equal([...rows.keys()].filter((key) => key.startsWith("counter app.web")).length, 8);
  assert.equal(overflowed("prefix"), 50);
  const found = tallies(interval, "prefix").map(({ text, series, refused }) => [text, series, refused]);
  assert.deepEqual(found.sort(), [
    ["app.user", 10, 50],
    ["app.web", 8, 0],
  ]);
});

test("a cap counts names that begin with its text", async () => {
  const lines = [
    ...numbered(9, (index) => `user.${index}:1|c`),
    ...numbered(9, (index) => `users.${index}:1|c`),
  ];
  const { rows, overflowed } = await merge({ seriesCaps: [{ prefix: "user.", count: 4 }] }, [lines]);
  assert.equal([...rows.keys()].filter((key) => key.startsWith("counter user.")).length, 4);
  assert.equal([...rows.keys()].filter((key) => key.startsWith("counter users.")).length, 9);
  assert.equal(overflowed("cap"), 5);
});

test("a timer beyond its number of samples keeps those it has", async () => {
  const lines = numbered(40, (index) => `t:${index}|ms`);
  const { rows, taken, lost, refused } = await merge({ timerSamplesMax: 25 }, [
    lines.slice(0, 20),
    lines.slice(20),
  ]);
  assert.equal(rows.get("timer t"), 25);
  assert.equal(taken, 25);
  assert.equal(lost, 15);
  assert.equal(refused("timer_samples"), 15);
});

test("a timer that was not taken whole counts what its samples weigh", async () => {
  const plain = numbered(10, (index) => `t:${index}|ms`);
  const heavy = [0.5, 0.25, 0.125, 0.1].map((rate) => `t:100|ms|@${rate}`);
  const { rows, interval } = await merge({ timerSamplesMax: 12 }, [[...heavy, ...plain]]);
  assert.equal(rows.get("timer t"), 10 + 2 + 4);
  const [[, sum] = []] = Array.from(interval.series(), ({ values, updates }) =>
    updates > 0 ? [...values] : [],
  ).filter(({ length }) => length > 0);
  assert.equal(sum, 45 + 600);
});

test("where memory is short, counters still add up", async () => {
  const lines = numbered(
    20_000,
    (index) => `some.rather.long.name.of.a.counter.that.takes.memory.${index}:1|c`,
  );
  const { rows, lost, overflowed } = await merge(
    { seriesMax: 100_000, memoryBytesMax: 1 << 20 },
    [
      lines.slice(0, 900),
      ...numbered(20, (index) => String(index)).map((index) =>
        lines.slice(Number(index) * 900, Number(index) * 900 + 900),
      ),
    ].map((part) => part.slice(0, 900)),
  );
  const total = [...rows.values()].reduce((sum, value) => sum + value, 0);
  assert.ok(overflowed("memory") > 0);
  assert.equal(lost, 0);
  assert.equal(total, 900 * 21);
});

test("a key of several types is told", async () => {
  const { interval } = await merge({}, [["a:1|c", "a:1|g", "b:1|c", "a:5|ms"]]);
  const { exports, memory } = interval.kernel;
  assert.equal(exports.clashCount(), 2);
  const types = [0, 1].map((index) => Buffer.from(memory.buffer)[addressOf(exports.clashRecord(index)) + 6]);
  assert.deepEqual(types, [METRIC_TYPES.indexOf("gauge"), METRIC_TYPES.indexOf("timer")]);
  interval.open(2);
  assert.equal(exports.clashCount(), 0);
});

function tallies({ kernel }: Interval, kind: "prefix" | "sender") {
  const { exports, memory } = kernel;
  const view = Buffer.from(memory.buffer);
  const found: { text: string; hash: number; series: number; refused: number }[] = [];
  const first = kind === "prefix" ? exports.firstPrefix() : exports.firstSender();
  for (let tally = addressOf(first); tally !== 0; tally = view.readUInt32LE(tally)) {
    const bytes = view.readUInt32LE(tally + 20);
    found.push({
      text: view.toString("latin1", tally + 24, tally + 24 + bytes),
      hash: view.readUInt32LE(tally + 16),
      series: view.readUInt32LE(tally + 4),
      refused: view.readDoubleLE(tally + 8),
    });
  }
  return found;
}
