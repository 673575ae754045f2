/** The aggregator's management pages: the standard ones, and /status and /stats as bioyino has them. */
import {
  type HttpResponse,
  type HttpRoute,
  jsonResponse,
  standardRoutes,
  TYPE_JSON,
  TYPE_TEXT,
  textResponse,
} from "../shared/http.ts";
import { processSamples, renderMetrics } from "../shared/stats.ts";
import type { StatsReading } from "./own-stats.ts";
import type { SinkStatus } from "./sink/sink.ts";
import { aggregatorSamples } from "./stats.ts";
import type { Totals } from "./totals.ts";

/** What the pages show. */
export interface AggregatorView {
  readonly version: string;
  readonly listen: readonly string[];
  readonly isReady: () => boolean;
  readonly totals: () => Totals;
  readonly stats: () => StatsReading;
}

const HELP = `bioyino
GET /status               leadership and sinks, JSON
GET /stats[?format=json]  own metrics per second
GET /metrics              Prometheus
GET /healthz /readyz      alive; takes lines`;

export function aggregatorRoutes(view: AggregatorView): HttpRoute[] {
  return [
    ...standardRoutes({
      isReady: () => ({ ready: view.isReady(), detail: { listen: view.listen, sinks: sinkStates(view) } }),
      metrics: () => renderMetrics([...aggregatorSamples(view.totals()), ...processSamples()]),
    }),
    { method: "GET", path: "/", handler: () => textResponse(200, HELP) },
    { method: "GET", path: "/status", handler: () => status(view) },
    {
      method: "GET",
      path: "/stats",
      handler: ({ query }) => stats(view.stats(), query.get("format") === "json"),
    },
  ];
}

function sinkStates(view: AggregatorView): Record<string, SinkStatus["state"]> {
  return Object.fromEntries(view.totals().sinks.map(({ name, state }) => [name, state]));
}

/** bioyino's two fields keep their names and meanings; a node without consensus is its own leader. */
function status(view: AggregatorView): HttpResponse {
  const { store, sinks } = view.totals();
  const body = {
    "leader-status": true,
    "consensus-status": "disabled",
    version: view.version,
    ready: view.isReady(),
    listen: view.listen,
    openIntervals: store.openIntervals,
    openSeries: store.openSeries,
    flushedIntervals: store.flushedIntervals,
    sinks,
  };
  return { status: 200, type: TYPE_JSON, body: `${JSON.stringify(body, null, 2)}\n` };
}

function stats({ atMs, values }: StatsReading, asJson: boolean): HttpResponse {
  if (asJson) return jsonResponse(200, { ts: atMs, metrics: Object.fromEntries(values) });
  const body = [...values].map(([name, value]) => `${name} ${value} ${atMs}\n`).join("");
  return { status: 200, type: TYPE_TEXT, body };
}
