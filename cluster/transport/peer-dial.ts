/** Connects to a peer: looks its name up, asks for a challenge, answers it, and checks who is there. */
import { get, type IncomingMessage } from "node:http";
import { get as getTls } from "node:https";
import { isIPv6, type Socket } from "node:net";
import type { ConnectionOptions, PeerCertificate, TLSSocket } from "node:tls";
import type { WebSocket } from "ws";
import type { Clock } from "../../shared/clock.ts";
import { printHostPort } from "../../shared/config-addresses.ts";
import { lookupFault } from "../../shared/host-lookup.ts";
import { isLoopback } from "../../shared/management-access.ts";
import { object, parseJson, text } from "./field-reader.ts";
import type { SpokenHello } from "./hello.ts";
import {
  ACCESS_HEADERS,
  isCertificateOf,
  isClaimText,
  isProof,
  newNonce,
  type PeerAccess,
  proofOf,
} from "./peer-access.ts";
import { PACKET_BYTES_MAX } from "./peer-channel.ts";
import { PeerNames } from "./peer-names.ts";

/** Where a peer listens. */
export interface DialTarget {
  /** The name that it must have; undefined where any node of the cluster will do. */
  readonly name: string | undefined;
  /** Address literal or name. */
  readonly host: string;
  readonly port: number;
}

export interface DialOptions {
  readonly clock: Clock;
  readonly hello: SpokenHello;
  readonly access: PeerAccess;
  /** For the name and the connection. */
  readonly connectTimeoutMs: number;
  /** For each answer. */
  readonly handshakeTimeoutMs: number;
}

/** A connection whose other side has shown what it had to. It is paused. */
export interface Dialled {
  readonly webSocket: WebSocket;
  readonly socket: Socket;
  /** Name of the other side, as shown; where there is neither token nor certificate, as it says. */
  readonly server: string;
  /** What its hello has to be; undefined where it showed no proof. */
  readonly helloDigest: string | undefined;
}

/** Why there is no connection. isRefusal: trying again soon would not help. */
export interface DialFault {
  readonly fault: string;
  readonly isRefusal: boolean;
}

/** An attempt under way. */
export interface Dialling {
  readonly result: Promise<Dialled | DialFault>;
  /** Gives up at once. */
  cancel(): void;
}

/** Of all links of the process: they share what is known, and the threads that look it up. */
const peerNames = new PeerNames();
const ANSWER_BYTES_MAX = 4096;
const CHALLENGE_PATH = "/peer/challenge";
/** Codes of certificates that will not be better in a moment. */
const CERTIFICATE_FAULT =
  /^(?:ERR_TLS|ERR_SSL|CERT_|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO|INVALID_|HOSTNAME_|EPROTO)/;

const challengeAnswer = object({ node: text(128), challenge: text(256) });

/**
 * Begins to connect. attempt: counts them, so that each address of a name gets its turn. Never rejects.
 */
export function dial(target: DialTarget, options: DialOptions, attempt: number): Dialling {
  const dialler = new Dialler(target, options);
  return { result: dialler.run(attempt), cancel: () => dialler.cancel("given up") };
}

class Dialler {
  readonly #target: DialTarget;
  readonly #options: DialOptions;
  /** Ends the step that is under way. */
  #cancel: (reason: string) => void = () => {};
  #isCancelled = false;

  constructor(target: DialTarget, options: DialOptions) {
    this.#target = target;
    this.#options = options;
  }

  cancel(reason: string): void {
    this.#isCancelled = true;
    this.#cancel(reason);
  }

