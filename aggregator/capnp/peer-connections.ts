/**
 * The connections of a listener for Rust peers: how many there may be, what of their messages may wait in
 * memory, and how long. Nothing is ever answered: the protocol knows no answers.
 */
import type { Server, Socket } from "node:net";
import { canonicalHost } from "../../shared/sockaddr.ts";
import { MessageFramer } from "./message-framer.ts";
import type { PeerFault, PeerTally } from "./peer-counters.ts";

/** Bounds on what peers may do. */
export interface PeerLimits {
  /** Bytes of one message. */
  readonly messageBytesMax: number;
  /** Memory of messages that are not whole yet, of all connections; who has most of it has to go. */
  readonly partialBytesMax: number;
  readonly connectionsMax: number;
  readonly connectionsPerHostMax: number;
  /** A connection that sends nothing between messages is closed after this. */
  readonly idleTimeoutMs: number;
  /** A message has to be whole within this time from its first byte: as long as bioyino tries to send one. */
  readonly messageTimeoutMs: number;
}

/** Each agent opens a connection for every snapshot. */
export const PEER_LIMITS: PeerLimits = {
  messageBytesMax: 64 << 20,
  partialBytesMax: 256 << 20,
  connectionsMax: 1024,
  connectionsPerHostMax: 256,
  idleTimeoutMs: 120_000,
  messageTimeoutMs: 30_000,
};

/** What becomes of messages and connections. */
export interface PeerEvents {
  /** Takes a whole message, in memory that is written over afterwards. Returns whether it could be read. */
  onMessage(message: Buffer): boolean;
  /** A connection was closed, or ended, in the middle of something. */
  onFault(host: string, fault: PeerFault): void;
}

interface Connection {
  readonly socket: Socket;
  readonly host: string;
  readonly framer: MessageFramer;
  /** When bytes last came, by performance.now(). */
  activeMs: number;
  /** When the message at hand began; undefined between messages. */
  begunMs: number | undefined;
}

export class PeerConnections {
  readonly #limits: PeerLimits;
  readonly #events: PeerEvents;
  readonly #tally: PeerTally;
  readonly #connections = new Map<Socket, Connection>();
  readonly #countByHost = new Map<string, number>();
  #roomBytes = 0;
  #isPaused = false;

