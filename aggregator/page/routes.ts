/** Every page of the aggregator: who may see it, and what answers. openapi.ts describes the same list. */

import { nodeName } from "../../cluster/running/member-settings.ts";
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
import { type MetricSample, processSamples, renderMetrics } from "../../shared/stats.ts";
import { clusterSamples } from "../cluster-stats.ts";
import { settingsOf } from "../settings.ts";
import { aggregatorSamples } from "../stats.ts";
import { type Change, ChangeRoutes, outcomeResponse } from "./audit.ts";
import { clusterRoutes } from "./cluster-routes.ts";
import { clusterReadiness } from "./cluster-status.ts";
import { commandConsensus, readConsensus } from "./consensus.ts";
import { explainPage } from "./explain-page.ts";
import { OPENAPI } from "./openapi.ts";
import { deletePage, historyPage, QueryFault, seriesPage } from "./series-pages.ts";
import type { Standing } from "./standing.ts";
import { isNodeReady, statsPage, statusPage } from "./status.ts";
import { StoreFault } from "./store-client.ts";
import { topPage } from "./top.ts";
import type { AggregatorView } from "./view.ts";

/** What pages are made of. */
export interface PageContext {
  readonly view: AggregatorView;
  readonly standing: Standing;
  /** Takes what was changed by hand, and who was not let. */
  readonly log: Pick<Log, "info" | "warn">;
}

type Handler = (request: HttpRequest) => HttpResponse | Promise<HttpResponse>;

const HELP = `bioyino
GET    /status                    leadership, listeners, limits and sinks
GET    /stats[?format=json]       own metrics per second
GET    /metrics                   Prometheus
GET    /healthz /readyz           alive; takes lines
GET    /members                   the nodes of the cluster
GET    /openapi.json              description of all of this
with the management-token, or from this machine where there is none:
POST   /consensus   {"consensus-command":["enable|pause|resume|disable","unchanged|enable|disable"]}
POST   /transfer                  {"to":"NODE"} or {}: hands leadership over
POST   /drain                     hands everything over, and ends as by SIGTERM
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
  const guarded = (path: string, handler: Handler): HttpRoute => ({
    method: "GET",
    path,
    handler: (request) => refuse(request, view) ?? withFaults(handler, request),
  });
  const changes = new ChangeRoutes({ log, refuse: (request) => refuse(request, view), answerFault });
  return [
    ...standardRoutes({
      isReady: () => readiness(view, standing),
      metrics: () => renderMetrics([...ownSamples(view), ...processSamples()]),
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
    ...clusterRoutes(view, changes),
    changes.route("POST", "/consensus", "consensus", (request) => consensus(request, view, standing)),
    guarded("/series", (request) => seriesPage(request, view)),
    changes.route("DELETE", "/series", "delete", (request) => deletePage(request, view)),
    guarded("/history", (request) => historyPage(request, view)),
    guarded("/top", async () => jsonResponse(200, await topPage(view))),
    guarded("/explain", (request) => explainPage(request, view)),
    guarded("/config", () => jsonResponse(200, { settings: settingTexts(view) })),
    // A client that asks without an upgrade learns what is missing.
    guarded("/tail", () => ({
      ...jsonResponse(426, { error: "this page is a WebSocket" }),
      headers: { Upgrade: "websocket" },
    })),
    changes.route("POST", "/-/reload", "reload", async () => {
      const outcome = await view.reload();
      return { response: jsonResponse(outcome.ok ? 200 : 409, outcome), fields: {} };
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
    return answerFault(error);
  }
}

/** Throws what was not foreseen. */
function answerFault(error: unknown): HttpResponse {
  if (error instanceof StoreFault) return jsonResponse(FAULT_STATUS[error.kind], { error: error.message });
  if (error instanceof QueryFault || error instanceof OperatorError) {
    return jsonResponse(400, { error: error.message });
  }
  throw error;
}

function* ownSamples(view: AggregatorView): Generator<MetricSample> {
  yield* aggregatorSamples(view.totals());
  const cluster = view.cluster();
  const { intervalMs } = view.config().aggregator;
  if (cluster !== undefined) yield* clusterSamples(cluster, view.clusterAlarms().length, intervalMs);
}

function readiness(view: AggregatorView, standing: Standing): { ready: boolean; detail: object } {
  const sinks = view.totals().sinks.map(({ name, state }) => [name, state] as const);
  const cluster = view.cluster();
  return {
    ready: isNodeReady(view, standing),
    detail: {
      health: standing.health,
      listen: view.listeners().map(({ listen }) => listen),
      sinks: Object.fromEntries(sinks),
      ...(cluster !== undefined && { cluster: clusterReadiness(cluster, nodeName(view.config())) }),
    },
  };
}

async function consensus({ body }: HttpRequest, view: AggregatorView, standing: Standing): Promise<Change> {
  const command = readConsensus(body?.toString("utf8") ?? "");
  const { status, error } = await commandConsensus(command, view, standing);
  const response =
    error === undefined ? await statusPage(view, standing, true) : outcomeResponse(status, error);
  return {
    response,
    fields: command === undefined ? {} : { consensus: command.action, leader: command.leader },
  };
}

function settingTexts(view: AggregatorView): Record<string, string> {
  const settings = [...settingsOf(view.config()).values()];
  return Object.fromEntries(settings.map(({ path, text }) => [path, text]));
}
