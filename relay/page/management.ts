/** The relay's management pages. */
import { createHash, timingSafeEqual } from "node:crypto";
import type { HostPort } from "../../shared/config-addresses.ts";
import { OperatorError } from "../../shared/errors.ts";
import {
  type HttpRequest,
  type HttpResponse,
  type HttpRoute,
  type HttpServer,
  jsonResponse,
  standardRoutes,
  startHttp,
} from "../../shared/http.ts";
import { type Log, rateLimited } from "../../shared/log.ts";
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
  const fault = refusal(request, context);
  if (fault !== undefined) return fault;
  const outcome = await context.reload(["1", "true"].includes(request.query.get("force") ?? ""));
  return jsonResponse(outcome.ok ? 200 : 409, outcome);
}

/** Returns the answer to a request that may not change anything, or undefined. */
function refusal({ headers }: HttpRequest, { token, isLoopback }: LocalContext): HttpResponse | undefined {
  const deny = (status: number, message: string) => jsonResponse(status, { ok: false, moved: {}, message });
  if (token === "") {
    // A page that a browser has open could make it ask, too; it tells where it comes from.
    if (headers.origin !== undefined) return deny(403, "requests from web pages need a management-token");
    return isLoopback ? undefined : deny(403, "changes need a management-token beyond loopback");
  }
  const given = /^Bearer (.+)$/.exec(headers.authorization ?? "")?.[1] ?? "";
  return isEqual(given, token) ? undefined : deny(401, "the bearer token is missing or wrong");
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}

/** Compares without telling by its time how much is equal. */
function isEqual(left: string, right: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(left), digest(right));
}
