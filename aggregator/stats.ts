/**
 * The aggregator's self-metrics: what /metrics shows, and the rows of /stats and of its own statsd lines.
 */
import { DROP_REASONS } from "../shared/drop-reasons.ts";
import type { MetricRow, MetricSample } from "../shared/stats.ts";
import { droppedLines, linesInFlight, sumIntakes, sumSockets, type Totals } from "./totals.ts";

function row(name: string, kind: MetricRow["kind"], help: string, ...labels: string[]): MetricRow {
  return { name: `bioyino_${name}`, kind, help, labels };
}

/** Every family of /metrics beside those of the process. README.md has the same table. */
export const AGGREGATOR_METRICS = {
  datagrams: row("datagrams_total", "counter", "Datagrams received.", "intake"),
  bytes: row("bytes_total", "counter", "Bytes received.", "intake"),
  received: row("lines_received_total", "counter", "Lines received, blank ones apart.", "intake"),
  accepted: row("lines_accepted_total", "counter", "Lines aggregated.", "intake"),
  dropped: row("lines_dropped_total", "counter", "Lines refused at intake.", "intake", "reason"),
  kernelDrops: row("kernel_drops_total", "counter", "Datagrams that the system dropped.", "intake"),
  snapshots: row("snapshots_total", "counter", "Snapshots cut.", "intake"),
  snapshotBytes: row("snapshot_bytes_total", "counter", "Bytes of snapshots cut.", "intake"),
  merged: row("lines_merged_total", "counter", "Accepted lines that reached the store."),
  lost: row("lines_lost_total", "counter", "Accepted lines that did not reach a flush.", "reason"),
  inFlight: row("lines_in_flight", "gauge", "Accepted lines on their way to the store."),
  conservation: row("conservation_error", "gauge", "Lines received less accepted and dropped: 0."),
  invalidFrames: row("invalid_snapshots_total", "counter", "Snapshots that were not valid."),
  repeatedFrames: row("repeated_snapshots_total", "counter", "Snapshots that came again."),
  openIntervals: row("open_intervals", "gauge", "Intervals being filled."),
  openSeries: row("open_series", "gauge", "Series in open intervals."),
  openBytes: row("open_bytes", "gauge", "Memory of open intervals in bytes."),
  flushedIntervals: row("flushed_intervals_total", "counter", "Intervals flushed."),
  flushedRows: row("flushed_rows_total", "counter", "Rows handed to the sinks."),
  flushedLines: row("flushed_lines_total", "counter", "Lines in flushed intervals."),
  forgottenBases: row(
    "forgotten_gauges_total",
    "counter",
    "Flushes that found no room for all gauge levels.",
  ),
  flushSeconds: row("flush_seconds", "gauge", "Duration of the last flush in seconds."),
  flushLag: row("flush_lag_seconds", "gauge", "End of the last flush after the interval's end in seconds."),
  rowsSent: row("sink_rows_sent_total", "counter", "Rows delivered.", "sink"),
  rowsRetried: row("sink_rows_retried_total", "counter", "Rows sent again.", "sink"),
  rowsLost: row("sink_rows_lost_total", "counter", "Rows given up.", "sink", "reason"),
  queuedRows: row("sink_queued_rows", "gauge", "Rows waiting.", "sink"),
  queuedBytes: row("sink_queued_bytes", "gauge", "Bytes waiting.", "sink"),
  sinkAge: row("sink_oldest_seconds", "gauge", "Age of the oldest waiting rows in seconds.", "sink"),
} as const satisfies Record<string, MetricRow>;

/** Fills the families from the counts. */
export function* aggregatorSamples(totals: Totals): Generator<MetricSample> {
  const metrics = AGGREGATOR_METRICS;
  for (const { name, counts } of totals.intakes) {
    const labels = { intake: name };
    yield { row: metrics.datagrams, labels, value: counts.datagrams };
    yield { row: metrics.bytes, labels, value: counts.bytes };
    yield { row: metrics.received, labels, value: counts.received };
    yield { row: metrics.accepted, labels, value: counts.accepted };
    for (const reason of DROP_REASONS.slice(1)) {
      yield { row: metrics.dropped, labels: { ...labels, reason }, value: counts[`dropped.${reason}`] };
    }
    yield { row: metrics.kernelDrops, labels, value: counts.kernelDrops };
    yield { row: metrics.snapshots, labels, value: counts.snapshots };
    yield { row: metrics.snapshotBytes, labels, value: counts.snapshotBytes };
  }
  yield* storeSamples(totals);
  for (const sink of totals.sinks) {
    const labels = { sink: sink.name };
    yield { row: metrics.rowsSent, labels, value: sink.rowsSent };
    yield { row: metrics.rowsRetried, labels, value: sink.rowsRetried };
    for (const [reason, value] of Object.entries(sink.rowsLost)) {
      yield { row: metrics.rowsLost, labels: { ...labels, reason }, value };
    }
    yield { row: metrics.queuedRows, labels, value: sink.queuedRows };
    yield { row: metrics.queuedBytes, labels, value: sink.queuedBytes };
    yield { row: metrics.sinkAge, labels, value: sink.oldestMs / 1000 };
  }
}

