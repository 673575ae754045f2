/**
 * The aggregator's self-metrics for /metrics: the families, and how they are filled. own-stat-rows.ts has the
 * rows of /stats and of its own statsd lines.
 */
import { DROP_REASONS } from "../shared/drop-reasons.ts";
import type { MetricRow, MetricSample } from "../shared/stats.ts";
import { LOSS_REASONS } from "../shared/udp.ts";
import { CLUSTER_METRICS } from "./cluster-stats.ts";
import type { IntakeCounter } from "./counters.ts";
import { REFUSALS } from "./limits.ts";
import { SIGNATURE_FAULTS } from "./listener/signature-gate.ts";
import { RUST_PEER_METRICS, rustPeerSamples } from "./rust-peer-stats.ts";
import type { SinkStatus } from "./sink/sink.ts";
import { droppedLines, linesInFlight, sumIntakes, type Totals } from "./totals.ts";

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
  samples: row(
    "samples_total",
    "counter",
    "Samples: values of accepted lines, of which one may have several.",
    "intake",
  ),
  skippedSections: row(
    "skipped_sections_total",
    "counter",
    "Sections of lines passed over as unknown.",
    "intake",
  ),
  kernelDrops: row("kernel_drops_total", "counter", "Datagrams that the system dropped.", "intake"),
  refusedDatagrams: row(
    "datagrams_refused_total",
    "counter",
    "Datagrams whose signature was not good.",
    "intake",
    "reason",
  ),
  connections: row("connections", "gauge", "Streams that are open.", "intake"),
  connectionsAccepted: row("connections_accepted_total", "counter", "Streams that were opened.", "intake"),
  connectionsClosed: row(
    "connections_closed_total",
    "counter",
    "Streams closed: one too many, silent for too long, or without a TLS handshake.",
    "intake",
    "reason",
  ),
  repeated: row("repeated_datagrams_total", "counter", "Datagrams sent on as they came.", "intake"),
  repeatLost: row(
    "repeat_lost_datagrams_total",
    "counter",
    "Datagrams that were not sent on.",
    "intake",
    "reason",
  ),
  repeatLostLines: row("repeat_lost_lines_total", "counter", "Lines that were not sent on.", "intake"),
  snapshots: row("snapshots_total", "counter", "Snapshots cut.", "intake"),
  snapshotBytes: row("snapshot_bytes_total", "counter", "Bytes of snapshots cut.", "intake"),
  merged: row("samples_merged_total", "counter", "Samples that reached the store."),
  lost: row("samples_lost_total", "counter", "Samples that did not reach a flush.", "reason"),
  inFlight: row("samples_in_flight", "gauge", "Samples on their way to the store."),
  conservation: row("conservation_error", "gauge", "Lines received less accepted and dropped: 0."),
  refused: row(
    "samples_refused_total",
    "counter",
    "Samples that a bound kept out of their own series, whether or not the overflow series took them.",
    "reason",
  ),
  overflowed: row("samples_overflowed_total", "counter", "Samples that the overflow series took."),
  typeClashes: row("type_clashes_total", "counter", "Names that came with a further type."),
  invalidFrames: row("invalid_snapshots_total", "counter", "Snapshots that were not valid."),
  repeatedFrames: row("repeated_snapshots_total", "counter", "Snapshots that came again."),
  openIntervals: row("open_intervals", "gauge", "Intervals being filled."),
  openSeries: row("open_series", "gauge", "Series in open intervals."),
  openBytes: row("open_bytes", "gauge", "Memory of open intervals in bytes."),
  keptSeries: row("kept_series", "gauge", "Series remembered between intervals: levels and idle ones."),
  heldBytes: row("held_bytes", "gauge", "Memory of all tables in bytes."),
  flushedIntervals: row("flushed_intervals_total", "counter", "Intervals flushed."),
  flushedSeries: row("flushed_series_total", "counter", "Series flushed."),
  flushedRows: row("flushed_rows_total", "counter", "Rows handed to the sinks."),
  flushedLines: row("flushed_samples_total", "counter", "Samples in flushed intervals."),
  idleRows: row("idle_rows_total", "counter", "Rows of idle series, among those handed to the sinks."),
  refusedRenames: row("refused_renames_total", "counter", "Rows whose new name would have been none."),
  forgottenBases: row(
    "forgotten_gauges_total",
    "counter",
    "Flushes that found no room for all gauge levels.",
  ),
  unsortedTimers: row(
    "unsorted_timers_total",
    "counter",
    "Timers too large for the memory to sort them, whose percentiles are missing.",
  ),
  watchdogAlarms: row("watchdog_alarms_total", "counter", "Times that no interval was flushed for too long."),
  flushSeconds: row("flush_seconds", "gauge", "Duration of the last flush in seconds."),
  flushLag: row("flush_lag_seconds", "gauge", "End of the last flush after the interval's end in seconds."),
  rowsSent: row("sink_rows_sent_total", "counter", "Rows delivered.", "sink"),
  rowsRetried: row("sink_rows_retried_total", "counter", "Rows sent again.", "sink"),
  rowsLost: row("sink_rows_lost_total", "counter", "Rows given up.", "sink", "reason"),
  rowsHandedOver: row(
    "sink_rows_handed_over_total",
    "counter",
    "Rows dropped, since another leader writes them.",
    "sink",
  ),
  rowsWithheld: row(
    "sink_rows_withheld_total",
    "counter",
    "Rows that a sink was not given, since it would not replace others by them, or may have them.",
    "sink",
    "reason",
  ),
  queuedRows: row("sink_queued_rows", "gauge", "Rows waiting.", "sink"),
  queuedBytes: row("sink_queued_bytes", "gauge", "Bytes waiting.", "sink"),
  spooledRows: row("sink_spooled_rows", "gauge", "Rows waiting on disk.", "sink"),
  spooledBytes: row("sink_spooled_bytes", "gauge", "Bytes on disk.", "sink"),
  sinkAge: row("sink_oldest_seconds", "gauge", "Age of the oldest waiting rows in seconds.", "sink"),
  sinkLag: row(
    "sink_lag_seconds",
    "gauge",
    "How far the oldest waiting rows' timestamp lies back, in seconds.",
    "sink",
  ),
  sinkEvents: row(
    "sink_events_total",
    "counter",
    "Events and service checks that the sink took, delivered or gave up.",
    "sink",
    "outcome",
  ),
  ...CLUSTER_METRICS,
  ...RUST_PEER_METRICS,
} as const satisfies Record<string, MetricRow>;

