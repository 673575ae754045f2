/**
 * A carbon that notes each line with the time at which it came and with who sent it, and that fails as told.
 */
import { EventEmitter, once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";

/**
 * What it does with connections: `ack` reads all and closes after the sender, as carbon does; `reset` reads
 * some bytes, resets, and forgets what it has read with the given chance; `stuck` takes connections and reads
 * nothing; `silent` reads all and never closes.
 */
export type CarbonBehaviour =
  | { readonly kind: "ack" }
  | { readonly kind: "reset"; afterBytes(): number }
  | { readonly kind: "stuck" }
  | { readonly kind: "silent" };

/** One line, as it came. */
export interface CarbonWrite {
  /** Wall clock of its arrival in milliseconds since 1970. */
  readonly atMs: number;
  /** Address of the sender. */
  readonly from: string;
  readonly name: string;
  readonly value: number;
  /** Timestamp of the point in seconds since 1970. */
  readonly second: number;
}

export class FaultCarbon {
  readonly #sockets = new Set<Socket>();
  readonly #changed = new EventEmitter();
  #server: Server | undefined;
  #behaviour: CarbonBehaviour = { kind: "ack" };
  readonly #host: string;
  readonly #port: number;
  /** All lines, in the order in which they came. */
  readonly writes: CarbonWrite[] = [];
  /** Lines that carbon could not have read. */
  badLines = 0;
  /** Connections that it has reset in the midst. */
  resets = 0;

  constructor(host: string, port: number) {
    this.#host = host;
    this.#port = port;
  }

  get address(): string {
    return `${this.#host}:${this.#port}`;
  }

  /** Listens; also again after stop(). */
  async start(): Promise<void> {
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#serve(socket));
    this.#server.listen(this.#port, this.#host);
    await once(this.#server, "listening");
  }

  /** Is gone: connections are reset, and new ones refused. */
  async stop(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    const closed = once(server, "close");
    server.close();
    for (const socket of this.#sockets) socket.resetAndDestroy();
    await closed;
  }

  /** From now on it behaves so, with open connections as well. */
  behave(behaviour: CarbonBehaviour): void {
    this.#behaviour = behaviour;
    if (behaviour.kind === "ack") for (const socket of this.#sockets) this.#release(socket);
    if (behaviour.kind === "stuck") for (const socket of this.#sockets) socket.pause();
  }

  /** Calls back after lines came. Returns what ends that. */
  onWrites(listener: () => void): () => void {
    this.#changed.on("writes", listener);
    return () => void this.#changed.off("writes", listener);
  }

  #release(socket: Socket): void {
    socket.resume();
    if (socket.readableEnded) socket.end();
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    const from = socket.remoteAddress ?? "";
    const behaviour = this.#behaviour;
    const resetAfter = behaviour.kind === "reset" ? behaviour.afterBytes() : Number.POSITIVE_INFINITY;
    let rest = "";
    let bytes = 0;
    socket.on("data", (piece: Buffer) => {
      const left = resetAfter - bytes;
      bytes += piece.length;
      const text = rest + piece.toString("latin1", 0, Math.min(piece.length, left));
      const end = text.lastIndexOf("\n") + 1;
      rest = text.slice(end);
      this.#note(from, text.slice(0, end));
      if (bytes < resetAfter || socket.destroyed) return;
      this.resets++;
      socket.resetAndDestroy();
    });
    socket.on("end", () => {
      if (this.#behaviour.kind !== "silent") socket.end();
    });
    // Resets are part of the play.
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#sockets.delete(socket));
    if (behaviour.kind === "stuck") socket.pause();
  }

  #note(from: string, text: string): void {
    if (text === "") return;
    const atMs = Date.now();
    for (const line of text.slice(0, -1).split("\n")) {
      const [name, value, second, ...more] = line.split(" ");
      if (second === undefined || more.length > 0 || !/^\d+$/.test(second) || Number.isNaN(Number(value))) {
        this.badLines++;
      } else this.writes.push({ atMs, from, name: name!, value: Number(value), second: Number(second) });
    }
    this.#changed.emit("writes");
  }
}
