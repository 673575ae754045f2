/** What fakes of stores have in common: an HTTP server that also misbehaves. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Clock } from "../../shared/clock.ts";

/** A request as the store sees it. */
export interface StoreRequest {
  /** Who asks: the first part of the path, which the fake takes off. */
  readonly client: string;
  readonly method: string;
  /** Without the client. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage["headers"];
  /** Undefined where there is none. */
  readonly body: unknown;
}

export interface StoreReply {
  readonly status: number;
  /** Sent as JSON, a string as it is. */
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** An answer that takes its time. */
export interface Delay {
  /** Whether it is done `before` the delay, or `after`. */
  readonly isDone: "before" | "after";
  readonly delayMs: number;
}

/**
 * What goes wrong. `hang`: taken and never answered, nor done. `lose`: done, and the connection is cut in
 * place of an answer. `cut`: cut without having been done. A reply: given in place of the store's, and
 * nothing done.
 */
export type Mischief = "hang" | "lose" | "cut" | StoreReply | Delay;

/** A store that tests can reach; `answer` says what it is. */
export abstract class FakeStore {
  readonly #server: Server;
  /** Decides about each request; undefined for what goes well. */
  mischief: (request: StoreRequest) => Mischief | undefined = () => undefined;
  /** Method and path of each request, without the query. */
  readonly requests: { readonly client: string; readonly line: string }[] = [];
  protected readonly clock: Clock;
  #heldCount = 0;

  constructor(clock: Clock) {
    this.clock = clock;
    this.#server = createServer((incoming, outgoing) => void this.#serve(incoming, outgoing));
  }

  async listen(): Promise<void> {
    await once(this.#server.listen(0, "127.0.0.1"), "listening");
  }

  /** URL for a client's endpoint. */
  endpoint(client: string): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/${client}`;
  }

  /** URL without a client, as a configuration has it. */
  get root(): string {
    return this.endpoint("").slice(0, -1);
  }

  /** Requests that wait here, for something to happen or for ever. */
  get heldCount(): number {
    return this.#heldCount;
  }

  async stop(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, "close");
  }

  protected abstract answer(request: StoreRequest): StoreReply | Promise<StoreReply>;

  async #serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const request = await readRequest(incoming);
    this.requests.push({ client: request.client, line: `${request.method} ${request.path}` });
    const mischief = this.mischief(request);
    if (mischief === "hang") return this.#hold(outgoing);
    if (mischief === "cut") return void outgoing.destroy();
    if (typeof mischief === "object" && "status" in mischief) return send(outgoing, mischief);
    const answer = typeof mischief === "object" ? this.#later(request, mischief) : this.answer(request);
    if (answer instanceof Promise) this.#hold(outgoing);
    const reply = await answer;
    if (mischief === "lose") outgoing.destroy();
    else send(outgoing, reply);
  }

  #later(request: StoreRequest, { isDone, delayMs }: Delay): Promise<StoreReply> {
    const early = isDone === "before" ? this.answer(request) : undefined;
    return new Promise((resolve) => {
      this.clock.setTimer(delayMs, () => resolve(early ?? this.answer(request)));
    });
  }

  /** Counts a request until it is answered, or its client is gone. */
  #hold(outgoing: ServerResponse): void {
    this.#heldCount += 1;
    outgoing.once("close", () => {
      this.#heldCount -= 1;
    });
  }
}

async function readRequest(incoming: IncomingMessage): Promise<StoreRequest> {
  let text = "";
  incoming.setEncoding("utf8");
  for await (const piece of incoming) text += piece;
  const url = new URL(incoming.url ?? "/", "http://store");
  // Paths of the real ones begin so: there is no client in front.
  const named = /^(?:\/(?!v1\/|apis\/)([^/]*))?(\/.*)$/.exec(url.pathname) ?? [];
  const [, client = "", path = ""] = named;
  const body: unknown = text === "" ? undefined : JSON.parse(text);
  const { method = "", headers } = incoming;
  return { client, method, path: decodeURIComponent(path), query: url.searchParams, headers, body };
}

function send(outgoing: ServerResponse, { status, body, headers = {} }: StoreReply): void {
  const isText = typeof body === "string";
  outgoing.writeHead(status, { "Content-Type": isText ? "text/plain" : "application/json", ...headers });
  outgoing.end(isText ? body : JSON.stringify(body));
}
