/** Asks one running aggregator for its pages, with its token. */
import { fetchPage, type PageAnswer } from "../../shared/management-client.ts";
import { showText } from "../../shared/name-text.ts";

/** Longer than the aggregator waits for its store, so that it can say that this takes too long. */
const TIMEOUT_MS = 10_000;

export class PageAsker {
  /** HOST:PORT of the management pages. */
  readonly address: string;
  readonly token: string;

  /** token: empty for none. */
  constructor(address: string, token: string) {
    this.address = address;
    this.token = token;
  }

  /** Fetches a page. path: with its query. Throws OperatorError when nothing answers there. */
  ask(method: "GET" | "POST" | "DELETE", path: string, body?: unknown): Promise<PageAnswer> {
    const { address: management, token } = this;
    const given = body === undefined ? {} : { body };
    const terms = { daemon: "aggregator", flag: "--host", timeoutMs: TIMEOUT_MS };
    return fetchPage({ management, method, path, token, ...terms, ...given });
  }

  /** The fault that an answer names, for people. */
  faultOf(value: unknown): string {
    const { error, message } = Object(value) as Record<string, unknown>;
    const text =
      typeof error === "string" ? error : typeof message === "string" ? message : "no reason given";
    return showText(text);
  }
}
