// How rows reach carbon: what is written, and what the sink makes of a remote that fails in every way.
import assert from "node:assert/strict";
import { once } from "node:events";
import { after, test } from "node:test";
import { seededRandom } from "../../shared/random.ts";
import { batchOf, numberedRows, type TestRow } from "../support/rows.ts";
import { assertAccounted, drained, intervals, openCarbon, startCarbon, stopSinks } from "../support/sinks.ts";

after(stopSinks);

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
