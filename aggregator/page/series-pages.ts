/** The pages about series: search, deletion, and the last intervals with their values. */
import { type HttpRequest, type HttpResponse, jsonResponse } from "../../shared/http.ts";
import { METRIC_TYPES, type MetricType } from "../../shared/metric.ts";
import { patternFault } from "../../shared/pattern.ts";
import type { Change } from "./audit.ts";
import type { AggregatorView } from "./view.ts";

/** Series or rows in an answer, unless the request says. */
const LIMIT = 100;
/** Most that a request may ask for. */
export const LIMIT_MAX = 10_000;

/** A query that cannot be answered as it stands. */
export class QueryFault extends Error {}

/** GET /series?match=&type=&limit= */
export async function seriesPage({ query }: HttpRequest, view: AggregatorView): Promise<HttpResponse> {
  const match = matchOf(query, "**");
  const answer = await view.ask({ kind: "series", match, limit: limitOf(query), ...typeOf(query) });
  return jsonResponse(200, answer);
}

/** DELETE /series?match=&type= */
export async function deletePage({ query }: HttpRequest, view: AggregatorView): Promise<Change> {
  // To forget everything is a decision that must be written.
  const match = matchOf(query, undefined);
  const type = typeOf(query);
  const answer = await view.ask({ kind: "delete", match, ...type });
  return { response: jsonResponse(200, answer), fields: { match, ...type, deleted: answer.deleted } };
}

/** GET /history?match=&limit= */
export async function historyPage({ query }: HttpRequest, view: AggregatorView): Promise<HttpResponse> {
  const match = matchOf(query, "**");
  return jsonResponse(200, await view.ask({ kind: "history", match, limit: limitOf(query) }));
}

/**
 * Reads the pattern of a query. fallback: what counts when there is none; undefined where there must be one.
 * Throws QueryFault.
 */
export function matchOf(query: URLSearchParams, fallback: string | undefined): string {
  const match = query.get("match") ?? fallback;
  if (match === undefined) throw new QueryFault("match is missing; write a glob such as app.**, or /REGEX/");
  const fault = patternFault(match);
  if (fault !== undefined) throw new QueryFault(`match ${fault}`);
  return match;
}

function typeOf(query: URLSearchParams): { readonly type?: MetricType } {
  const text = query.get("type");
  if (text === null) return {};
  const type = METRIC_TYPES.find((one) => one === text);
  if (type === undefined) throw new QueryFault(`type is none of ${METRIC_TYPES.join(", ")}`);
  return { type };
}

function limitOf(query: URLSearchParams): number {
  const text = query.get("limit");
  if (text === null) return LIMIT;
  const limit = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > LIMIT_MAX) throw new QueryFault(`limit is none of 1..${LIMIT_MAX}`);
  return limit;
}