type Family = keyof typeof AGGREGATOR_METRICS;

/** Families with one number for each intake. */
const INTAKE_FAMILIES = {
  datagrams: "datagrams",
  bytes: "bytes",
  received: "received",
  accepted: "accepted",
  samples: "samples",
  skippedSections: "skippedSections",
  kernelDrops: "kernelDrops",
  connections: "connections",
  connectionsAccepted: "connectionsAccepted",
  repeated: "repeatedDatagrams",
  repeatLostLines: "repeatLostLines",
  snapshots: "snapshots",
  snapshotBytes: "snapshotBytes",
} as const satisfies Partial<Record<Family, IntakeCounter>>;

/** Families with one number for the whole store, each that of the store's counter of the same name. */
const STORE_FAMILIES = [
  "typeClashes",
  "invalidFrames",
  "repeatedFrames",
  "openIntervals",
  "openSeries",
  "openBytes",
  "keptSeries",
  "heldBytes",
  "flushedIntervals",
  "flushedSeries",
  "flushedRows",
  "flushedLines",
  "idleRows",
  "refusedRenames",
  "forgottenBases",
  "unsortedTimers",
  "watchdogAlarms",
] as const satisfies readonly (Family & keyof Totals["store"])[];

/** Fills the families from the counts, but for those of a cluster: see clusterSamples(). */
export function* aggregatorSamples(totals: Totals): Generator<MetricSample> {
  for (const { name, counts } of totals.intakes) yield* intakeSamples(name, counts);
  yield* storeSamples(totals);
  for (const sink of totals.sinks) yield* sinkSamples(sink);
  if (totals.rustPeers !== undefined) yield* rustPeerSamples(totals.rustPeers);
}

