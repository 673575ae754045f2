/** Every self-metric of the relay, and how they are filled from the threads' counters. */
import { type MetricRow, type MetricSample, processSamples, renderMetrics } from "../shared/stats.ts";
import { LOSS_REASONS } from "../shared/udp.ts";
import { lostCounter, type OutputTotals, type RelayTotals } from "./counters.ts";

const PER_DESTINATION = ["destination"] as const;

/** The table of self-metrics. Counts are of all threads together, since the start. */
export const RELAY_METRICS = {
  datagramsReceived: {
    name: "statsrelay_datagrams_received_total",
    kind: "counter",
    help: "Datagrams received, empty ones included.",
    labels: [],
  },
  bytesReceived: {
    name: "statsrelay_bytes_received_total",
    kind: "counter",
    help: "Payload bytes received.",
    labels: [],
  },
  kernelDrops: {
    name: "statsrelay_kernel_drops_total",
    kind: "counter",
    help: "Datagrams that the system dropped because the receive buffer was full.",
    labels: [],
  },
  linesReceived: {
    name: "statsrelay_lines_received_total",
    kind: "counter",
    help: "Lines received that are not blank: accepted and dropped ones.",
    labels: [],
  },
  linesAccepted: {
    name: "statsrelay_lines_accepted_total",
    kind: "counter",
    help: "Lines routed to a destination.",
    labels: [],
  },
  linesDropped: {
    name: "statsrelay_lines_dropped_total",
    kind: "counter",
    help: "Lines not routed: no_colon, or cut because the datagram was too long for its slot.",
    labels: ["reason"],
  },
  selfLines: {
    name: "statsrelay_self_lines_total",
    kind: "counter",
    help: "Lines of the relay's own, which are routed like others.",
    labels: [],
  },
  flushes: {
    name: "statsrelay_flushes_total",
    kind: "counter",
    help: "Flush intervals that ended.",
    labels: [],
  },
  linesRouted: {
    name: "statsrelay_destination_lines_routed_total",
    kind: "counter",
    help: "Lines put into packets for a destination.",
    labels: PER_DESTINATION,
  },
  linesWaiting: {
    name: "statsrelay_destination_lines_waiting",
    kind: "gauge",
    help: "Lines in packets that have not left yet.",
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
    help: "Lines in packets that could not be sent.",
    labels: ["destination", "reason"],
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
      "routing: accepted + own - routed; output: routed - sent - lost - waiting.",
    labels: ["stage"],
  },
  ringBuckets: {
    name: "statsrelay_ring_buckets",
    kind: "gauge",
    help: "Entries of the ring.",
    labels: [],
  },
  ringDestinations: {
    name: "statsrelay_ring_destinations",
    kind: "gauge",
    help: "Distinct destinations of the ring.",
    labels: [],
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

/** What is shown beside the counters. */
export interface RelayState {
  readonly totals: RelayTotals;
  /** Destination arguments by index. */
  readonly destinations: readonly string[];
  readonly bucketCount: number;
  /** Receive buffer by address as bound. */
  readonly receiveBuffers: readonly { readonly listen: string; readonly bytes: number }[];
  readonly threadCount: number;
  readonly uptimeSeconds: number;
}

function lostLines(output: OutputTotals): number {
  return LOSS_REASONS.reduce((sum, reason) => sum + output[lostCounter(reason)], 0);
}

/** How many lines each stage cannot account for; all 0 when nothing is under way. */
export function conservationErrors({ intake, outputs }: RelayTotals): Record<string, number> {
  const sum = (count: (output: OutputTotals) => number) =>
    outputs.reduce((total, output) => total + count(output), 0);
  return {
    intake: intake.received - intake.accepted - intake.droppedNoColon - intake.droppedCut,
    routing: intake.accepted + intake.selfLines - sum((output) => output.routed),
    output: sum((output) => output.routed - output.linesSent - lostLines(output) - output.waiting),
  };
}

function sample(row: MetricRow, value: number, labels: Record<string, string> = {}): MetricSample {
  return { row, labels, value };
}

function intakeSamples({ intake }: RelayTotals): MetricSample[] {
  const rows = RELAY_METRICS;
  return [
    sample(rows.datagramsReceived, intake.datagrams),
    sample(rows.bytesReceived, intake.bytes),
    sample(rows.kernelDrops, intake.kernelDrops),
    sample(rows.linesReceived, intake.received),
    sample(rows.linesAccepted, intake.accepted),
    sample(rows.linesDropped, intake.droppedNoColon, { reason: "no_colon" }),
    sample(rows.linesDropped, intake.droppedCut, { reason: "cut" }),
    sample(rows.selfLines, intake.selfLines),
    sample(rows.flushes, intake.flushes),
  ];
}

function outputSamples(destination: string, output: OutputTotals): MetricSample[] {
  const rows = RELAY_METRICS;
  const labels = { destination };
  return [
    sample(rows.linesRouted, output.routed, labels),
    sample(rows.linesWaiting, output.waiting, labels),
    sample(rows.linesSent, output.linesSent, labels),
    ...LOSS_REASONS.map((reason) =>
      sample(rows.linesLost, output[lostCounter(reason)], { destination, reason }),
    ),
    sample(rows.packetsSent, output.packetsSent, labels),
    sample(rows.bytesSent, output.bytesSent, labels),
    sample(rows.refusals, output.refusals, labels),
  ];
}

/** Renders all self-metrics as Prometheus text. */
export function renderRelayMetrics(state: RelayState): string {
  const rows = RELAY_METRICS;
  return renderMetrics([
    ...intakeSamples(state.totals),
    ...state.destinations.flatMap((text, index) => outputSamples(text, state.totals.outputs[index]!)),
    ...Object.entries(conservationErrors(state.totals)).map(([stage, lines]) =>
      sample(rows.conservationError, lines, { stage }),
    ),
    sample(rows.ringBuckets, state.bucketCount),
    sample(rows.ringDestinations, state.destinations.length),
    ...state.receiveBuffers.map(({ listen, bytes }) => sample(rows.receiveBuffer, bytes, { listen })),
    sample(rows.threads, state.threadCount),
    sample(rows.uptime, state.uptimeSeconds),
    ...processSamples(),
  ]);
}
