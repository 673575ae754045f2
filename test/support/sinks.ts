/** Sinks under test: opened as the aggregator opens them, towards carbons that fail as the test says. */
import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import type { RowBatch } from "../../aggregator/row.ts";
import {
  openSinks,
  type Sink,
  type SinkConfig,
  type SinkContext,
  type SinkStatus,
} from "../../aggregator/sink/sink.ts";
import { systemClock } from "../../shared/clock.ts";
import { parseConfig } from "../../shared/config.ts";
import { seededRandom } from "../../shared/random.ts";
import { type Behaviour, FakeCarbon } from "./fake-carbon.ts";
import { batchOf, numberedRows } from "./rows.ts";

const DEADLINE_MS = 20_000;

const defaults = parseConfig("", "the defaults");
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
export class FakeLog extends EventEmitter {
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

/** Closes every sink that openCarbon opened and stops every carbon that startCarbon started. */
export async function stopSinks(): Promise<void> {
  for (const sink of sinks.splice(0)) sink.close();
  for (const fake of fakes.splice(0)) await fake.stop();
}

/** Starts a carbon whose connections behave as `script` says; stopSinks stops it. */
export async function startCarbon(
  script: readonly Behaviour[] = [],
  tls?: Parameters<typeof FakeCarbon.start>[1],
): Promise<FakeCarbon> {
  const fake = await FakeCarbon.start(script, tls);
  fakes.push(fake);
  return fake;
}

/**
 * Opens the carbon sinks for some ports of loopback through the registry, with short retries; stopSinks
 * closes them. changes: settings other than usual. context: a clock or log other than usual.
 */
export function openCarbon(
  ports: readonly number[],
  changes: Partial<SinkConfig["carbon"]> = {},
  context: Partial<SinkContext> = {},
): { sinks: Sink[]; log: FakeLog; context: SinkContext } {
  const address = ports.map((port) => ({ host: "127.0.0.1", port }));
  const log = new FakeLog();
  const carbon = { ...defaults.carbon, ...settings, address, ...changes };
  const config = { ...defaults, carbon, console: { rows: 0 } };
  const whole = { config, log, clock: systemClock, random: seededRandom(1), ...context };
  const opened = openSinks(["carbon", "console"], whole);
  sinks.push(...opened);
  return { sinks: opened, log, context: whole };
}

/** Drains a sink. Resolves with whether it got rid of everything before a deadline of 20 seconds. */
export function drained(sink: Sink): Promise<boolean> {
  return sink.drain(systemClock.monotonicMs() + DEADLINE_MS);
}

function lostRows({ rowsLost }: SinkStatus): number {
  return Object.values(rowsLost).reduce((sum, count) => sum + count, 0);
}

/** The identity of every sink: nothing vanishes. */
export function assertAccounted(sink: Sink, acceptedRows: number): void {
  const status = sink.status();
  const { rowsSent, queuedRows, spooledRows = 0, rowsRestored = 0 } = status;
  const known = rowsSent + lostRows(status) + queuedRows + spooledRows;
  assert.equal(known, acceptedRows + rowsRestored, JSON.stringify(status));
}

/** Intervals of numbered rows, each of several batches, and the lines that carbon should read of them. */
export function intervals(count: number, rowsEach: number): { batches: RowBatch[]; lines: string[] } {
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
