/** The servers of one store, asked over HTTP one after the other: whoever answered last is asked first. */
import {
  Agent,
  request as httpRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestOptions,
} from "node:http";
import { Agent as TlsAgent, request as tlsRequest } from "node:https";
import { Backoff } from "../../shared/backoff.ts";
import type { Clock, TimerHandle } from "../../shared/clock.ts";
import { OperatorError } from "../../shared/errors.ts";
import type { Random } from "../../shared/random.ts";

/** Contents of files in PEM form; what is absent is as node has it. */
export interface TlsContents {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

export interface EndpointOptions {
  /** http://HOST:PORT or https://HOST:PORT, each with a path where a proxy wants one. At least one. */
  readonly endpoints: readonly string[];
  /** No answer after this is a fault. */
  readonly requestTimeoutMs: number;
  readonly tls?: TlsContents;
}

export interface HttpCall {
  readonly method: "GET" | "POST" | "PUT";
  /** With its leading slash, and escaped. */
  readonly path: string;
  /** Sent as JSON; absent for none. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** In place of requestTimeoutMs, for answers that are meant to be late. */
  readonly timeoutMs?: number;
  /** For an answer that goes on: called with each line, and the call ends with the first that is enough. */
  readonly isEnough?: (line: string) => boolean;
}

export interface HttpAnswer {
  /** Who answered. */
  readonly endpoint: string;
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Undefined where it is no JSON. */
  readonly body: unknown;
  /** Monotonic clock just before the question was sent. */
  readonly sentMs: number;
}

/** A store did not do what it was asked. What was asked may have been done all the same. */
export class EndpointFault extends Error {
  readonly endpoint: string;
  /** What somebody could do about it. */
  readonly remedy: string;
  /** How long the store wants to be left alone, in milliseconds; 0 for nothing said. */
  readonly retryAfterMs: number;

  constructor(endpoint: string, fault: string, remedy: string, retryAfterMs = 0) {
    super(fault);
    this.endpoint = endpoint;
    this.remedy = remedy;
    this.retryAfterMs = retryAfterMs;
  }
}

/** Longest answer in bytes, or line of one that goes on. */
const ANSWER_BYTES_MAX = 256 * 1024;
const SOCKETS_MAX = 4;
const BACKOFF = { delayMs: 250, multiplier: 2, delayMaxMs: 5000 };
const RETRY_AFTER_MAX_MS = 60_000;
const FAULT_CHARS_MAX = 160;

interface Endpoint {
  readonly url: URL;
  /** As logged: without user, password and path. */
  readonly name: string;
  readonly backoff: Backoff;
  /** Others go first until then, on the monotonic clock. */
  restsUntilMs: number;
}

/** Asks the servers of a store. */
export class HttpEndpoints {
  readonly #endpoints: readonly Endpoint[];
  readonly #options: EndpointOptions;
  readonly #clock: Clock;
  readonly #agent: Agent;
  readonly #tlsAgent: TlsAgent;
  /** Ends of the calls under way. */
  readonly #calls = new Set<() => void>();
  #current = 0;

