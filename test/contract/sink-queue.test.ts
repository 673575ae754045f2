// What a sink does with rows that wait: bounds by bytes and by age, the drain, and an account of every loss.
import assert from "node:assert/strict";
import { once } from "node:events";
import { after, test } from "node:test";
import { BatchQueue } from "../../aggregator/sink/queue.ts";
import { BATCH_OVERHEAD_BYTES } from "../../aggregator/sink/queued-batch.ts";
import { systemClock } from "../../shared/clock.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { batchOf, numberedRows } from "../support/rows.ts";
import { assertAccounted, drained, intervals, openCarbon, startCarbon, stopSinks } from "../support/sinks.ts";

after(stopSinks);

test("a full queue loses its oldest batches, exactly counted", async () => {
  const fake = await startCarbon();
  await fake.stop();
  const batches = Array.from({ length: 10 }, (_, interval) =>
    batchOf(numberedRows(`interval${interval}`, 100), { interval }),
  );
  const bytesEach = batches[0]!.bytes.length + BATCH_OVERHEAD_BYTES;
  const { sinks, log } = openCarbon([fake.port], { queueBytesMax: bytesEach * 4 });
  const sink = sinks[0]!;
  batches.forEach((batch, index) => {
    sink.accept(batch);
    assertAccounted(sink, (index + 1) * 100);
    assert.ok(sink.status().queuedBytes <= bytesEach * 4);
  });
  assert.equal(sink.status().rowsLost.queue_full, 600);
  sink.accept(batchOf(numberedRows("too.large.for.the.whole.queue", 2000), { interval: 10 }));
  assert.equal(sink.status().rowsLost.too_large, 2000);
  assertAccounted(sink, 3000);
  assert.equal(log.count("sink.rows_lost"), 1);
  await fake.restart();
  assert.equal(await drained(sink), true);
  const expected = [6, 7, 8, 9].flatMap((interval) => numberedRows(`interval${interval}`, 100));
  assert.deepEqual(
    fake.lines(),
    expected.map(([name, value]) => `${name} ${value} 1700000000`),
  );
  assertAccounted(sink, 3000);
});

test("what is on its way is not pushed out", async () => {
  const fake = await startCarbon([{ kind: "silent" }]);
  const batch = (interval: number) => batchOf(numberedRows(`interval${interval}`, 100), { interval });
  const bytesEach = batch(0).bytes.length + BATCH_OVERHEAD_BYTES;
  const { sinks } = openCarbon([fake.port], { queueBytesMax: bytesEach * 2, ackTimeoutMs: 200 });
  const sink = sinks[0]!;
  sink.accept(batch(0));
  await fake.until(({ connectionCount }) => connectionCount === 1);
  for (let interval = 1; interval < 5; interval++) sink.accept(batch(interval));
  assert.equal(sink.status().rowsLost.queue_full, 300);
  assertAccounted(sink, 500);
  assert.equal(await drained(sink), true);
  assert.deepEqual(
    fake.lines().map((line) => line.split(".")[0]),
    [...Array.from({ length: 100 }, () => "interval0"), ...Array.from({ length: 100 }, () => "interval4")],
  );
});

test("rows older than allowed are lost, exactly counted", () => {
  const clock = new ManualClock();
  // The start of an attempt is a timer, so with this clock nothing is ever sent.
  const { sinks } = openCarbon(
    [1],
    { queueAgeMs: 1000 },
    { clock: { ...manual(clock), setTimer: () => ({ cancel() {} }) } },
  );
  const sink = sinks[0]!;
  for (let interval = 0; interval < 5; interval++) {
    sink.accept(batchOf(numberedRows("a", 10), { interval }));
    clock.advance(400);
  }
  assert.equal(sink.status().oldestMs, 1200);
  assert.equal(sink.status().rowsLost.too_old, 20);
  assertAccounted(sink, 50);
  clock.advance(5000);
  sink.accept(batchOf(numberedRows("a", 1), { interval: 5 }));
  assert.equal(sink.status().rowsLost.too_old, 50);
  assert.equal(sink.status().queuedRows, 1);
  assertAccounted(sink, 51);
});

function manual(clock: ManualClock): { nowMs: () => number; monotonicMs: () => number } {
  return { nowMs: () => clock.nowMs(), monotonicMs: () => clock.monotonicMs() };
}

test("the deadline of a drain counts the rest as lost and says so", async () => {
  const fake = await startCarbon([{ kind: "silent" }, { kind: "silent" }]);
  const { sinks, log } = openCarbon([fake.port]);
  const sink = sinks[0]!;
  for (const batch of intervals(2, 10).batches) sink.accept(batch);
  assert.equal(await sink.drain(systemClock.monotonicMs() + 60), false);
  assert.equal(sink.status().rowsLost.shutdown, 20);
  sink.accept(batchOf(numberedRows("late", 5)));
  assert.equal(sink.status().rowsLost.shutdown, 25);
  assertAccounted(sink, 25);
  assert.equal(log.count("sink.rows_lost"), 1);
});

test("a drain does not sit out a long backoff", async () => {
  const fake = await startCarbon();
  await fake.stop();
  const { sinks, log } = openCarbon([fake.port], { retryDelayMs: 600_000, retryDelayMaxMs: 600_000 });
  for (const batch of intervals(1, 10).batches) sinks[0]!.accept(batch);
  await once(log, "sink.failed");
  await fake.restart();
  assert.equal(await drained(sinks[0]!), true);
  assert.equal(fake.lines().length, 10);
});

test("two flushes of one timestamp: the later one does not overtake the first", () => {
  const queue = new BatchQueue({ bytesMax: 1 << 20, ageMs: 600_000 }, systemClock, assert.fail);
  const rows = numberedRows("a", 10);
  queue.push(batchOf(rows, { lastOfInterval: false }));
  queue.push(batchOf(rows));
  // As of a process that began anew within the interval.
  queue.push(batchOf(rows));
  queue.push(batchOf(rows, { interval: 2, timestampSec: 1_700_000_010 }));
  const [one, two] = [queue.take(1), queue.take(1)];
  assert.ok(one !== undefined && two !== undefined, "batches of one flush go side by side");
  assert.equal(queue.take(1), undefined);
  queue.settle(one);
  assert.equal(queue.take(1), undefined);
  queue.giveBack(two);
  const again = queue.take(1);
  assert.deepEqual([again?.isRepeat, again?.batches], [true, two.batches]);
  assert.equal(queue.take(1), undefined);
  queue.settle(again!);
  assert.ok(queue.take(1) !== undefined);
  assert.ok(queue.take(1) !== undefined, "another timestamp");
});
