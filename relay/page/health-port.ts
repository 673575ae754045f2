/**
 * The health port: what load balancers ask whether this relay may be sent to. Over TCP, in lines:
 *
 *   health          health: up        while it is ready
 *                   health: down      while it is not, or was set down by hand
 *   health down     health: down      by hand, from this machine only; `health auto` ends it
 *
 * It listens only while the relay is ready, so that a check that merely connects learns the same.
 */
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import type { Clock, TimerHandle } from "../../shared/clock.ts";
import { type HostPort, printHostPort } from "../../shared/config-addresses.ts";
import { OperatorError } from "../../shared/errors.ts";
import type { Log } from "../../shared/log.ts";
import { isLoopback } from "../../shared/management-access.ts";
import { backgroundClock } from "../background-clock.ts";
import { type ManualState, runCommand } from "./health-command.ts";

/** A longer line ends its connection. */
const LINE_BYTES_MAX = 128;
/** A connection without a command for so long is closed, in milliseconds. */
const IDLE_MS = 30_000;
/** A client that lets more bytes of answers wait than this is closed. */
const ANSWERS_BYTES_MAX = 4096;
const CONNECTIONS_MAX = 64;
/** Pause before a port that could not be had again is tried once more, in milliseconds. */
const RETRY_MS = 1_000;

/** What a health port needs. */
export interface HealthPortOptions {
  readonly log: Log;
  readonly clock?: Clock;
  readonly idleMs?: number;
  readonly connectionsMax?: number;
}

/**
 * Opens a health port that is ready. listen: name or address literal; port 0 for any free one.
 * Throws OperatorError naming the address when it cannot be bound.
 */
export async function openHealthPort(listen: HostPort, options: HealthPortOptions): Promise<HealthPort> {
  const port = new HealthPort(listen, options);
  await port.open();
  return port;
}

export class HealthPort {
  readonly #options: HealthPortOptions;
  readonly #clock: Clock;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #listen: HostPort;
  #isReady = true;
  #isClosed = false;
  /** Whether listening was asked for and has neither begun nor failed; it takes a turn of the event loop. */
  #isBinding = false;
  #manual: ManualState = "auto";
  #retry: TimerHandle | undefined;

  /** Use openHealthPort. */
  constructor(listen: HostPort, options: HealthPortOptions) {
    this.#listen = listen;
    this.#options = options;
    this.#clock = options.clock ?? backgroundClock;
    this.#server = createServer((socket) => this.#serve(socket));
  }