  /** Throws OperatorError for an endpoint that is no such URL, or for none. */
  constructor(options: EndpointOptions, { clock, random }: { clock: Clock; random: Random }) {
    if (options.endpoints.length === 0) {
      throw new OperatorError("endpoints is empty; write at least one, such as http://127.0.0.1:2379");
    }
    this.#options = options;
    this.#clock = clock;
    this.#endpoints = options.endpoints.map((text) => {
      const url = readEndpoint(text);
      return { url, name: url.origin, backoff: new Backoff(BACKOFF, random), restsUntilMs: 0 };
    });
    const shared = { keepAlive: true, maxSockets: SOCKETS_MAX, maxFreeSockets: 1 };
    this.#agent = new Agent(shared);
    this.#tlsAgent = new TlsAgent({ ...shared, ...options.tls });
  }

  /** Whether there is one that has not failed lately, so that it can be asked at once. */
  get hasFresh(): boolean {
    const nowMs = this.#clock.monotonicMs();
    return this.#endpoints.some(({ restsUntilMs }) => restsUntilMs <= nowMs);
  }

  /**
   * Asks one server, once. Resolves with any answer below 500 but 429. Rejects with EndpointFault for all
   * else; another server is asked the next time then.
   */
  async request(call: HttpCall): Promise<HttpAnswer> {
    const endpoint = this.#choose();
    try {
      const answer = await this.#exchange(endpoint, call);
      if (answer.status >= 500 || answer.status === 429) {
        throw this.refusal(answer, "look at the store's log");
      }
      endpoint.backoff.reset();
      endpoint.restsUntilMs = 0;
      return answer;
    } catch (fault) {
      this.#rest(endpoint);
      throw fault;
    }
  }

  /** The fault of an answer that is no use, whose server rests now. remedy: what somebody could do. */
  refusal({ endpoint: name, status, headers, body }: HttpAnswer, remedy: string): EndpointFault {
    const endpoint = this.#endpoints.find((one) => one.name === name);
    if (endpoint !== undefined) this.#rest(endpoint);
    const said = recordOf(body).message ?? recordOf(body).error;
    const words = typeof said === "string" ? `: ${printable(said)}` : "";
    const seconds = Number(headers["retry-after"] ?? 0);
    const retryAfterMs = seconds > 0 ? Math.min(seconds * 1000, RETRY_AFTER_MAX_MS) : 0;
    return new EndpointFault(name, `HTTP ${status}${words}`, remedy, retryAfterMs);
  }

  /** Ends all calls under way with faults. */
  cancel(): void {
    for (const end of [...this.#calls]) end();
  }

  /** Closes connections that nobody uses. */
  close(): void {
    this.#agent.destroy();
    this.#tlsAgent.destroy();
  }

  /** It is not asked for a while where there are others, and not before them afterwards. */
  #rest(endpoint: Endpoint): void {
    const nowMs = this.#clock.monotonicMs();
    if (endpoint === this.#endpoints[this.#current]) {
      this.#current = (this.#current + 1) % this.#endpoints.length;
    }
    if (endpoint.restsUntilMs <= nowMs) endpoint.restsUntilMs = nowMs + endpoint.backoff.next();
  }

  /** The current one while it is well, else the next that is, else that which has rested longest. */
  #choose(): Endpoint {
    const nowMs = this.#clock.monotonicMs();
    const count = this.#endpoints.length;
    const order = this.#endpoints.map((_, index) => (this.#current + index) % count);
    const restsUntilMs = (index: number): number => this.#endpoints[index]!.restsUntilMs;
    const fresh = order.find((index) => restsUntilMs(index) <= nowMs);
    this.#current =
      fresh ?? order.reduce((best, index) => (restsUntilMs(index) < restsUntilMs(best) ? index : best));
    return this.#endpoints[this.#current]!;
  }

  /** A server closes an idle connection just when it is used again; then there is one more try. */
  async #exchange(endpoint: Endpoint, call: HttpCall): Promise<HttpAnswer> {
    try {
      return await this.#send(endpoint, call);
    } catch (fault) {
      if (!(fault instanceof ClosedFault)) throw fault;
      return this.#send(endpoint, call);
    }
  }

  #send({ url, name }: Endpoint, call: HttpCall): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      const { timeoutMs = this.#options.requestTimeoutMs } = call;
      const text = call.body === undefined ? undefined : JSON.stringify(call.body);
      const sentMs = this.#clock.monotonicMs();
      let timer: TimerHandle | undefined;
      const finish = (settle: () => void): void => {
        timer?.cancel();
        this.#calls.delete(cancel);
        settle();
      };
      const fail = (fault: Error): void => {
        finish(() => reject(fault));
        asked.destroy();
      };
      const cancel = (): void => fail(new EndpointFault(name, "cancelled", "nothing to be done"));
      // What happens when time is up: an answer that goes on has been good so far.
      let end = (): void => {
        fail(new EndpointFault(name, `no answer in ${timeoutMs} ms`, "see whether the store hangs"));
      };
      const asked = this.#open(url, call, text);
      timer = this.#clock.setTimer(timeoutMs, () => end());
      asked.on("error", (error) => fail(connectionFault(name, error, asked.reusedSocket)));
      asked.on("response", (response) => {
        const { statusCode: status = 0, headers } = response;
        const answer = (body: unknown): void => {
          finish(() => resolve({ endpoint: name, status, headers, body, sentMs }));
          if (!response.complete) asked.destroy();
        };
        if (call.isEnough !== undefined && status === 200) end = () => answer(undefined);
        response.on("error", (error) => fail(connectionFault(name, error, false)));
        readAnswer(response, call.isEnough, (body) => {
          if (body instanceof Error) fail(new EndpointFault(name, body.message, "see what answers"));
          else answer(body);
        });
      });
      this.#calls.add(cancel);
      asked.end(text);
    });
  }

  #open(url: URL, { method, path, headers }: HttpCall, text: string | undefined) {
    const isTls = url.protocol === "https:";
    const options: RequestOptions = {
      method,
      agent: isTls ? this.#tlsAgent : this.#agent,
      headers: {
        Accept: "application/json",
        ...(text === undefined
          ? {}
          : { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text) }),
        ...headers,
      },
    };
    const target = new URL(`${url.origin}${url.pathname.replace(/\/$/, "")}${path}`);
    return isTls ? tlsRequest(target, options) : httpRequest(target, options);
  }
}

