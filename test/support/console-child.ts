/**
 * A process with a console sink on its standard output, for a test that holds the terminal. It prints an
 * interval every 10 ms and appends its sink's status to a file, given as its argument. SIGTERM ends it.
 */
import { appendFileSync } from "node:fs";
import { ConsoleSink } from "../../aggregator/sink/console.ts";
import { systemClock } from "../../shared/clock.ts";
import { parseConfig } from "../../shared/config.ts";
import { seededRandom } from "../../shared/random.ts";
import { batchOf, numberedRows } from "./rows.ts";

/** A line of that file. */
export interface ConsoleReading {
  readonly pid: number;
  readonly accepted: number;
  readonly sent: number;
  readonly queued: number;
  readonly unwritable: number;
  readonly shutdown: number;
}

const INTERVAL_MS = 10;
const ROWS = 2000;
const DRAIN_MS = 100;

const path = process.argv[2]!;
const config = { ...parseConfig("", "the defaults"), console: { rows: ROWS } };
const log = { error() {}, warn() {}, info() {}, debug() {} };
const sink = new ConsoleSink({ config, log, clock: systemClock, random: seededRandom(1) });
let accepted = 0;

function report(): void {
  const { rowsSent: sent, queuedRows: queued, rowsLost } = sink.status();
  const { unwritable, shutdown } = rowsLost;
  const reading: ConsoleReading = { pid: process.pid, accepted, sent, queued, unwritable, shutdown };
  appendFileSync(path, `${JSON.stringify(reading)}\n`);
}

setInterval(() => {
  accepted += ROWS;
  sink.accept(batchOf(numberedRows("name", ROWS), { interval: accepted }));
  report();
}, INTERVAL_MS);

process.once("SIGTERM", async () => {
  await sink.drain(systemClock.monotonicMs() + DRAIN_MS);
  sink.close();
  report();
  process.exit(0);
});