function* storeSamples(totals: Totals): Generator<MetricSample> {
  const { store } = totals;
  const dropped = totals.intakes.reduce((sum, { counts }) => sum + droppedLines(counts), 0);
  const values: readonly (readonly [MetricRow, number])[] = [
    [AGGREGATOR_METRICS.merged, store.mergedLines],
    [AGGREGATOR_METRICS.inFlight, linesInFlight(totals)],
    [
      AGGREGATOR_METRICS.conservation,
      sumIntakes(totals, "received") - sumIntakes(totals, "accepted") - dropped,
    ],
    [AGGREGATOR_METRICS.invalidFrames, store.invalidFrames],
    [AGGREGATOR_METRICS.repeatedFrames, store.repeatedFrames],
    [AGGREGATOR_METRICS.openIntervals, store.openIntervals],
    [AGGREGATOR_METRICS.openSeries, store.openSeries],
    [AGGREGATOR_METRICS.openBytes, store.openBytes],
    [AGGREGATOR_METRICS.flushedIntervals, store.flushedIntervals],
    [AGGREGATOR_METRICS.flushedRows, store.flushedRows],
    [AGGREGATOR_METRICS.flushedLines, store.flushedLines],
    [AGGREGATOR_METRICS.forgottenBases, store.forgottenBases],
    [AGGREGATOR_METRICS.flushSeconds, store.flushMs / 1000],
    [AGGREGATOR_METRICS.flushLag, store.flushLagMs / 1000],
  ];
  for (const [metric, value] of values) yield { row: metric, labels: {}, value };
  const losses = {
    backlog: sumIntakes(totals, "lostLines"),
    limit: store.refusedLines,
    late: store.lateLines,
    invalid: store.invalidLines,
  };
  for (const [reason, value] of Object.entries(losses)) {
    yield { row: AGGREGATOR_METRICS.lost, labels: { reason }, value };
  }
}

/** One of the aggregator's own statsd metrics, below stats-prefix. */
export interface OwnStat {
  readonly name: string;
  /** counter: the growth since the last time is sent. gauge: the present value. */
  readonly kind: "counter" | "gauge";
  readonly help: string;
  readonly read: (totals: Totals) => number;
}

const sumSinks = (totals: Totals, read: (sink: Totals["sinks"][number]) => number) =>
  totals.sinks.reduce((sum, sink) => sum + read(sink), 0);

/** The names that bioyino's users have on their dashboards come first; README.md has the same table. */
export const OWN_STATS: readonly OwnStat[] = [
  { name: "ingress", kind: "counter", help: "bytes received", read: (t) => sumSockets(t, "bytes") },
  { name: "ingress-metric", kind: "counter", help: "lines accepted", read: (t) => sumSockets(t, "accepted") },
  { name: "ingress-metric-peer", kind: "counter", help: "metrics received from peers", read: () => 0 },
  {
    name: "egress-carbon",
    kind: "counter",
    help: "rows delivered to sinks",
    read: (t) => sumSinks(t, (sink) => sink.rowsSent),
  },
  { name: "egress-peer", kind: "counter", help: "metrics sent to peers", read: () => 0 },
  {
    name: "drop",
    kind: "counter",
    help: "accepted lines lost on the way to the store",
    read: (t) => sumIntakes(t, "lostLines"),
  },
  {
    name: "parse-error",
    kind: "counter",
    help: "lines refused at intake",
    read: (t) => t.intakes.reduce((sum, { counts }) => sum + droppedLines(counts), 0),
  },
  {
    name: "agg-error",
    kind: "counter",
    help: "lines refused by the store, for want of room or because they came late",
    read: (t) => t.store.refusedLines + t.store.lateLines,
  },
  {
    name: "queue-error",
    kind: "counter",
    help: "rows that no sink could be given",
    read: (t) => sumSinks(t, (sink) => Object.values(sink.rowsLost).reduce((sum, rows) => sum + rows, 0)),
  },
  { name: "peer-error", kind: "counter", help: "failures between peers", read: () => 0 },
  {
    name: "slow-w-len",
    kind: "gauge",
    help: "intervals waiting for their flush",
    read: (t) => t.store.openIntervals,
  },
  {
    name: "kernel-drop",
    kind: "counter",
    help: "datagrams that the system dropped",
    read: (t) => sumIntakes(t, "kernelDrops"),
  },
  { name: "series", kind: "gauge", help: "series in open intervals", read: (t) => t.store.openSeries },
  { name: "flush-ms", kind: "gauge", help: "duration of the last flush", read: (t) => t.store.flushMs },
  {
    name: "flush-lag-ms",
    kind: "gauge",
    help: "end of the last flush after its interval's end",
    read: (t) => t.store.flushLagMs,
  },
];
