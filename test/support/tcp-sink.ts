/** A TCP or TLS receiver that stands for a relay's destination and fails in the ways that a test names. */
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { dirname, join } from "node:path";
import { createServer as createTlsServer } from "node:tls";
import { fileURLToPath } from "node:url";

/**
 * What it does with a connection: `read` takes everything; `stall` takes nothing; `slow` pauses after each
 * piece; `reset` resets after so many bytes; `half-close` closes its end at once and reads on; `talk` reads
 * and says so many bytes.
 */
export type TcpBehaviour =
  | { readonly kind: "read" }
  | { readonly kind: "stall" }
  | { readonly kind: "slow"; readonly pauseMs: number }
  | { readonly kind: "reset"; readonly afterBytes: number }
  | { readonly kind: "half-close" }
  | { readonly kind: "talk"; readonly bytes: number };

/** The folder of the test certificates is not copied to where tests are built. */
function findTls(folder: string): string {
  const tls = join(folder, "test", "support", "tls");
  return existsSync(join(tls, "ca.pem")) ? tls : findTls(dirname(folder));
}

/** Path of a test certificate or key: ca.pem, server.pem (localhost, statsd.test, 127.0.0.1), server.key. */
export function tlsPath(name: "ca.pem" | "server.pem" | "server.key"): string {
  return join(findTls(dirname(fileURLToPath(import.meta.url))), name);
}

/** Listens on a free port of loopback. Connections behave as `script` says, one entry each, then all read. */
export class TcpSink {
  readonly script: TcpBehaviour[] = [];
  /** Bytes read, by connection. */
  readonly received: Buffer[][] = [];
  /** Names that TLS clients asked for. */
  readonly serverNames: (string | false | null)[] = [];
  port = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(isTls: boolean, script: readonly TcpBehaviour[], asksCertificate: boolean) {
    this.script.push(...script);
    const serve = (socket: Socket) => this.#serve(socket);
    // A connection that does not come about fails on the other side, where it is looked at.
    if (isTls) {
      const [cert, key, ca] = (["server.pem", "server.key", "ca.pem"] as const).map((name) =>
        readFileSync(tlsPath(name)),
      );
      const trust = { cert: cert!, key: key!, ca: ca!, requestCert: asksCertificate };
      const server = createTlsServer({ ...trust, allowHalfOpen: true });
      server.on("secureConnection", (socket) => {
        this.serverNames.push((socket as { servername?: string | false | null }).servername ?? null);
        serve(socket);
      });
      server.on("tlsClientError", (_, socket) => socket.destroy());
      // Those whose handshake fails are only known here.
      server.on("connection", (socket) => {
        this.#sockets.add(socket);
        socket.on("close", () => this.#sockets.delete(socket));
      });
      this.#server = server;
    } else this.#server = createServer({ allowHalfOpen: true }, serve);
  }

  static async start(
    script: readonly TcpBehaviour[] = [],
    options: { readonly isTls?: boolean; readonly asksCertificate?: boolean } = {},
  ): Promise<TcpSink> {
    const sink = new TcpSink(options.isTls ?? false, script, options.asksCertificate ?? false);
    await sink.restart();
    return sink;
  }

  get connectionCount(): number {
    return this.received.length;
  }

  /** Bytes so far, over all connections. */
  get receivedBytes(): number {
    return this.received.flat().reduce((sum, { length }) => sum + length, 0);
  }

  /** All lines so far, over all connections. An unfinished one at a connection's end is left out. */
  get lines(): string[] {
    return this.received.flatMap((pieces) =>
      Buffer.concat(pieces).toString("latin1").split("\n").slice(0, -1),
    );
  }

  /** Listens again on its port after stop(). */
  async restart(): Promise<void> {
    // Does not keep a test's process going that has forgotten to stop it, having failed.
    this.#server.listen(this.port, "127.0.0.1").unref();
    await once(this.#server, "listening");
    this.port = (this.#server.address() as AddressInfo).port;
  }

  /** Refuses connections from now on, and drops those that are open. May be called again. */
  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #serve(socket: Socket): void {
    const behaviour = this.script.shift() ?? { kind: "read" };
    const pieces: Buffer[] = [];
    let bytes = 0;
    socket.unref();
    this.received.push(pieces);
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    // Resets are part of the play.
    socket.on("error", () => socket.destroy());
    socket.on("end", () => socket.end());
    if (behaviour.kind === "stall") {
      socket.pause();
      return;
    }
    if (behaviour.kind === "half-close") socket.end();
    if (behaviour.kind === "talk") socket.write(Buffer.alloc(behaviour.bytes, "x"));
    socket.on("data", (piece) => {
      pieces.push(piece);
      bytes += piece.length;
      if (behaviour.kind === "slow") {
        socket.pause();
        setTimeout(() => socket.resume(), behaviour.pauseMs);
      }
      if (behaviour.kind === "reset" && bytes >= behaviour.afterBytes) socket.resetAndDestroy();
    });
  }
}
