/** The management server: a few exact paths over node:http, bounded in size, time and connections. */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { OperatorError } from "./errors.ts";

export const TYPE_JSON = "application/json; charset=utf-8";
export const TYPE_TEXT = "text/plain; charset=utf-8";

/** Largest request body in bytes; more is answered by 413. */
export const HTTP_BODY_BYTES_MAX = 64 * 1024;

// A client that trickles its request loses its place after these times, so that it cannot keep others out.
const HEADERS_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_TIMEOUT_MS = 5_000;
/** How often the two timeouts above are looked at; node's own default of 30 s would make them 35 s. */
const TIMEOUT_CHECK_MS = 1_000;
/** A connection without traffic is dropped after this long, in milliseconds. */
const SOCKET_TIMEOUT_MS = 15_000;
const CONNECTIONS_MAX = 256;
/** How long close() lets requests under way finish. */
const CLOSE_GRACE_MS = 1_000;

export interface HttpRequest {
  readonly method: string;
  /** Decoded, without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  /** Address literal of who asks. */
  readonly client: string;
  /** Present only where the route has readsBody; at most HTTP_BODY_BYTES_MAX. */
  readonly body?: Buffer;
}

export interface HttpResponse {
  readonly status: number;
  /** Value of Content-Type, such as TYPE_JSON. */
  readonly type: string;
  readonly body: string | Buffer;
  /** Further headers, such as WWW-Authenticate. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** One path and method. HEAD is answered wherever GET is. */
export interface HttpRoute {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** Compared as a whole, with its leading slash. */
  readonly path: string;
  readonly readsBody?: boolean;
  /** What it throws is logged and answered by 500 without the text. */
  handler(request: HttpRequest): HttpResponse | Promise<HttpResponse>;
}

/** One path that becomes another protocol, such as a WebSocket. */
export interface HttpUpgrade {
  /** Compared as a whole, with its leading slash. */
  readonly path: string;
  /** Takes the connection over and returns nothing, or returns the answer that refuses. */
  handler(
    incoming: IncomingMessage,
    request: HttpRequest,
    socket: Duplex,
    head: Buffer,
  ): HttpResponse | undefined;
}

/** What a server may have beyond its routes. */
export interface HttpOptions {
  readonly upgrades?: readonly HttpUpgrade[];
  /** Whether faults are answered as {"error": TEXT} rather than as plain text. */
  readonly hasJsonErrors?: boolean;
}

/** The part of the log that the server needs. */
export interface HttpLog {
  error(event: string, fields: Record<string, unknown>): void;
}

/** A server that listens. */
export interface HttpServer {
  /** HOST:PORT as bound, with brackets around an IPv6 address. */
  readonly address: string;
  readonly port: number;
  /** Stops listening, and cuts requests after a second. Resolves when all connections are gone. */
  close(): Promise<void>;
}

/** An answer in JSON, with a line end for those who read it in a terminal. */
export function jsonResponse(status: number, value: unknown): HttpResponse {
  return { status, type: TYPE_JSON, body: `${JSON.stringify(value)}\n` };
}

/** An answer of one line of plain text. */
export function textResponse(status: number, line: string): HttpResponse {
  return { status, type: TYPE_TEXT, body: `${line}\n` };
}

/** A fault of the request; its status and text are the answer. */
class RequestFault extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/**
 * Starts the management server. host: address literal or name; port: 0 = any free one.
 * Throws OperatorError naming the management address when it cannot be bound.
 */
export async function startHttp(
  listen: { readonly host: string; readonly port: number },
  routes: readonly HttpRoute[],
  log: HttpLog,
  options: HttpOptions = {},
): Promise<HttpServer> {
  const fault = options.hasJsonErrors === true ? jsonFault : textResponse;
  const server = createServer(
    {
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
      connectionsCheckingInterval: TIMEOUT_CHECK_MS,
    },
    (incoming, outgoing) => void answer(incoming, outgoing, routes, log, fault),
  );
  const upgraded = new Set<Duplex>();
  const { upgrades = [] } = options;
  if (upgrades.length > 0) {
    server.on("upgrade", (incoming: IncomingMessage, socket: Duplex, head: Buffer) => {
      // A client that vanishes is no event.
      socket.on("error", () => socket.destroy());
      upgraded.add(socket.once("close", () => upgraded.delete(socket)));
      const respond = (response: HttpResponse) => send(incoming, detached(incoming, socket), response);
      try {
        const request = requestOf(incoming);
        const taker = upgrades.find(({ path }) => path === request.path);
        if (taker !== undefined) {
          const refusal = taker.handler(incoming, request, socket, head);
          if (refusal !== undefined) respond(refusal);
        } else if (hasBody(incoming.headers)) {
          // It is left in the connection, behind the request.
          respond(fault(400, "send a body without an offer to upgrade"));
        } else void answer(incoming, detached(incoming, socket), routes, log, fault);
      } catch (error) {
        respond(responseTo(error, incoming, log, fault));
      }
    });
  }
  server.maxConnections = CONNECTIONS_MAX;
  // A client that asks and never reads would hold its place for ever.
  server.setTimeout(SOCKET_TIMEOUT_MS);
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => reject(listenFault(error, listen)));
    server.listen({ host: listen.host, port: listen.port }, resolve);
  });
  server.on("error", (error) => log.error("management.failed", { error: error.message }));
  const bound = server.address() as AddressInfo;
  return {
    address: hostPort(bound.address, bound.port),
    port: bound.port,
    close: () =>
      new Promise((resolve) => {
        const grace = setTimeout(() => {
          server.closeAllConnections();
          for (const socket of upgraded) socket.destroy();
        }, CLOSE_GRACE_MS);
        server.close(() => {
          clearTimeout(grace);
          resolve();
        });
        server.closeIdleConnections();
      }),
  };
}

