/** Fills the relay's self-metrics. */
import { type MetricRow, type MetricSample, processSamples, renderMetrics } from "../../shared/stats.ts";
import { dropCounter, type IntakeTotals, LINE_DROP_REASONS } from "../counters.ts";
import { GONE } from "../output-ledger.ts";
import { servingRoutes } from "../plan.ts";
import { DESTINATION_LOSSES } from "./losses.ts";
import { RELAY_METRICS as ROWS } from "./stats.ts";
import { accountOf, lostLines, type RelayState } from "./status.ts";

function sample(row: MetricRow, value: number, labels: Record<string, string> = {}): MetricSample {
  return { row, labels, value };
}

function droppedLines(intake: IntakeTotals): number {
  return LINE_DROP_REASONS.reduce((sum, reason) => sum + intake[dropCounter(reason)], 0);
}

/** How many lines each stage cannot account for; all 0 when nothing is under way. */
export function conservationErrors(state: RelayState): Record<string, number> {
  const intakes = state.listeners.map(({ intake }) => intake);
  const sum = (count: (intake: IntakeTotals) => number) =>
    intakes.reduce((total, intake) => total + count(intake), 0);
  let routed = 0;
  let unaccounted = 0;
  for (const [key, output] of state.outputs) {
    const account = accountOf(output, state.channels.get(key));
    routed += account.routed;
    const waiting = account.waiting + account.queued + account.held + account.spooled;
    unaccounted += account.routed + account.restored - account.sent - lostLines(account) - waiting;
  }
  return {
    intake: sum((intake) => intake.received - intake.accepted - droppedLines(intake)),
    routing: sum((intake) => intake.accepted + intake.copied + intake.selfLines) - routed,
    output: unaccounted,
  };
}

function listenerSamples(state: RelayState): MetricSample[] {
  return state.listeners.flatMap(({ listen, intake, receiveBufferBytes }) => {
    const labels = { listen };
    const closed = (reason: string, value: number) =>
      sample(ROWS.connectionsClosed, value, { listen, reason });
    return [
      sample(ROWS.datagramsReceived, intake.datagrams, labels),
      sample(ROWS.bytesReceived, intake.bytes, labels),
      sample(ROWS.kernelDrops, intake.kernelDrops, labels),
      sample(ROWS.linesReceived, intake.received, labels),
      sample(ROWS.linesAccepted, intake.accepted, labels),
      sample(ROWS.linesCopied, intake.copied, labels),
      sample(ROWS.linesDiverted, intake.diverted, labels),
      ...LINE_DROP_REASONS.map((reason) =>
        sample(ROWS.linesDropped, intake[dropCounter(reason)], { listen, reason }),
      ),
      sample(ROWS.selfLines, intake.selfLines, labels),
      sample(ROWS.renamesRefused, intake.renamesRefused, labels),
      sample(ROWS.connections, intake.connections, labels),
      sample(ROWS.connectionsAccepted, intake.connectionsAccepted, labels),
      closed("refused", intake.connectionsRefused),
      closed("idle", intake.connectionsIdle),
      sample(ROWS.flushes, intake.flushes, labels),
      sample(ROWS.receiveBuffer, receiveBufferBytes, labels),
    ];
  });
}

function destinationSamples(state: RelayState): MetricSample[] {
  return [...state.outputs].flatMap(([key, output]) => {
    const [ring, destination] = splitKey(key);
    const labels = { ring, destination };
    const channel = state.channels.get(key);
    const account = accountOf(output, channel);
    const queued = (where: string, value: number) => sample(ROWS.linesQueued, value, { ...labels, where });
    return [
      sample(ROWS.linesRouted, account.routed, labels),
      sample(ROWS.linesWaiting, account.waiting, labels),
      sample(ROWS.linesSent, account.sent, labels),
      ...DESTINATION_LOSSES.map((reason) =>
        sample(ROWS.linesLost, account.lost[reason], { ...labels, reason }),
      ),
      sample(ROWS.packetsSent, account.packetsSent, labels),
      sample(ROWS.bytesSent, account.bytesSent, labels),
      sample(ROWS.refusals, account.refusals, labels),
      ...(key === GONE ? [] : [sample(ROWS.up, state.isUp(key) ? 1 : 0, labels)]),
      ...(channel === undefined
        ? []
        : [
            queued("queue", account.queued),
            queued("held", account.held),
            queued("spool", account.spooled),
            sample(ROWS.queueAge, channel.oldestMs / 1000, labels),
            sample(ROWS.linesRestored, channel.linesRestored, labels),
            sample(ROWS.linesReplayed, channel.linesReplayed, labels),
            sample(ROWS.connected, channel.connected, labels),
            sample(ROWS.connects, channel.connects, { ...labels, outcome: "made" }),
            sample(ROWS.connects, channel.connectFailures, { ...labels, outcome: "failed" }),
            sample(ROWS.retries, channel.retries, labels),
          ]),
    ];
  });
}

/** Ring and destination of a key. */
export function splitKey(key: string): [string, string] {
  const blank = key.indexOf(" ");
  return [key.slice(0, blank), key.slice(blank + 1)];
}

function healthSamples({ health }: RelayState): MetricSample[] {
  return health.flatMap(({ key, checks, failures }) => {
    const [ring, destination] = splitKey(key);
    return [
      sample(ROWS.checks, checks - failures, { ring, destination, outcome: "good" }),
      sample(ROWS.checks, failures, { ring, destination, outcome: "bad" }),
    ];
  });
}

function ringSamples({ plan }: RelayState): MetricSample[] {
  return servingRoutes(plan).flatMap(({ ring: { name, hash, key, fingerprint, destinations }, buckets }) => [
    sample(ROWS.ring, 1, { ring: name, hash, key, fingerprint }),
    sample(ROWS.ringBuckets, buckets.length, { ring: name }),
    sample(ROWS.ringDestinations, destinations.length, { ring: name }),
  ]);
}

const PEER_VALUES = { same: 0, differs: 1, unreachable: -1, unknown: -1 } as const;

/** Renders all self-metrics as Prometheus text. */
export function renderRelayMetrics(state: RelayState): string {
  const { lookups } = state;
  return renderMetrics([
    ...listenerSamples(state),
    ...destinationSamples(state),
    ...Object.entries(conservationErrors(state)).map(([stage, lines]) =>
      sample(ROWS.conservationError, lines, { stage }),
    ),
    ...healthSamples(state),
    ...ringSamples(state),
    ...state.peers.map(({ peer, state: found }) => sample(ROWS.peer, PEER_VALUES[found], { peer })),
    sample(ROWS.generation, state.generation),
    sample(ROWS.reloads, state.reloads.done, { outcome: "done" }),
    sample(ROWS.reloads, state.reloads.refused, { outcome: "refused" }),
    sample(ROWS.lookups, lookups.totals.lookups - lookups.totals.failures, { outcome: "found" }),
    sample(ROWS.lookups, lookups.totals.failures, { outcome: "failed" }),
    sample(ROWS.threads, state.threadsRunning),
    sample(ROWS.uptime, state.uptimeSeconds),
    ...processSamples(),
  ]);
}
