/** Tables for the terminal: medians with the least and the greatest of several runs. */
import { cpus, release, totalmem } from "node:os";
import type { Comparison, Measurement, Row } from "./measure.ts";

const MIB = 1024 * 1024;

/** The middle of some numbers; of an even count, the lower of the two in the middle. */
export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN;
}

/** Machine, system, Node and date, in one line. */
export function describeMachine(): string {
  const processors = cpus();
  const model = processors[0]?.model.trim() || "unknown processor";
  const memory = `${Math.round(totalmem() / MIB / 1024)} GiB`;
  const system = `Linux ${release()}, Node ${process.versions.node}`;
  const date = new Date().toISOString().slice(0, 10);
  return `${date}, ${processors.length} x ${model}, ${memory}, ${system}`;
}

function spread(numbers: readonly number[], digits: number): string {
  const show = (value: number): string => value.toFixed(digits);
  return `${show(median(numbers))} (${show(Math.min(...numbers))}..${show(Math.max(...numbers))})`;
}

function grouped(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

/** CPU microseconds for each datagram that was not dropped. */
function microsecondsPerPacket(one: Measurement): number {
  return (one.cpuSeconds * 1e6) / (one.sentPackets - one.kernelDrops);
}

function describeRow({ name, measurements }: Row, base: Row | undefined): string[] {
  const perPacket = measurements.map(microsecondsPerPacket);
  const perMetric = measurements.map(
    (one) => microsecondsPerPacket(one) / (one.sentMetrics / one.sentPackets),
  );
  const drops = measurements.reduce((sum, one) => sum + one.kernelDrops, 0);
  const lost = measurements.reduce((sum, one) => sum + one.lostMetrics, 0);
  // What was offered and partly dropped is no rate that the program can take.
  const rate =
    drops > 0 || lost !== 0 ? "DROPS" : grouped(median(measurements.map((one) => one.offeredPerSecond)));
  const ratio =
    base === undefined
      ? Number.NaN
      : median(perPacket) / median(base.measurements.map(microsecondsPerPacket));
  return [
    name,
    grouped(median(measurements.map((one) => one.offeredPerSecond))),
    rate,
    grouped(drops),
    grouped(lost),
    spread(perPacket, 2),
    spread(perMetric, 3),
    (median(measurements.map((one) => one.rssBytes)) / MIB).toFixed(0),
    Number.isNaN(ratio) ? "-" : `${ratio.toFixed(2)}x`,
  ];
}

const HEAD = [
  "program",
  "offered/s",
  "received/s",
  "kernel drops",
  "metrics lost",
  "CPU us/datagram",
  "CPU us/metric",
  "RSS MiB",
];

/** Lays cells out in columns, the first to the left and the others to the right. */
export function layOut(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const pad = (cell: string, column: number): string =>
    column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0);
  return rows.map((row) => `  ${row.map(pad).join("  ")}`.trimEnd()).join("\n");
}

/** Renders a comparison: title, one line for each program, notes. */
export function renderComparison({ title, baseline, rows, notes }: Comparison): string {
  const base = baseline === undefined ? undefined : rows[0];
  const head = [...HEAD, baseline === undefined ? "" : `to ${baseline}`];
  const table = layOut([head, ...rows.map((row) => describeRow(row, base))]);
  return [title, table, ...notes.map((note) => `  ${note}`), ""].join("\n");
}
