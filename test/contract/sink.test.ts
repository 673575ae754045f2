// What every sink owes to the flush, shown on the carbon sink and remotes that fail in every way they know.
import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { after, test } from "node:test";
import type { RowBatch } from "../../aggregator/row.ts";
import { BATCH_OVERHEAD_BYTES } from "../../aggregator/sink/queue.ts";
import {
  openSinks,
  type Sink,
  type SinkConfig,
  type SinkContext,
  type SinkStatus,
} from "../../aggregator/sink/sink.ts";
import { systemClock } from "../../shared/clock.ts";
import { seededRandom } from "../../shared/random.ts";
import { type Behaviour, FakeCarbon } from "../support/fake-carbon.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { batchOf, numberedRows, type TestRow } from "../support/rows.ts";

const DEADLINE_MS = 20_000;

const settings = {
  connectTimeoutMs: 5000,
  writeTimeoutMs: 5000,
  ackTimeoutMs: 5000,
  retryDelayMs: 4,
  retryDelayMultiplier: 2,
  retryDelayMaxMs: 20,
  queueBytesMax: 64 << 20,
  queueAgeMs: 600_000,
  chunkBytes: 1 << 20,
};

/** Collects log events and lets a test wait for one. */
class FakeLog extends EventEmitter {
  readonly entries: { event: string; fields: Record<string, unknown> }[] = [];
  error = (event: string, fields: Record<string, unknown>): void => this.#add(event, fields);
  warn = this.error;
  info = this.error;
  debug = this.error;

  count(event: string): number {
    return this.entries.filter((entry) => entry.event === event).length;
  }

  #add(event: string, fields: Record<string, unknown>): void {
    this.entries.push({ event, fields });
    this.emit(event);
  }
}

const fakes: FakeCarbon[] = [];
const sinks: Sink[] = [];
after(async () => {
  for (const sink of sinks) sink.close();
  for (const fake of fakes) await fake.stop();
});

async function startCarbon(script: readonly Behaviour[] = []): Promise<FakeCarbon> {
  const fake = await FakeCarbon.start(script);
  fakes.push(fake);
  return fake;
}

function openCarbon(
  ports: readonly number[],
  changes: Partial<SinkConfig["carbon"]> = {},
  context: Partial<SinkContext> = {},
): { sinks: Sink[]; log: FakeLog } {
  const address = ports.map((port) => ({ host: "127.0.0.1", port }));
  const log = new FakeLog();
  const config = { carbon: { ...settings, address, ...changes }, console: { rows: 0 } };
  const opened = openSinks(["carbon", "console"], {
    config,
    log,
    clock: systemClock,
    random: seededRandom(1),
    ...context,
  });
  sinks.push(...opened);
  return { sinks: opened, log };
}

function drained(sink: Sink): Promise<boolean> {
  return sink.drain(systemClock.monotonicMs() + DEADLINE_MS);
}

function lostRows({ rowsLost }: SinkStatus): number {
  return Object.values(rowsLost).reduce((sum, count) => sum + count, 0);
}

/** The identity of every sink: nothing vanishes. */
function assertAccounted(sink: Sink, acceptedRows: number): void {
  const status = sink.status();
  assert.equal(status.rowsSent + lostRows(status) + status.queuedRows, acceptedRows, JSON.stringify(status));
}

/** Intervals of numbered rows, each of several batches, and the lines that carbon should read of them. */
function intervals(count: number, rowsEach: number): { batches: RowBatch[]; lines: string[] } {
  const batches: RowBatch[] = [];
  const lines: string[] = [];
  for (let interval = 0; interval < count; interval++) {
    const rows = numberedRows(`interval${interval}.row`, rowsEach);
    const timestampSec = 1_700_000_000 + interval * 10;
    for (const [name, value] of rows) lines.push(`${name} ${value} ${timestampSec}`);
    const middle = Math.ceil(rowsEach / 2);
    batches.push(batchOf(rows.slice(0, middle), { interval, timestampSec, lastOfInterval: false }));
    batches.push(batchOf(rows.slice(middle), { interval, timestampSec }));
  }
  return { batches, lines };
}

