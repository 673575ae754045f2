/** What lines may do to an intake and an interval at the edges of memory and of numbers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Interval, type IntervalOptions } from "../../aggregator/interval.ts";
import { HEADER_FLAGS } from "../../shared/kernel/layout.ts";
import { decodeFrame, newIntake, outcome } from "../support/snapshots.ts";

const MSG_TRUNC = 0x20;
const intervalOptions: IntervalOptions = {
  intervalMs: 10_000,
  seriesMax: 1000,
  memoryBytesMax: 1 << 20,
  aggregates: { counter: [{ kind: "value", name: "value", label: "" }], gauge: [], timer: [], set: [] },
  updateCountThreshold: 0,
};

test("any number of bad lines with tags to sort leave the kernel's memory alone", async () => {
  const intake = await newIntake({ debug: true });
  const line = `a;z=${"y".repeat(200)};b=1:x|c\n`;
  const lines = Math.floor(65_000 / line.length);
  const datagrams = Array.from({ length: 64 }, () => Buffer.from(line.repeat(lines)));
  const { series, reasons } = outcome(intake, [...datagrams, Buffer.from("after:1|c")]);
  assert.deepEqual(
    series.map(({ key }) => key),
    ["after"],
  );
  assert.equal(reasons.length, 64 * lines);
});

test("a sum that would overflow costs its line, not the snapshot", async () => {
  const cases = ["g:1|g|@1e-308\ng:1|g|@1e-308", "g:1.7e308|g\ng:-1.7e308|g\ng:-1.7e308|g"];
  for (const text of cases) {
    const intake = await newIntake();
    const interval = await Interval.create(intervalOptions);
    const { reasons } = outcome(intake, [Buffer.from(`${text}\nother:1|c`)]);
    assert.deepEqual(reasons, ["not_finite"], text);
    assert.equal(interval.merge(intake.frames[0]!).kind, "merged", text);
  }
});

test("a datagram that was cut off loses its last line", async () => {
  const intake = await newIntake();
  const { batch } = intake.snapshotter;
  Buffer.from(batch.memory.buffer).writeUInt32LE(MSG_TRUNC, batch.headers + HEADER_FLAGS);
  const { series, reasons } = outcome(intake, [Buffer.from("a:1|c\nb:2|c\nc:3|c")]);
  assert.deepEqual(
    series.map(({ key }) => key),
    ["a", "b"],
  );
  assert.deepEqual(reasons, ["cut_off"]);
  assert.equal(intake.snapshotter.counts.received, 3);
});

test("many tags in any order make one series", async () => {
  const intake = await newIntake();
  const tags = Array.from({ length: 256 }, (_, index) => `tag${String(index).padStart(3, "0")}=v`);
  const orders = [tags, tags.toReversed(), [...tags.slice(100), ...tags.slice(0, 100)]];
  const { series } = outcome(
    intake,
    orders.map((order) => Buffer.from(`a;${order.join(";")}:1|c`)),
  );
  assert.deepEqual(
    series.map(({ key, updates }) => [key, updates]),
    [[`a;${tags.join(";")}`, 3]],
  );
});

test("a timer with and without rates by turns wastes no memory", async () => {
  const intake = await newIntake({ heapBytesMax: 1 << 20 });
  const pair = "t:1|ms\nt:2|ms|@0.5\n";
  intake.send(Array.from({ length: 100 }, () => Buffer.from(pair.repeat(100))));
  intake.cut();
  assert.equal(intake.frames.length, 1);
  const [timer] = decodeFrame(intake.frames[0]!);
  assert.equal(timer!.samples.length, 20_000);
  assert.equal(timer!.samples.filter(({ value, weight }) => value === weight).length, 20_000);
});

test("a table that may be large is cut when its memory is full", async () => {
  const intake = await newIntake({ seriesMax: 4_000_000 });
  const tags = "t".repeat(8000);
  const names = Array.from({ length: 9000 }, (_, index) => `n${index};${tags}:1|c`);
  for (let first = 0; first < names.length; first += 8) {
    intake.send([Buffer.from(names.slice(first, first + 8).join("\n"))]);
  }
  intake.cut();
  assert.ok(intake.frames.length > 1);
  const entries = intake.frames.reduce((sum, frame) => sum + decodeFrame(frame).length, 0);
  assert.equal(entries, names.length);
});

test("series are found beyond the first 2 GiB of memory", async () => {
  const intake = await newIntake();
  const { key } = outcome(intake, [Buffer.from("far:7|c\nlevel:3|g")]).series[0]!;
  const interval = await Interval.create({ ...intervalOptions, inputBytesMax: 2200 * 2 ** 20 });
  assert.equal(interval.merge(intake.frames[0]!).kind, "merged");
  const rows = Array.from(interval.series(), ({ source, start, end, values }) => [
    source.toString("latin1", start, end),
    values[0],
  ]);
  assert.deepEqual(rows[0], [key, 7]);
  assert.equal(rows.length, 2);
  assert.ok(interval.tableBytes > 0);
  const [bases] = interval.gaugeBases(1);
  assert.equal(bases!.entries, 1);
});
