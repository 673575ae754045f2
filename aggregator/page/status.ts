/** The pages /status and /stats. bioyino's fields keep their names and meanings. */
import { type HttpResponse, jsonResponse, TYPE_JSON, TYPE_TEXT } from "../../shared/http.ts";
import type { StatsReading } from "../own-stats.ts";
import type { Offenders } from "../questions.ts";
import { droppedLines } from "../totals.ts";
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
  const { aggregator } = view.config();
  const listeners = view.listeners();
  const body = {
    // A node without a cluster is its own leader.
    "leader-status": true,
    "consensus-status": standing.consensus,
    version: view.version,
    ready: view.isReady() && standing.health === "up",
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
    intervalMs: aggregator.intervalMs,
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
  };
  return { status: 200, type: TYPE_JSON, body: `${JSON.stringify(body, null, 2)}\n` };
}

/** What somebody should look at, in words; empty when all is well. */
export function alarmsOf(view: AggregatorView, nowMs: number = Date.now()): string[] {
  const { intervalMs, watchdogIntervals, lateWindowMs } = view.config().aggregator;
  const last = view.lastFlush();
  const alarms: string[] = [];
  if (watchdogIntervals > 0) {
    // Nothing was flushed before the process began.
    const lastMs = last === undefined ? performance.timeOrigin : (last.interval + 1) * intervalMs;
    const lateMs = nowMs - lastMs - lateWindowMs;
    const missing = Math.floor(lateMs / intervalMs);
    if (missing > watchdogIntervals) alarms.push(`no interval was flushed for ${missing} intervals`);
  }
  for (const { name, state, lastError } of view.totals().sinks) {
    if (state === "retrying") alarms.push(`${name} does not take rows: ${lastError ?? "unknown fault"}`);
  }
  return alarms;
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
