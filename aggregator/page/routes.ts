/** Every page of the aggregator: who may see it, and what answers. openapi.ts describes the same list. */

import { OperatorError } from "../../shared/errors.ts";
import {
  type HttpRequest,
  type HttpResponse,
  type HttpRoute,
  jsonResponse,
  textResponse,
} from "../../shared/http.ts";
import type { Log } from "../../shared/log.ts";
import { isLoopback, refuseAccess } from "../../shared/management-access.ts";
import { standardRoutes } from "../../shared/standard-routes.ts";
import { processSamples, renderMetrics } from "../../shared/stats.ts";
import { settingsOf } from "../settings.ts";
import { aggregatorSamples } from "../stats.ts";
import { commandConsensus } from "./consensus.ts";
import { explainPage } from "./explain-page.ts";
import { OPENAPI } from "./openapi.ts";
import { deletePage, historyPage, QueryFault, seriesPage } from "./series-pages.ts";
import type { Standing } from "./standing.ts";
import { statsPage, statusPage } from "./status.ts";
import { StoreFault } from "./store-client.ts";
import { topPage } from "./top.ts";
import type { AggregatorView } from "./view.ts";

/** What pages are made of. */
export interface PageContext {
  readonly view: AggregatorView;
  readonly standing: Standing;
  /** Takes what was changed by hand. */
  readonly log: Pick<Log, "info">;
}

type Handler = (request: HttpRequest) => HttpResponse | Promise<HttpResponse>;

const HELP = `bioyino
GET    /status                    leadership, listeners, limits and sinks
GET    /stats[?format=json]       own metrics per second
GET    /metrics                   Prometheus
GET    /healthz /readyz           alive; takes lines
GET    /openapi.json              description of all of this
with the management-token, or from this machine where there is none:
POST   /consensus                 {"consensus-command":["enable|pause|resume|disable","unchanged|enable"]}
GET    /series?match=&type=&limit=   series of the open intervals
DELETE /series?match=&type=       forgets them
GET    /history?match=&limit=     rows of the last intervals
GET    /top                       who makes the most series, and what goes on
GET    /explain?line=&listener=   what becomes of a line
GET    /tail?match=               WebSocket: what comes in
GET    /config                    the configuration in force
POST   /-/reload                  reads the configuration again`;

/** Statuses of questions that the store has not answered. */
const FAULT_STATUS: Readonly<Record<StoreFault["kind"], number>> = { timeout: 504, busy: 503, refused: 503 };

/** Makes the routes. Those that change or reveal something ask for the token. */
export function aggregatorRoutes({ view, standing, log }: PageContext): HttpRoute[] {
  const guarded = (method: HttpRoute["method"], path: string, handler: Handler): HttpRoute => ({
    method,
    path,
    readsBody: method === "POST",
    handler: (request) => refuse(request, view) ?? withFaults(handler, request),
  });
  return [
    ...standardRoutes({
      isReady: () => readiness(view, standing),
      metrics: () => renderMetrics([...aggregatorSamples(view.totals()), ...processSamples()]),
    }),
    { method: "GET", path: "/", handler: () => textResponse(200, HELP) },
    { method: "GET", path: "/openapi.json", handler: () => jsonResponse(200, OPENAPI) },
    {
      method: "GET",
      path: "/status",
      handler: (request) => statusPage(view, standing, refuse(request, view) === undefined),
    },
    {
      method: "GET",
      path: "/stats",
      handler: ({ query }) => statsPage(view.stats(), query.get("format") === "json"),
    },
    guarded("POST", "/consensus", (request) => consensus(request, { view, standing, log })),
    guarded("GET", "/series", (request) => seriesPage(request, view)),
    guarded("DELETE", "/series", (request) => deletePage(request, view, log)),
    guarded("GET", "/history", (request) => historyPage(request, view)),
    guarded("GET", "/top", async () => jsonResponse(200, await topPage(view))),
    guarded("GET", "/explain", (request) => explainPage(request, view)),
    guarded("GET", "/config", () => jsonResponse(200, { settings: settingTexts(view) })),
    // A client that asks without an upgrade learns what is missing.
    guarded("GET", "/tail", () => ({
      ...jsonResponse(426, { error: "this page is a WebSocket" }),
      headers: { Upgrade: "websocket" },
    })),
    guarded("POST", "/-/reload", async () => {
      const outcome = await view.reload();
      return jsonResponse(outcome.ok ? 200 : 409, outcome);
    }),
  ];
}

/** Returns the answer to a request that may not see or change this, or undefined. */
export function refuse(request: HttpRequest, view: AggregatorView): HttpResponse | undefined {
  const { managementToken: token, management } = view.config().aggregator;
  const isLocal = isLoopback(management?.host ?? "") || isLoopback(request.client);
  const refusal = refuseAccess(request, { token, isLocal });
  if (refusal === undefined) return undefined;
  const response = jsonResponse(refusal.status, { error: refusal.message });
  return refusal.status === 401 ? { ...response, headers: { "WWW-Authenticate": "Bearer" } } : response;
}

/** Answers what went wrong with a request, and was foreseen. */
async function withFaults(handler: Handler, request: HttpRequest): Promise<HttpResponse> {
  try {
    return await handler(request);
  } catch (error) {
    if (error instanceof StoreFault) return jsonResponse(FAULT_STATUS[error.kind], { error: error.message });
    if (error instanceof QueryFault || error instanceof OperatorError) {
      return jsonResponse(400, { error: error.message });
    }
    throw error;
  }
}

function readiness(view: AggregatorView, standing: Standing): { ready: boolean; detail: object } {
  const sinks = view.totals().sinks.map(({ name, state }) => [name, state] as const);
  return {
    ready: view.isReady() && standing.health === "up",
    detail: {
      health: standing.health,
      listen: view.listeners().map(({ listen }) => listen),
      sinks: Object.fromEntries(sinks),
    },
  };
}

async function consensus(
  { body, client }: HttpRequest,
  { view, standing, log }: PageContext,
): Promise<HttpResponse> {
  const { status, error } = commandConsensus(body?.toString("utf8") ?? "", standing);
  if (error !== undefined) return jsonResponse(status, { error });
  log.info("consensus.set", { consensus: standing.consensus, client });
  return statusPage(view, standing, true);
}

function settingTexts(view: AggregatorView): Record<string, string> {
  const settings = [...settingsOf(view.config()).values()];
  return Object.fromEntries(settings.map(({ path, text }) => [path, text]));
}
