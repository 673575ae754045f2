/** Live tails: what snapshots bring for the series that are watched. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Tails } from "../../aggregator/tails.ts";
import { newIntake, TEST_NOW_MS } from "../support/snapshots.ts";

async function frameOf(lines: readonly string[]): Promise<Uint8Array> {
  const intake = await newIntake();
  for (const line of lines) intake.send([Buffer.from(line)]);
  return intake.cut()!;
}

test("each type is told in its own way", async () => {
  const tails = new Tails();
  tails.add(7, "app.*");
  const lines = ["app.c:2|c|@0.5", "app.g:5|g", "app.g:+1|g", "app.d:-3|g", "app.d:+1|g"];
  const frame = await frameOf([...lines, "app.t:1|ms\napp.t:2|ms|@0.1", "app.s:x|s\napp.s:y|s", "x:1|c"]);
  const { lines: told, leftOut } = tails.look(frame, TEST_NOW_MS);
  assert.deepEqual(
    told.map(({ tail, atMs, key, type, updates, value, isChange }) => {
      assert.deepEqual([tail, atMs], [7, TEST_NOW_MS]);
      return [key, type, updates, value, isChange];
    }),
    [
      ["app.c", "counter", 1, 4, false],
      ["app.g", "gauge", 2, 6, false],
      ["app.d", "gauge", 2, -2, true],
      ["app.t", "timer", 2, 2, false],
      ["app.s", "set", 2, 2, false],
    ],
  );
  assert.deepEqual(leftOut, []);
});

test("a tail has its bound in each second, and says what it left out", async () => {
  const tails = new Tails();
  tails.add(1, "n*");
  tails.add(2, "n1");
  const frame = await frameOf(Array.from({ length: 1200 }, (_, index) => `n${index}:1|c`));
  const first = tails.look(frame, TEST_NOW_MS);
  assert.equal(first.lines.filter(({ tail }) => tail === 1).length, 1000);
  assert.equal(first.lines.filter(({ tail }) => tail === 2).length, 1);
  assert.deepEqual(first.leftOut, [{ tail: 1, lines: 200 }]);
  assert.deepEqual(tails.look(frame, TEST_NOW_MS + 1).leftOut, [{ tail: 1, lines: 1200 }]);
  assert.deepEqual(tails.look(frame, TEST_NOW_MS + 1000).leftOut, [{ tail: 1, lines: 200 }]);
});

test("tails are turned off, and there is a bound on them", () => {
  const tails = new Tails();
  for (let tail = 0; tail < 64; tail++) assert.equal(tails.add(tail, "*"), true);
  assert.equal(tails.add(64, "*"), false);
  for (let tail = 0; tail < 64; tail++) tails.remove(tail);
  assert.equal(tails.isActive, false);
  assert.throws(() => tails.add(1, "/(/"), /pattern/);
});
