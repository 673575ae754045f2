/** The listening side: challenges, upgrades, and the connections of peers and agents that came of them. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import type { WebSocketServer } from "ws";
import type { Clock } from "../../shared/clock.ts";
import { type HostPort, printHostPort } from "../../shared/config-addresses.ts";
import { OperatorError } from "../../shared/errors.ts";
import { EVERY_HOST, everyHostLiteral } from "../../shared/every-host.ts";
import { type Log, rateLimited } from "../../shared/log.ts";
import { isLoopback } from "../../shared/management-access.ts";
import type { SpokenHello } from "./hello.ts";
import { isNodeName } from "./hello.ts";
import {
  ACCESS_HEADERS,
  Challenges,
  isCertificateOf,
  isClaimText,
  isProof,
  type PeerAccess,
  proofOf,
} from "./peer-access.ts";
import { PACKET_BYTES_MAX } from "./peer-channel.ts";

/** Connections that have not shown yet who they are; of more, the oldest are cut. */
const STRANGERS_MAX = 256;
const HEADER_BYTES_MAX = 8 * 1024;
/** How often node looks for requests that take too long. */
const TIMEOUT_CHECK_MS = 500;

export interface PeerServerOptions {
  readonly listen: HostPort;
  readonly access: PeerAccess;
  readonly clock: Clock;
  readonly log: Log;
  /** How long a stranger may take for its handshake and its request. */
  readonly handshakeTimeoutMs: number;
  /** What this node says first; asked at each connection. */
  hello(): SpokenHello;
}

/** Somebody who has shown to belong to the cluster, and has not said hello yet. */
export interface Visitor {
  /** Name that it claims, and with a token or certificate has proved. */
  readonly node: string;
  /** What its hello has to be. */
  readonly helloDigest: string;
  readonly socket: Socket;
}

/** Takes connections over. */
export type TakeVisitor = (visitor: Visitor, webSocket: import("ws").WebSocket) => void;

interface Answer {
  readonly status: number;
  readonly body: string;
}

export class PeerServer {
  readonly #options: PeerServerOptions;
  readonly #take: TakeVisitor;
  readonly #challenges = new Challenges();
  /** By address and port of the other side: a TLS connection and the one below it have the same. */
  readonly #strangers = new Map<string, Socket>();
  /** Strangers' events, which anybody can cause. */
  readonly #log: Log;
  #server: Server | undefined;
  #webSockets: WebSocketServer | undefined;
  #refused = 0;

  constructor(options: PeerServerOptions, take: TakeVisitor) {
    this.#options = options;
    this.#take = take;
    this.#log = rateLimited(options.log, 1000, options.clock);
  }