/** A kept connection was gone before anything was answered. */
class ClosedFault extends EndpointFault {}

/** Fields of an object that came as JSON; none for anything else. */
export function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  return isObject ? (value as Readonly<Record<string, unknown>>) : {};
}

/** Items of a list that came as JSON; none for anything else. */
export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** Reads a count that came as a number or as digits; 0 for anything else. */
export function countOf(value: unknown): number {
  const number = typeof value === "string" && /^\d{1,16}$/.test(value) ? Number(value) : value;
  return typeof number === "number" && Number.isSafeInteger(number) && number > 0 ? number : 0;
}

function readEndpoint(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !["http:", "https:"].includes(url.protocol)) {
    throw new OperatorError(`endpoint is no URL; write http://HOST:PORT or https://HOST:PORT`);
  }
  if (url.username !== "" || url.password !== "") {
    throw new OperatorError(`endpoint ${url.host} has a user in its URL; use the keys for it instead`);
  }
  return url;
}

/** Calls `done` once, with the JSON of the whole answer, or undefined, or an Error where it is too long. */
function readAnswer(
  response: IncomingMessage,
  isEnough: ((line: string) => boolean) | undefined,
  done: (body: unknown) => void,
): void {
  let text = "";
  let isDone = false;
  const finish = (body: unknown): void => {
    if (!isDone) done(body);
    isDone = true;
  };
  response.setEncoding("utf8");
  response.on("data", (piece: string) => {
    text += piece;
    if (isEnough !== undefined && response.statusCode === 200) {
      const lines = text.split("\n");
      text = lines.pop()!;
      if (lines.some(isEnough)) finish(undefined);
    }
    if (text.length > ANSWER_BYTES_MAX) finish(new Error("answer too long"));
  });
  response.on("end", () => finish(parseJson(text)));
}

function printable(text: string): string {
  return text.replace(/\p{C}/gu, " ").slice(0, FAULT_CHARS_MAX);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const REMEDIES: Readonly<Record<string, string>> = {
  ECONNREFUSED: "see whether the store runs and listens there",
  ENOTFOUND: "check the host's name in endpoints",
  EAI_AGAIN: "see whether name servers answer",
  ENOENT: "check endpoints",
  ECONNRESET: "see whether the store speaks TLS there, and whether it restarts",
  EPROTO: "see whether endpoints need http in place of https",
  ERR_TLS_CERT_ALTNAME_INVALID: "use a host name that the store's certificate has",
};

function connectionFault(endpoint: string, error: NodeJS.ErrnoException, isReused: boolean): EndpointFault {
  const code = error.code ?? error.message;
  const isCertificate = /CERT|SELF_SIGNED|ISSUER|UNABLE_TO/.test(code);
  const remedy = isCertificate
    ? "set the authority that signed the store's certificate"
    : "check the way to the store";
  const Fault = isReused && (code === "ECONNRESET" || code === "EPIPE") ? ClosedFault : EndpointFault;
  return new Fault(endpoint, code, REMEDIES[code] ?? remedy);
}
