/** The management pages that every daemon has. */
import { type HttpResponse, type HttpRoute, jsonResponse, textResponse } from "./http.ts";

/** Content type of the Prometheus text exposition. */
export const TYPE_METRICS = "text/plain; version=0.0.4; charset=utf-8";

/** What the standard routes ask of a daemon. */
export interface Health {
  /** Whether work can be taken now; detail is shown to the operator as JSON. */
  isReady(): { readonly ready: boolean; readonly detail: object };
  /** The Prometheus text exposition; may be computed by other threads meanwhile. */
  metrics(): string | Promise<string>;
}

/**
 * The routes that every daemon has: /healthz and /healthcheck (the process answers), /readyz (200 or 503
 * with detail), /metrics.
 */
export function standardRoutes(health: Health): HttpRoute[] {
  const alive = (): HttpResponse => textResponse(200, "ok");
  return [
    { method: "GET", path: "/healthz", handler: alive },
    { method: "GET", path: "/healthcheck", handler: alive },
    {
      method: "GET",
      path: "/readyz",
      handler: () => {
        const { ready, detail } = health.isReady();
        return jsonResponse(ready ? 200 : 503, { ready, ...detail });
      },
    },
    {
      method: "GET",
      path: "/metrics",
      handler: async () => ({ status: 200, type: TYPE_METRICS, body: await health.metrics() }),
    },
  ];
}
