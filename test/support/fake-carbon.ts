/** A carbon of which the test decides how it fails. */
import { EventEmitter, once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TlsOptions } from "node:tls";

/**
 * What it does with a connection:
 * `ack` reads everything and closes after the sender did, as carbon does; `reset` reads k bytes and resets;
 * `close` reads k bytes and closes its end though the sender has not; `silent` reads everything and never
 * closes; `stuck` reads k bytes and no more.
 */
export type Behaviour =
  | { readonly kind: "ack" }
  | { readonly kind: "reset"; readonly afterBytes: number }
  | { readonly kind: "close"; readonly afterBytes: number }
  | { readonly kind: "silent" }
  | { readonly kind: "stuck"; readonly afterBytes: number };

interface Events {
  /** A connection has ended, in whatever way. */
  over: [];
  /** A connection was opened. */
  open: [];
}

/**
 * Listens on a free port of loopback. Connections behave as `script` says, one entry each, then all `ack`.
 */
export class FakeCarbon {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Connections below those, the same without TLS. */
  readonly #raw = new Set<Socket>();
  readonly #events = new EventEmitter<Events>();
  /** How the next connections behave. */
  readonly script: Behaviour[] = [];
  /** Bytes read, per connection, of those that are over. */
  readonly received: Buffer[] = [];
  /** The part of `received` that was acknowledged. */
  readonly acknowledged: Buffer[] = [];
  connectionCount = 0;
  /** Connections that are open. */
  get openCount(): number {
    return this.#sockets.size;
  }
  /** Remote addresses, per connection. */
  readonly remotes: string[] = [];
  port = 0;

  private constructor(tls: TlsOptions | undefined) {
    const serve = (socket: Socket): void => this.#serve(socket);
    this.#server =
      tls === undefined
        ? createServer({ allowHalfOpen: true }, serve)
        : createTlsServer({ ...tls, allowHalfOpen: true }, serve).on("tlsClientError", () => {});
    // Those whose handshake fails are seen nowhere else.
    this.#server.on("connection", (socket: Socket) => {
      this.#raw.add(socket);
      socket.on("close", () => this.#raw.delete(socket));
    });
  }

  /** tls: certificates, for a carbon behind TLS. */
  static async start(script: readonly Behaviour[] = [], tls?: TlsOptions): Promise<FakeCarbon> {
    const fake = new FakeCarbon(tls);
    fake.script.push(...script);
    fake.#server.listen(0, "127.0.0.1");
    await once(fake.#server, "listening");
    fake.port = (fake.#server.address() as AddressInfo).port;
    return fake;
  }

  /** Listens on the same port again after stop(). */
  async restart(): Promise<void> {
    this.#server.listen(this.port, "127.0.0.1");
    await once(this.#server, "listening");
  }

  /** Lines that were acknowledged, in order. */
  lines(): string[] {
    return Buffer.concat(this.acknowledged).toString("utf8").split("\n").slice(0, -1);
  }

  /** Resolves when the condition holds; looked at whenever a connection opens or ends. */
  async until(condition: (fake: FakeCarbon) => boolean): Promise<void> {
    while (!condition(this)) {
      await new Promise<void>((resolve) => {
        const wake = () => {
          this.#events.off("over", wake).off("open", wake);
          resolve();
        };
        this.#events.on("over", wake).on("open", wake);
      });
    }
  }

  /** Stops listening and resets all connections: what is not noted as acknowledged was not. */
  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, "close");
    this.#server.close();
    // A plain close would look like an acknowledgement where all was read and its end not yet seen.
    for (const socket of this.#raw) socket.resetAndDestroy();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #serve(socket: Socket): void {
    const behaviour = this.script.shift() ?? { kind: "ack" };
    const pieces: Buffer[] = [];
    let bytes = 0;
    this.#sockets.add(socket);
    this.connectionCount++;
    this.remotes.push(socket.remoteAddress ?? "");
    const act = () => {
      if (!("afterBytes" in behaviour) || bytes < behaviour.afterBytes) return;
      if (behaviour.kind === "reset") socket.resetAndDestroy();
      else if (behaviour.kind === "stuck") socket.pause();
      else if (!socket.writableEnded) socket.end();
    };
    socket.on("data", (piece) => {
      const wanted = "afterBytes" in behaviour ? Math.max(0, behaviour.afterBytes - bytes) : piece.length;
      pieces.push(piece.subarray(0, wanted));
      bytes += piece.length;
      act();
    });
    socket.on("end", () => {
      if (behaviour.kind !== "ack") return;
      this.acknowledged.push(Buffer.concat(pieces));
      socket.end();
    });
    // Resets are part of the play.
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      this.#sockets.delete(socket);
      this.received.push(Buffer.concat(pieces));
      this.#events.emit("over");
    });
    this.#events.emit("open");
    act();
  }
}