  /** HOST:PORT as bound. */
  get address(): string {
    return printHostPort(this.#listen);
  }

  get port(): number {
    return this.#listen.port;
  }

  /** What was set by hand. */
  get manual(): ManualState {
    return this.#manual;
  }

  /** What `health` answers: nothing set by hand makes a relay up that is not ready. */
  get isUp(): boolean {
    return this.#isReady && this.#manual !== "down";
  }

  /** Whether connections are taken. */
  get isListening(): boolean {
    return this.#server.listening;
  }

  /** Binds. Throws OperatorError naming the address when it cannot be had. */
  open(): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (error: NodeJS.ErrnoException): void => reject(listenFault(error, this.#listen));
      this.#server.once("error", fail);
      this.#server.listen({ host: this.#listen.host, port: this.#listen.port }, () => {
        this.#server.off("error", fail);
        this.#server.on("error", (error: NodeJS.ErrnoException) => this.#fail(error));
        this.#server.on("listening", () => this.#begin());
        const { address, port } = this.#server.address() as AddressInfo;
        // Whoever asks for any free port gets the same one again after a time of not being ready.
        this.#listen = { host: address, port };
        resolve();
      });
    });
  }

  /** Says whether this relay may be sent to. Not ready, it stops listening at once. */
  setReady(isReady: boolean): void {
    this.#isReady = isReady;
    this.#retry?.cancel();
    if (isReady) this.#listenAgain();
    else if (this.#server.listening) this.#server.close();
  }

  /** Ends listening and all connections. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#retry?.cancel();
    const ended = [...this.#sockets].map((socket) => new Promise((resolve) => socket.once("close", resolve)));
    if (this.#server.listening) ended.push(new Promise((resolve) => this.#server.close(resolve)));
    else if (this.#isBinding) {
      ended.push(new Promise((resolve) => this.#server.once("close", resolve).once("error", resolve)));
    }
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(ended);
  }

  #listenAgain(): void {
    if (this.#isClosed || !this.#isReady || this.#isBinding || this.#server.listening) return;
    this.#isBinding = true;
    this.#server.listen({ host: this.#listen.host, port: this.#listen.port });
  }

  /** What was wanted when listening began may be over. */
  #begin(): void {
    this.#isBinding = false;
    if (this.#isClosed || !this.#isReady) this.#server.close();
  }

  /** After the start a port that is lost is no reason to end: it is tried for until it can be had. */
  #fail(error: NodeJS.ErrnoException): void {
    this.#isBinding = false;
    if (this.#isClosed || !this.#isReady) return;
    this.#options.log.error("relay.health_port_failed", { listen: this.address, fault: error.code });
    this.#retry?.cancel();
    this.#retry = this.#clock.setTimer(RETRY_MS, () => this.#listenAgain());
  }

  #serve(socket: Socket): void {
    const idleMs = this.#options.idleMs ?? IDLE_MS;
    let idle = this.#clock.setTimer(idleMs, () => socket.destroy());
    let unfinished = "";
    this.#makeRoom();
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    socket.setEncoding("latin1");
    // Clients that vanish are no event.
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      idle.cancel();
      this.#sockets.delete(socket);
    });
    socket.on("data", (piece: string) => {
      const lines = (unfinished + piece).split("\n");
      unfinished = lines.pop() ?? "";
      if (lines.length > 0) {
        idle.cancel();
        idle = this.#clock.setTimer(idleMs, () => socket.destroy());
      }
      for (const line of lines) {
        if (!this.#take(line, socket)) return;
      }
      if (unfinished.length > LINE_BYTES_MAX) socket.destroy();
    });
  }

  /** The oldest connection goes for a new one: connections that only wait must not keep the checks out. */
  #makeRoom(): void {
    const [oldest] = this.#sockets;
    if (oldest === undefined || this.#sockets.size < (this.#options.connectionsMax ?? CONNECTIONS_MAX))
      return;
    oldest.destroy();
    this.#sockets.delete(oldest);
  }

  /** Answers one line. Returns whether the connection goes on. */
  #take(line: string, socket: Socket): boolean {
    if (line.length > LINE_BYTES_MAX || socket.writableLength > ANSWERS_BYTES_MAX) {
      // One that asks faster than it reads would fill this memory with answers.
      socket.destroy();
      return false;
    }
    const { answer, isQuit } = runCommand(line, {
      isUp: () => this.isUp,
      setManual: (state) => this.#setManual(state, socket.remoteAddress ?? ""),
      mayChange: isLoopback(socket.remoteAddress ?? ""),
    });
    if (isQuit) socket.end();
    else socket.write(answer);
    return !isQuit;
  }

  #setManual(state: ManualState, client: string): void {
    if (state === this.#manual) return;
    this.#manual = state;
    this.#options.log.warn("relay.health_set", { state, client });
  }
}

function listenFault(error: NodeJS.ErrnoException, listen: HostPort): OperatorError {
  const remedies: Record<string, string> = {
    EADDRINUSE: "another process has the port; set `health-listen` to a free one",
    EACCES: "ports below 1024 need a privilege; set `health-listen` to a higher port",
  };
  const remedy = remedies[error.code ?? ""] ?? "set `health-listen` to an address and port of this machine";
  return new OperatorError(
    `cannot listen on health address ${printHostPort(listen)} (${error.code}): ${remedy}`,
  );
}
