// The file sink on a real disk: whole lines, rotation, files that others move, and an exact account of
// failures.
import assert from "node:assert/strict";
import { existsSync, readFileSync, renameSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import type { DogItem } from "../../aggregator/event/event.ts";
import { createFileSinks, FileSink } from "../../aggregator/sink/file.ts";
import type { SinkConfig } from "../../aggregator/sink/sink.ts";
import { systemClock } from "../../shared/clock.ts";
import { parseConfig } from "../../shared/config.ts";
import { seededRandom } from "../../shared/random.ts";
import { batchOf, numberedRows } from "../support/rows.ts";
import { assertAccounted, drained, FakeLog, intervals } from "../support/sinks.ts";
import { mountSmallDisk, unmountSmallDisk } from "../support/small-disk.ts";
import { waitFor } from "../support/wait-for.ts";

const defaults = parseConfig("", "the defaults");
const sinks: FileSink[] = [];
let folder = "";
let path = "";
let log = new FakeLog();

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "file-sink-"));
  path = join(folder, "rows");
  log = new FakeLog();
});

afterEach(async () => {
  for (const sink of sinks.splice(0)) sink.close();
  await rm(folder, { recursive: true });
});

function configOf(changes: Partial<SinkConfig["file"]> = {}): SinkConfig {
  return { ...defaults, file: { ...defaults.file, path, ...changes } };
}

function openFile(changes: Partial<SinkConfig["file"]> = {}): FileSink {
  const config = configOf(changes);
  const sink = new FileSink({ config, log, clock: systemClock, random: seededRandom(1) });
  sinks.push(sink);
  return sink;
}

function linesOf(file: string): string[] {
  const text = readFileSync(file, "utf8");
  assert.ok(text === "" || text.endsWith("\n"), `${file} ends within a line`);
  return text.split("\n").slice(0, -1);
}

/** Lines as the TSV format has them. */
function tsv(lines: readonly string[]): string[] {
  return lines.map((line) => line.replaceAll(" ", "\t"));
}

/** Lets the sink write what it has; it goes on afterwards. */
async function written(sink: FileSink): Promise<void> {
  assert.equal(await drained(sink), true);
}

const check: DogItem = {
  kind: "check",
  name: "a\tb",
  status: 2,
  message: "x\ny",
  timestampSec: 5,
  host: "h",
  tags: ["k:v"],
};

test("tsv: every row is a line, in order", async () => {
  const sink = openFile();
  const { batches, lines } = intervals(3, 5000);
  for (const batch of batches) sink.accept(batch);
  await written(sink);
  assert.deepEqual(linesOf(path), tsv(lines));
  assertAccounted(sink, 15_000);
  assert.equal(sink.status().rowsSent, 15_000);
});

test("json: rows with what is to be known of them, and events in between", async () => {
  const sink = openFile({ format: "json" });
  sink.accept(batchOf([['q"\\é\u0001', -0.5]], { interval: 7, revision: 2, partial: true }));
  assert.equal(sink.acceptEvent(check), true);
  sink.accept(batchOf([["plain", 1e21]]));
  await written(sink);
  const timestamp = 1_700_000_000;
  assert.deepEqual(
    linesOf(path).map((line) => JSON.parse(line)),
    [
      { name: 'q"\\é\u0001', value: -0.5, timestamp, interval: 7, revision: 2, partial: true },
      { kind: "check", name: "a\tb", status: 2, message: "x\ny", host: "h", tags: ["k:v"], timestamp: 5 },
      { name: "plain", value: 1e21, timestamp, interval: 1 },
    ],
  );
  const { eventsAccepted, eventsSent, eventsLost } = sink.status();
  assert.deepEqual(
    { eventsAccepted, eventsSent, eventsLost },
    { eventsAccepted: 1, eventsSent: 1, eventsLost: 0 },
  );
});

test("tsv carries no events", () => {
  const sink = openFile();
  assert.equal(sink.acceptEvent(check), false);
  assert.equal(sink.status().eventsAccepted, 0);
});

test("rows that would break a line are refused and counted", async () => {
  const odd = ["a\tb", "a\nb", "a\rb", "", "a\x7f", Buffer.from([0x61, 0xff])];
  const sink = openFile();
  sink.accept(
    batchOf([...odd.map((name) => [name, 1] as const), ["größe und raum", 2], ["nan", Number.NaN]]),
  );
  await written(sink);
  assert.deepEqual(linesOf(path), ["größe und raum\t2\t1700000000"]);
  assert.equal(sink.status().rowsLost.invalid_name, odd.length);
  assert.equal(sink.status().rowsLost.not_finite, 1);
  assertAccounted(sink, odd.length + 2);
});

