// What a carbon sink keeps on disk: rows that memory has no room for, and all that a crash may not cost.
import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import type { RowBatch } from "../../aggregator/row.ts";
import { BatchQueue } from "../../aggregator/sink/queue.ts";
import { BATCH_OVERHEAD_BYTES } from "../../aggregator/sink/queued-batch.ts";
import { Spill } from "../../aggregator/sink/spool/spill.ts";
import { Spool } from "../../aggregator/sink/spool/spool.ts";
import { systemClock } from "../../shared/clock.ts";
import { seededRandom } from "../../shared/random.ts";
import { batchOf, numberedRows } from "../support/rows.ts";
import { assertAccounted, drained, FakeLog, intervals, openCarbon, startCarbon } from "../support/sinks.ts";
import {
  ForwardClock,
  newFolder,
  openSpooling,
  segments,
  spooled,
  startDead,
  stopSpooling,
} from "../support/spooling.ts";
import { waitFor } from "../support/wait-for.ts";

after(stopSpooling);

const { batches: tenBatches, lines: tenLines } = intervals(10, 200);
const bytesEach = tenBatches[0]!.bytes.length + BATCH_OVERHEAD_BYTES;

test("what memory has no room for waits on disk, and arrives first", async () => {
  const fake = await startDead();
  const folder = newFolder();
  const { sink } = openSpooling(fake, folder, { queueBytesMax: bytesEach * 8 });
  let accepted = 0;
  for (const batch of tenBatches) {
    sink.accept(batch);
    accepted += batch.rowCount;
    assertAccounted(sink, accepted);
    await waitFor("room in memory", () => sink.status().queuedBytes <= bytesEach * 4);
    assertAccounted(sink, accepted);
  }
  assert.ok(spooled(sink) >= 1200, `${spooled(sink)} rows on disk`);
  assert.ok(segments(folder).length > 0);
  await fake.restart();
  assert.equal(await drained(sink), true);
  assert.deepEqual(fake.lines(), tenLines);
  const { rowsLost, spooledRows, spooledBytes, queuedRows, state } = sink.status();
  assert.deepEqual([spooledRows, spooledBytes, queuedRows, state], [0, 0, 0, "idle"]);
  assert.ok(Object.values(rowsLost).every((count) => count === 0));
  await waitFor("files to be gone", () => segments(folder).length === 0);
});

test("what is not delivered at shutdown is on disk, and the next process sends it first", async () => {
  const fake = await startDead();
  const folder = newFolder();
  const first = openSpooling(fake, folder);
  for (const batch of tenBatches.slice(0, 12)) first.sink.accept(batch);
  assert.equal(await first.sink.drain(systemClock.monotonicMs() + 50), true);
  assert.equal(spooled(first.sink), 1200);
  assertAccounted(first.sink, 1200);
  assert.equal(first.log.count("sink.rows_lost"), 0);

  const second = openSpooling(fake, folder);
  assert.equal(spooled(second.sink), 1200);
  for (const batch of tenBatches.slice(12)) second.sink.accept(batch);
  await fake.restart();
  assert.equal(await drained(second.sink), true);
  assert.deepEqual(fake.lines(), tenLines);
  // The rows of the first are this process's own: they were accepted once.
  assert.equal(second.sink.status().rowsRestored, 0);
  assertAccounted(second.sink, 2000);
});

test("carbon fails for some seconds: all that waits is written to disk, what is under way too", async () => {
  const fake = await startCarbon(Array.from({ length: 50 }, () => ({ kind: "silent" }) as const));
  const folder = newFolder();
  const clock = new ForwardClock();
  const { sink } = openSpooling(fake, folder, { ackTimeoutMs: 400 }, clock);
  for (const batch of tenBatches) sink.accept(batch);
  await fake.until(({ connectionCount }) => connectionCount === 1);
  assert.equal(spooled(sink), 0);
  clock.aheadMs += 4000;
  await waitFor("all rows on disk", () => spooled(sink) === 2000);
  assert.equal(sink.status().queuedRows, 0);
  assertAccounted(sink, 2000);
  // As they would be found after a kill: a copy of the folder is what another process sees.
  const later = tenBatches.map((batch) => ({ ...batch, interval: batch.interval + 100 }));
  for (const batch of later) sink.accept(batch);
  await waitFor("later rows on disk", () => spooled(sink) === 4000);
  fake.script.length = 0;
  assert.equal(await sink.drain(clock.monotonicMs() + 20_000), true);
  assert.deepEqual(fake.lines(), [...tenLines, ...tenLines]);
  assertAccounted(sink, 4000);
});

