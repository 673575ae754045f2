/** What lines may do to an intake and an interval at the edges of memory and of numbers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Interval, type IntervalOptions } from "../../aggregator/interval.ts";
import { DEFAULT_READING } from "../../aggregator/reading.ts";
import { HEADER_FLAGS } from "../../shared/kernel/layout.ts";
import { METRIC_TYPES } from "../../shared/metric.ts";
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
  const [gauges] = interval.seenSeries([METRIC_TYPES.indexOf("gauge")]);
  assert.equal(gauges!.length, 12 + "level".length);
  assert.equal(interval.has(Buffer.from("level"), METRIC_TYPES.indexOf("gauge")), true);
});

test("names with commas are bounded like all others, however long their line is", async () => {
  const reading = { ...DEFAULT_READING, influxTags: true };
  const text = (name: string, tagBytes: number, more = "") =>
    `${name},${"k=v,".repeat(tagBytes / 4 - 1)}z=1:1|c${more}`;
  for (const debug of [false, true]) {
    const intake = await newIntake({ debug, reading, nameBytesMax: 20, tagsBytesMax: 100 });
    const lines = [
      text("a", 60_000),
      text("b", 60_000, "|#x:1"),
      text("c", 100),
      text("d", 104),
      text("e".repeat(20), 80, `|#${"y".repeat(20)}`),
      text("f".repeat(21), 80),
      text("g", 80, `|#${"y".repeat(22)}`),
    ];
    const { series, reasons } = outcome(
      intake,
      lines.map((line) => Buffer.from(line)),
    );
    assert.deepEqual(series.map(({ key }) => key.split(";")[0]).sort(), ["c", "e".repeat(20)]);
    assert.deepEqual(reasons.sort(), ["name_too_long", ...Array(4).fill("tags_too_long")]);
  }
});

test("segments with tags of their own find room behind many others with long tags", async () => {
  const intake = await newIntake({ debug: true });
  const tags = (letter: string) => `|#${letter.repeat(8900)}`;
  const names = Array.from({ length: 63 }, (_, index) => `n${index}`);
  const datagrams = names.map((name) =>
    Buffer.from(`${name}:1|c${tags("x")}|@1:2|c${tags("y")}|@1:3|c${tags("z")}`),
  );
  const { series, reasons } = outcome(intake, datagrams);
  assert.deepEqual(reasons, []);
  assert.equal(series.length, 3 * names.length);
});

test("a counter takes at most 120 bytes beside its name", async () => {
  const count = 100_000;
  const intake = await newIntake({ seriesMax: count });
  const names = Array.from({ length: count }, (_, index) => `app.web.requests.number.${100_000 + index}`);
  const datagrams: Buffer[] = [];
  for (let first = 0; first < count; first += 1000) {
    datagrams.push(
      Buffer.from(
        names
          .slice(first, first + 1000)
          .join(":1|c\n")
          .concat(":1|c"),
      ),
    );
  }
  intake.send(datagrams);
  const options = { ...intervalOptions, seriesMax: count, memoryBytesMax: 64 << 20 };
  const interval = await Interval.create(options);
  interval.open(1);
  assert.equal(interval.merge(intake.cut()!).kind, "merged");
  assert.equal(interval.seriesCount, count);
  // The index has two places of 8 bytes for each series, and up to four just after it has grown.
  const indexBytes = 32;
  const bytes = interval.tableBytes / count - names[0]!.length + indexBytes;
  assert.ok(bytes <= 120, `${bytes} bytes`);
});