test("rotation: files stay within their size, the youngest are kept, no line is cut", async () => {
  const sink = openFile({ rotateBytes: 64 << 10, keep: 3 });
  const { batches, lines } = intervals(40, 500);
  for (const batch of batches) sink.accept(batch);
  await written(sink);
  const files = [3, 2, 1].map((number) => `${path}.${number}`);
  for (const file of [...files, path]) assert.ok(statSync(file).size <= 64 << 10, file);
  const kept = [...files, path].flatMap(linesOf);
  assert.ok(kept.length > 2000 && kept.length < lines.length, "nothing was thrown away: the test is none");
  assert.deepEqual(kept, tsv(lines).slice(-kept.length));
  assert.equal(existsSync(`${path}.4`), false);
  assert.equal(sink.status().rowsSent, lines.length);
});

test("rotation by age", async () => {
  // The file's birth is the system's; so the clock of the sink is that of a later day.
  const clock = { ...systemClock, nowMs: () => Date.now() + offsetMs };
  let offsetMs = 0;
  const config = configOf({ rotateIntervalMs: 3_600_000 });
  const sink = new FileSink({ config, log, clock, random: seededRandom(1) });
  sinks.push(sink);
  for (const [index, name] of ["a", "b", "c"].entries()) {
    offsetMs = index * 1_800_001;
    sink.accept(batchOf([[name, 1]], { interval: index }));
    await written(sink);
  }
  assert.deepEqual(linesOf(`${path}.1`).length, 2);
  assert.deepEqual(linesOf(path), ["c\t1\t1700000000"]);
});

test("a rotation that stopped half way goes on where it stopped", async () => {
  const sink = openFile({ rotateBytes: 64 << 10, keep: 3 });
  writeFileSync(path, `${"x".repeat(65_000)}\n`);
  writeFileSync(`${path}.1`, "one\n");
  // The shift of 2 to 3 is done already, that of 1 to 2 is not.
  writeFileSync(`${path}.3`, "three\n");
  sink.accept(batchOf(numberedRows("a", 100)));
  await written(sink);
  assert.equal(linesOf(`${path}.3`)[0], "three");
  assert.equal(linesOf(`${path}.2`)[0], "one");
  assert.equal(linesOf(`${path}.1`)[0]!.length, 65_000);
  assert.equal(linesOf(path).length, 100);
});

test("a file that was moved away is begun anew at the end of an interval", async () => {
  const sink = openFile();
  const { batches, lines } = intervals(2, 10);
  sink.accept(batches[0]!);
  sink.accept(batches[1]!);
  await waitFor("the first interval", () => sink.status().rowsSent === 10);
  renameSync(path, `${path}.moved`);
  // The end of an interval, without rows, is when the sink looks.
  sink.accept(batchOf([], { interval: 1 }));
  await waitFor("the look", () => sink.status().state === "idle");
  sink.accept(batches[2]!);
  sink.accept(batches[3]!);
  await written(sink);
  assert.deepEqual(linesOf(`${path}.moved`), tsv(lines.slice(0, 10)));
  assert.deepEqual(linesOf(path), tsv(lines.slice(10)));
});

test("a file that was emptied in place is filled from its start", async () => {
  const sink = openFile();
  sink.accept(batchOf(numberedRows("a", 10)));
  await waitFor("the first interval", () => sink.status().rowsSent === 10);
  truncateSync(path);
  sink.accept(batchOf(numberedRows("b", 10), { interval: 2 }));
  await written(sink);
  assert.deepEqual(linesOf(path)[0], "b.0\t0\t1700000000");
  assert.equal(linesOf(path).length, 10);
});

test("the torn end of a crash is cut off, and told of", async () => {
  writeFileSync(path, "whole\t1\t1700000000\ntorn\t12");
  const sink = openFile();
  sink.accept(batchOf([["next", 2]]));
  await written(sink);
  assert.deepEqual(linesOf(path), ["whole\t1\t1700000000", "next\t2\t1700000000"]);
  assert.deepEqual(log.entries.find(({ event }) => event === "sink.file_repaired")?.fields.bytes, 7);
});

