/**
 * The self-metrics of the listener for nodes of the Rust bioyino, for /metrics; there are none without one.
 */
import type { MetricRow, MetricSample } from "../shared/stats.ts";
import { PEER_FAULTS, type PeerCounter } from "./capnp/peer-counters.ts";

function row(name: string, help: string, ...labels: string[]): MetricRow {
  return { name: `bioyino_rust_peer_${name}`, kind: "counter", help, labels };
}

/** Its lines, bytes and connections are those of an intake. */
export const RUST_PEER_METRICS = {
  rustPeerMessages: row("messages_total", "Messages of nodes of the Rust bioyino.", "version"),
  rustPeerFaults: row("faults_total", "Messages that ended their connection.", "reason"),
  rustPeerDiscarded: row(
    "discarded_messages_total",
    "Messages read and not counted, since this node does not lead.",
  ),
  rustPeerDiscardedMetrics: row("discarded_metrics_total", "Metrics in them."),
  rustPeerSkipped: row("skipped_samples_total", "Samples of timers that are no numbers."),
} as const satisfies Record<string, MetricRow>;

export function* rustPeerSamples(counts: Readonly<Record<PeerCounter, number>>): Generator<MetricSample> {
  const metrics = RUST_PEER_METRICS;
  for (const version of ["v1", "v2"] as const) {
    yield { row: metrics.rustPeerMessages, labels: { version }, value: counts[`messages.${version}`] };
  }
  for (const reason of PEER_FAULTS) {
    yield { row: metrics.rustPeerFaults, labels: { reason }, value: counts[`faults.${reason}`] };
  }
  yield { row: metrics.rustPeerDiscarded, labels: {}, value: counts.discardedMessages };
  yield { row: metrics.rustPeerDiscardedMetrics, labels: {}, value: counts.discardedMetrics };
  yield { row: metrics.rustPeerSkipped, labels: {}, value: counts.skippedSamples };
}