  async run(attempt: number): Promise<Dialled | DialFault> {
    const address = await this.#step<string>(this.#options.connectTimeoutMs, (done) => {
      const { host } = this.#target;
      peerNames.lookup(host).then(
        (addresses) =>
          done(addresses[attempt % addresses.length]?.address ?? fault(`${host} has no address`)),
        (error) => done(fault(`${host} was not found (${lookupFault(error)})`)),
      );
    });
    if (typeof address !== "string") return address;
    const { access } = this.#options;
    if (access.token === undefined && access.tls === undefined && !isLoopback(address)) {
      return refusal(`${address} is beyond loopback: set a token, or certificates`);
    }
    const challenge = await this.#ask(address);
    if ("fault" in challenge) return challenge;
    const wanted = this.#target.name;
    if (wanted !== undefined && challenge.node !== wanted) {
      const place = printHostPort(this.#target);
      return refusal(`the node at ${place} is "${challenge.node}" and not "${wanted}"; correct the address`);
    }
    return this.#upgrade(address, challenge.node, challenge.challenge);
  }

  /** Runs one step that ends by itself, by a deadline or by cancel(). */
  #step<T>(
    timeoutMs: number,
    begin: (done: (result: T | DialFault) => void) => void,
  ): Promise<T | DialFault> {
    if (this.#isCancelled) return Promise.resolve(fault("given up"));
    return new Promise((resolve) => {
      const timer = this.#options.clock.setTimer(timeoutMs, () => done(fault("no answer came in time")));
      const done = (result: T | DialFault): void => {
        timer.cancel();
        resolve(result);
      };
      this.#cancel = (reason) => done(fault(reason));
      begin(done);
    });
  }

  #ask(address: string): Promise<{ node: string; challenge: string } | DialFault> {
    // Nobody would listen for the fault of a request that is ended at once.
    if (this.#isCancelled) return Promise.resolve(fault("given up"));
    const { hello, access, connectTimeoutMs, handshakeTimeoutMs } = this.#options;
    const path = `${CHALLENGE_PATH}?node=${encodeURIComponent(hello.hello.node)}`;
    const request = { host: address, port: this.#target.port, path, agent: false, maxHeaderSize: 4096 };
    const outgoing =
      access.tls === undefined ? get(request) : getTls({ ...request, ...this.#trust(this.#target.name) });
    // Connecting and answering have a time each; the sum of both bounds this step.
    const timeoutMs = connectTimeoutMs + handshakeTimeoutMs;
    const connecting = this.#options.clock.setTimer(connectTimeoutMs, () => {
      outgoing.destroy(new Error(`no connection within ${connectTimeoutMs} ms`));
    });
    const result = this.#step<{ node: string; challenge: string }>(timeoutMs, (done) => {
      outgoing.on("socket", (socket) => {
        socket.once(access.tls === undefined ? "connect" : "secureConnect", () => connecting.cancel());
      });
      outgoing.on("error", (error) => done(this.#faultOf(error)));
      outgoing.on("response", (response) => {
        void readAnswer(response).then((body) => done(this.#readChallenge(response, body)));
      });
    });
    return result.finally(() => {
      connecting.cancel();
      outgoing.destroy();
    });
  }

  #readChallenge(response: IncomingMessage, body: string): { node: string; challenge: string } | DialFault {
    const read = challengeAnswer(parseJson(body), { deltas: 0 });
    if (response.statusCode === 200 && read !== undefined) return read;
    return fault(`${printHostPort(this.#target)} is no peer (${response.statusCode})`);
  }

  #faultOf({ code = "", message }: NodeJS.ErrnoException): DialFault {
    if (code === "ECONNRESET" && this.#options.access.tls !== undefined) {
      // A server that does not like a certificate cuts the connection without a word.
      return fault(`${message}; perhaps the peer does not accept this node's certificate`);
    }
    // Several addresses that fail together have no message of their own.
    return { fault: message === "" ? code : message, isRefusal: CERTIFICATE_FAULT.test(code) };
  }

  /** How a server's certificate is judged, and which is shown. */
  #trust(server: string | undefined): ConnectionOptions {
    const { tls } = this.#options.access;
    if (tls === undefined) return {};
    return {
      ...tls,
      minVersion: "TLSv1.3",
      servername: "",
      checkServerIdentity: (_: string, { raw }: PeerCertificate) => {
        if (server === undefined || isCertificateOf(server, raw)) return undefined;
        const error = new Error(`the certificate is not that of "${server}"`);
        return Object.assign(error, { code: "ERR_TLS_CERT_ALTNAME_INVALID" });
      },
    };
  }

  async #upgrade(address: string, server: string, challenge: string): Promise<Dialled | DialFault> {
    const { hello, access, connectTimeoutMs, handshakeTimeoutMs } = this.#options;
    const { WebSocket } = await import("ws");
    const nonce = newNonce();
    const claim = { challenge, nonce, client: hello.hello.node, server };
    const ownClaim = { ...claim, side: "client", helloDigest: hello.digest } as const;
    const headers: Record<string, string> = {
      [ACCESS_HEADERS.client]: claim.client,
      [ACCESS_HEADERS.server]: server,
      [ACCESS_HEADERS.challenge]: challenge,
      [ACCESS_HEADERS.nonce]: nonce,
      [ACCESS_HEADERS.helloDigest]: hello.digest,
    };
    if (access.token !== undefined) headers[ACCESS_HEADERS.proof] = proofOf(access.token, ownClaim);
    if (this.#isCancelled) return fault("given up");
    const host = isIPv6(address) ? `[${address}]` : address;
    const scheme = access.tls === undefined ? "ws" : "wss";
    const webSocket = new WebSocket(`${scheme}://${host}:${this.#target.port}/peer`, {
      headers,
      perMessageDeflate: false,
      followRedirects: false,
      autoPong: false,
      maxPayload: PACKET_BYTES_MAX,
      // Masks protect proxies from what web pages say. There is no page here, and with nulls no work either.
      generateMask: (mask: Buffer) => mask.fill(0),
      ...this.#trust(server),
    });
    const opened = await this.#step<Dialled>(connectTimeoutMs + handshakeTimeoutMs, (done) => {
      let dialled: Dialled | DialFault = fault("it did not answer as a peer");
      webSocket.on("upgrade", (response) => {
        dialled = this.#judge(webSocket, response, claim);
        if ("fault" in dialled) {
          done(dialled);
          webSocket.terminate();
        }
      });
      webSocket.on("open", () => {
        // What follows waits for who takes it over.
        webSocket.pause();
        done(dialled);
      });
      webSocket.on("error", (error) => done(this.#faultOf(error)));
      webSocket.on("unexpected-response", (_, response) => {
        void readAnswer(response).then((body) => {
          const words = body.replace(/[^\x20-\x7e]+/g, " ").trim();
          const { statusCode = 0 } = response;
          const isRefusal = statusCode === 401 || statusCode === 403;
          done({ fault: `"${server}" refuses: ${words} (${statusCode})`, isRefusal });
        });
      });
    });
    if ("fault" in opened) webSocket.terminate();
    return opened;
  }

  /** Checks what the server shows, before it hears anything. */
  #judge(
    webSocket: WebSocket,
    { headers, socket }: IncomingMessage,
    claim: { challenge: string; nonce: string; client: string; server: string },
  ): Dialled | DialFault {
    const { access } = this.#options;
    const helloDigest = String(headers[ACCESS_HEADERS.helloDigest] ?? "");
    const { server } = claim;
    if (access.tls !== undefined && !isCertificateOf(server, certificateOf(socket as TLSSocket))) {
      return refusal(`the certificate is not that of "${server}"`);
    }
    if (access.token === undefined) return { webSocket, socket, server, helloDigest: undefined };
    const proof = String(headers[ACCESS_HEADERS.proof] ?? "");
    const isSound =
      isClaimText(claim.nonce, helloDigest) &&
      isProof(proof, access.token, { ...claim, side: "server", helloDigest });
    if (!isSound) return refusal(`"${server}" does not show that it knows the token`);
    return { webSocket, socket, server, helloDigest };
  }
}

function certificateOf(socket: TLSSocket): Buffer | undefined {
  return socket.getPeerCertificate().raw;
}

/** Reads the start of an answer. Never rejects; what was cut off is as it came. */
async function readAnswer(response: IncomingMessage): Promise<string> {
  let body = "";
  try {
    for await (const piece of response.setEncoding("latin1")) {
      body += piece;
      if (body.length > ANSWER_BYTES_MAX) break;
    }
  } catch {
    // Whoever sent it has gone; what came tells enough.
    return body;
  }
  return body.slice(0, ANSWER_BYTES_MAX);
}

function fault(words: string): DialFault {
  return { fault: words, isRefusal: false };
}

function refusal(words: string): DialFault {
  return { fault: words, isRefusal: true };
}
