/**
 * Properties of the aggregator's kernel: no input stops it, every line is counted once, and nothing is
 * lost.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Interval, type IntervalOptions } from "../../aggregator/interval.ts";
import { DIALECTS, type ReadingOptions, SANITIZE_MODES } from "../../aggregator/reading.ts";
import type { SnapshotterOptions } from "../../aggregator/snapshotter.ts";
import { METRIC_TYPES, type MetricType, parseAggregate } from "../../shared/metric.ts";
import { aggregateModel, lineArbitrary, type ModelSeries, type TestLine } from "../support/lines.ts";
import { type DecodedSeries, decodeFrame, newIntake, outcome, TEST_NOW_MS } from "../support/snapshots.ts";

const fragment = fc.constantFrom(
  ...[
    "a",
    "web.hits",
    ":",
    "::",
    "|",
    ";",
    "k=v",
    "\n",
    "\r",
    "\r\n",
    "\0",
    " ",
    "\t",
    "\x7f",
    "#",
    "@",
    "|@",
    "|#t:v",
    ",",
    "|#b:2,a:1,a:1,,veneurlocalonly,host:x",
    "|T1700000000",
    "|T1699999990",
    "|c:ci-1",
    "|e:it-false",
    "|card:low",
    "|zz",
    "_e{1,1}:a|b",
    "_sc|x|0",
    ":1|c:2|ms:3:4|g|@0.5",
  ],
  ...[
    "1",
    "-1",
    "+",
    "-",
    ".",
    "1e",
    "1e400",
    "1e-400",
    "NaN",
    "inf",
    "0x10",
    "9".repeat(40),
    "0".repeat(900),
  ],
  ...[
    "c",
    "g",
    "ms",
    "m",
    "h",
    "s",
    "H1,2",
    "|c\n",
    "|ms|@0.5\n",
    "|c|@0\n",
    "__proto__",
    "constructor",
    "é",
    " ",
  ],
  ..."x".repeat(600),
);
const grammar = fc.array(fragment, { maxLength: 60 }).map((parts) => Buffer.from(parts.join("")));
const raw = fc.uint8Array({ maxLength: 300 });
const datagramArbitrary = fc.oneof(
  grammar,
  raw,
  fc.tuple(grammar, raw).map(([a, b]) => Buffer.concat([a, b])),
);

/** Lines as a reader would count them: between line feeds, blank ones and lone carriage returns apart. */
function lineCount(datagram: Uint8Array): number {
  const lines = Buffer.from(datagram).toString("latin1").split("\n");
  return lines.filter((line, index) => line !== "" && !(line === "\r" && index <= lines.length - 1)).length;
}

const READINGS = DIALECTS.flatMap((dialect) =>
  SANITIZE_MODES.map((sanitize): ReadingOptions => {
    const isOdd = (dialect.length + sanitize.length) % 2 === 1;
    return { dialect, sanitize, influxTags: isOdd, unknownType: "counter", untaggedCopy: !isOdd };
  }),
);

test("no bytes stop the kernel, and received = accepted + dropped, in every dialect", async () => {
  for (const debug of [true, false]) {
    for (const reading of READINGS)
      await checkAnyBytes({ debug, reading, seriesMax: 50, lateWindowMs: 1e12 });
  }
});

async function checkAnyBytes(options: Partial<SnapshotterOptions>): Promise<void> {
  const intake = await newIntake(options);
  fc.assert(
    fc.property(fc.array(datagramArbitrary, { maxLength: 8 }), (datagrams) => {
      const { counts } = intake.snapshotter;
      const before = { ...counts, droppedAll: counts.dropped.reduce((sum, n) => sum + n, 0) };
      const { series } = outcome(intake, datagrams);
      const dropped = counts.dropped.reduce((sum, n) => sum + n, 0) - before.droppedAll;
      const accepted = counts.accepted - before.accepted;
      const received = counts.received - before.received;
      assert.equal(received, accepted + dropped);
      assert.equal(
        received,
        datagrams.reduce((sum, datagram) => sum + lineCount(datagram), 0),
      );
      for (const one of series) {
        for (const number of [one.value, one.weight, one.changes]) assert.ok(Number.isFinite(number));
      }
    }),
    { numRuns: options.debug === true ? 150 : 500 },
  );
}

