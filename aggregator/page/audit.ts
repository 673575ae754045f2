/** What people change by the pages goes to the log: who, what, and how it went. */
import { type HttpRequest, type HttpResponse, type HttpRoute, jsonResponse } from "../../shared/http.ts";
import { type Log, rateLimited } from "../../shared/log.ts";

/** An answer to a request that changes something. */
export interface Change {
  readonly response: HttpResponse;
  /** What was asked for, for the log. */
  readonly fields: object;
}

export type Changer = (request: HttpRequest) => Change | Promise<Change>;

/** How routes that change something are guarded. */
export interface ChangeRules {
  readonly log: Pick<Log, "info" | "warn">;
  /** Returns the answer to who may not do this. */
  readonly refuse: (request: HttpRequest) => HttpResponse | undefined;
  /** Returns the answer to a fault that was foreseen; throws others. */
  readonly answerFault: (error: unknown) => HttpResponse;
}

/**
 * Makes the routes of one server. Those who may not are told of once a second at most, as they may be
 * anybody.
 */
export class ChangeRoutes {
  readonly #rules: ChangeRules;
  readonly #denials: Pick<Log, "warn">;

  constructor(rules: ChangeRules) {
    const { log } = rules;
    this.#rules = rules;
    const toWarn = (event: string, fields: object = {}): void => log.warn(event, fields);
    this.#denials = rateLimited({ error: toWarn, warn: toWarn, info: toWarn, debug: toWarn });
  }

  /** action: its name in the log. */
  route(method: "POST" | "DELETE", path: string, action: string, change: Changer): HttpRoute {
    return {
      method,
      path,
      readsBody: method === "POST",
      handler: async (request) => {
        const { client } = request;
        const denial = this.#rules.refuse(request);
        if (denial !== undefined) {
          const { status } = denial;
          this.#denials.warn("management.denied", { action, client, status, answer: wordsOf(denial) });
          return denial;
        }
        const { response, fields } = await this.#change(change, request);
        const { status } = response;
        const outcome = status < 400 ? "done" : "refused";
        const answer = wordsOf(response);
        this.#rules.log.info("management.command", {
          action,
          client,
          ...fields,
          outcome,
          status,
          ...(answer !== undefined && { answer }),
        });
        return response;
      },
    };
  }

  async #change(change: Changer, request: HttpRequest): Promise<Change> {
    try {
      return await change(request);
    } catch (error) {
      return { response: this.#rules.answerFault(error), fields: {} };
    }
  }
}

/** What an answer in JSON says of itself in words. */
function wordsOf({ body }: HttpResponse): string | undefined {
  const { error, message }: Record<string, unknown> = JSON.parse(String(body));
  const words = error ?? message;
  return typeof words === "string" ? words : undefined;
}

/** An answer of a message for people: an error from 400 up. */
export function outcomeResponse(status: number, message: string): HttpResponse {
  return jsonResponse(status, status < 400 ? { message } : { error: message });
}
