// A flood of names that never come again, in a process that may have 1 GiB: it stays below, does not
// grow once the flood is over, and every line is in some row or counted as lost.
import assert from "node:assert/strict";
import { createReadStream, readFileSync } from "node:fs";
import { test } from "node:test";
import { chooseIo } from "../../shared/udp.ts";
import { type Metrics, startAggregator, type TestDaemon } from "../support/daemons.ts";
import { floodNames, OTHERS_EVERY } from "../support/name-flood.ts";
import { RowFile } from "../support/row-file.ts";

/** Two floods, the first faster than names can be stored; between them some seconds in which little comes. */
const PHASES = [
  { count: 3_000_000, linesPerSecond: 2_000_000 },
  { count: 20_000, linesPerSecond: 4_000 },
  { count: 1_000_000, linesPerSecond: 500_000 },
];
const MIB = 2 ** 20;
const LIMIT_BYTES = 1024 * MIB;
/** What a process may grow by though it holds no more: garbage that is not yet collected. */
const SLACK_BYTES = 64 * MIB;
const [TAB, NEWLINE, ZERO, N, T] = [9, 10, 48, 110, 116];

/** A line of /proc/PID/status in bytes: VmRSS now, VmHWM at most so far. */
function memoryOf(aggregator: TestDaemon, name: "VmRSS" | "VmHWM"): number {
  const status = readFileSync(`/proc/${aggregator.pid}/status`, "latin1");
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]) * 1024;
}

/** Values of a file of rows, added up. */
interface Sums {
  counters: number;
  /** Timers and sets, by their counts. */
  others: number;
  rows: number;
}

/** Adds up rows whose values are whole numbers: NAME TAB VALUE TAB SECOND. Counters alone have no postfix. */
async function sumOfRows(path: string): Promise<Sums> {
  const sums = { counters: 0, others: 0, rows: 0 };
  let [field, value, before, last] = [0, 0, 0, 0];
  let isCount = false;
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
    for (const byte of chunk as Buffer) {
      if (byte === NEWLINE) {
        sums.rows += 1;
        if (isCount) sums.others += value;
        else sums.counters += value;
        field = 0;
        value = 0;
      } else if (byte === TAB) {
        // Names end in "requests" or "overflow", or, behind that, in ".count".
        if (field === 0) isCount = before === N && last === T;
        field += 1;
      } else if (field === 1) value = value * 10 + byte - ZERO;
      before = last;
      last = byte;
    }
  }
  return sums;
}

/** Everything so far is flushed and written. */
function isQuiet(metrics: Metrics, lines: number): boolean {
  return (
    metrics.sum("bioyino_lines_received_total") === lines &&
    metrics.sum("bioyino_samples_in_flight") === 0 &&
    metrics.sum("bioyino_open_series") === 0 &&
    metrics.sum("bioyino_sink_queued_rows") === 0
  );
}

test("floods of millions of names under memory-limit = 1g", {
  skip: process.platform !== "linux" && "only Linux tells of a process's memory",
}, async () => {
  const file = new RowFile();
  const aggregator = await startAggregator(await chooseIo("auto"), {
    aggregator: [
      "interval = 2s\nsinks[] = file\nlisten[] = tcp://127.0.0.1:0",
      "memory-limit = 1g\nhistory = 0\nbacklog-bytes-max = 64m",
    ].join("\n"),
    aggregation: "counter = value\ntimer = count\nset = count",
    file: `path = ${file.path}\nformat = tsv\nrotate-bytes = 4g\nqueue-bytes = 128m`,
  });
  const after: number[] = [];
  let lines = 0;
  for (const phase of PHASES) {
    await floodNames({ port: aggregator.ports[0]!, first: lines, ...phase });
    lines += phase.count;
    await aggregator.until("all lines", (now) => now.sum("bioyino_lines_received_total") === lines);
    await aggregator.until("the flood in the file", (now) => isQuiet(now, lines));
    after.push(memoryOf(aggregator, "VmRSS"));
  }
  const metrics = await aggregator.metrics();
  assert.equal(metrics.sum("bioyino_lines_accepted_total"), lines);
  assert.equal(metrics.sum("bioyino_conservation_error"), 0);
  assert.equal(metrics.sum("bioyino_sink_rows_lost_total"), 0);
  const refused = metrics.sum("bioyino_samples_refused_total");
  assert.ok(refused > 0, "the floods were larger than what an interval may hold");
  // Where there is no room for it, the overflow series of timers, or of sets, cannot take a value; that of
  // counters always can.
  const lost = metrics.sum("bioyino_samples_lost_total", 'reason="limit"');
  assert.equal(metrics.sum("bioyino_samples_lost_total"), lost);
  assert.equal(metrics.sum("bioyino_samples_overflowed_total"), refused - lost);
  const peak = memoryOf(aggregator, "VmHWM");
  assert.ok(peak < LIMIT_BYTES, `${peak / MIB} MiB at most`);
  assert.ok(after[1]! < after[0]! + SLACK_BYTES, `${after.map((bytes) => bytes / MIB)} MiB after each phase`);
  assert.equal((await aggregator.stop()).code, 0);
  const { counters, others, rows } = await sumOfRows(file.path);
  assert.equal(rows, metrics.sum("bioyino_flushed_rows_total"));
  assert.equal(counters, lines - lines / OTHERS_EVERY);
  assert.equal(others + lost, lines / OTHERS_EVERY);
  file.remove();
});