test("rows arrive as lines, in order, one connection for a flush, and none stays open", async () => {
  const fake = await startCarbon();
  const { sinks, log } = openCarbon([fake.port]);
  const sink = sinks[0]!;
  assert.equal(sink.name, "carbon");
  assert.equal(sink.sinkClass, "overwrite");
  assert.equal(sink.status().state, "idle");
  const { batches, lines } = intervals(3, 1000);
  for (const batch of batches) sink.accept(batch);
  assertAccounted(sink, 3000);
  assert.equal(sink.status().queuedRows, 3000);
  assert.equal(await drained(sink), true);
  assert.deepEqual(fake.lines(), lines);
  assert.equal(fake.connectionCount, 3);
  const status = sink.status();
  assert.equal(status.state, "idle");
  assert.deepEqual(
    [status.rowsSent, status.rowsRetried, status.queuedRows, status.queuedBytes],
    [3000, 0, 0, 0],
  );
  assert.ok(status.lastSuccessMs !== undefined && status.lastError === undefined);
  assert.deepEqual(log.entries, []);
});

test("chunks keep to their size, but a batch is never split", async () => {
  const fake = await startCarbon();
  const { sinks } = openCarbon([fake.port], { chunkBytes: 2500 });
  for (let batch = 0; batch < 6; batch++) {
    // About 1.1 KB each: two of them make a chunk.
    sinks[0]!.accept(batchOf(numberedRows(`batch${batch}.some.name`, 35), { lastOfInterval: batch === 5 }));
  }
  assert.equal(await drained(sinks[0]!), true);
  assert.deepEqual(
    fake.acknowledged.map((bytes) => bytes.toString().split("\n").length - 1),
    [70, 70, 70],
  );
});

test("values are written as JavaScript prints them, and only finite ones", async () => {
  const fake = await startCarbon();
  const { sinks } = openCarbon([fake.port]);
  const values = [0.1, -0, 1e21, 1e-7, 5e-324, -1.7976931348623157e308, Number.NaN, Number.POSITIVE_INFINITY];
  sinks[0]!.accept(batchOf(values.map((value) => ["a", value])));
  assert.equal(await drained(sinks[0]!), true);
  const texts = ["0.1", "0", "1e+21", "1e-7", "5e-324", "-1.7976931348623157e+308"];
  assert.deepEqual(
    fake.lines(),
    texts.map((text) => `a ${text} 1700000000`),
  );
  assert.equal(sinks[0]!.status().rowsLost.not_finite, 2);
  assertAccounted(sinks[0]!, values.length);
});

test("names that would break carbon's input are counted and never sent", async () => {
  const blanks = [0x1c, 0x1f, 0x85, 0xa0, 0x1680, 0x2000, 0x200a, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000];
  const bad: (string | Buffer)[] = [
    "",
    ";tag=only",
    ...[..." \n\r\t\0\x7f\x01"].map((byte) => `a${byte}b`),
    ...blanks.map((code) => `a${String.fromCodePoint(code)}b`),
    Buffer.from([0x61, 0xff]),
    Buffer.from([0x61, 0xc3]),
    Buffer.from([0x61, 0xed, 0xa0, 0x80]),
    `${"d".repeat(256)}.leaf`,
    `dir.${"l".repeat(252)}`,
    `a;b=${"v".repeat(16_000)}`,
    `a;b=${"v".repeat(60_000)}`,
  ];
  const good = [
    "a",
    "größe.日本",
    "a\u200bb",
    `${"d".repeat(255)}.${"l".repeat(251)}`,
    `a;b=${"v".repeat(15_900)}`,
    "a;b=c.d;e=f",
    "a..b.",
  ];
  const fake = await startCarbon();
  const { sinks, log } = openCarbon([fake.port]);
  const rows: TestRow[] = [];
  for (const name of good) rows.push(...bad.map((broken): TestRow => [broken, 1]), [name, 2]);
  sinks[0]!.accept(batchOf(rows));
  assert.equal(await drained(sinks[0]!), true);
  assert.deepEqual(
    fake.lines(),
    good.map((name) => `${name} 2 1700000000`),
  );
  const status = sinks[0]!.status();
  assert.equal(status.rowsSent, good.length);
  assert.equal(status.rowsLost.invalid_name, bad.length * good.length);
  assertAccounted(sinks[0]!, rows.length);
  assert.equal(log.count("sink.name_refused"), 1);
});