test("a full spool loses its oldest rows, exactly counted", async () => {
  const fake = await startDead();
  const folder = newFolder();
  const spoolBytesMax = 1 << 20;
  const clock = new ForwardClock();
  const { sink } = openSpooling(fake, folder, { spoolBytesMax }, clock);
  let accepted = 0;
  for (let interval = 0; interval < 60; interval++) {
    const rows = numberedRows(`interval${interval}.of.some.length`, 800);
    sink.accept(batchOf(rows, { interval }));
    accepted += 800;
    clock.aheadMs += 4000;
    await waitFor("rows on disk", () => sink.status().queuedRows === 0);
    assertAccounted(sink, accepted);
    assert.ok(sink.status().spooledBytes! <= spoolBytesMax);
  }
  const bytes = segments(folder).reduce((sum, path) => sum + statSync(path).size, 0);
  assert.ok(bytes <= spoolBytesMax && bytes > spoolBytesMax / 2, `${bytes} bytes on disk`);
  const lost = sink.status().rowsLost.spool_full;
  assert.ok(lost > 0 && lost % 800 === 0);
  await fake.restart();
  assert.equal(await sink.drain(clock.monotonicMs() + 20_000), true);
  // In order; but one that was on its way when it should have made room was left.
  const kept = [...new Set(fake.lines().map((line) => Number(/^interval(\d+)/.exec(line)?.[1])))];
  assert.deepEqual(
    kept.slice(-15),
    Array.from({ length: 15 }, (_, index) => 45 + index),
  );
  assert.deepEqual(
    kept,
    [...kept].sort((left, right) => left - right),
  );
  assert.equal(fake.lines().length, accepted - lost);
});

test("rows on disk grow too old, exactly counted", async () => {
  const fake = await startDead();
  const clock = new ForwardClock();
  const { sink } = openSpooling(fake, newFolder(), { queueAgeMs: 60_000 }, clock);
  for (const batch of tenBatches) sink.accept(batch);
  clock.aheadMs += 4000;
  await waitFor("all rows on disk", () => spooled(sink) === 2000);
  clock.aheadMs += 70_000;
  await waitFor("all rows lost", () => sink.status().rowsLost.too_old === 2000);
  assertAccounted(sink, 2000);
  assert.equal(spooled(sink), 0);
});

test("whatever carbon does, nothing vanishes, and all arrives in the end", async () => {
  const random = seededRandom(31);
  const pick = <Item>(items: readonly Item[]): Item => items[Math.floor(random.between(0, items.length))]!;
  for (let round = 0; round < 4; round++) {
    const fake = await startCarbon();
    const clock = new ForwardClock();
    const changes = {
      connections: pick([1, 3]),
      chunkBytes: 8192,
      queueBytesMax: 128 << 10,
      ackTimeoutMs: 15,
      spoolBytesMax: 64 << 20,
    };
    const { sink, log } = openSpooling(fake, newFolder(), changes, clock);
    let accepted = 0;
    const wanted: string[] = [];
    for (let interval = 0; interval < 40; interval++) {
      fake.script.push(pick([{ kind: "ack" }, { kind: "silent" }, { kind: "reset", afterBytes: 700 }]));
      const rows = numberedRows(`round${round}.interval${interval}`, 200);
      wanted.push(...rows.map(([name, value]) => `${name} ${value} 1700000000`));
      sink.accept(batchOf(rows, { interval }));
      accepted += 200;
      assertAccounted(sink, accepted);
      clock.aheadMs += pick([0, 0, 2000]);
      if (pick([true, false])) await new Promise(setImmediate);
      assertAccounted(sink, accepted);
      const isFull = () => sink.status().queuedBytes < 100 << 10;
      if (!isFull()) await waitFor("room", isFull);
    }
    assert.equal(await sink.drain(clock.monotonicMs() + 20_000), true, JSON.stringify(log.entries));
    assertAccounted(sink, accepted);
    assert.deepEqual([...new Set(fake.lines())].sort(), wanted.sort());
    assert.equal(sink.status().rowsSent, accepted);
    if (changes.connections === 1) assert.equal(fake.lines().length, accepted);
  }
});