function* intakeSamples(intake: string, counts: Record<IntakeCounter, number>): Generator<MetricSample> {
  const metrics = AGGREGATOR_METRICS;
  const labels = { intake };
  for (const [family, counter] of Object.entries(INTAKE_FAMILIES)) {
    yield { row: metrics[family as Family], labels, value: counts[counter] };
  }
  for (const reason of DROP_REASONS.slice(1)) {
    yield { row: metrics.dropped, labels: { intake, reason }, value: counts[`dropped.${reason}`] };
  }
  for (const reason of SIGNATURE_FAULTS) {
    const value = counts[`refusedDatagrams.${reason}`];
    yield { row: metrics.refusedDatagrams, labels: { intake, reason }, value };
  }
  const closed = {
    refused: counts.connectionsRefused,
    idle: counts.connectionsIdle,
    handshake: counts.handshakesFailed,
  };
  for (const [reason, value] of Object.entries(closed)) {
    yield { row: metrics.connectionsClosed, labels: { intake, reason }, value };
  }
  for (const reason of LOSS_REASONS) {
    yield { row: metrics.repeatLost, labels: { intake, reason }, value: counts[`repeatLost.${reason}`] };
  }
}

function* storeSamples(totals: Totals): Generator<MetricSample> {
  const { store } = totals;
  const metrics = AGGREGATOR_METRICS;
  const dropped = totals.intakes.reduce((sum, { counts }) => sum + droppedLines(counts), 0);
  const conservation = sumIntakes(totals, "received") - sumIntakes(totals, "accepted") - dropped;
  const values: readonly (readonly [MetricRow, number])[] = [
    [metrics.merged, store.mergedLines],
    [metrics.inFlight, linesInFlight(totals)],
    [metrics.conservation, conservation],
    [metrics.overflowed, store.overflowedSamples],
    ...STORE_FAMILIES.map((family) => [metrics[family], store[family]] as const),
    [metrics.flushSeconds, store.flushMs / 1000],
    [metrics.flushLag, store.flushLagMs / 1000],
  ];
  for (const [metric, value] of values) yield { row: metric, labels: {}, value };
  const losses = {
    backlog: sumIntakes(totals, "lostLines"),
    limit: store.refusedLines,
    late: store.lateLines,
    invalid: store.invalidLines,
  };
  for (const [reason, value] of Object.entries(losses))
    yield { row: metrics.lost, labels: { reason }, value };
  for (const reason of REFUSALS) {
    yield { row: metrics.refused, labels: { reason }, value: store[`refused.${reason}`] };
  }
}

function* sinkSamples(sink: SinkStatus): Generator<MetricSample> {
  const metrics = AGGREGATOR_METRICS;
  const labels = { sink: sink.name };
  const values: readonly (readonly [MetricRow, number])[] = [
    [metrics.rowsSent, sink.rowsSent],
    [metrics.rowsRetried, sink.rowsRetried],
    [metrics.rowsHandedOver, sink.rowsHandedOver ?? 0],
    [metrics.queuedRows, sink.queuedRows],
    [metrics.queuedBytes, sink.queuedBytes],
    [metrics.spooledRows, sink.spooledRows ?? 0],
    [metrics.spooledBytes, sink.spooledBytes ?? 0],
    [metrics.sinkAge, sink.oldestMs / 1000],
    [metrics.sinkLag, sink.lagSec ?? 0],
  ];
  for (const [metric, value] of values) yield { row: metric, labels, value };
  for (const [reason, value] of Object.entries(sink.rowsLost)) {
    yield { row: metrics.rowsLost, labels: { ...labels, reason }, value };
  }
  const withheld = { not_amended: sink.rowsNotAmended ?? 0, in_doubt: sink.rowsInDoubt ?? 0 };
  for (const [reason, value] of Object.entries(withheld)) {
    yield { row: metrics.rowsWithheld, labels: { ...labels, reason }, value };
  }
  if (sink.eventsAccepted === undefined) return;
  const outcomes = { accepted: sink.eventsAccepted, sent: sink.eventsSent ?? 0, lost: sink.eventsLost ?? 0 };
  for (const [outcome, value] of Object.entries(outcomes)) {
    yield { row: metrics.sinkEvents, labels: { ...labels, outcome }, value };
  }
}