test("a refusing port: rows wait, and arrive when it listens again", async () => {
  const fake = await startCarbon();
  await fake.stop();
  const { sinks, log } = openCarbon([fake.port]);
  const { batches, lines } = intervals(2, 100);
  const failed = once(log, "sink.failed");
  for (const batch of batches) sinks[0]!.accept(batch);
  await failed;
  assert.equal(sinks[0]!.status().state, "retrying");
  assert.equal(sinks[0]!.status().lastError, "ECONNREFUSED");
  assertAccounted(sinks[0]!, 200);
  await fake.restart();
  assert.equal(await drained(sinks[0]!), true);
  assert.deepEqual(fake.lines(), lines);
  // However many attempts there were, each change of state is told once.
  assert.equal(log.count("sink.failed"), 1);
  assert.equal(log.count("sink.recovered"), 1);
  const { rowsRetried, rowsSent, state } = sinks[0]!.status();
  assert.deepEqual([rowsSent, state], [200, "idle"]);
  assert.ok(rowsRetried > 0 && rowsRetried % 100 === 0, "whole chunks are repeated");
});

test("reset after any number of bytes: the same chunk once more, and nothing is missing", async () => {
  const { batches, lines } = intervals(2, 400);
  const bytes = lines.join("\n").length + 1;
  const chunkBytes = Math.floor(bytes / 2);
  const random = seededRandom(20);
  const cuts = [
    0,
    1,
    chunkBytes - 1,
    chunkBytes,
    ...Array.from({ length: 40 }, () => random.between(0, chunkBytes)),
  ];
  for (const cut of cuts.map(Math.floor)) {
    const fake = await startCarbon([
      { kind: "reset", afterBytes: cut },
      { kind: "reset", afterBytes: Math.floor(cut / 2) },
    ]);
    const { sinks, log } = openCarbon([fake.port]);
    for (const batch of batches) sinks[0]!.accept(batch);
    assert.equal(await drained(sinks[0]!), true, `cut at ${cut}`);
    assert.deepEqual(fake.lines(), lines, `cut at ${cut}`);
    const [first, second] = fake.received;
    const whole = Buffer.from(`${lines.join("\n")}\n`);
    for (const part of [first!, second!])
      assert.deepEqual(part, whole.subarray(0, part.length), "same bytes");
    assert.deepEqual(
      [sinks[0]!.status().rowsSent, sinks[0]!.status().rowsRetried, log.count("sink.failed")],
      [800, 800, 1],
    );
    await fake.stop();
  }
});

test("a remote that never closes has acknowledged nothing", async () => {
  const fake = await startCarbon([{ kind: "silent" }]);
  const { sinks, log } = openCarbon([fake.port], { ackTimeoutMs: 40 });
  const { batches, lines } = intervals(1, 100);
  for (const batch of batches) sinks[0]!.accept(batch);
  await once(log, "sink.failed");
  assert.equal(sinks[0]!.status().rowsSent, 0);
  assert.equal(sinks[0]!.status().lastError, "acknowledgement timeout");
  assert.equal(await drained(sinks[0]!), true);
  assert.deepEqual(fake.lines(), lines);
  assert.equal(fake.received[0]?.toString(), `${lines.join("\n")}\n`);
});

