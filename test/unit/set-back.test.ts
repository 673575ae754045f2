/** Clocks that go back: a little is waited for, a lot is a new start, and no line is lost by either. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { STORE_COUNTERS } from "../../aggregator/counters.ts";
import { Namer } from "../../aggregator/naming.ts";
import { forEachRow } from "../../aggregator/row.ts";
import { Store } from "../../aggregator/store.ts";
import { Counters } from "../../shared/counters.ts";
import { parseAggregate } from "../../shared/metric.ts";
import { readLabel } from "../../shared/wire.ts";
import { newIntake, TEST_NOW_MS, type TestIntake } from "../support/snapshots.ts";

const INTERVAL_MS = 10_000;
const DAY_MS = 86_400_000;
const value = [parseAggregate("value")!];
const rule = { destination: "smart", prefix: "", tag: "aggregate" } as const;

/** Two intakes in front of a store; what it flushes, by timestamp. */
async function newSetting() {
  const intakes = await Promise.all([1, 2].map((origin) => newIntake({ origin, intervalMs: INTERVAL_MS })));
  const aggregates = { counter: value, gauge: value, timer: [], set: [] };
  const counters = new Counters(STORE_COUNTERS);
  const points: [timestampSec: number, name: string, value: number][] = [];
  const store = await Store.create(
    {
      intervalMs: INTERVAL_MS,
      seriesMax: 1000,
      memoryBytesMax: 16 << 20,
      aggregates,
      updateCountThreshold: 0,
      roundTimestamp: "no",
    },
    new Namer({ counter: rule, gauge: rule, timer: rule, set: rule }, aggregates),
    counters,
    async ({ timestampSec, bytes }) =>
      forEachRow(bytes, (name, number) => points.push([timestampSec, name, number])),
    TEST_NOW_MS / INTERVAL_MS,
  );
  for (const origin of [1, 2]) store.addOrigin(origin, TEST_NOW_MS / INTERVAL_MS);
  const passed = new Map<TestIntake, number>();
  /** Lets an intake see the time and lines, and the store what it has cut. */
  const step = async (intake: TestIntake, nowMs: number, lines = "") => {
    intake.snapshotter.consume(0, nowMs);
    if (lines !== "") intake.send([Buffer.from(lines)], nowMs);
    const from = passed.get(intake) ?? 0;
    passed.set(intake, intake.frames.length);
    for (const frame of intake.frames.slice(from)) await store.accept(frame);
    await store.flushClosed();
  };
  return { a: intakes[0]!, b: intakes[1]!, counters, points, step };
}

test("a clock that was a day ahead makes a new start when it is set right", async () => {
  const { a, b, counters, points, step } = await newSetting();
  const ahead = TEST_NOW_MS + DAY_MS;
  await step(a, TEST_NOW_MS, "n:1|c\ng:7|g");
  await step(b, TEST_NOW_MS, "n:2|c");
  await step(a, ahead, "n:4|c");
  await step(b, ahead, "n:8|c\ng:9|g");
  // One intake sees the right time a little before the other.
  await step(a, TEST_NOW_MS + 10_000, "n:16|c");
  await step(b, ahead + 1000, "n:32|c");
  await step(b, TEST_NOW_MS + 11_000, "n:64|c\ng:+1|g");
  await step(a, TEST_NOW_MS + 20_000);
  await step(b, TEST_NOW_MS + 20_000);
  const sec = (ms: number) => ms / 1000;
  assert.deepEqual(
    points.sort(([x], [y]) => x - y),
    [
      [sec(TEST_NOW_MS + 10_000), "n", 3],
      [sec(TEST_NOW_MS + 10_000), "g", 7],
      [sec(TEST_NOW_MS + 20_000), "n", 80],
      [sec(TEST_NOW_MS + 20_000), "g", 10],
      [sec(ahead + 10_000), "n", 44],
      [sec(ahead + 10_000), "g", 9],
    ],
  );
  assert.equal(counters.get("lateLines"), 0);
});

test("a clock that goes back a little is waited for", async () => {
  const { a, b, counters, points, step } = await newSetting();
  await step(a, TEST_NOW_MS + 20_000, "n:1|c");
  await step(b, TEST_NOW_MS + 20_000);
  await step(a, TEST_NOW_MS - 70_000, "n:2|c");
  await step(b, TEST_NOW_MS - 70_000, "n:4|c");
  await step(a, TEST_NOW_MS + 30_000);
  await step(b, TEST_NOW_MS + 30_000);
  assert.deepEqual(points, [[(TEST_NOW_MS + 30_000) / 1000, "n", 7]]);
  assert.equal(counters.get("lateLines"), 0);
});

test("a snapshot that found no room still tells which intervals are closed", async () => {
  const frames: Uint8Array[] = [];
  const intake = await newIntake({ intervalMs: INTERVAL_MS }, (frame) => {
    const hasRoom = frame.length <= 1024;
    if (hasRoom) frames.push(frame);
    return hasRoom;
  });
  const { snapshotter } = intake;
  const name = "n".repeat(500);
  const lines = [Buffer.from(`${name}a:1|c\n${name}b:1|c\n${name}c:1|c`)];
  intake.send(lines, TEST_NOW_MS + DAY_MS);
  snapshotter.cut(TEST_NOW_MS);
  intake.send(lines, TEST_NOW_MS);
  snapshotter.cut(TEST_NOW_MS + INTERVAL_MS);
  assert.equal(snapshotter.counts.lostLines, 6);
  const now = TEST_NOW_MS / INTERVAL_MS;
  assert.deepEqual(
    frames.map((frame) => readLabel(frame)!.lowestOpen),
    [(TEST_NOW_MS + DAY_MS) / INTERVAL_MS, now, now + 1],
  );
});

test("behind a clock that was a day ahead, gauges go by the right time again", async () => {
  const { a, b, points, step } = await newSetting();
  await step(a, TEST_NOW_MS + DAY_MS, "g:1|g");
  await step(b, TEST_NOW_MS, "n:1|c");
  await step(a, TEST_NOW_MS, "g:2|g");
  await step(b, TEST_NOW_MS + 500, "g:3|g");
  for (const intake of [a, b]) await step(intake, TEST_NOW_MS + INTERVAL_MS);
  const levels = points.filter(([stampSec, name]) => name === "g" && stampSec <= TEST_NOW_MS / 1000 + 10);
  assert.deepEqual(levels, [[TEST_NOW_MS / 1000 + 10, "g", 3]]);
});

test("in a cluster an intake that was ahead follows the cluster's clock at once", async () => {
  const intake = await newIntake({ intervalMs: INTERVAL_MS, isOfCluster: true });
  intake.snapshotter.consume(0, TEST_NOW_MS + 5 * INTERVAL_MS);
  // Less than an interval may be two threads' looks at the clock around a boundary.
  intake.snapshotter.consume(0, TEST_NOW_MS + 5 * INTERVAL_MS - 1);
  assert.equal(intake.snapshotter.interval, TEST_NOW_MS / INTERVAL_MS + 5);
  intake.snapshotter.consume(0, TEST_NOW_MS);
  assert.equal(intake.snapshotter.interval, TEST_NOW_MS / INTERVAL_MS);
  intake.send([Buffer.from("n:1|c")], TEST_NOW_MS);
  intake.snapshotter.cut(TEST_NOW_MS + 1);
  assert.equal(readLabel(intake.frames.at(-1)!)?.interval, TEST_NOW_MS / INTERVAL_MS);
});
