/** Receivers that stand for the relay's destinations. */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { waitFor } from "./wait-for.ts";

const RECEIVE_BUFFER_BYTES = 8 << 20;

/** One UDP socket on a free port that keeps the packets it gets. */
export class UdpSink {
  readonly packets: string[] = [];
  readonly #socket: Socket;
  #closing: Promise<void> | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("message", (packet) => this.packets.push(packet.toString("latin1")));
  }

  /** host: an address literal of this machine. port: 0 for a free one. */
  static async open(host = "127.0.0.1", port = 0): Promise<UdpSink> {
    const socket = createSocket({
      type: host.includes(":") ? "udp6" : "udp4",
      recvBufferSize: RECEIVE_BUFFER_BYTES,
    });
    socket.bind(port, host);
    await once(socket, "listening");
    return new UdpSink(socket);
  }

  get port(): number {
    return this.#socket.address().port;
  }

  /** HOST:PORT as a destination argument. */
  get destination(): string {
    const { address, port } = this.#socket.address();
    return `${address.includes(":") ? `[${address}]` : address}:${port}`;
  }

  /** Lines so far, without the relay's own. */
  get lines(): string[] {
    return this.packets
      .flatMap((packet) => packet.split("\n"))
      .filter((line) => line !== "" && !line.includes(".statsProcessed:"));
  }

  /** May be called again. */
  close(): Promise<void> {
    this.#closing ??= new Promise((resolve) => this.#socket.close(resolve));
    return this.#closing;
  }
}

/** Waits until sinks have so many lines together, and returns these in sorted order. */
export async function collectLines(sinks: readonly UdpSink[], count: number): Promise<string[]> {
  const all = () => sinks.flatMap((sink) => sink.lines);
  await waitFor(`${count} lines`, () => all().length >= count);
  return all().sort();
}
