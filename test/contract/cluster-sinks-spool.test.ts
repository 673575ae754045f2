// The disk spool of a cluster's node: what is told of its rows, and rows there that another leader writes.
import assert from "node:assert/strict";
import { closeSync, cpSync, openSync, readdirSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { afterEach, test } from "node:test";
import { RECORD_HEAD_BYTES } from "../../aggregator/sink/spool/record.ts";
import { SEGMENT_HEAD_BYTES } from "../../aggregator/sink/spool/segment-head.ts";
import { intervalsOf, newFolder, OrderedSinks, stopOrdered } from "../support/ordered-sinks.ts";
import { batchOf, numberedRows } from "../support/rows.ts";
import { startCarbon } from "../support/sinks.ts";
import { ForwardClock, segments } from "../support/spooling.ts";
import { waitFor } from "../support/wait-for.ts";

afterEach(stopOrdered);

/** Sinks with a spool in a folder, whose memory is half full with some batches. */
function open(port: number, spoolDir: string, clock = new ForwardClock()): OrderedSinks {
  const changes = OrderedSinks.carbon([port], { spoolDir, queueBytesMax: 4000, connections: 1 });
  return new OrderedSinks(["carbon"], changes, {}, clock);
}

/** Closes the fence and has the rows of some intervals on disk. */
async function spill(sinks: OrderedSinks, intervals: readonly number[]): Promise<void> {
  const before = sinks.status().spooledRows ?? 0;
  for (const interval of intervals) {
    sinks.give(interval, {}, 4);
    await waitFor("the disk", () => sinks.status().queuedRows <= 30);
  }
  const after = sinks.status();
  assert.ok((after.spooledRows ?? 0) > before);
}

test("rows on disk are told of when they are delivered from there", async () => {
  const carbon = await startCarbon();
  const sinks = open(carbon.port, newFolder());
  sinks.fence.from = 0;
  await spill(sinks, [1, 2, 3, 4]);
  assert.deepEqual(sinks.told, []);
  sinks.fence.from = 5;
  sinks.set.resume();
  await waitFor("all of it", () => sinks.told.length === 4);
  assert.deepEqual(
    sinks.told,
    [1, 2, 3, 4].map((interval) => `${interval}.0 carbon true`),
  );
  assert.deepEqual(intervalsOf(carbon.lines()), [1, 2, 3, 4]);
  assert.equal(sinks.known(), 160);
});

test("rows that are pushed out of the spool, or grow too old there, are an order given up", async () => {
  const carbon = await startCarbon();
  const clock = new ForwardClock();
  const changes = OrderedSinks.carbon([carbon.port], {
    spoolDir: newFolder(),
    queueBytesMax: 4000,
    spoolBytesMax: 8000,
    queueAgeMs: 60_000,
  });
  const sinks = new OrderedSinks(["carbon"], changes, {}, clock);
  sinks.fence.from = 0;
  await spill(sinks, [1, 2, 3, 4, 5, 6, 7, 8]);
  assert.ok(sinks.status().rowsLost.spool_full > 0);
  assert.ok(sinks.told.includes("1.0 carbon false"));
  clock.aheadMs += 120_000;
  sinks.give(9);
  await waitFor("all that is too old", () => sinks.told.length === 8);
  assert.deepEqual(
    [...sinks.told].sort(),
    [1, 2, 3, 4, 5, 6, 7, 8].map((interval) => `${interval}.0 carbon false`),
  );
  assert.equal(sinks.known(), 330);
});

test("rows on disk that cannot be read any more are an order given up", async () => {
  const carbon = await startCarbon();
  const spoolDir = newFolder();
  const sinks = open(carbon.port, spoolDir);
  sinks.fence.from = 0;
  await spill(sinks, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
  const [path = ""] = segments(spoolDir);
  // All records are of the same size; the last ones are not in memory yet.
  const count = (sinks.status().spooledRows ?? 0) / 10;
  const recordBytes = (statSync(path).size - SEGMENT_HEAD_BYTES) / count;
  const offsetOf = (record: number) => SEGMENT_HEAD_BYTES + record * recordBytes;
  const file = openSync(path, "r+");
  writeSync(file, "damage", offsetOf(count - 9) + RECORD_HEAD_BYTES + 5);
  writeSync(file, "damage", offsetOf(count - 5) + 5);
  closeSync(file);
  sinks.fence.from = 99;
  sinks.set.resume();
  await waitFor("all of it", () => sinks.told.length === 9);
  assert.equal(sinks.status().rowsLost.spool_damaged, 60);
  const lost = sinks.told.filter((told) => told.endsWith("false"));
  const intervalAt = (record: number) => 1 + Math.floor(record / 4);
  const expected = new Set([count - 9, count - 5, count - 1].map(intervalAt));
  assert.deepEqual(
    lost.sort(),
    [...expected].map((interval) => `${interval}.0 carbon false`),
  );
  assert.equal(sinks.known(), 360);
});

test("rows on disk that another leader writes are dropped, for good", async () => {
  const carbon = await startCarbon();
  const spoolDir = newFolder();
  const sinks = open(carbon.port, spoolDir);
  sinks.fence.from = 0;
  await spill(sinks, [1, 2, 3, 4, 5]);
  assert.equal(sinks.set.yieldFrom(3), 120);
  assert.equal(sinks.known(), 200);
  const { queuedRows, spooledRows = 0 } = sinks.status();
  assert.equal(queuedRows + spooledRows, 80);
  // As after a crash: another process finds the files as they are.
  const copy = newFolder();
  cpSync(spoolDir, copy, { recursive: true });
  for (const name of readdirSync(copy)) cpSync("/dev/null", join(copy, name, "lock"), { force: true });
  const next = open(carbon.port, copy);
  next.fence.from = 9;
  next.set.resume();
  await waitFor("what is left on disk", () => next.status().spooledRows === 0);
  assert.deepEqual(
    intervalsOf(carbon.lines()).filter((interval) => interval > 2),
    [],
  );
  sinks.fence.from = 3;
  sinks.set.resume();
  await waitFor("the others", () => sinks.told.length === 2);
  assert.deepEqual(sinks.told, ["1.0 carbon true", "2.0 carbon true"]);
});

test("rows of an earlier process wait for the fence; those of orders may be somebody else's", async () => {
  const carbon = await startCarbon();
  const spoolDir = newFolder();
  const first = open(carbon.port, spoolDir);
  first.fence.from = 0;
  for (const interval of [1, 2]) first.give(interval, {}, 2);
  // A process without a cluster has left these.
  const plain = batchOf(numberedRows("interval3.plain", 5), { interval: 3 });
  first.set.accept(plain);
  first.set.close();
  const second = open(carbon.port, spoolDir);
  second.fence.from = 2;
  second.set.resume();
  await waitFor("those below the floor", () => second.status().rowsSent === 20);
  assert.equal(second.set.yieldFrom(2), 20);
  assert.deepEqual(intervalsOf(carbon.lines()), [1]);
  assert.equal(second.status().spooledRows, 5);
  second.fence.from = 9;
  second.set.resume();
  await waitFor("the rest", () => second.status().rowsSent === 25);
  assert.deepEqual(intervalsOf(carbon.lines()), [1, 3]);
  assert.deepEqual(second.told, []);
});
