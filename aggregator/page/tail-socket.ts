/**
 * GET /tail?match=PATTERN as a WebSocket: each message is one JSON object, a line or `{"skipped": COUNT}`.
 * The package behind it is loaded with the first tail.
 */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { WebSocket, WebSocketServer } from "ws";
import type { TailLine } from "../questions.ts";
import type { Tail, TailHub, TailWatcher } from "./tail-hub.ts";

/** Bytes of messages that may wait for a client; what comes beyond is left out and counted. */
const WAITING_BYTES_MAX = 256 * 1024;
const HEARTBEAT_MS = 10_000;
/** Nothing is wanted of a client but control frames. */
const MESSAGE_BYTES_MAX = 1024;
const CLOSE_GOING_AWAY = 1001;
const CLOSE_TOO_SLOW = 1013;
/** A client that reads nothing for so many heartbeats is let go. */
const STALLED_BEATS_MAX = 3;

let server: Promise<WebSocketServer> | undefined;

function loadServer(): Promise<WebSocketServer> {
  server ??= import("ws").then(({ WebSocketServer }) => {
    return new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: MESSAGE_BYTES_MAX,
    });
  });
  return server;
}

/** Whom a client watches, and how. */
export interface TailTerms {
  readonly tails: TailHub;
  /** A pattern that has been checked. */
  readonly match: string;
  /** Pace at which clients are asked whether they live; 10 s by default. */
  readonly heartbeatMs?: number;
}

/** Takes an upgrade over and watches until either side ends. */
export async function serveTail(
  incoming: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  terms: TailTerms,
): Promise<void> {
  const webSockets = await loadServer();
  if (socket.destroyed) return;
  // A request that is no proper handshake is answered by the package.
  webSockets.handleUpgrade(incoming, socket, head, (webSocket) => {
    if (terms.tails.hasRoom) new TailClient(webSocket, terms);
    else webSocket.close(CLOSE_TOO_SLOW, "too many tails");
  });
}

/** One client. */
class TailClient implements TailWatcher {
  readonly #webSocket: WebSocket;
  readonly #tail: Tail;
  readonly #beat: NodeJS.Timeout;
  #skipped = 0;
  #isAlive = true;
  #stalledBeats = 0;

  constructor(webSocket: WebSocket, { tails, match, heartbeatMs = HEARTBEAT_MS }: TailTerms) {
    this.#webSocket = webSocket;
    this.#tail = tails.open(match, this);
    this.#beat = setInterval(() => this.#onBeat(), heartbeatMs).unref();
    webSocket.on("pong", () => {
      this.#isAlive = true;
    });
    // Clients that vanish, or send what is too long, are no event.
    webSocket.on("error", () => webSocket.terminate());
    webSocket.on("close", () => {
      clearInterval(this.#beat);
      this.#tail.close();
    });
  }

  line({ tail: _, ...line }: TailLine): void {
    if (this.#webSocket.bufferedAmount > WAITING_BYTES_MAX) {
      this.#skipped += 1;
      return;
    }
    this.#tellSkipped();
    this.#webSocket.send(JSON.stringify(line));
  }

  skipped(count: number): void {
    this.#skipped += count;
    if (this.#webSocket.bufferedAmount <= WAITING_BYTES_MAX) this.#tellSkipped();
  }

  end(reason: string): void {
    this.#webSocket.close(CLOSE_GOING_AWAY, reason.slice(0, 100));
  }

  #tellSkipped(): void {
    if (this.#skipped === 0) return;
    this.#webSocket.send(JSON.stringify({ skipped: this.#skipped }));
    this.#skipped = 0;
  }

  #onBeat(): void {
    const isStalled = this.#webSocket.bufferedAmount > WAITING_BYTES_MAX;
    this.#stalledBeats = isStalled ? this.#stalledBeats + 1 : 0;
    if (this.#stalledBeats >= STALLED_BEATS_MAX || !this.#isAlive) {
      this.#webSocket.terminate();
      return;
    }
    this.#isAlive = false;
    this.#webSocket.ping();
  }
}
