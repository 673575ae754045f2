/** Self-metrics: rows that name them, samples that fill them, and the Prometheus text they are shown as. */
import { type IntervalHistogram, monitorEventLoopDelay } from "node:perf_hooks";
import { assert } from "./errors.ts";

/** One self-metric family. The README's table is checked against these rows. */
export interface MetricRow {
  /** As Prometheus wants it: unit and `_total` last. */
  readonly name: string;
  readonly kind: "counter" | "gauge";
  readonly help: string;
  /** Names of the labels, in the order in which they are written. */
  readonly labels: readonly string[];
}

/** One number of a family. labels: a value for each of the row's labels, and no other. */
export interface MetricSample {
  readonly row: MetricRow;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/**
 * Renders samples as Prometheus text exposition 0.0.4. Families come in the order of their first sample,
 * each with HELP and TYPE once, however the samples are mixed. Throws when a sample's labels are not its
 * row's.
 */
export function renderMetrics(samples: Iterable<MetricSample>): string {
  const families = new Map<MetricRow, string[]>();
  for (const { row, labels, value } of samples) {
    let lines = families.get(row);
    if (lines === undefined) {
      lines = [`# HELP ${row.name} ${escapeHelp(row.help)}`, `# TYPE ${row.name} ${row.kind}`];
      families.set(row, lines);
    }
    lines.push(`${row.name}${renderLabels(row, labels)} ${renderValue(value)}`);
  }
  let text = "";
  for (const lines of families.values()) text += `${lines.join("\n")}\n`;
  return text;
}

function renderLabels(row: MetricRow, labels: Readonly<Record<string, string>>): string {
  assert(Object.keys(labels).length === row.labels.length, `${row.name} has labels ${row.labels.join(", ")}`);
  if (row.labels.length === 0) return "";
  const pairs = row.labels.map((name) => {
    const value = labels[name];
    assert(value !== undefined, `${row.name} needs the label ${name}`);
    return `${name}="${escapeLabel(value)}"`;
  });
  return `{${pairs.join(",")}}`;
}

function escapeLabel(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

function escapeHelp(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function renderValue(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  if (value === Number.NEGATIVE_INFINITY) return "-Inf";
  return String(value);
}

/** Families that describe the process, under the names that Prometheus clients share. */
export const PROCESS_METRICS = {
  cpuSeconds: {
    name: "process_cpu_seconds_total",
    kind: "counter",
    help: "User and system CPU time of all threads, in seconds.",
    labels: [],
  },
  residentBytes: {
    name: "process_resident_memory_bytes",
    kind: "gauge",
    help: "Resident memory in bytes.",
    labels: [],
  },
  startTime: {
    name: "process_start_time_seconds",
    kind: "gauge",
    help: "Start of the process, in seconds since 1970.",
    labels: [],
  },
  eventLoopLag: {
    name: "nodejs_eventloop_lag_seconds",
    kind: "gauge",
    help: "Delay of the control thread's event loop, 99th percentile since the last reading, in seconds.",
    labels: [],
  },
} as const satisfies Record<string, MetricRow>;

/** Period of the timer whose lateness is measured. Each tick wakes the process, so it is not a short one. */
const LAG_RESOLUTION_MS = 100;

let lagHistogram: IntervalHistogram | undefined;

/**
 * Reads the process metrics. The first call starts the measurement of the event loop and reports no lag;
 * each later one reports the time since the one before.
 */
export function processSamples(): MetricSample[] {
  const cpu = process.cpuUsage();
  const values: readonly (readonly [MetricRow, number])[] = [
    [PROCESS_METRICS.cpuSeconds, (cpu.user + cpu.system) / 1e6],
    [PROCESS_METRICS.residentBytes, process.memoryUsage.rss()],
    [PROCESS_METRICS.startTime, performance.timeOrigin / 1e3],
    [PROCESS_METRICS.eventLoopLag, readLagSeconds()],
  ];
  return values.map(([row, value]) => ({ row, labels: {}, value }));
}

function readLagSeconds(): number {
  if (lagHistogram === undefined) {
    lagHistogram = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS });
    lagHistogram.enable();
    return 0;
  }
  // The histogram holds whole periods of its timer, so the timer's own length is not lag.
  const lagNs = lagHistogram.count === 0 ? 0 : lagHistogram.percentile(99) - LAG_RESOLUTION_MS * 1e6;
  lagHistogram.reset();
  return Math.max(0, lagNs) / 1e9;
}
