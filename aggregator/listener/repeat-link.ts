/**
 * One lasting TCP connection to a repeater's address, and the lines that wait for it. It lives in the control
 * thread.
 *
 *   pause --> connecting --> connected: one write at a time, of some pieces
 *     ^           |              |
 *     +-----------+--------------+   what was being written is lost: it may have arrived in part
 *
 * A piece holds whole lines, so every connection begins at the start of a line.
 */
import { connect, type Socket } from "node:net";
import { Backoff } from "../../shared/backoff.ts";
import type { Clock, TimerHandle } from "../../shared/clock.ts";
import { type HostPort, printHostPort } from "../../shared/config-addresses.ts";
import type { Log } from "../../shared/log.ts";
import type { Random } from "../../shared/random.ts";

/** Why lines for a connection were lost. closed: they were waiting when the aggregator ended. */
export const LINK_LOSSES = ["queue_full", "connection", "closed"] as const;
export type LinkLoss = (typeof LINK_LOSSES)[number];

/** How a link stands. */
export interface LinkStatus {
  /** `tcp://HOST:PORT`. */
  readonly address: string;
  readonly isConnected: boolean;
  readonly queuedBytes: number;
  /** Lines that the system took. */
  readonly sentLines: number;
  readonly sentBytes: number;
  readonly lostLines: Readonly<Record<LinkLoss, number>>;
}

export interface LinkOptions {
  /** Memory of what waits: its bytes, and some for each piece. */
  readonly queueBytesMax: number;
  /** Looking the name up included. */
  readonly connectTimeoutMs: number;
  readonly log: Log;
  readonly clock: Clock;
  readonly random: Random;
  /** A connection that takes nothing for so long is given up, in milliseconds; 10 s by default. */
  readonly writeTimeoutMs?: number;
}

/** Lines, each with its line feed, and how many they are. */
export interface Piece {
  readonly bytes: Uint8Array;
  readonly lines: number;
}

/** What a piece takes in memory beside its bytes, roughly. */
const PIECE_BYTES = 128;
/** Pieces are joined for a write up to so many bytes. */
const WRITE_BYTES_MAX = 256 << 10;
const WRITE_TIMEOUT_MS = 10_000;
const KEEPALIVE_MS = 30_000;
const PAUSES = { delayMs: 100, multiplier: 2, delayMaxMs: 10_000 };

export class RepeatLink {
  readonly #address: HostPort;
  readonly #options: LinkOptions;
  readonly #backoff: Backoff;
  /** Pieces that wait, from #first on. */
  #queue: Piece[] = [];
  #first = 0;
  /** Of those, each with PIECE_BYTES. */
  #queuedBytes = 0;
  #socket: Socket | undefined;
  #isConnected = false;
  #writing: Piece | undefined;
  #pause: TimerHandle | undefined;
  #isOver = false;
  #sentLines = 0;
  #sentBytes = 0;
  readonly #lost: Record<LinkLoss, number> = { queue_full: 0, connection: 0, closed: 0 };
  #waiting: (() => void)[] = [];

  /** Connects at once. */
  constructor(address: HostPort, options: LinkOptions) {
    this.#address = address;
    this.#options = options;
    this.#backoff = new Backoff(PAUSES, options.random);
    this.#connect();
  }

  get status(): LinkStatus {
    return {
      address: this.#name,
      isConnected: this.#isConnected,
      queuedBytes: this.#queuedBytes,
      sentLines: this.#sentLines,
      sentBytes: this.#sentBytes,
      lostLines: { ...this.#lost },
    };
  }

  get #name(): string {
    return `tcp://${printHostPort(this.#address)}`;
  }

  /** Takes lines; the oldest that wait make room for them. */
  accept(piece: Piece): void {
    if (this.#isOver) {
      this.#lost.closed += piece.lines;
      return;
    }
    this.#queue.push(piece);
    this.#queuedBytes += piece.bytes.length + PIECE_BYTES;
    // The newest piece stays, however large it is.
    while (this.#queuedBytes > this.#options.queueBytesMax && this.#first + 1 < this.#queue.length) {
      this.#drop("queue_full");
    }
    this.#pump();
  }

