/** Peers made by hand, which do what no peer would. */
import { once } from "node:events";
import { createServer, get, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import type { TestContext } from "node:test";
import { WebSocket, WebSocketServer } from "ws";
import { type Hello, type SpokenHello, speakHello } from "../../cluster/transport/hello.ts";
import { newPacket } from "../../cluster/transport/packet.ts";
import { ACCESS_HEADERS, type Claim, newNonce, proofOf } from "../../cluster/transport/peer-access.ts";
import type { PeerAddress } from "../../cluster/transport/peer-hub.ts";
import { helloOf, TOKEN } from "./peer-rig.ts";

/** An answer without its body's line end. */
export interface PlainAnswer {
  readonly status: number | undefined;
  readonly body: string;
}

/** Asks a peer's port for a page. */
export async function ask(
  port: number,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<PlainAnswer> {
  const request = get({ host: "127.0.0.1", port, path, headers, agent: false });
  const [response] = (await once(request, "response")) as [IncomingMessage];
  let body = "";
  for await (const piece of response.setEncoding("utf8")) body += piece;
  return { status: response.statusCode, body: body.trimEnd() };
}

/** What a client shows, as `given` would have it. */
export interface Shown {
  readonly hello?: SpokenHello;
  readonly server?: string;
  readonly token?: string;
  readonly challenge?: string;
}

/** Asks for a challenge. */
export async function askChallenge(port: number): Promise<string> {
  return JSON.parse((await ask(port, "/peer/challenge?node=n2")).body).challenge;
}

/** The headers of a sound upgrade of n2 at n1, but for what is given. */
export async function upgradeHeaders(port: number, given: Shown = {}): Promise<Record<string, string>> {
  const { hello = speakHello(helloOf("n2")), server = "n1", token = TOKEN } = given;
  const challenge = given.challenge ?? (await askChallenge(port));
  const client = hello.hello.node;
  const claim = { side: "client", challenge, nonce: newNonce(), client, server } as const;
  return {
    [ACCESS_HEADERS.client]: client,
    [ACCESS_HEADERS.server]: server,
    [ACCESS_HEADERS.challenge]: challenge,
    [ACCESS_HEADERS.nonce]: claim.nonce,
    [ACCESS_HEADERS.helloDigest]: hello.digest,
    [ACCESS_HEADERS.proof]: proofOf(token, { ...claim, helloDigest: hello.digest }),
  };
}

/** A client that upgrades, and what it hears. */
export class FakeClient {
  readonly webSocket: WebSocket;
  readonly heard: Buffer[] = [];
  /** The answer that refused the upgrade. */
  refusal: PlainAnswer | undefined;
  /** Code and reason of the end. */
  closed: { readonly code: number; readonly reason: string } | undefined;

  constructor(t: TestContext, port: number, headers: Readonly<Record<string, string>>) {
    this.webSocket = new WebSocket(`ws://127.0.0.1:${port}/peer`, { headers, perMessageDeflate: false });
    t.after(() => this.webSocket.terminate());
    this.webSocket.on("error", () => {});
    this.webSocket.on("message", (data) => this.heard.push(data as Buffer));
    this.webSocket.on("close", (code, reason) => {
      this.closed = { code, reason: reason.toString() };
    });
    this.webSocket.on("unexpected-response", async (_, response) => {
      let body = "";
      for await (const piece of response.setEncoding("utf8")) body += piece;
      this.refusal = { status: response.statusCode, body: body.trimEnd() };
    });
  }

  /** Connects as n2, and says hello. */
  static async open(t: TestContext, port: number, given: Partial<Hello> = {}): Promise<FakeClient> {
    const hello = speakHello(helloOf("n2", given));
    const client = new FakeClient(t, port, await upgradeHeaders(port, { hello }));
    await once(client.webSocket, "open");
    client.webSocket.send(hello.packet);
    return client;
  }
}

/** What a fake server does in the place of a sound one. */
export interface FakeServerOptions {
  readonly name?: string;
  /** Whether it answers pings by itself; true by default. */
  readonly autoPong?: boolean;
  /** Makes the proof that it shows; a sound one by default. Undefined for none. */
  readonly prove?: (claim: Claim, request: IncomingMessage) => string | undefined;
  /** Whether it answers nothing at all. */
  readonly isMute?: boolean;
}

/** A server that is called n2, and what it hears. */
export class FakeServer {
  readonly #server: Server;
  readonly #options: FakeServerOptions;
  readonly heard: Buffer[] = [];
  readonly pings: string[] = [];
  /** Connections that have begun. */
  connections = 0;
  webSocket: WebSocket | undefined;

  constructor(t: TestContext, options: FakeServerOptions) {
    this.#options = options;
    this.#server = createServer((_, response) => {
      const { name = "n2", isMute = false } = options;
      if (!isMute) response.end(JSON.stringify({ node: name, challenge: "0".repeat(40) }));
    });
    this.#server.on("connection", () => {
      this.connections += 1;
    });
    this.#server.on("upgrade", (request, socket, head) => this.#upgrade(request, socket, head));
    t.after(() => {
      this.webSocket?.terminate();
      this.#server.closeAllConnections();
      this.#server.close();
    });
  }

  static async open(t: TestContext, options: FakeServerOptions = {}): Promise<FakeServer> {
    const fake = new FakeServer(t, options);
    await once(fake.#server.listen(0, "127.0.0.1"), "listening");
    return fake;
  }

  get address(): PeerAddress {
    return { name: "n2", host: "127.0.0.1", port: (this.#server.address() as AddressInfo).port };
  }

  /** Bytes that came in messages. */
  get heardBytes(): number {
    return this.heard.reduce((sum, { length }) => sum + length, 0);
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { name = "n2", autoPong = true } = this.#options;
    const hello = speakHello(helloOf(name));
    const claim: Claim = {
      side: "server",
      challenge: String(request.headers[ACCESS_HEADERS.challenge]),
      nonce: String(request.headers[ACCESS_HEADERS.nonce]),
      client: String(request.headers[ACCESS_HEADERS.client]),
      server: name,
      helloDigest: hello.digest,
    };
    const { prove = (sound: Claim) => proofOf(TOKEN, sound) } = this.#options;
    const proof = prove(claim, request);
    const server = new WebSocketServer({ noServer: true, perMessageDeflate: false, autoPong });
    server.on("headers", (headers) => {
      headers.push(`${ACCESS_HEADERS.helloDigest}: ${hello.digest}`);
      if (proof !== undefined) headers.push(`${ACCESS_HEADERS.proof}: ${proof}`);
    });
    server.handleUpgrade(request, socket, head, (webSocket) => {
      this.webSocket = webSocket;
      webSocket.on("error", () => {});
      webSocket.on("message", (data) => this.heard.push(data as Buffer));
      webSocket.on("ping", (said) => this.pings.push(said.toString()));
      webSocket.send(hello.packet);
      webSocket.send(newPacket("welcome", new Uint8Array(0)));
    });
  }
}
