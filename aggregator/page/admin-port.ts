/**
 * Etsy's administration port: commands over TCP, one a line, for tools that statsd's users have. A client
 * that asks and never reads, or that trickles, is closed; the oldest connection goes for one too many.
 */
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { type HostPort, printHostPort } from "../../shared/config-addresses.ts";
import { OperatorError } from "../../shared/errors.ts";
import type { Log } from "../../shared/log.ts";
import { isLoopback } from "../../shared/management-access.ts";
import { type AdminContext, runAdminCommand } from "./admin-command.ts";
import { AdminTimes } from "./admin-times.ts";
import type { Standing } from "./standing.ts";
import type { AggregatorView } from "./view.ts";

/** A longer line ends its connection. */
const LINE_BYTES_MAX = 8 * 1024;
const IDLE_MS = 60_000;
const CONNECTIONS_MAX = 64;
/** Commands of one connection that may wait for their answers. */
const WAITING_MAX = 64;
/** A client that lets more bytes of answers wait is closed at its next command. */
const ANSWERS_BYTES_MAX = 8 << 20;

/** A web page could make a browser send commands in the body of a request; its first line gives it away. */
const HTTP_REQUEST = /^[A-Z]+ .* HTTP\/\d/;

/** What the port works with. */
export interface AdminOptions {
  readonly view: AggregatorView;
  readonly standing: Standing;
  readonly log: Log;
}

/** The port while it is open. */
export interface AdminPort {
  /** HOST:PORT as bound. */
  readonly address: string;
  /** Ends listening and all connections. */
  close(): Promise<void>;
}

/** Opens the port. Throws OperatorError naming the address where it cannot be had. */
export async function openAdminPort(listen: HostPort, options: AdminOptions): Promise<AdminPort> {
  const sockets = new Set<Socket>();
  const times = new AdminTimes(options.view);
  const server = createServer((socket) => {
    makeRoom(sockets);
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    new AdminClient(socket, options, times);
  });
  try {
    await bind(server, listen);
  } catch (error) {
    times.close();
    throw error;
  }
  server.on("error", (error: NodeJS.ErrnoException) =>
    options.log.error("admin.failed", { fault: error.code }),
  );
  const { address, port } = server.address() as AddressInfo;
  return {
    address: printHostPort({ host: address, port }),
    close: () =>
      new Promise((resolve) => {
        times.close();
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

function bind(server: Server, listen: HostPort): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const what = `cannot listen on admin address ${printHostPort(listen)} (${error.code})`;
      reject(new OperatorError(`${what}: set \`admin\` to a free address and port of this machine`));
    });
    server.listen({ host: listen.host, port: listen.port }, () => {
      server.removeAllListeners("error");
      resolve();
    });
  });
}

function makeRoom(sockets: Set<Socket>): void {
  const [oldest] = sockets;
  if (oldest === undefined || sockets.size < CONNECTIONS_MAX) return;
  oldest.destroy();
  sockets.delete(oldest);
}

/** One connection. */
class AdminClient {
  readonly #socket: Socket;
  readonly #context: AdminContext;
  /** Commands are answered in order, though the store takes its time. */
  #work: Promise<void> = Promise.resolve();
  #waiting = 0;
  #unfinished = "";

  constructor(socket: Socket, { view, standing, log }: AdminOptions, times: AdminTimes) {
    this.#socket = socket;
    const client = socket.remoteAddress ?? "";
    this.#context = { view, standing, log, times, client, isLocal: isLoopback(client) };
    socket.setNoDelay(true);
    socket.setTimeout(IDLE_MS, () => socket.destroy());
    socket.setEncoding("utf8");
    // Clients that vanish are no event.
    socket.on("error", () => socket.destroy());
    socket.on("data", (piece: string) => this.#onData(piece));
  }

  #onData(piece: string): void {
    const lines = (this.#unfinished + piece).split("\n");
    this.#unfinished = lines.pop() ?? "";
    for (const line of lines) {
      if (this.#socket.destroyed) return;
      this.#onLine(line);
    }
    if (this.#unfinished.length > LINE_BYTES_MAX) this.#socket.destroy();
  }

  #onLine(line: string): void {
    const isFlooded = this.#waiting >= WAITING_MAX || this.#socket.writableLength > ANSWERS_BYTES_MAX;
    if (line.length > LINE_BYTES_MAX || isFlooded || HTTP_REQUEST.test(line)) {
      this.#socket.destroy();
      return;
    }
    this.#waiting += 1;
    this.#work = this.#work.then(() => this.#answer(line));
  }

  async #answer(line: string): Promise<void> {
    this.#waiting -= 1;
    if (this.#socket.destroyed) return;
    const { answer, isQuit } = await runAdminCommand(line, this.#context);
    if (this.#socket.destroyed) return;
    if (isQuit) this.#socket.end();
    else this.#socket.write(answer);
  }
}
