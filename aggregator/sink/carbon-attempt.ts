/**
 * One attempt to deliver one chunk to carbon, over a connection of its own.
 *
 * A successful write only says that the system took the bytes. So after the last line this end is closed,
 * and the chunk counts as delivered when the remote closes its end as well: carbon does that when it has
 * read everything. Whatever else happens leaves the chunk's fate unknown, and it has to be sent again.
 *
 *   connect -> write slice, wait until the system took it, ... -> hold -> half-close -> FIN of the remote
 */
import type { Socket } from "node:net";
import type { Clock, TimerHandle } from "../../shared/clock.ts";
import { type CarbonDelivery, type CarbonTimeouts, FENCED } from "./carbon-delivery.ts";
import type { CarbonEncoder } from "./carbon-rows.ts";
import { type CarbonRemote, connectCarbon, connectEvent } from "./carbon-tls.ts";

/**
 * A proxy without a live backend accepts and closes at once. Its FIN may not be taken for an
 * acknowledgement, so this end stays open for two round trips after the connection was made, and for at
 * least this long.
 */
const HOLD_MS_MIN = 5;
/** A connection that took long to make was not that far away. */
const HOLD_MS_MAX = 1000;

/** Sends rows and reports once: undefined for delivered, otherwise what went wrong. */
export class CarbonAttempt implements CarbonDelivery {
  readonly #timeouts: CarbonTimeouts;
  readonly #encoder: CarbonEncoder;
  readonly #slice: Buffer;
  readonly #clock: Clock;
  readonly #report: (fault: string | undefined) => void;
  readonly #mayWrite: () => boolean;
  readonly #isPlain: boolean;
  #socket: Socket | undefined;
  #timer: TimerHandle | undefined;
  /** Moment before which this end stays open. */
  #holdUntilMs = 0;
  #isHalfClosed = false;
  #isOver = false;

  /**
   * Connects at once. slice: memory for one slice; belongs to the attempt until it has reported or is
   * aborted. report: called once, from the event loop. mayWrite: asked before each slice; where it says no,
   * FENCED is reported.
   */
  constructor(
    remote: CarbonRemote,
    timeouts: CarbonTimeouts,
    encoder: CarbonEncoder,
    slice: Buffer,
    clock: Clock,
    report: (fault: string | undefined) => void,
    mayWrite: () => boolean,
  ) {
    this.#timeouts = timeouts;
    this.#encoder = encoder;
    this.#slice = slice;
    this.#clock = clock;
    this.#report = report;
    this.#mayWrite = mayWrite;
    this.#isPlain = remote.tls === undefined;
    try {
      this.#connect(remote);
    } catch (error) {
      // A certificate that cannot be read, most likely; it may be there the next time.
      const fault = error instanceof Error ? error.message : String(error);
      this.#timer?.cancel();
      this.#timer = clock.setTimer(0, () => this.#end(fault));
    }
  }

  abort(): void {
    this.#isOver = true;
    this.#timer?.cancel();
    this.#socket?.destroy();
  }

  revoke(): void {
    // A plain close would still send what the system holds. A reset is for sockets without TLS alone.
    if (this.#isPlain && this.#socket?.connecting === false) this.#socket.resetAndDestroy();
    this.abort();
  }

  #connect(remote: CarbonRemote): void {
    const startedMs = this.#clock.monotonicMs();
    this.#limit(this.#timeouts.connectTimeoutMs, "connect timeout");
    const socket = connectCarbon(remote);
    this.#socket = socket;
    socket.on(connectEvent(remote), () => {
      const nowMs = this.#clock.monotonicMs();
      const holdMs = Math.min(HOLD_MS_MAX, Math.max(HOLD_MS_MIN, 2 * (nowMs - startedMs)));
      this.#holdUntilMs = nowMs + holdMs;
      this.#write(socket);
    });
    socket.on("finish", () => {
      this.#isHalfClosed = true;
    });
    socket.on("end", () => this.#end(this.#isHalfClosed ? undefined : "closed by remote"));
    socket.on("error", (error: NodeJS.ErrnoException) => this.#end(error.code ?? error.message));
    socket.on("close", () => this.#end("closed"));
    // Carbon says nothing; but unread bytes would keep its FIN from being seen.
    socket.resume();
  }

  /** Writes the next slice, when the system has taken the one before: that is all the memory it needs. */
  #write(socket: Socket): void {
    if (this.#isOver) return;
    if (!this.#mayWrite()) {
      this.#end(FENCED);
      return;
    }
    const bytes = this.#encoder.fill(this.#slice);
    if (bytes === 0) {
      this.#hold(socket);
      return;
    }
    this.#limit(this.#timeouts.writeTimeoutMs, "write timeout");
    socket.write(this.#slice.subarray(0, bytes), () => setImmediate(() => this.#write(socket)));
  }

  #hold(socket: Socket): void {
    this.#timer?.cancel();
    const waitMs = this.#holdUntilMs - this.#clock.monotonicMs();
    if (waitMs > 0) this.#timer = this.#clock.setTimer(Math.ceil(waitMs), () => this.#halfClose(socket));
    else this.#halfClose(socket);
  }

  #halfClose(socket: Socket): void {
    this.#limit(this.#timeouts.ackTimeoutMs, "acknowledgement timeout");
    socket.end();
  }

  #limit(delayMs: number, fault: string): void {
    this.#timer?.cancel();
    this.#timer = this.#clock.setTimer(delayMs, () => this.#end(fault));
  }

  #end(fault: string | undefined): void {
    if (this.#isOver) return;
    this.abort();
    this.#report(fault);
  }
}