test("an idle sink with a spool holds no connection and no file", async () => {
  const fake = await startCarbon();
  const folder = newFolder();
  const { sink, log } = openSpooling(fake, folder);
  const { batches, lines } = intervals(2, 50);
  for (const batch of batches) sink.accept(batch);
  assert.equal(await drained(sink), true);
  assert.deepEqual(fake.lines(), lines);
  assert.deepEqual(segments(folder), []);
  assert.deepEqual(log.entries, []);
});

const BOUNDS = { bytesMax: 1 << 20, ageMs: 600_000 };
const onDisk = (batch: RowBatch) => ({ batch, acceptedMs: Date.now() });

/** Opens a spool of 1 MiB in a folder, without a sink. lost: told of rows lost. */
function openSpool(folder: string, lost: (rows: number) => void = () => {}): Spool {
  const tell = (_reason: string, rows: number): void => lost(rows);
  const spool = new Spool(folder, BOUNDS, "carbon", new FakeLog(), systemClock, tell, () => {});
  assert.equal(spool.open(), undefined);
  return spool;
}

test("what is just being read is not pushed out as well", async () => {
  let lost = 0;
  const spool = openSpool(join(newFolder(), "carbon"), (rows) => {
    lost += rows;
  });
  const each = batchOf(numberedRows("some.name.of.some.length", 4000));
  const count = Math.floor(BOUNDS.bytesMax / (each.bytes.byteLength + 200));
  for (let interval = 0; interval < count; interval++)
    assert.equal(await spool.append([onDisk({ ...each, interval })], () => []), true);
  assert.equal(lost, 0);
  const loading = spool.load(1);
  await spool.append([onDisk({ ...each, interval: count })], () => []);
  for (const { batch, copy } of await loading) {
    lost += batch.rowCount;
    copy.drop();
  }
  assert.ok(lost >= 8000, `${lost} rows delivered or lost`);
  assert.equal(spool.rows + lost, (count + 1) * 4000);
  spool.close();
});

test("rows that are read while older ones leave the memory do not come before them", async () => {
  const folder = newFolder();
  const { context } = openCarbon([], { spoolDir: folder });
  const address = { host: "127.0.0.1", port: 9 };
  const queue = new BatchQueue({ bytesMax: 1 << 20, ageMs: 600_000 }, systemClock, assert.fail);
  const { carbon } = context.config;
  const spill = Spill.open("carbon", "carbon", address, carbon, context, queue, assert.fail);
  const batches = tenBatches.slice(0, 8);
  assert.equal(await spill.spool.append(batches.map(onDisk), () => []), true);
  assert.equal(await spill.load(batches[0]!.bytes.byteLength * 2), true);
  const loading = spill.load(batches[0]!.bytes.byteLength * 2);
  queue.unload();
  await loading;
  while (spill.spool.hasUnread) await spill.load(1);
  const order: RowBatch[] = [];
  for (let chunk = queue.take(1); chunk !== undefined; chunk = queue.take(1)) {
    order.push(...chunk.batches);
    queue.settle(chunk);
  }
  assert.deepEqual(
    order.map(({ interval, lastOfInterval }) => [interval, lastOfInterval]),
    batches.map(({ interval, lastOfInterval }) => [interval, lastOfInterval]),
  );
  spill.close();
});

test("closed while it appends: a successor gets the folder when nothing is written any more", async () => {
  const folder = join(newFolder(), "carbon");
  const [batch = assert.fail()] = tenBatches;
  const first = openSpool(folder);
  assert.equal(await first.append([onDisk(batch)], () => []), true);
  const appending = first.append([onDisk(batch)], () => []);
  // As at a close: what is being written is written once more, at once.
  assert.equal(first.appendNow([onDisk(batch)]), 1);
  first.close();
  const second = new Spool(folder, BOUNDS, "carbon", new FakeLog(), systemClock, assert.fail, () => {});
  assert.equal(second.open()?.isSelf, true);
  assert.equal(await appending, false);
  assert.equal(second.open(), undefined);
  assert.equal(second.rows, 200);
  assert.equal((await second.load(1 << 20)).length, 2);
  second.close();
});
