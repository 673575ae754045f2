/**
 * Receives streams of lines over TCP, TLS and unix stream sockets into the same batches that datagrams fill,
 * in the event loop of its thread. A slot holds whole lines of one connection. Between two runs connections
 * are not read, so their clients have to wait.
 */
import type { AddressInfo, Server, Socket } from "node:net";
import { LengthFramer } from "./length-framer.ts";
import { LineFramer, type LineTaker } from "./line-framer.ts";
import { SlotFiller, type SlotSource } from "./slot-filler.ts";
import { canonicalHost } from "./sockaddr.ts";
import { listenForStreams, type StreamAddress } from "./stream-server.ts";
import {
  type BatchHandler,
  type BatchReceiver,
  type ReceiveBatch,
  type ReceiverOptions,
  STREAM_LIMITS,
  type StreamLimits,
  type StreamTally,
} from "./udp.ts";

/** What a receiver of streams reads of a receiver's options. */
export type StreamOptions = Pick<ReceiverOptions, "stream" | "inheritedFd" | "socketMode" | "tls">;

/** Idle connections are looked for so many times in their timeout. */
const IDLE_LOOKS = 10;

/**
 * Opens a receiver of streams. It accepts connections at once, and reads them while it runs.
 * Throws OperatorError naming the address when it cannot be bound, or the file that TLS cannot use.
 */
export async function openStreamReceiver(
  address: StreamAddress,
  options: StreamOptions,
): Promise<BatchReceiver> {
  const server = await listenForStreams(address, options);
  const limits = options.stream ?? STREAM_LIMITS;
  return new StreamReceiver(address, server, limits, options.inheritedFd !== undefined);
}

interface Connection {
  readonly socket: Socket;
  readonly framer: LineFramer | LengthFramer;
  /** Whether bytes came since it was last looked at. */
  isActive: boolean;
  /** When bytes were last known to have come, by performance.now(). */
  activeMs: number;
}

