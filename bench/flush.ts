/**
 * Large intervals flushed to carbon while lines go on coming: how long it takes, and what it costs the
 * intake.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { CarbonStub } from "./carbon-stub.ts";
import { executable } from "./executable.ts";
import { sumSamples, waitForOffset, waitForPort } from "./measure.ts";
import { pinLoad } from "./pinning.ts";
import { freePorts, readRssBytes, readUdpDrops } from "./proc.ts";
import { median } from "./report.ts";
import type { Tools } from "./tools.ts";

/** What fills each interval, at an even pace. */
export interface FlushLoad {
  readonly part: string;
  readonly title: string;
  readonly types: string;
  readonly series: number;
  readonly linesPerSecond: number;
  readonly intervalMs: number;
}

export const FLUSH_LOADS: readonly FlushLoad[] = [
  {
    part: "flush-counters",
    title: "flush of 1 M counters while 200 k lines/s come in",
    types: "c",
    series: 1_000_000,
    linesPerSecond: 200_000,
    intervalMs: 10_000,
  },
  {
    part: "flush-timers",
    title: "flush of 100 k timers of 100 samples while 500 k lines/s come in",
    types: "ms",
    series: 100_000,
    linesPerSecond: 500_000,
    intervalMs: 20_000,
  },
];

const LINES_PER_PACKET = 25;
const MIB = 1024 * 1024;
const LAST_FLUSH_MS = 8_000;

/** Fills `runs` intervals and one more, and reports on the flushes, in lines of text. */
export async function measureFlush(tools: Tools, load: FlushLoad, runs: number): Promise<string[]> {
  const { intervalMs, series, types, linesPerSecond } = load;
  const folder = mkdtempSync(join(tmpdir(), "bioyino-flush-"));
  const carbon = new CarbonStub(intervalMs);
  const port = await freePorts(1);
  const config = join(folder, "flush.ini");
  const aggregator = ["listen[] = udp://127.0.0.1:PORT", "management = 127.0.0.1:0", "stats-interval = 0"];
  const text = [`[aggregator]`, ...aggregator, `interval = ${intervalMs}ms`, "[aggregation]"];
  text.push("update-count-threshold = 1000000", "[carbon]", `address = 127.0.0.1:${await carbon.listen()}`);
  writeFileSync(config, text.join("\n").replace("PORT", String(port)));
  const daemon = executable("bioyino", "aggregator.started", ["--config", config]);
  try {
    const { management } = await daemon.started;
    await waitForPort(port);
    await waitForOffset(intervalMs, 0);
    const dropsBefore = readUdpDrops(port) ?? 0;
    const seconds = ((runs + 1) * intervalMs) / 1000 - 0.5;
    const args = [port, seconds, linesPerSecond / LINES_PER_PACKET, series, LINES_PER_PACKET, types];
    const sender = tools.start("gso", args);
    pinLoad(sender.pid);
    const { metrics = 0, packets } = await sender.output;
    await waitForOffset(intervalMs, 0);
    await delay(Math.min(LAST_FLUSH_MS, intervalMs - 1000));
    const page = await (await fetch(`http://${management}/metrics`)).text();
    const sum = (pattern: RegExp): number => sumSamples(page, pattern) ?? Number.NaN;
    const rows = sum(/^bioyino_flushed_rows_total/);
    const lost = metrics - sum(/^bioyino_samples_merged_total/);
    const drops = (readUdpDrops(port) ?? 0) - dropsBefore;
    const deliveries = carbon.deliveries().sort((a, b) => a - b);
    const inSeconds = (ms: number): string => (ms / 1000).toFixed(1);
    const lastRow = `${inSeconds(median(deliveries))} s (${deliveries.map(inSeconds).join(", ")})`;
    return [
      `${metrics.toLocaleString("en-US")} lines in ${packets.toLocaleString("en-US")} datagrams: ` +
        `${drops} datagrams dropped, ${lost} lines lost`,
      `${deliveries.length} intervals, ${rows.toLocaleString("en-US")} rows; ` +
        `last row at carbon behind the interval's end: ${lastRow}`,
      `rows not delivered: ${sum(/^bioyino_sink_rows_lost_total/) + sum(/^bioyino_sink_queued_rows/)}; ` +
        `resident ${(readRssBytes(daemon.pid) / MIB).toFixed(0)} MiB`,
    ];
  } finally {
    await daemon.stop();
    carbon.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