function hostPort(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function listenFault(error: NodeJS.ErrnoException, listen: { host: string; port: number }): OperatorError {
  const address = hostPort(listen.host, listen.port);
  const remedies: Record<string, string> = {
    EADDRINUSE: "another process has the port; set `management` to a free one, or to port 0 for any",
    EACCES: "ports below 1024 need a privilege; set `management` to a higher port",
    EADDRNOTAVAIL: "this machine does not have the address; set `management` to one that it has",
  };
  const remedy = remedies[error.code ?? ""] ?? "set `management` to an address and port of this machine";
  return new OperatorError(`cannot listen on management address ${address} (${error.code}): ${remedy}`);
}

/** Writes a fault for people or for programs. */
type FaultWriter = (status: number, message: string) => HttpResponse;

/** A fault as programs read it. */
function jsonFault(status: number, message: string): HttpResponse {
  return jsonResponse(status, { error: message });
}

async function answer(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  routes: readonly HttpRoute[],
  log: HttpLog,
  fault: FaultWriter,
): Promise<void> {
  let response: HttpResponse;
  try {
    response = await dispatch(incoming, outgoing, routes);
  } catch (error) {
    response = responseTo(error, incoming, log, fault);
  }
  send(incoming, outgoing, response);
}

function send(incoming: IncomingMessage, outgoing: ServerResponse, response: HttpResponse): void {
  // The rest of a body that nobody reads is not waited for.
  if (!incoming.complete) outgoing.setHeader("Connection", "close");
  outgoing.setHeader("Cache-Control", "no-store");
  outgoing.setHeader("X-Content-Type-Options", "nosniff");
  outgoing.setHeader("Content-Type", response.type);
  outgoing.setHeader("Content-Length", Buffer.byteLength(response.body));
  for (const [name, value] of Object.entries(response.headers ?? {})) outgoing.setHeader(name, value);
  outgoing.writeHead(response.status);
  // Node leaves the body of an answer to HEAD out by itself.
  outgoing.end(response.body);
}

/** The answer to what a handler has thrown. */
function responseTo(
  error: unknown,
  incoming: IncomingMessage,
  log: HttpLog,
  fault: FaultWriter,
): HttpResponse {
  if (error instanceof RequestFault) return fault(error.status, error.message);
  log.error("management.handler", {
    path: splitPath(incoming.url ?? ""),
    error: error instanceof Error ? error.stack : error,
  });
  return fault(500, "internal error, see the log");
}

/**
 * The response of a request that offered to upgrade: its connection is the server's no more, and ends with
 * it.
 */
function detached(incoming: IncomingMessage, socket: Duplex): ServerResponse {
  const outgoing = new ServerResponse(incoming);
  outgoing.shouldKeepAlive = false;
  outgoing.assignSocket(socket as Socket);
  outgoing.on("finish", () => socket.end(() => socket.destroy()));
  return outgoing;
}

function hasBody(headers: IncomingHttpHeaders): boolean {
  return Number(headers["content-length"] ?? 0) > 0 || headers["transfer-encoding"] !== undefined;
}

/** Throws RequestFault where the target is none. */
function requestOf(incoming: IncomingMessage): HttpRequest {
  const { method = "GET", headers, socket } = incoming;
  return { method, ...splitTarget(incoming.url ?? ""), headers, client: socket.remoteAddress ?? "" };
}

async function dispatch(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  routes: readonly HttpRoute[],
): Promise<HttpResponse> {
  const request = requestOf(incoming);
  const { method, path } = request;
  const samePath = routes.filter((route) => route.path === path);
  if (samePath.length === 0) throw new RequestFault(404, "no such page");
  const wanted = method === "HEAD" ? "GET" : method;
  const route = samePath.find((one) => one.method === wanted);
  if (route === undefined) {
    const allowed = samePath.flatMap((one) => (one.method === "GET" ? ["GET", "HEAD"] : [one.method]));
    outgoing.setHeader("Allow", allowed.join(", "));
    throw new RequestFault(405, `method ${method} is not allowed here`);
  }
  if (route.readsBody !== true) return route.handler(request);
  return route.handler({ ...request, body: await readBody(incoming) });
}

/** Splits a request target in origin form; absolute forms are for proxies, which this is not. */
function splitTarget(target: string): { path: string; query: URLSearchParams } {
  if (!target.startsWith("/")) throw new RequestFault(400, "bad request target");
  const rawPath = splitPath(target);
  try {
    return {
      path: decodeURIComponent(rawPath),
      query: new URLSearchParams(target.slice(rawPath.length)),
    };
  } catch {
    throw new RequestFault(400, "bad percent-encoding in the path");
  }
}

/** The path as it was sent: a log shows no query, which may hold what is nobody else's business. */
function splitPath(target: string): string {
  const mark = target.indexOf("?");
  return mark < 0 ? target : target.slice(0, mark);
}

async function readBody(incoming: IncomingMessage): Promise<Buffer> {
  if (Number(incoming.headers["content-length"] ?? 0) > HTTP_BODY_BYTES_MAX) throw bodyTooLarge();
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    incoming.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > HTTP_BODY_BYTES_MAX) {
        incoming.pause();
        reject(bodyTooLarge());
      } else {
        chunks.push(chunk);
      }
    });
    incoming.on("end", () => resolve(Buffer.concat(chunks)));
    incoming.on("error", () => reject(new RequestFault(400, "the body ended early")));
  });
}

function bodyTooLarge(): RequestFault {
  return new RequestFault(413, `the body exceeds ${HTTP_BODY_BYTES_MAX} bytes`);
}
