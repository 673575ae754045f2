/** The aggregator's own statsd metrics: what /stats shows, and what it counts about itself. */
import { PEER_FAULTS } from "./capnp/peer-counters.ts";
import type { IntakeCounter } from "./counters.ts";
import { droppedLines, sumIntakes, sumRustPeers, sumSockets, type Totals } from "./totals.ts";

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

const lostRows = ({ rowsLost }: Totals["sinks"][number]) =>
  Object.values(rowsLost).reduce((sum, rows) => sum + rows, 0);

/** Adds one counter up over the intakes for those who are no peers. */
function sumSenders(totals: Totals, counter: IntakeCounter): number {
  return sumSockets(totals, counter) - sumRustPeers(totals, counter);
}

function peerErrors({ cluster, rustPeers }: Totals): number {
  const lost = cluster?.links.reduce((sum, { reconnects }) => sum + reconnects, 0) ?? 0;
  const { staleMessages = 0, backlogDropped = 0 } = cluster?.view?.counts ?? {};
  const faults = PEER_FAULTS.reduce((sum, fault) => sum + (rustPeers?.[`faults.${fault}`] ?? 0), 0);
  return lost + staleMessages + backlogDropped + faults;
}

/** The names that bioyino's users have on their dashboards come first; README.md has the same table. */
export const OWN_STATS: readonly OwnStat[] = [
  { name: "ingress", kind: "counter", help: "bytes received", read: (t) => sumSenders(t, "bytes") },
  { name: "ingress-metric", kind: "counter", help: "lines accepted", read: (t) => sumSenders(t, "accepted") },
  {
    name: "ingress-metric-peer",
    kind: "counter",
    help: "samples received from peers; from those of the Rust bioyino, metrics",
    read: (t) => (t.cluster?.view?.counts.samplesReceived ?? 0) + sumRustPeers(t, "accepted"),
  },
  {
    name: "egress-carbon",
    kind: "counter",
    help: "rows delivered to sinks",
    read: (t) => sumSinks(t, (sink) => sink.rowsSent),
  },
  {
    name: "egress-peer",
    kind: "counter",
    help: "samples sent to peers, to each and each time",
    read: (t) => t.cluster?.view?.counts.samplesSent ?? 0,
  },
  {
    name: "drop",
    kind: "counter",
    help: "samples lost on the way to the store",
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
    help: "samples refused by the store, for want of room or because they came late",
    read: (t) => t.store.refusedLines + t.store.lateLines,
  },
  {
    name: "queue-error",
    kind: "counter",
    help: "rows that found no room in a sink's queue, or grew too old there",
    read: (t) => sumSinks(t, ({ rowsLost }) => rowsLost.queue_full + rowsLost.too_old + rowsLost.too_large),
  },
  {
    name: "peer-error",
    kind: "counter",
    help: "failures between peers: connections lost, messages refused, snapshots without room in a backlog",
    read: peerErrors,
  },
  {
    name: "slow-w-len",
    kind: "gauge",
    help: "open intervals beyond one: they wait for late lines or their flush",
    read: (t) => Math.max(0, t.store.openIntervals - 1),
  },
  {
    name: "lost-rows",
    kind: "counter",
    help: "rows that sinks have given up",
    read: (t) => sumSinks(t, lostRows),
  },
  {
    name: "sink-lag-ms",
    kind: "gauge",
    help: "age of the oldest rows that wait for a sink",
    read: (t) => t.sinks.reduce((oldest, { oldestMs }) => Math.max(oldest, oldestMs), 0),
  },
  {
    name: "overflow",
    kind: "counter",
    help: "samples that a bound turned to the overflow series",
    read: (t) => t.store.overflowedSamples,
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
