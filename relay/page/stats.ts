/** The table of the relay's self-metrics; relay/page/metrics.ts fills them. */
import type { MetricRow } from "../../shared/stats.ts";

const PER_LISTENER = ["listen"] as const;
const PER_DESTINATION = ["ring", "destination"] as const;

/** The table of self-metrics. Counts are of all threads together, since the start. */
export const RELAY_METRICS = {
  datagramsReceived: {
    name: "statsrelay_datagrams_received_total",
    kind: "counter",
    help: "Datagrams received, empty ones included.",
    labels: PER_LISTENER,
  },
  bytesReceived: {
    name: "statsrelay_bytes_received_total",
    kind: "counter",
    help: "Payload bytes received.",
    labels: PER_LISTENER,
  },
  kernelDrops: {
    name: "statsrelay_kernel_drops_total",
    kind: "counter",
    help: "Datagrams that the system dropped because the receive buffer was full.",
    labels: PER_LISTENER,
  },
  linesReceived: {
    name: "statsrelay_lines_received_total",
    kind: "counter",
    help: "Lines received that are not blank: accepted and dropped ones.",
    labels: PER_LISTENER,
  },
  linesAccepted: {
    name: "statsrelay_lines_accepted_total",
    kind: "counter",
    help: "Lines routed to a destination, or to several.",
    labels: PER_LISTENER,
  },
  linesDropped: {
    name: "statsrelay_lines_dropped_total",
    kind: "counter",
    help: "Lines not routed, by reason.",
    labels: ["listen", "reason"],
  },
  selfLines: {
    name: "statsrelay_self_lines_total",
    kind: "counter",
    help: "Lines of the relay's own, which are routed like others.",
    labels: PER_LISTENER,
  },
  linesCopied: {
    name: "statsrelay_lines_copied_total",
    kind: "counter",
    help: "Lines routed beyond the first destination of each accepted one: replicas, and copies of routes.",
    labels: PER_LISTENER,
  },
  linesDiverted: {
    name: "statsrelay_lines_diverted_total",
    kind: "counter",
    help: "Lines sent to another destination than their first choice, which is down, with `on-dead = next`.",
    labels: PER_LISTENER,
  },
  connections: {
    name: "statsrelay_connections",
    kind: "gauge",
    help: "Connections of stream listeners that are open.",
    labels: PER_LISTENER,
  },
  connectionsAccepted: {
    name: "statsrelay_connections_accepted_total",
    kind: "counter",
    help: "Connections taken.",
    labels: PER_LISTENER,
  },
  connectionsClosed: {
    name: "statsrelay_connections_closed_total",
    kind: "counter",
    help: "Connections that the relay closed: refused beyond `connections-max`, or idle.",
    labels: ["listen", "reason"],
  },
  renamesRefused: {
    name: "statsrelay_renames_refused_total",
    kind: "counter",
    help: "New names that no line can have, counted once for each name seen; lines keep the old one.",
    labels: PER_LISTENER,
  },
  flushes: {
    name: "statsrelay_flushes_total",
    kind: "counter",
    help: "Flush intervals that ended.",
    labels: PER_LISTENER,
  },
  linesRouted: {
    name: "statsrelay_destination_lines_routed_total",
    kind: "counter",
    help: "Lines meant for a destination: put into packets, or lost because it is down.",
    labels: PER_DESTINATION,
  },
  linesWaiting: {
    name: "statsrelay_destination_lines_waiting",
    kind: "gauge",
    help: "Lines in packets that have not left yet, or under way to the outlet.",
    labels: PER_DESTINATION,
  },
  linesSent: {
    name: "statsrelay_destination_lines_sent_total",
    kind: "counter",
    help: "Lines handed to the network.",
    labels: PER_DESTINATION,
  },
  linesLost: {
    name: "statsrelay_destination_lines_lost_total",
    kind: "counter",
    help: "Lines routed to a destination and not sent, by reason.",
    labels: ["ring", "destination", "reason"],
  },
  linesQueued: {
    name: "statsrelay_destination_lines_queued",
    kind: "gauge",
    help: "Lines that wait: in the queue of a connection, held, or in the spool.",
    labels: ["ring", "destination", "where"],
  },
  queueAge: {
    name: "statsrelay_destination_queue_age_seconds",
    kind: "gauge",
    help: "Age of the oldest line that waits.",
    labels: PER_DESTINATION,
  },
  linesRestored: {
    name: "statsrelay_destination_lines_restored_total",
    kind: "counter",
    help: "Lines found in the spool that an earlier process left there.",
    labels: PER_DESTINATION,
  },
  linesReplayed: {
    name: "statsrelay_destination_lines_replayed_total",
    kind: "counter",
    help: "Lines that were held and sent later.",
    labels: PER_DESTINATION,
  },
  connected: {
    name: "statsrelay_destination_connected",
    kind: "gauge",
    help: "1 while there is a connection to a TCP or TLS destination.",
    labels: PER_DESTINATION,
  },
  connects: {
    name: "statsrelay_destination_connects_total",
    kind: "counter",
    help: "Connections made, or not, by outcome.",
    labels: ["ring", "destination", "outcome"],
  },
  retries: {
    name: "statsrelay_destination_retries_total",
    kind: "counter",
    help: "Batches written once more over a fresh connection.",
    labels: PER_DESTINATION,
  },
  up: {
    name: "statsrelay_destination_up",
    kind: "gauge",
    help: "1 while lines go to the destination, 0 while its ring's `on-dead` rules.",
    labels: PER_DESTINATION,
  },
  checks: {
    name: "statsrelay_destination_health_checks_total",
    kind: "counter",
    help: "Health checks, by outcome.",
    labels: ["ring", "destination", "outcome"],
  },
  packetsSent: {
    name: "statsrelay_destination_packets_sent_total",
    kind: "counter",
    help: "Packets handed to the network.",
    labels: PER_DESTINATION,
  },
  bytesSent: {
    name: "statsrelay_destination_bytes_sent_total",
    kind: "counter",
    help: "Payload bytes handed to the network.",
    labels: PER_DESTINATION,
  },
  refusals: {
    name: "statsrelay_destination_refusals_total",
    kind: "counter",
    help: "Answers that nothing listens on the destination's port; earlier packets did not arrive.",
    labels: PER_DESTINATION,
  },
  conservationError: {
    name: "statsrelay_conservation_error",
    kind: "gauge",
    help:
      "Lines unaccounted for; 0 when nothing is under way. intake: received - accepted - dropped; " +
      "routing: accepted + copied + own - routed; " +
      "output: routed + restored - sent - lost - waiting - queued.",
    labels: ["stage"],
  },
  ring: {
    name: "statsrelay_ring_info",
    kind: "gauge",
    help: "1 for each ring, with what it is; relays with equal fingerprints send names to equal places.",
    labels: ["ring", "hash", "key", "fingerprint"],
  },
  ringBuckets: {
    name: "statsrelay_ring_buckets",
    kind: "gauge",
    help: "Entries of a ring.",
    labels: ["ring"],
  },
  ringDestinations: {
    name: "statsrelay_ring_destinations",
    kind: "gauge",
    help: "Distinct destinations of a ring.",
    labels: ["ring"],
  },
  peer: {
    name: "statsrelay_peer_ring_differs",
    kind: "gauge",
    help: "1 while another relay has other rings, 0 while they are equal, -1 while it does not answer.",
    labels: ["peer"],
  },
  generation: {
    name: "statsrelay_generation",
    kind: "gauge",
    help: "Plans that the relay has worked by, the present one included.",
    labels: [],
  },
  reloads: {
    name: "statsrelay_reloads_total",
    kind: "counter",
    help: "Reloads, by outcome.",
    labels: ["outcome"],
  },
  lookups: {
    name: "statsrelay_lookups_total",
    kind: "counter",
    help: "Lookups of host names of destinations, by outcome.",
    labels: ["outcome"],
  },
  receiveBuffer: {
    name: "statsrelay_receive_buffer_bytes",
    kind: "gauge",
    help: "Receive buffer of one socket, as granted by the system.",
    labels: ["listen"],
  },
  threads: {
    name: "statsrelay_threads",
    kind: "gauge",
    help: "Receiver threads that run.",
    labels: [],
  },
  uptime: {
    name: "statsrelay_uptime_seconds",
    kind: "gauge",
    help: "Time since the sockets were opened.",
    labels: [],
  },
} as const satisfies Record<string, MetricRow>;