test("a remote that closes before the end has acknowledged nothing", async () => {
  const { batches, lines } = intervals(1, 20_000);
  // At once, as a proxy without a live backend does, and within the chunk.
  for (const afterBytes of [0, 1, 300_000]) {
    const fake = await startCarbon([{ kind: "close", afterBytes }]);
    const { sinks } = openCarbon([fake.port]);
    for (const batch of batches) sinks[0]!.accept(batch);
    assert.equal(await drained(sinks[0]!), true);
    assert.deepEqual(fake.lines(), lines, `closed after ${afterBytes}`);
    assert.ok(sinks[0]!.status().rowsRetried > 0);
    await fake.stop();
  }
  const fake = await startCarbon([{ kind: "close", afterBytes: 0 }]);
  const { sinks } = openCarbon([fake.port]);
  sinks[0]!.accept(batchOf([["short", 1]]));
  assert.equal(await drained(sinks[0]!), true);
  assert.deepEqual(fake.lines(), ["short 1 1700000000"]);
  assert.equal(sinks[0]!.status().lastError, "closed by remote");
});

test("a remote that reads no more: backpressure is heeded and memory stays bounded", async () => {
  const rows = 400_000;
  const fake = await startCarbon([{ kind: "stuck", afterBytes: 1000 }]);
  const { sinks, log } = openCarbon([fake.port], { writeTimeoutMs: 300, chunkBytes: 32 << 20 });
  const batch = batchOf(numberedRows("a.name.of.some.length.to.fill.what.the.system.buffers", rows));
  assert.ok(batch.bytes.length > 24 << 20);
  const failed = once(log, "sink.failed");
  const before = process.memoryUsage().arrayBuffers;
  sinks[0]!.accept(batch);
  await failed;
  // Had the sink not waited for the system, all would be written and the acknowledgement be missing.
  assert.equal(sinks[0]!.status().lastError, "write timeout");
  const grown = process.memoryUsage().arrayBuffers - before;
  assert.ok(grown < 8 << 20, `${grown} bytes of buffers`);
  assert.equal(await drained(sinks[0]!), true);
  assert.equal(fake.lines().length, rows);
  assert.equal(sinks[0]!.status().rowsSent, rows);
});

test("encoding never holds the event loop for long", async () => {
  const fake = await startCarbon();
  const { sinks } = openCarbon([fake.port], { chunkBytes: 32 << 20 });
  sinks[0]!.accept(batchOf(numberedRows("a.name.of.some.length", 200_000)));
  let turns = 0;
  let isOver = false;
  const turn = () => {
    turns++;
    if (!isOver) setImmediate(turn);
  };
  setImmediate(turn);
  assert.equal(await drained(sinks[0]!), true);
  isOver = true;
  // About 7 MB of lines in slices of 64 KiB, with at least one turn for others after each.
  assert.ok(turns > 100, `${turns} turns`);
});

test("two addresses, one dead: the other is not delayed", async () => {
  const dead = await startCarbon();
  await dead.stop();
  const alive = await startCarbon();
  const { sinks } = openCarbon([dead.port, alive.port]);
  const [deadSink, aliveSink] = sinks;
  assert.deepEqual(
    sinks.map((sink) => sink.name),
    [dead, alive].map((one) => `carbon[127.0.0.1:${one.port}]`),
  );
  const { batches, lines } = intervals(3, 50);
  for (const batch of batches) for (const sink of sinks) sink.accept(batch);
  assert.equal(await drained(aliveSink!), true);
  assert.deepEqual(alive.lines(), lines);
  assert.equal(deadSink!.status().queuedRows, 150);
  assertAccounted(deadSink!, 150);
  assertAccounted(aliveSink!, 150);
});

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

test("draining nothing is done at once; empty batches are nothing", async () => {
  const { sinks } = openCarbon([1]);
  sinks[0]!.accept(batchOf([]));
  assert.equal(sinks[0]!.status().state, "idle");
  assert.equal(await drained(sinks[0]!), true);
});

test("a name that does not resolve is one more failure, not an exception", async () => {
  const address = [{ host: "name.invalid", port: 2003 }];
  const { sinks, log } = openCarbon([], { address, connectTimeoutMs: 200 });
  sinks[0]!.accept(batchOf(numberedRows("a", 3)));
  await once(log, "sink.failed");
  assert.match(sinks[0]!.status().lastError ?? "", /^(ENOTFOUND|EAI_AGAIN|connect timeout)$/);
  sinks[0]!.close();
  assertAccounted(sinks[0]!, 3);
});

test("no address, no sink", () => {
  assert.deepEqual(openCarbon([]).sinks, []);
});
