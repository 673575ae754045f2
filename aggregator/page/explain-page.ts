/** GET /explain?line=&listener=: what becomes of lines by the configuration in force. */
import type { SuiteConfig } from "../../shared/config.ts";
import { type HttpRequest, type HttpResponse, jsonResponse } from "../../shared/http.ts";
import type { Explanation } from "../explain/explain.ts";
import { QueryFault } from "./series-pages.ts";
import type { AggregatorView } from "./view.ts";

/** Questions that may wait; each has a kernel of its own while it is answered. */
const WAITING_MAX = 8;

let waiting = 0;
let last: Promise<unknown> = Promise.resolve();

/** Answers one question after the other, so that few kernels are alive. */
export async function explainPage({ query }: HttpRequest, view: AggregatorView): Promise<HttpResponse> {
  const lines = query.getAll("line");
  if (lines.length === 0) throw new QueryFault("line is missing; write line=NAME:VALUE|TYPE");
  if (waiting >= WAITING_MAX) return jsonResponse(503, { error: "too many lines are being explained" });
  const listener = query.get("listener") ?? "aggregator";
  waiting += 1;
  try {
    const answer = last.then(() => explain(view.config(), listener, lines.join("\n")));
    last = answer.catch(() => {});
    return jsonResponse(200, await answer);
  } finally {
    waiting -= 1;
  }
}

async function explain(config: SuiteConfig, listener: string, text: string): Promise<Explanation> {
  // Few daemons are ever asked.
  const { Explainer } = await import("../explain/explain.ts");
  const explainer = await Explainer.create(config, listener);
  return explainer.explain(text);
}