  /** The port as bound; 0 before open(). */
  get port(): number {
    return (this.#server?.address() as AddressInfo | null | undefined)?.port ?? 0;
  }

  /** Connections that were refused for what they showed, or did not. */
  get refused(): number {
    return this.#refused;
  }

  /** Throws OperatorError where it cannot listen, or nobody would have to show anything. */
  async open(): Promise<void> {
    const { listen, access, handshakeTimeoutMs } = this.#options;
    if (access.token === undefined && access.tls === undefined && !isLoopback(listen.host)) {
      throw new OperatorError(
        `cluster.listen ${printHostPort(listen)} is beyond loopback, where anybody could send deltas; ` +
          "set cluster.token-file, or certificates",
      );
    }
    const { WebSocketServer } = await import("ws");
    this.#webSockets = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      autoPong: false,
      perMessageDeflate: false,
      maxPayload: PACKET_BYTES_MAX,
    });
    const server = this.#createServer();
    server.headersTimeout = handshakeTimeoutMs;
    server.requestTimeout = handshakeTimeoutMs;
    server.setTimeout(handshakeTimeoutMs);
    server.on("connection", (socket) => this.#onConnection(socket));
    server.on("upgrade", (request, socket, head) => this.#onUpgrade(request, socket as Socket, head));
    server.on("tlsClientError", (error, socket: TLSSocket) => {
      this.#countRefused(socket.remoteAddress, error.message);
      socket.destroy();
    });
    const host = listen.host === EVERY_HOST ? await everyHostLiteral() : listen.host;
    await new Promise<void>((resolve, reject) => {
      server.once("error", (error) => reject(listenFault(error, listen)));
      server.listen({ host, port: listen.port }, resolve);
    });
    server.on("error", (error) => this.#options.log.error("peer.listen-failed", { error: error.message }));
    this.#server = server;
  }

  /** Ends listening, and strangers; those who were taken over are not its own any more. */
  close(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return Promise.resolve();
    this.#server = undefined;
    for (const socket of this.#strangers.values()) socket.destroy();
    // Those that were upgraded are closed by who has them; this waits for them.
    return new Promise((resolve) => server.close(() => resolve()));
  }

  #createServer(): Server {
    const { access, listen } = this.#options;
    const options = { maxHeaderSize: HEADER_BYTES_MAX, connectionsCheckingInterval: TIMEOUT_CHECK_MS };
    const answer = (request: IncomingMessage, response: ServerResponse) => this.#onRequest(request, response);
    if (access.tls === undefined) return createServer(options, answer);
    try {
      return createTlsServer(
        {
          ...options,
          ...access.tls,
          minVersion: "TLSv1.3",
          requestCert: true,
          rejectUnauthorized: true,
          handshakeTimeout: this.#options.handshakeTimeoutMs,
        },
        answer,
      );
    } catch (error) {
      const said = error instanceof Error ? error.message : String(error);
      throw new OperatorError(
        `cluster.listen ${printHostPort(listen)}: certificate, key and authority cannot be used (${said}); ` +
          "name files in PEM form that belong together, without a passphrase",
      );
    }
  }

  #onConnection(socket: Socket): void {
    const place = placeOf(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#strangers.delete(place));
    socket.setNoDelay(true);
    if (this.#strangers.size >= STRANGERS_MAX) {
      const [oldest] = this.#strangers.values();
      oldest?.destroy();
    }
    this.#strangers.set(place, socket);
  }

  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    const { status, body } = this.#answer(request);
    if (status !== 200) this.#countRefused(request.socket.remoteAddress, body);
    response.setHeader("Content-Type", status === 200 ? "application/json" : "text/plain; charset=utf-8");
    response.setHeader("Cache-Control", "no-store");
    response.setHeader("Connection", "close");
    response.statusCode = status;
    response.end(`${body}\n`);
  }

  #answer({ method, url = "", headers }: IncomingMessage): Answer {
    if (headers.origin !== undefined) return { status: 403, body: "web pages have no business here" };
    if (method !== "GET" || url.replace(/\?.*$/s, "") !== "/peer/challenge") {
      return { status: 404, body: "no such page; this port is for peers" };
    }
    const challenge = this.#challenges.issue(this.#options.clock.monotonicMs());
    return { status: 200, body: JSON.stringify({ node: this.#options.hello().hello.node, challenge }) };
  }

  #onUpgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    socket.on("error", () => socket.destroy());
    const visitor = this.#admit(request, socket);
    if ("status" in visitor) {
      this.#countRefused(socket.remoteAddress, visitor.body);
      refuseUpgrade(socket, visitor);
      return;
    }
    const webSockets = this.#webSockets!;
    const addProof = (headers: string[], upgraded: IncomingMessage): void => {
      if (upgraded === request) headers.push(...this.#ownProof(request, visitor));
    };
    webSockets.on("headers", addProof);
    // It answers within this call, or not at all.
    webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      this.#strangers.delete(placeOf(socket));
      socket.setTimeout(0);
      this.#take(visitor, webSocket);
    });
    webSockets.off("headers", addProof);
  }

  /** Judges an upgrade by its headers. */
  #admit(request: IncomingMessage, socket: Socket): Visitor | Answer {
    const { headers, url = "" } = request;
    if (headers.origin !== undefined) return { status: 403, body: "web pages have no business here" };
    if (url !== "/peer") return { status: 404, body: "no such page; this port is for peers" };
    const shown = readHeaders(request);
    if (!isNodeName(shown.client) || !isClaimText(shown.nonce, shown.helloDigest)) {
      return { status: 401, body: "the request does not say who asks" };
    }
    const { access, clock } = this.#options;
    const { node } = this.#options.hello().hello;
    if (shown.server !== node) return { status: 403, body: `this is "${node}" and not "${shown.server}"` };
    const claim = { ...shown, side: "client" } as const;
    if (access.token !== undefined) {
      const nowMs = clock.monotonicMs();
      if (!this.#challenges.isOpen(shown.challenge, nowMs)) {
        return { status: 401, body: "the challenge is not open; it lives for 3 s and is good once" };
      }
      if (!isProof(shown.proof, access.token, claim)) {
        return { status: 401, body: "the proof is wrong; do both nodes have the same token?" };
      }
      if (!this.#challenges.close(shown.challenge, nowMs)) {
        return { status: 503, body: "too many connections in so short a time" };
      }
    }
    if (access.tls !== undefined) {
      const { raw } = (socket as TLSSocket).getPeerCertificate();
      if (!isCertificateOf(shown.client, raw)) {
        return { status: 403, body: `the certificate is not that of "${shown.client}"` };
      }
    }
    return { node: shown.client, helloDigest: shown.helloDigest, socket };
  }

  #ownProof(request: IncomingMessage, visitor: Visitor): string[] {
    const { access } = this.#options;
    const { digest } = this.#options.hello();
    const lines = [`${ACCESS_HEADERS.helloDigest}: ${digest}`];
    if (access.token !== undefined) {
      const claim = {
        ...readHeaders(request),
        client: visitor.node,
        side: "server",
        helloDigest: digest,
      } as const;
      lines.push(`${ACCESS_HEADERS.proof}: ${proofOf(access.token, claim)}`);
    }
    return lines;
  }

  #countRefused(address: string | undefined, reason: string): void {
    this.#refused += 1;
    this.#log.warn("peer.unauthorized", { address, reason });
  }
}

function placeOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

function readHeaders({ headers }: IncomingMessage) {
  const text = (name: string): string => {
    const value = headers[name];
    return typeof value === "string" ? value : "";
  };
  return {
    client: text(ACCESS_HEADERS.client),
    server: text(ACCESS_HEADERS.server),
    challenge: text(ACCESS_HEADERS.challenge),
    nonce: text(ACCESS_HEADERS.nonce),
    helloDigest: text(ACCESS_HEADERS.helloDigest),
    proof: text(ACCESS_HEADERS.proof),
  };
}

function refuseUpgrade(socket: Duplex, { status, body }: Answer): void {
  socket.end(
    `HTTP/1.1 ${status} Refused\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n` +
      `Content-Length: ${Buffer.byteLength(body) + 1}\r\n\r\n${body}\n`,
  );
}

function listenFault(error: NodeJS.ErrnoException, listen: HostPort): OperatorError {
  const remedies: Record<string, string> = {
    EADDRINUSE: "another process has the port; choose a free one",
    EACCES: "ports below 1024 need a privilege; choose a higher one",
    EADDRNOTAVAIL: "this machine does not have the address; choose one that it has",
  };
  const remedy = remedies[error.code ?? ""] ?? "choose an address and port of this machine";
  return new OperatorError(
    `cannot listen on cluster.listen ${printHostPort(listen)} (${error.code}): ${remedy}`,
  );
}
