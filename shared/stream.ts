/**
 * Receives streams of lines over TCP and unix stream sockets into the same batches that datagrams fill, in
 * the event loop of its thread. A slot holds whole lines of one connection. Between two runs connections are
 * not read, so their clients have to wait.
 */
import { once } from "node:events";
import { lstatSync, rmSync } from "node:fs";
import {
  type AddressInfo,
  connect,
  createServer,
  type ListenOptions,
  type Server,
  type Socket,
} from "node:net";
import { bindFault } from "./bind-fault.ts";
import { LineFramer } from "./line-framer.ts";
import { SlotFiller, type SlotSource } from "./slot-filler.ts";
import { canonicalHost, encodeAddress } from "./sockaddr.ts";
import {
  type BatchHandler,
  type BatchReceiver,
  type ListenAddress,
  type ReceiveBatch,
  STREAM_LIMITS,
  type StreamLimits,
  type StreamTally,
} from "./udp.ts";

/** Where streams come in. */
export type StreamAddress = Extract<ListenAddress, { readonly kind: "tcp" | "unix" }>;

export interface StreamOptions {
  /** STREAM_LIMITS by default. */
  readonly stream?: StreamLimits;
  /** A bound socket of the process, to be used in the place of a new one. */
  readonly inheritedFd?: number;
}

/** Connections that the system keeps until they are accepted; it has a bound of its own, often 4096. */
const BACKLOG = 4096;
/** Idle connections are looked for so many times in their timeout. */
const IDLE_LOOKS = 10;

/**
 * Opens a receiver of streams. It accepts connections at once, and reads them while it runs.
 * Throws OperatorError naming the address when it cannot be bound.
 */
export async function openStreamReceiver(
  address: StreamAddress,
  { stream = STREAM_LIMITS, inheritedFd }: StreamOptions,
): Promise<BatchReceiver> {
  const server = createServer({ pauseOnConnect: true });
  const receiver = new StreamReceiver(address, server, stream, inheritedFd !== undefined);
  try {
    if (inheritedFd === undefined && "path" in address) await removeStaleSocket(address);
    server.listen(inheritedFd === undefined ? listenOptions(address) : { fd: inheritedFd, backlog: BACKLOG });
    await once(server, "listening");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw bindFault(address, code);
  }
  receiver.start();
  return receiver;
}

function listenOptions(address: StreamAddress): ListenOptions {
  if (address.kind === "tcp") return { host: address.host, port: address.port, backlog: BACKLOG };
  // Throws for a path that the system would cut short.
  encodeAddress(address);
  return { path: address.path, backlog: BACKLOG };
}

/** Removes a socket file that nobody listens on any more; any other file is left, so that listen refuses. */
async function removeStaleSocket({ path }: Extract<StreamAddress, { kind: "unix" }>): Promise<void> {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() !== true) return;
  const socket = connect(path);
  try {
    await once(socket, "connect");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ECONNREFUSED") rmSync(path, { force: true });
  } finally {
    socket.destroy();
  }
}

interface Connection {
  readonly socket: Socket;
  readonly framer: LineFramer;
  /** Whether bytes came since it was last looked at. */
  isActive: boolean;
  /** When bytes were last known to have come, by performance.now(). */
  activeMs: number;
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
    linesTooLong: 0,
    bytesTooLong: 0,
    linesCut: 0,
  };
  #address: StreamAddress;
  readonly #server: Server;
  readonly #limits: StreamLimits;
  readonly #isInherited: boolean;
  readonly #filler = new SlotFiller(this);
  readonly #connections = new Set<Connection>();
  #nextLookMs = 0;
  /** Whether no more connections are accepted. */
  #isStopping = false;
  /** Whether those that were waiting to be accepted have been, and the listening socket is closed. */
  #hasStopped = false;
  #isOpen = true;

  constructor(address: StreamAddress, server: Server, limits: StreamLimits, isInherited: boolean) {
    this.#address = address;
    this.#server = server;
    this.#limits = limits;
    this.#isInherited = isInherited;
    server.maxConnections = limits.connectionsMax;
  }

  get address(): StreamAddress {
    return this.#address;
  }

  /** The server listens: takes its address and its connections. */
  start(): void {
    if (this.#address.kind === "tcp") {
      this.#address = { ...this.#address, port: (this.#server.address() as AddressInfo).port };
    }
    const refuse = () => {
      this.streamTally.refused += 1;
    };
    this.#server.on("drop", refuse);
    // A connection that could not be accepted, as for want of file descriptors.
    this.#server.on("error", refuse);
    this.#server.on("connection", (socket) => this.#accept(socket));
  }

  #accept(socket: Socket): void {
    // A client that is gone already has no address any more.
    const sender = canonicalHost(socket.remoteAddress ?? "");
    const take = (head: Uint8Array, chunk: Buffer, start: number, end: number) =>
      this.#filler.put(head, chunk, start, end, sender);
    const framer = new LineFramer(this.#limits.lineBytesMax, this.streamTally, take);
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
    const nowMs = performance.now();
    if (nowMs < this.#nextLookMs) return;
    this.#nextLookMs = nowMs + this.#limits.idleTimeoutMs / IDLE_LOOKS;
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
      // lost, so the event loop has one more turn to accept them.
      if (this.#isInherited) this.#stopAccepting();
      else setImmediate(() => this.#stopAccepting());
      // Clients learn that they should go elsewhere, and can still finish what they are saying.
      for (const { socket } of this.#connections) socket.end();
    }
    return !this.#hasStopped || this.#connections.size > 0;
  }

  #stopAccepting(): void {
    if (this.#hasStopped) return;
    this.#hasStopped = true;
    this.#server.close();
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

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#stopAccepting();
    for (const { socket } of this.#connections) socket.destroy();
    if ("path" in this.#address && !this.#isInherited) rmSync(this.#address.path, { force: true });
  }
}
