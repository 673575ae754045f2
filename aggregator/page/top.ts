/** The page /top: what `bioyino top` draws. Counts are since the start; rates are for who asks twice. */
import { nodeName } from "../../cluster/running/member-settings.ts";
import type { Offender } from "../questions.ts";
import type { SinkStatus } from "../sink/sink.ts";
import { droppedLines, sumIntakes, sumSockets } from "../totals.ts";
import { type ClusterTop, clusterTop } from "./cluster-status.ts";
import { alarmsOf, offendersOf } from "./status.ts";
import type { AggregatorView } from "./view.ts";

/** The answer to GET /top. */
export interface TopPage {
  readonly version: string;
  /** Wall clock of the reading, milliseconds since 1970. */
  readonly atMs: number;
  readonly intervalMs: number;
  /** Lines received by sockets, those of them that were refused, and datagrams that the system dropped. */
  readonly received: number;
  readonly dropped: number;
  readonly kernelDrops: number;
  readonly bytes: number;
  /** Lines lost behind the intake, for all reasons. */
  readonly lost: number;
  readonly flushedIntervals: number;
  readonly openIntervals: number;
  readonly openSeries: number;
  readonly openBytes: number;
  /** Duration of the last flush, and its end after the interval's end, in milliseconds. */
  readonly flushMs: number;
  readonly flushLagMs: number;
  /** Who makes the most series in open intervals; empty where the store does not say. */
  readonly prefixes: readonly Offender[];
  readonly senders: readonly Offender[];
  /** Keys that came with several types. */
  readonly clashes: readonly string[];
  readonly sinks: readonly SinkStatus[];
  readonly alarms: readonly string[];
  /** Absent where there is none. */
  readonly cluster?: ClusterTop;
}

/** Reads the aggregator as it is now. */
export async function topPage(view: AggregatorView): Promise<TopPage> {
  const offenders = await offendersOf(view);
  const totals = view.totals();
  const cluster = view.cluster();
  const { store, sinks, intakes } = totals;
  return {
    version: view.version,
    atMs: Date.now(),
    intervalMs: view.config().aggregator.intervalMs,
    received: sumSockets(totals, "received"),
    dropped: intakes.reduce((sum, { counts }) => sum + droppedLines(counts), 0),
    kernelDrops: sumIntakes(totals, "kernelDrops"),
    bytes: sumSockets(totals, "bytes"),
    lost: sumIntakes(totals, "lostLines") + store.refusedLines + store.lateLines + store.invalidLines,
    flushedIntervals: store.flushedIntervals,
    openIntervals: store.openIntervals,
    openSeries: store.openSeries,
    openBytes: store.openBytes,
    flushMs: store.flushMs,
    flushLagMs: store.flushLagMs,
    prefixes: offenders?.prefixes ?? [],
    senders: offenders?.senders ?? [],
    clashes: offenders?.clashes.map(({ key }) => key) ?? [],
    sinks,
    alarms: alarmsOf(view),
    ...(cluster !== undefined && { cluster: clusterTop(cluster, nodeName(view.config())) }),
  };
}