test("a folder that is missing: rows wait, and are written when it is there", async () => {
  path = join(folder, "later", "rows");
  const sink = openFile();
  const { batches, lines } = intervals(2, 100);
  for (const batch of batches) sink.accept(batch);
  await waitFor("retries", () => sink.status().rowsRetried > 200);
  assert.equal(sink.status().state, "retrying");
  assert.equal(sink.status().lastError, "ENOENT");
  assertAccounted(sink, 200);
  assert.equal(sink.status().queuedRows, 200);
  await mkdir(join(folder, "later"));
  await waitFor("recovery", () => sink.status().rowsSent === 200);
  assert.deepEqual(linesOf(path), tsv(lines));
  assert.equal(log.count("sink.failed"), 1);
  assert.equal(log.count("sink.recovered"), 1);
});

test("a full queue loses its oldest rows and events, counted, but not what is under way", async () => {
  path = join(folder, "later", "rows");
  const sink = openFile({ format: "json", queueBytesMax: 64 << 10 });
  let rows = 0;
  for (let interval = 0; interval < 50; interval++) {
    sink.accept(batchOf(numberedRows(`interval${interval}`, 200), { interval }));
    sink.acceptEvent(check);
    rows += 200;
    assertAccounted(sink, rows);
    assert.ok(sink.status().queuedBytes <= 64 << 10);
  }
  sink.accept(batchOf(numberedRows("too.large", 5000), { interval: 50 }));
  assert.equal(sink.status().rowsLost.too_large, 5000);
  await mkdir(join(folder, "later"));
  await written(sink);
  assertAccounted(sink, rows + 5000);
  const got = linesOf(path).map((line) => JSON.parse(line) as { name: string; kind?: string });
  const status = sink.status();
  assert.equal(got.length, status.rowsSent + status.eventsSent!);
  assert.equal(status.eventsSent! + status.eventsLost!, status.eventsAccepted);
  assert.ok(status.eventsLost! > 0);
  assert.equal(got[0]!.name, "interval0.0", "what is under way stays");
  assert.equal(got.filter(({ kind }) => kind === undefined).at(-1)!.name, "interval49.199");
});

test("closed before the folder is there: all of it is lost, and counted", async () => {
  path = join(folder, "later", "rows");
  const sink = openFile({ format: "json" });
  sink.accept(batchOf(numberedRows("a", 100)));
  sink.acceptEvent(check);
  assert.equal(await sink.drain(systemClock.monotonicMs() + 200), false);
  sink.accept(batchOf(numberedRows("b", 10)));
  assertAccounted(sink, 110);
  assert.equal(sink.status().rowsLost.shutdown, 110);
  assert.equal(sink.status().eventsLost, 1);
});

test("a disk that is full in the middle of a slice leaves no part of a line", async (t) => {
  const disk = await mkdtemp(join(tmpdir(), "small-disk-"));
  if (!mountSmallDisk(disk)) {
    await rm(disk, { recursive: true });
    t.skip("a small disk takes a privilege to make");
    return;
  }
  path = join(disk, "rows");
  const filler = join(disk, "filler");
  // Room for the first slice, and for a page or two of the second.
  writeFileSync(filler, Buffer.alloc(20 << 10));
  const sink = openFile();
  try {
    const { batches, lines } = intervals(1, 1800);
    for (const batch of batches) sink.accept(batch);
    await waitFor("a full disk", () => sink.status().rowsRetried > 0);
    assert.equal(sink.status().lastError, "ENOSPC");
    assertAccounted(sink, 1800);
    const partial = linesOf(path);
    assert.ok(partial.length > 0, "not even one slice got in: the test is none");
    assert.deepEqual(partial, tsv(lines).slice(0, partial.length));
    assert.equal(partial.length, sink.status().rowsSent);
    await rm(filler);
    await waitFor("the rest", () => sink.status().rowsSent === 1800);
    assert.deepEqual(linesOf(path), tsv(lines));
  } finally {
    sink.close();
    unmountSmallDisk(disk);
    await rm(disk, { recursive: true });
  }
});

test("another configuration of the same file is taken over, another path is not", async () => {
  const sink = openFile();
  sink.accept(batchOf([["a", 1]]));
  await written(sink);
  assert.equal(sink.configure(configOf({ format: "json", rotateBytes: 64 << 10 })), true);
  sink.accept(batchOf([["b", 1]]));
  await written(sink);
  assert.deepEqual(linesOf(path), [
    "a\t1\t1700000000",
    '{"name":"b","value":1,"timestamp":1700000000,"interval":1}',
  ]);
  assert.equal(sink.configure(configOf({ path: `${path}.other` })), false);
});

test("no path, no sink", () => {
  const context = { config: defaults, log, clock: systemClock, random: seededRandom(1) };
  assert.deepEqual(createFileSinks(context), []);
});