/** Tells the connections of one listener apart. */
function clientOf(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`;
}

class StreamReceiver implements BatchReceiver, SlotSource {
  readonly io = "stream";
  /** Clients need a round trip to see that they should go, and to send what they have. */
  readonly quietTicks = 4;
  readonly receiveBufferBytes = 0;
  readonly streamTally: StreamTally = {
    connections: 0,
    accepted: 0,
    refused: 0,
    idleClosed: 0,
    handshakesFailed: 0,
    linesTooLong: 0,
    bytesTooLong: 0,
    linesCut: 0,
  };
  readonly address: StreamAddress;
  readonly #server: Server;
  readonly #limits: StreamLimits;
  readonly #isInherited: boolean;
  readonly #filler = new SlotFiller(this);
  readonly #connections = new Set<Connection>();
  /** TLS: connections that nobody can be heard on yet, by the address of the client. */
  readonly #handshakes = new Map<string, Socket>();
  #nextLookMs = 0;
  /** Connections that came, whatever became of them. */
  #arrivals = 0;
  /** Whether connections are told to go. */
  #isStopping = false;
  /** Whether those that were waiting to be accepted have been, and the listening socket is closed. */
  #hasStopped = false;
  #isOpen = true;

  /** server: listens on the address. */
  constructor(address: StreamAddress, server: Server, limits: StreamLimits, isInherited: boolean) {
    this.address =
      address.kind === "unix" ? address : { ...address, port: (server.address() as AddressInfo).port };
    this.#server = server;
    this.#limits = limits;
    this.#isInherited = isInherited;
    server.maxConnections = limits.connectionsMax;
    const refuse = () => {
      this.#arrivals += 1;
      this.streamTally.refused += 1;
    };
    server.on("connection", () => {
      this.#arrivals += 1;
    });
    server.on("drop", refuse);
    // A connection that could not be accepted, as for want of file descriptors.
    server.on("error", refuse);
    if (address.kind === "tls") this.#shakeHands();
    else server.on("connection", (socket) => this.#accept(socket));
  }

  #shakeHands(): void {
    this.#server.on("connection", (socket) => {
      const client = clientOf(socket);
      this.#handshakes.set(client, socket);
      socket.on("close", () => {
        if (this.#handshakes.get(client) === socket) this.#handshakes.delete(client);
      });
    });
    this.#server.on("secureConnection", (socket) => {
      this.#handshakes.delete(clientOf(socket));
      this.#accept(socket);
    });
    this.#server.on("tlsClientError", (_, socket) => {
      this.streamTally.handshakesFailed += 1;
      socket.destroy();
    });
  }

  #accept(socket: Socket): void {
    // A client that is gone already has no address any more.
    const sender = canonicalHost(socket.remoteAddress ?? "");
    const take: LineTaker = (head, chunk, start, end) => this.#filler.put(head, chunk, start, end, sender);
    const framer = this.#newFramer(take, socket);
    const connection: Connection = { socket, framer, isActive: true, activeMs: 0 };
    this.#connections.add(connection);
    this.streamTally.accepted += 1;
    this.streamTally.connections = this.#connections.size;
    socket.on("data", (chunk: Buffer) => {
      connection.isActive = true;
      framer.push(chunk);
    });
    socket.on("end", () => framer.end());
    socket.on("error", () => {
      // What was read before and waits for the next run.
      for (let chunk = socket.read(); chunk !== null; chunk = socket.read()) framer.push(chunk as Buffer);
      framer.abort();
      // Some faults of TLS leave it open.
      socket.destroy();
    });
    socket.on("close", () => {
      this.#connections.delete(connection);
      this.streamTally.connections = this.#connections.size;
    });
    // To listen for data starts reading, whatever pauseOnConnect says.
    if (!this.#filler.isRunning) socket.pause();
    else socket.resume();
    if (this.#isStopping) socket.end();
  }

  #newFramer(take: LineTaker, socket: Socket): LineFramer | LengthFramer {
    const { framing, lineBytesMax } = this.#limits;
    if (framing !== "length") return new LineFramer(lineBytesMax, this.streamTally, take);
    return new LengthFramer(this.streamTally, take, () => socket.destroy());
  }

  run(batch: ReceiveBatch, handler: BatchHandler, control: Int32Array): Promise<void> {
    return this.#filler.run(batch, handler, control);
  }

  resume(): void {
    for (const { socket } of this.#connections) socket.resume();
  }

  pause(): void {
    for (const { socket } of this.#connections) socket.pause();
  }

  tick(): void {
    const { idleTimeoutMs } = this.#limits;
    const nowMs = performance.now();
    if (idleTimeoutMs === 0 || nowMs < this.#nextLookMs) return;
    this.#nextLookMs = nowMs + idleTimeoutMs / IDLE_LOOKS;
    // The event loop reads after its timers: what waits in a socket is seen first, also after a long stall.
    setImmediate(() => this.#closeIdle(performance.now()));
  }

  #closeIdle(nowMs: number): void {
    if (!this.#filler.isRunning) return;
    for (const connection of this.#connections) {
      if (connection.isActive) {
        connection.isActive = false;
        connection.activeMs = nowMs;
      } else if (nowMs - connection.activeMs >= this.#limits.idleTimeoutMs) {
        this.streamTally.idleClosed += 1;
        connection.framer.end();
        connection.socket.destroy();
      }
    }
  }

  /** Nobody else can read the connections, so they are drained for either word. */
  stop(): boolean {
    if (!this.#isStopping) {
      this.#isStopping = true;
      // An inherited socket keeps those that wait to be accepted for the next process; here they would be
      // lost.
      if (this.#isInherited) this.#stopAccepting();
      else this.#acceptRest();
      // Clients learn that they should go elsewhere, and can still finish what they are saying.
      for (const { socket } of this.#connections) socket.end();
    }
    return !this.#hasStopped || this.#connections.size > 0;
  }

  /** The event loop accepts one connection a turn, so a turn without any says that nobody waits. */
  #acceptRest(): void {
    const arrivals = this.#arrivals;
    setImmediate(() => {
      if (this.#hasStopped) return;
      if (this.#arrivals === arrivals) this.#stopAccepting();
      else this.#acceptRest();
    });
  }

  #stopAccepting(): void {
    if (this.#hasStopped) return;
    this.#hasStopped = true;
    // This removes the file of a unix socket, unless it was inherited. It must not be removed later: from
    // now on another process may have the address.
    this.#server.close();
    // They have said nothing yet.
    for (const socket of this.#handshakes.values()) socket.destroy();
  }

  finish(): void {
    for (const { framer } of this.#connections) framer.end();
  }

  kernelDrops(): number {
    return this.#filler.lost;
  }

  watchSenders(isOn: boolean): void {
    this.#filler.watchSenders(isOn);
  }

  senderOf(slot: number): string {
    return this.#filler.senderOf(slot);
  }

  senderHashOf(slot: number): number {
    return this.#filler.senderHashOf(slot);
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#stopAccepting();
    for (const { socket } of this.#connections) socket.destroy();
  }
}
