/**
 * Makes a carbon on loopback reachable for all machines, without the names that each datagram has of its own.
 */
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { SINGLE_PREFIX } from "./fault-source.ts";

export class FaultProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #targetPort: number;

  /** targetPort: of carbon, on loopback. */
  constructor(targetPort: number) {
    this.#targetPort = targetPort;
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#serve(socket));
  }

  async start(host: string, port: number): Promise<void> {
    this.#server.listen(port, host);
    await once(this.#server, "listening");
  }

  /** Ends and failures go through to the other side, so that what a close says is carbon's own word. */
  #serve(socket: Socket): void {
    const target = connect({ port: this.#targetPort, host: "127.0.0.1", allowHalfOpen: true });
    let rest = "";
    for (const [one, other] of [
      [socket, target],
      [target, socket],
    ] as const) {
      this.#sockets.add(one);
      one.on("end", () => other.end());
      one.on("error", () => other.resetAndDestroy());
      one.on("close", () => this.#sockets.delete(one));
    }
    socket.on("data", (piece: Buffer) => {
      const lines = (rest + piece.toString("latin1")).split("\n");
      rest = lines.pop()!;
      const wanted = lines.filter((line) => !line.startsWith(SINGLE_PREFIX));
      const isRoom = wanted.length === 0 || target.write(`${wanted.join("\n")}\n`);
      if (isRoom) return;
      socket.pause();
      target.once("drain", () => socket.resume());
    });
    target.resume();
  }

  async close(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}
