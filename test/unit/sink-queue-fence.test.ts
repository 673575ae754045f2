// A queue behind a fence: what may leave, what waits, and that nothing comes before what it shall replace.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { RowBatch } from "../../aggregator/row.ts";
import { BatchQueue } from "../../aggregator/sink/queue.ts";
import { systemClock } from "../../shared/clock.ts";
import { batchOf, numberedRows } from "../support/rows.ts";

const CHUNK_BYTES = 1 << 20;

function newQueue(batches: readonly Partial<RowBatch>[]): BatchQueue {
  const queue = new BatchQueue({ bytesMax: 1 << 20, ageMs: 600_000 }, systemClock, assert.fail);
  for (const fields of batches) queue.push(batchOf(numberedRows("a", 2), fields));
  return queue;
}

const only = (...intervals: number[]) => ({ mayWrite: (interval: number) => intervals.includes(interval) });

test("intervals that may leave pass by those that may not, and come back to their place", () => {
  const queue = newQueue([1, 2, 3].map((interval) => ({ interval, timestampSec: interval })));
  assert.equal(queue.isHeldBack(only(1, 2, 3)), false);
  assert.equal(queue.isHeldBack(only(2)), true);
  const chunk = queue.take(CHUNK_BYTES, false, only(2));
  assert.equal(chunk?.batches[0]?.interval, 2);
  assert.equal(queue.take(CHUNK_BYTES, false, only(2)), undefined);
  queue.giveBack(chunk);
  assert.equal(queue.take(CHUNK_BYTES)?.batches[0]?.interval, 1);
  assert.equal(queue.take(CHUNK_BYTES)?.isRepeat, true);
});

test("one of the same timestamp is not passed by", () => {
  // The same moment as the end of intervals of different lengths.
  const queue = newQueue([{ interval: 20 }, { interval: 10 }]);
  assert.equal(queue.take(CHUNK_BYTES, false, only(10)), undefined);
  const first = queue.take(CHUNK_BYTES, false, only(10, 20));
  assert.equal(first?.batches[0]?.interval, 20);
  assert.equal(queue.take(CHUNK_BYTES, false, only(10)), undefined);
  queue.settle(first);
  assert.equal(queue.take(CHUNK_BYTES, false, only(10))?.batches[0]?.interval, 10);
});

test("rows that no leader ordered are not handed over", () => {
  const queue = newQueue([
    { interval: 1, isOrdered: true },
    { interval: 2 },
    { interval: 2, isOrdered: true },
  ]);
  assert.equal(
    queue.handOver((interval) => interval >= 2),
    2,
  );
  assert.equal(queue.rowCount, 4);
});
