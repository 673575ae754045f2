/** The pages /status and /stats. bioyino's fields keep their names and meanings. */
import { nodeName } from "../../cluster/running/member-settings.ts";
import { type HttpResponse, jsonResponse, TYPE_JSON, TYPE_TEXT } from "../../shared/http.ts";
import { flushWaitMs, isLeader, isReady, newestDelivered } from "../cluster-standing.ts";
import type { StatsReading } from "../own-stats.ts";
import type { Offenders } from "../questions.ts";
import { droppedLines } from "../totals.ts";
import { clusterStatus } from "./cluster-status.ts";
import type { Standing } from "./standing.ts";
import type { AggregatorView } from "./view.ts";

/** Prefixes and senders that are named. */
const OFFENDERS_MAX = 10;

/**
 * Makes the page. isTrusted: whether names may be shown to who asks; without, the page has counts only.
 * A store that is busy costs the page its names, and nothing else.
 */
export async function statusPage(
  view: AggregatorView,
  standing: Standing,
  isTrusted: boolean,
): Promise<HttpResponse> {
  const { store, sinks, intakes } = view.totals();
  const config = view.config();
  const { intervalMs } = config.aggregator;
  const listeners = view.listeners();
  const cluster = view.cluster();
  const body = {
    // A node without a cluster is its own leader.
    "leader-status": cluster === undefined || isLeader(cluster),
    "consensus-status": standing.consensus,
    version: view.version,
    ready: isNodeReady(view, standing),
    health: standing.health,
    listen: listeners.map(({ listen }) => listen),
    listeners,
    // By thread, and `self` for what the aggregator counts about itself.
    intakes: intakes.map(({ name, counts }) => ({
      name,
      received: counts.received,
      accepted: counts.accepted,
      dropped: droppedLines(counts),
      kernelDrops: counts.kernelDrops,
    })),
    intervalMs,
    openIntervals: store.openIntervals,
    openSeries: store.openSeries,
    openBytes: store.openBytes,
    keptSeries: store.keptSeries,
    heldBytes: store.heldBytes,
    flushedIntervals: store.flushedIntervals,
    lastFlush: view.lastFlush() ?? null,
    alarms: alarmsOf(view),
    limits: limitsOf(view),
    offenders: isTrusted ? await offendersOf(view) : null,
    sinks,
    ...(cluster !== undefined && { cluster: clusterStatus(cluster, nodeName(config), intervalMs) }),
  };
  return { status: 200, type: TYPE_JSON, body: `${JSON.stringify(body, null, 2)}\n` };
}

/** Whether lines had better be sent here. */
export function isNodeReady(view: AggregatorView, standing: Standing): boolean {
  const cluster = view.cluster();
  return view.isReady() && standing.health === "up" && (cluster === undefined || isReady(cluster));
}

/** What somebody should look at, in words; empty when all is well. */
export function alarmsOf(view: AggregatorView, nowMs: number = Date.now()): string[] {
  const missing = missingIntervals(view, nowMs);
  const alarms = [...view.clusterAlarms()];
  if (missing > 0) {
    const what =
      view.cluster() === undefined ? "no interval was flushed" : "no node has delivered an interval";
    alarms.unshift(`${what} for ${missing} intervals`);
  }
  for (const { name, state, lastError } of view.totals().sinks) {
    if (state === "retrying") alarms.push(`${name} does not take rows: ${lastError ?? "unknown fault"}`);
  }
  return alarms;
}

/** Intervals that should have been flushed, where they are too many; 0 where all is well. */
function missingIntervals(view: AggregatorView, nowMs: number): number {
  const config = view.config();
  const { intervalMs, watchdogIntervals } = config.aggregator;
  const standing = view.cluster();
  // Nothing is flushed by an agent.
  if (watchdogIntervals === 0 || standing?.role === "agent") return 0;
  const last = standing === undefined ? view.lastFlush()?.interval : newestDelivered(standing);
  // Nothing was flushed before the process began.
  const startMs = performance.timeOrigin;
  const lastMs = last === undefined ? startMs : Math.max(startMs, (last + 1) * intervalMs);
  const missing = Math.floor((nowMs - lastMs - flushWaitMs(config)) / intervalMs);
  return missing > watchdogIntervals ? missing : 0;
}

function limitsOf(view: AggregatorView): object {
  const { aggregator } = view.config();
  const { store } = view.totals();
  return {
    seriesMax: aggregator.seriesMax,
    seriesPerSenderMax: aggregator.seriesPerSenderMax,
    seriesPerPrefixMax: aggregator.seriesPerPrefixMax,
    timerSamplesMax: aggregator.timerSamplesMax,
    memoryBytesMax: aggregator.memoryBytesMax,
    refusedLines: store.refusedLines,
    overflowedLines: store.overflowedSamples,
    typeClashes: store.typeClashes,
  };
}

/** Asks who makes the most series. Returns null where the store does not say. */
export async function offendersOf(view: AggregatorView): Promise<Offenders | null> {
  try {
    const offenders = await view.ask({ kind: "offenders", limit: OFFENDERS_MAX });
    const senders = offenders.senders.map((sender) => ({
      ...sender,
      name: view.senderHost(sender.name) ?? sender.name,
    }));
    return { ...offenders, senders };
  } catch {
    // Busy or ending: the page has everything else.
    return null;
  }
}

/** The Rust bioyino calls one of its metrics otherwise on this page. */
const PAGE_NAMES: ReadonlyMap<string, string> = new Map([["slow-w-len", "slow-q-len"]]);

/** The page /stats: lines `name value ms-timestamp`, or JSON. */
export function statsPage({ atMs, values }: StatsReading, asJson: boolean): HttpResponse {
  const shown = [...values].map(([name, value]) => [PAGE_NAMES.get(name) ?? name, value] as const);
  if (asJson) return jsonResponse(200, { ts: atMs, metrics: Object.fromEntries(shown) });
  const body = shown.map(([name, value]) => `${name} ${value} ${atMs}\n`).join("");
  return { status: 200, type: TYPE_TEXT, body };
}