  /** server: listens, and belongs to whoever made it. */
  constructor(server: Server, limits: PeerLimits, tally: PeerTally, events: PeerEvents) {
    this.#limits = limits;
    this.#events = events;
    this.#tally = tally;
    server.maxConnections = limits.connectionsMax;
    const refuse = () => {
      tally.connectionsRefused += 1;
    };
    server.on("drop", refuse);
    // A connection that could not be accepted, as for want of file descriptors.
    server.on("error", refuse);
    server.on("connection", (socket) => this.#accept(socket));
  }

  get size(): number {
    return this.#connections.size;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** Whether a message has begun somewhere and is not whole. */
  get hasPartial(): boolean {
    return [...this.#connections.values()].some(({ framer }) => framer.partialBytes > 0);
  }

  #accept(socket: Socket): void {
    // A peer that is gone already has no address any more.
    const host = canonicalHost(socket.remoteAddress ?? "");
    const count = this.#countByHost.get(host) ?? 0;
    if (count >= this.#limits.connectionsPerHostMax) {
      this.#tally.connectionsRefused += 1;
      socket.destroy();
      return;
    }
    this.#countByHost.set(host, count + 1);
    const framer = new MessageFramer(this.#limits.messageBytesMax, (message) => {
      connection.begunMs = undefined;
      return this.#events.onMessage(message);
    });
    const activeMs = performance.now();
    const connection: Connection = { socket, host, framer, activeMs, begunMs: undefined };
    this.#connections.set(socket, connection);
    this.#tally.connectionsAccepted += 1;
    this.#tally.connections = this.#connections.size;
    socket.on("data", (chunk: Buffer) => this.#take(connection, chunk));
    // The close event follows, whatever it was.
    socket.on("error", () => {});
    socket.on("close", () => this.#end(connection));
    if (this.#isPaused) socket.pause();
    else socket.resume();
  }

  #take(connection: Connection, chunk: Buffer): void {
    const { socket, framer } = connection;
    // Chunks may still come of a connection that was closed for a fault.
    if (!this.#connections.has(socket)) return;
    connection.activeMs = performance.now();
    this.#tally.bytes += chunk.length;
    const before = framer.roomBytes;
    const fault = framer.push(chunk);
    this.#roomBytes += framer.roomBytes - before;
    if (fault !== undefined) {
      this.#close(connection, fault === "refused" ? "malformed" : fault);
      return;
    }
    if (framer.partialBytes === 0) connection.begunMs = undefined;
    else connection.begunMs ??= connection.activeMs;
    if (this.#roomBytes > this.#limits.partialBytesMax) this.#closeLargest();
  }

  /** Whoever holds most is closed: that hits those who fill memory before all others. */
  #closeLargest(): void {
    let largest: Connection | undefined;
    for (const one of this.#connections.values()) {
      if (largest === undefined || one.framer.roomBytes > largest.framer.roomBytes) largest = one;
    }
    if (largest !== undefined) this.#close(largest, "crowded");
  }

  #close(connection: Connection, fault: PeerFault): void {
    this.#count(connection, fault);
    this.#forget(connection);
    // A reset, so that a sender that has not finished learns that it failed.
    connection.socket.resetAndDestroy();
  }

  #count(connection: Connection, fault: PeerFault): void {
    this.#tally.peer[`faults.${fault}`] += 1;
    this.#events.onFault(connection.host, fault);
  }

  #forget(connection: Connection): void {
    const { socket, host, framer } = connection;
    if (!this.#connections.delete(socket)) return;
    this.#tally.connections = this.#connections.size;
    this.#roomBytes -= framer.roomBytes;
    const count = this.#countByHost.get(host)! - 1;
    if (count === 0) this.#countByHost.delete(host);
    else this.#countByHost.set(host, count);
  }

  /** The system is done with a connection: where nobody closed it here, its peer has ended it. */
  #end(connection: Connection): void {
    if (!this.#connections.has(connection.socket)) return;
    if (connection.framer.partialBytes > 0) this.#count(connection, "cut-off");
    this.#forget(connection);
  }

  /** Reads nothing more for a while: peers wait meanwhile. */
  pause(): void {
    this.#isPaused = true;
    for (const socket of this.#connections.keys()) socket.pause();
  }

  /** Time that peers were made to wait does not count against them. */
  resume(nowMs: number): void {
    this.#isPaused = false;
    for (const connection of this.#connections.values()) {
      connection.activeMs = nowMs;
      if (connection.begunMs !== undefined) connection.begunMs = nowMs;
      connection.socket.resume();
    }
  }

  /** Closes those that have been silent, or slow, for too long. nowMs: performance.now(). */
  closeSilent(nowMs: number): void {
    if (this.#isPaused) return;
    const { idleTimeoutMs, messageTimeoutMs } = this.#limits;
    for (const connection of this.#connections.values()) {
      const { begunMs, activeMs } = connection;
      if (begunMs !== undefined) {
        if (nowMs - begunMs >= messageTimeoutMs) this.#close(connection, "timed-out");
      } else if (nowMs - activeMs >= idleTimeoutMs) {
        this.#tally.connectionsIdle += 1;
        this.#forget(connection);
        connection.socket.destroy();
      }
    }
  }

  /** Closes all; what is not whole is cut off. */
  closeAll(): void {
    for (const connection of this.#connections.values()) {
      if (connection.framer.partialBytes > 0) this.#close(connection, "cut-off");
      else {
        this.#forget(connection);
        connection.socket.destroy();
      }
    }
  }
}