  get #isEmpty(): boolean {
    return this.#first === this.#queue.length;
  }

  #takeFirst(): Piece | undefined {
    const piece = this.#queue[this.#first];
    if (piece === undefined) return undefined;
    this.#first += 1;
    this.#queuedBytes -= piece.bytes.length + PIECE_BYTES;
    // To move the rest with each piece would take a long queue too long.
    if (this.#isEmpty || this.#first > 1024) {
      this.#queue = this.#queue.slice(this.#first);
      this.#first = 0;
    }
    return piece;
  }

  #drop(reason: LinkLoss): void {
    this.#lost[reason] += this.#takeFirst()?.lines ?? 0;
  }

  /** Joins pieces for a write; undefined where none wait. */
  #takeJoined(): Piece | undefined {
    const pieces: Uint8Array[] = [];
    let lines = 0;
    let bytes = 0;
    while (
      !this.#isEmpty &&
      (bytes === 0 || bytes + this.#queue[this.#first]!.bytes.length <= WRITE_BYTES_MAX)
    ) {
      const piece = this.#takeFirst()!;
      pieces.push(piece.bytes);
      lines += piece.lines;
      bytes += piece.bytes.length;
    }
    if (pieces.length === 0) return undefined;
    return { bytes: pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces), lines };
  }

  #connect(): void {
    this.#pause = undefined;
    const { connectTimeoutMs, writeTimeoutMs = WRITE_TIMEOUT_MS } = this.#options;
    // The name is looked up anew each time.
    const socket = connect({ ...this.#address, keepAlive: true, keepAliveInitialDelay: KEEPALIVE_MS });
    this.#socket = socket;
    let fault = "closed by the remote";
    const timeout = this.#options.clock.setTimer(connectTimeoutMs, () => {
      fault = "timeout";
      socket.destroy();
    });
    socket.on("connect", () => {
      timeout.cancel();
      this.#isConnected = true;
      this.#options.log.info("repeater.connected", { address: this.#name });
      this.#pump();
    });
    // Fires when nothing could be passed on for so long; it is set while a piece is written.
    socket.on("timeout", () => {
      fault = `nothing taken for ${writeTimeoutMs} ms`;
      socket.destroy();
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      fault = error.code ?? error.message;
    });
    socket.on("close", () => {
      timeout.cancel();
      this.#onClose(fault);
    });
    // What a remote says is of no interest, but its end is.
    socket.resume();
  }

  #pump(): void {
    const socket = this.#socket;
    if (!this.#isConnected || socket === undefined || this.#writing !== undefined) return;
    const piece = this.#takeJoined();
    if (piece === undefined) {
      this.#wake();
      return;
    }
    this.#writing = piece;
    socket.setTimeout(this.#options.writeTimeoutMs ?? WRITE_TIMEOUT_MS);
    socket.write(piece.bytes, (error) => {
      if (error || socket !== this.#socket) return;
      socket.setTimeout(0);
      this.#writing = undefined;
      this.#sentLines += piece.lines;
      this.#sentBytes += piece.bytes.length;
      this.#backoff.reset();
      this.#pump();
    });
  }

  /** Nothing waits any more. */
  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  #onClose(fault: string): void {
    this.#socket = undefined;
    this.#isConnected = false;
    this.#lost.connection += this.#writing?.lines ?? 0;
    this.#writing = undefined;
    if (this.#isEmpty) this.#wake();
    if (this.#isOver) return;
    const retryInMs = Math.round(this.#backoff.next());
    this.#options.log.warn("repeater.failed", { address: this.#name, fault, retryInMs });
    this.#pause = this.#options.clock.setTimer(retryInMs, () => this.#connect());
  }

  /** Waits until everything is written, at the longest until deadlineMs of the clock. */
  async drain(deadlineMs: number): Promise<boolean> {
    const { clock } = this.#options;
    if (this.#isEmpty && this.#writing === undefined) return true;
    let timer: TimerHandle | undefined;
    const timeout = new Promise<void>((resolve) => {
      timer = clock.setTimer(Math.max(0, deadlineMs - clock.monotonicMs()), resolve);
    });
    await Promise.race([timeout, new Promise<void>((resolve) => this.#waiting.push(resolve))]);
    timer?.cancel();
    return this.#isEmpty && this.#writing === undefined;
  }

  /** Gives up what waits, and closes. */
  close(): void {
    this.#isOver = true;
    this.#pause?.cancel();
    while (!this.#isEmpty) this.#drop("closed");
    // What the system has taken it passes on, also when the process is gone: a remote that does not close
    // its end is not waited for.
    if (this.#isConnected && this.#writing === undefined) this.#socket?.end().unref();
    else this.#socket?.destroy();
  }
}