function checkSeries(decoded: DecodedSeries, model: ModelSeries): void {
  assert.equal(decoded.updates, model.updates);
  assert.equal(decoded.weight, model.weight);
  if (decoded.type === "counter") assert.equal(decoded.value, model.sum);
  if (decoded.type === "gauge") {
    const free = decoded.free.reduce((sum, { change }) => sum + change, 0);
    assert.equal(decoded.isAbsolute ? decoded.value + decoded.changes : free, model.level);
  }
  if (decoded.type === "timer") {
    const order = (a: { value: number; weight: number }, b: { value: number; weight: number }) =>
      a.value - b.value || a.weight - b.weight;
    assert.deepEqual([...decoded.samples].sort(order), [...model.samples].sort(order));
    assert.equal(decoded.value, model.last);
  }
  if (decoded.type === "set") assert.deepEqual([...decoded.members].sort(), [...model.members].sort());
}

test("a snapshot holds what the lines said", async () => {
  const intake = await newIntake();
  fc.assert(
    fc.property(fc.array(lineArbitrary, { maxLength: 200 }), (lines) => {
      const { series, reasons } = outcome(intake, [Buffer.from(lines.map(({ text }) => text).join("\n"))]);
      assert.deepEqual(reasons, []);
      const model = aggregateModel(lines);
      assert.equal(series.length, model.size);
      for (const decoded of series) {
        const key = Buffer.from(decoded.key, "latin1").toString("utf8");
        checkSeries(decoded, model.get(`${decoded.type} ${key}`)!);
      }
    }),
    { numRuns: 400 },
  );
});

const everything = [
  "value",
  "count",
  "last",
  "min",
  "max",
  "sum",
  "mean",
  "median",
  "updates",
  "rate",
  "percentile-9",
];
const aggregates = Object.fromEntries(
  METRIC_TYPES.map((type) => [type, everything.map((name) => parseAggregate(name)!)]),
) as unknown as Record<MetricType, NonNullable<ReturnType<typeof parseAggregate>>[]>;
const intervalOptions: IntervalOptions = {
  intervalMs: 10_000,
  seriesMax: 10_000,
  memoryBytesMax: 16 << 20,
  aggregates,
  updateCountThreshold: 0,
};

/** All aggregates of an interval by series, in an order that does not depend on arrival. */
function contents(interval: Interval): Map<string, number[]> {
  const rows: [string, number[]][] = [];
  for (const { source, start, end, type, values } of interval.series()) {
    rows.push([`${METRIC_TYPES[type]} ${source.toString("utf8", start, end)}`, [...values]]);
  }
  return new Map(rows.sort(([a], [b]) => (a < b ? -1 : 1)));
}

