/** What becomes of lines that are half way through when a table is full and its snapshot is cut early. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_READING } from "../../aggregator/reading.ts";
import { DROP_REASONS } from "../../shared/drop-reasons.ts";
import { readLabel } from "../../shared/wire.ts";
import { decodeFrame, newIntake, TEST_NOW_MS, type TestIntake } from "../support/snapshots.ts";

const NOW_SEC = TEST_NOW_MS / 1000;

/** What all frames together say of each series: `interval type key` and its updates. */
function updatesOf({ frames }: TestIntake): Map<string, number> {
  const sums = new Map<string, number>();
  for (const frame of frames) {
    const { interval, lines } = readLabel(frame)!;
    const series = decodeFrame(frame);
    assert.equal(
      series.reduce((sum, { updates }) => sum + updates, 0),
      lines,
    );
    for (const { type, key, updates } of series) {
      const id = `${interval} ${type} ${key}`;
      sums.set(id, (sums.get(id) ?? 0) + updates);
    }
  }
  return sums;
}

for (const debug of [false, true]) {
  test(`late lines go to their own intervals behind an early cut${debug ? " (debug)" : ""}`, async () => {
    const intake = await newIntake({ debug, seriesMax: 7, lateWindowMs: 60_000 });
    const lateness = [0, 15, 25, 35, 5];
    const expected = new Map<string, number>();
    const lines = Array.from({ length: 500 }, (_, index) => {
      const time = NOW_SEC - lateness[(index * 7 + (index >> 4)) % lateness.length]!;
      const name = `s${index % 41}`;
      const id = `${Math.floor(time / 10)} counter ${name}`;
      expected.set(id, (expected.get(id) ?? 0) + 1);
      return `${name}:1|c|T${time}`;
    });
    const half = lines.length / 2;
    intake.send([lines.slice(0, half), lines.slice(half)].map((part) => Buffer.from(part.join("\n"))));
    intake.cut();
    assert.deepEqual(updatesOf(intake), expected);
    assert.equal(intake.snapshotter.counts.samples, lines.length);
    assert.ok(intake.frames.length > 50);
  });
}

test("values, segments and copies without tags are counted once, wherever the table is full", async () => {
  const reading = { ...DEFAULT_READING, untaggedCopy: true };
  for (const seriesMax of [1, 2, 3, 5, 100]) {
    const intake = await newIntake({ debug: true, seriesMax, reading });
    const lines = Array.from({ length: 90 }, (_, index) => `n${index % 5};k=v:1:2:3|ms|@0.5:4|c:5:+6|g`);
    intake.send([Buffer.from(lines.join("\n"))]);
    intake.cut();
    const { counts } = intake.snapshotter;
    assert.equal(counts.accepted, lines.length);
    assert.equal(counts.samples, lines.length * 12);
    const expected = [0, 1, 2, 3, 4].flatMap((index) =>
      [`n${index}`, `n${index};k=v`].flatMap((key): [string, number][] => [
        [`${NOW_SEC / 10} timer ${key}`, 54],
        [`${NOW_SEC / 10} counter ${key}`, 18],
        [`${NOW_SEC / 10} gauge ${key}`, 36],
      ]),
    );
    assert.deepEqual(updatesOf(intake), new Map(expected));
  }
});

test("lines of every interval of the longest window are taken at once", async () => {
  const intake = await newIntake({ lateWindowMs: 60_000 });
  const times = Array.from({ length: 10 }, (_, index) => NOW_SEC - 10 * index);
  const lines = times.flatMap((time) => [`a:1|c|T${time}`, `a:1|g|T${time}`]);
  intake.send([Buffer.from(lines.join("\n"))]);
  intake.cut();
  const inWindow = times.slice(0, 8);
  const expected = inWindow.flatMap((time): [string, number][] => [
    [`${time / 10} counter a`, 1],
    [`${time / 10} gauge a`, 1],
  ]);
  assert.deepEqual([...updatesOf(intake)].sort(), expected.sort());
  assert.equal(intake.snapshotter.counts.dropped[DROP_REASONS.indexOf("too_late")], 4);
});
