/** The relay's management pages. */
import type { HostPort } from "../../shared/config-addresses.ts";
import { OperatorError } from "../../shared/errors.ts";
import {
  type HttpRequest,
  type HttpResponse,
  type HttpRoute,
  type HttpServer,
  jsonResponse,
  startHttp,
} from "../../shared/http.ts";
import { type Log, rateLimited } from "../../shared/log.ts";
import { isLoopback, refuseAccess } from "../../shared/management-access.ts";
import { standardRoutes } from "../../shared/standard-routes.ts";
import type { ReloadOutcome } from "../reload.ts";
import type { TopPage } from "../top/screen.ts";
import { renderRelayMetrics } from "./metrics.ts";
import { type Fingerprints, RING_PAGE } from "./ring-page.ts";
import { type RelayState, statusPage } from "./status.ts";

/** What the pages ask of the relay. */
export interface ManagementContext {
  /** Bearer token of requests that change something; empty for none. */
  readonly token: string;
  readonly readiness: () => { ready: boolean; detail: object };
  readonly state: () => RelayState;
  readonly rings: () => Fingerprints;
  readonly top: () => TopPage;
  readonly reload: (isForced: boolean) => Promise<ReloadOutcome>;
}

/** A context with whether only this machine can reach the pages. */
type LocalContext = ManagementContext & { readonly isLoopback: boolean };

/**
 * Opens the pages. isOptional: go on without them where their address cannot be had.
 * Throws OperatorError naming the address otherwise.
 */
export async function openManagement(
  listen: HostPort,
  context: ManagementContext,
  log: Log,
  isOptional: boolean,
): Promise<HttpServer | undefined> {
  const routes = managementRoutes({ ...context, isLoopback: isLoopback(listen.host) });
  try {
    return await startHttp(listen, routes, rateLimited(log));
  } catch (error) {
    if (!isOptional || !(error instanceof OperatorError)) throw error;
    log.warn("relay.no_management", { reason: error.message });
    return undefined;
  }
}

/** Makes the routes: /healthz, /readyz, /metrics, /status, /ring, /top, and POST /-/reload. */
function managementRoutes(context: LocalContext): HttpRoute[] {
  return [
    ...standardRoutes({
      isReady: () => context.readiness(),
      metrics: () => renderRelayMetrics(context.state()),
    }),
    { method: "GET", path: "/status", handler: () => jsonResponse(200, statusPage(context.state())) },
    { method: "GET", path: RING_PAGE, handler: () => jsonResponse(200, { rings: context.rings() }) },
    { method: "GET", path: "/top", handler: () => jsonResponse(200, context.top()) },
    { method: "POST", path: "/-/reload", handler: (request) => reload(request, context) },
  ];
}

async function reload(request: HttpRequest, context: LocalContext): Promise<HttpResponse> {
  const refusal = refuseAccess(request, { token: context.token, isLocal: context.isLoopback });
  if (refusal !== undefined) {
    return jsonResponse(refusal.status, { ok: false, moved: {}, message: refusal.message });
  }
  const outcome = await context.reload(["1", "true"].includes(request.query.get("force") ?? ""));
  return jsonResponse(outcome.ok ? 200 : 409, outcome);
}