test("merging commutes, associates and ignores repeats; gauges and last values go by time", async () => {
  const intakes = await Promise.all([1, 2, 3].map((origin) => newIntake({ origin })));
  const forward = await Interval.create(intervalOptions);
  const shuffled = await Interval.create(intervalOptions);
  const plan = fc.array(fc.record({ line: lineArbitrary, origin: fc.nat(2), cuts: fc.boolean() }), {
    maxLength: 120,
  });
  // An intake's time never goes back, so each run begins where the one before ended.
  let startMs = TEST_NOW_MS;
  fc.assert(
    fc.property(plan, fc.infiniteStream(fc.nat()), (steps, random) => {
      startMs += 200;
      forward.open(0);
      shuffled.open(0);
      const first = intakes.map(({ frames }) => frames.length);
      steps.forEach(({ line, origin, cuts }, index) => {
        intakes[origin]!.send([Buffer.from(line.text)], startMs + index);
        if (cuts) intakes[origin]!.cut();
      });
      for (const intake of intakes) intake.cut();
      const frames = intakes.flatMap((intake, index) => intake.frames.slice(first[index]));
      for (const frame of frames) assert.equal(forward.merge(frame).kind, "merged");
      const order = [...frames, ...frames].map((frame) => ({ frame, key: random.next().value ?? 0 }));
      order.sort((a, b) => a.key - b.key);
      const kinds = order.map(({ frame }) => shuffled.merge(frame).kind);
      assert.equal(kinds.filter((kind) => kind === "repeated").length, frames.length);
      assert.deepEqual(contents(shuffled), contents(forward));
      checkAgainstModel(
        contents(forward),
        steps.map(({ line }) => line),
      );
    }),
    { numRuns: 200 },
  );
});

/**
 * Gauges of several origins are only ordered by snapshots, so their levels are not compared with the model.
 */
function checkAgainstModel(actual: Map<string, number[]>, lines: readonly TestLine[]): void {
  const model = aggregateModel(lines);
  assert.equal(actual.size, model.size);
  for (const [id, series] of model) {
    const values = actual.get(id)!;
    const read = (name: string) => values[everything.indexOf(name)]!;
    assert.equal(read("updates"), series.updates, id);
    if (id.startsWith("counter")) assert.equal(read("value"), series.sum, id);
    if (id.startsWith("set")) assert.equal(read("count"), series.members.size, id);
    if (!id.startsWith("timer")) continue;
    const sorted = series.samples.map(({ value }) => value).sort((a, b) => a - b);
    assert.equal(read("min"), sorted[0], id);
    assert.equal(read("max"), sorted.at(-1), id);
    assert.equal(read("sum"), series.sum, id);
    assert.equal(read("count"), series.weight, id);
    assert.equal(read("last"), series.last, id);
  }
}

test("broken snapshots are refused and change nothing", async () => {
  const intake = await newIntake();
  const interval = await Interval.create({ ...intervalOptions, debug: true });
  const change = fc.record({ at: fc.nat(), to: fc.nat(255) });
  fc.assert(
    fc.property(
      fc.array(lineArbitrary, { minLength: 1, maxLength: 20 }),
      fc.array(change, { minLength: 1, maxLength: 4 }),
      fc.option(fc.nat()),
      (lines, changes, cutAt) => {
        intake.send([Buffer.from(lines.map(({ text }) => text).join("\n"))]);
        const frame = intake.cut()!;
        interval.open(0);
        const broken = frame.slice(0, cutAt === null ? frame.length : cutAt % frame.length);
        for (const { at, to } of changes) if (broken.length > 0) broken[at % broken.length] = to;
        const result = interval.merge(broken);
        if (result.kind === "invalid") assert.equal(interval.seriesCount, 0);
        for (const values of contents(interval).values()) {
          for (const value of values) assert.ok(Number.isNaN(value) || Number.isFinite(value));
        }
      },
    ),
    { numRuns: 3000 },
  );
});

test("a full table cuts a snapshot early and loses nothing", async () => {
  const intake = await newIntake({ seriesMax: 16, heapBytesMax: 64 << 10 });
  const lines = Array.from(
    { length: 5000 },
    (_, index) => `s${index % 97}:${index}|${["c", "ms", "s", "g"][index % 4]}`,
  );
  const datagrams = Array.from({ length: 50 }, (_, index) =>
    Buffer.from(lines.slice(index * 100, index * 100 + 100).join("\n")),
  );
  intake.send(datagrams);
  intake.cut();
  const updates = intake.frames.flatMap(decodeFrame).reduce((sum, series) => sum + series.updates, 0);
  assert.equal(updates, lines.length);
  assert.ok(intake.frames.length > 10);
});
