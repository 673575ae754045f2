/**
 * One lasting TCP or TLS connection.
 *
 *   pause --> connecting --> connected <--> writing one batch
 *     ^           |              |              |
 *     +-----------+--------------+--------------+   a batch that was being written is written once more
 *
 * A batch holds whole packets and a packet whole lines, so every connection begins at the start of a line.
 * A successful write only says that the system has taken the bytes; what a remote loses behind that is not
 * known here.
 */
import { readFileSync } from "node:fs";
import { connect, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { TimerHandle } from "../../shared/clock.ts";
import type { Packet } from "./handoff.ts";
import { countLines, type Link, type LinkContext } from "./link.ts";

/** Bytes gathered for one write, roughly, and the packets they may come from. */
const WRITE_BYTES_MAX = 256 << 10;
const WRITE_PACKETS_MAX = 4096;
/** Receivers of statsd say nothing; one that talks more than this between two batches is no such receiver. */
const READ_BYTES_MAX = 64 << 10;
/** Silence after which the system asks whether the remote is still there. */
const KEEPALIVE_MS = 30_000;
/** Longest wait for the remote to close its end after this one was closed. */
const FINISH_MS = 1_000;
const LINE_FEED = 10;

export class StreamLink implements Link {
  readonly #context: LinkContext;
  #socket: Socket | undefined;
  #isConnected = false;
  #isOver = false;
  /** Waits for a pause or a connection to end. */
  #timer: TimerHandle | undefined;
  #batch: readonly Packet[] = [];
  #isWriting = false;
  /** Whether the batch has been written before, to a connection that is gone. */
  #isRetry = false;
  #readBytes = 0;
  /** Memory for a batch; left to the system when a connection is lost while it writes. */
  #gathered: Buffer | undefined;

  /** Connects at once. */
  constructor(context: LinkContext) {
    this.#context = context;
    this.#connect();
  }

  get isConnected(): boolean {
    return this.#isConnected;
  }

  get pending(): readonly Packet[] {
    return this.#batch;
  }

  pump(): void {
    const socket = this.#socket;
    if (socket === undefined || !this.#isConnected || this.#isWriting) return;
    const { ledger, queue, backoff } = this.#context;
    if (this.#batch.length === 0) this.#batch = queue.take(WRITE_BYTES_MAX, WRITE_PACKETS_MAX);
    if (this.#batch.length === 0) return;
    if (this.#isRetry) ledger.add("retries", 1);
    const data = this.#gather();
    this.#isWriting = true;
    // Fires when the system could pass nothing on for so long, however long the whole takes.
    socket.setTimeout(this.#context.options().writeTimeoutMs);
    socket.write(data, (error) => {
      if (error || socket !== this.#socket) return;
      socket.setTimeout(0);
      ledger.add("linesSent", countLines(this.#batch));
      ledger.add("packetsSent", this.#batch.length);
      ledger.add("bytesSent", data.length);
      this.#batch = [];
      this.#isWriting = false;
      this.#isRetry = false;
      this.#readBytes = 0;
      backoff.reset();
      this.pump();
    });
  }

  recall(): Packet[] {
    if (this.#isWriting) return [];
    const packets = [...this.#batch];
    this.#batch = [];
    this.#isRetry = false;
    return packets;
  }

  abandon(): Packet[] {
    this.#isWriting = false;
    const packets = this.recall();
    this.#stop();
    this.#socket?.destroy();
    this.#socket = undefined;
    return packets;
  }

  finish(): Promise<void> {
    this.#stop();
    const socket = this.#socket;
    this.#socket = undefined;
    if (socket === undefined || socket.destroyed || !socket.writable) {
      socket?.destroy();
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      const timer = this.#context.clock.setTimer(FINISH_MS, () => socket.destroy());
      // Closed before its remote's end is read, a socket with unread bytes would reset what was sent.
      socket.once("end", () => socket.destroy());
      socket.once("close", () => {
        timer.cancel();
        resolve();
      });
      socket.end();
    });
  }

  #stop(): void {
    this.#isOver = true;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#setConnected(false);
  }

  #setConnected(isConnected: boolean): void {
    if (this.#isConnected === isConnected) return;
    this.#isConnected = isConnected;
    this.#context.onConnection(isConnected);
  }

  #connect(): void {
    if (this.#isOver) return;
    let socket: Socket;
    try {
      socket = this.#open();
    } catch (error) {
      // A certificate that cannot be read, most likely; it may be there the next time.
      this.#fail(undefined, error instanceof Error ? error.message : String(error));
      return;
    }
    this.#socket = socket;
    this.#readBytes = 0;
    const { clock, ledger, log, options, order } = this.#context;
    this.#timer = clock.setTimer(options().connectTimeoutMs, () => this.#fail(socket, "connect timeout"));
    socket.on(order.protocol === "tls" ? "secureConnect" : "connect", () => {
      if (socket !== this.#socket) return;
      this.#timer?.cancel();
      this.#timer = undefined;
      ledger.add("connects", 1);
      log.info("relay.connected", { destination: order.text });
      this.#setConnected(true);
      this.pump();
    });
    socket.on("data", (bytes) => {
      this.#readBytes += bytes.length;
      if (this.#readBytes > READ_BYTES_MAX) this.#fail(socket, "the remote talks");
    });
    socket.on("timeout", () => this.#fail(socket, "write timeout"));
    socket.on("end", () => this.#fail(socket, "closed by remote"));
    socket.on("error", (error: NodeJS.ErrnoException) => this.#fail(socket, error.code ?? error.message));
    socket.on("close", () => this.#fail(socket, "closed"));
  }

  #open(): Socket {
    const { options, order } = this.#context;
    const address = { host: order.host!, port: order.port! };
    // Half-open: without it Node would answer a remote's FIN on its own, before anybody is told.
    const common = { ...address, allowHalfOpen: true, noDelay: true };
    const keepalive = { keepAlive: true, keepAliveInitialDelay: KEEPALIVE_MS };
    if (order.protocol !== "tls") return connect({ ...common, ...keepalive });
    const { ca, cert, key, verify } = options().tls;
    const name = order.serverName ?? order.host!;
    const socket = connectTls({
      ...common,
      // SNI may not carry an address; the certificate is checked against it all the same.
      ...(isIP(name) === 0 ? { servername: name } : {}),
      ...(ca === undefined ? {} : { ca: readFileSync(ca) }),
      ...(cert === undefined ? {} : { cert: readFileSync(cert) }),
      ...(key === undefined ? {} : { key: readFileSync(key) }),
      rejectUnauthorized: verify,
    });
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEPALIVE_MS);
    return socket;
  }

  /** The connection is of no use any more, or never was. socket: the one it is said of. */
  #fail(socket: Socket | undefined, fault: string): void {
    if (this.#isOver || socket !== this.#socket) return;
    const { backoff, clock, ledger, log, order } = this.#context;
    this.#socket = undefined;
    this.#timer?.cancel();
    // A reset frees what waits in the system for a remote that takes nothing.
    if (this.#isWriting && order.protocol === "tcp") socket?.resetAndDestroy();
    else socket?.destroy();
    if (this.#isConnected) log.warn("relay.connection_lost", { destination: order.text, fault });
    else {
      ledger.add("connectFailures", 1);
      log.warn("relay.connect_failed", { destination: order.text, fault });
    }
    if (this.#isWriting) this.#breakOff();
    this.#timer = clock.setTimer(backoff.next(), () => this.#connect());
    this.#setConnected(false);
  }

  /** How much of the batch the remote got is unknown: once more is right more often than not at all. */
  #breakOff(): void {
    this.#isWriting = false;
    this.#gathered = undefined;
    if (this.#isRetry) {
      this.#context.ledger.lose("error", countLines(this.#batch));
      this.#batch = [];
    }
    this.#isRetry = !this.#isRetry;
  }

  /** The batch in one piece of memory: one system call, and few and full TLS records. */
  #gather(): Buffer {
    const size = this.#batch.reduce((sum, { bytes }) => sum + bytes.length + 1, 0);
    const isUsual = size <= WRITE_BYTES_MAX + WRITE_PACKETS_MAX;
    if (isUsual) this.#gathered ??= Buffer.allocUnsafeSlow(WRITE_BYTES_MAX + WRITE_PACKETS_MAX);
    const target = isUsual ? this.#gathered! : Buffer.allocUnsafeSlow(size);
    let to = 0;
    for (const { bytes } of this.#batch) {
      target.set(bytes, to);
      to += bytes.length;
      if (bytes.length > 0 && bytes.at(-1) !== LINE_FEED) target[to++] = LINE_FEED;
    }
    return target.subarray(0, to);
  }
}
