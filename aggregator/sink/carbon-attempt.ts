/**
 * One attempt to deliver one chunk to carbon, over a connection of its own.
 *
 * A successful write only says that the system took the bytes. So after the last line this end is closed,
 * and the chunk counts as delivered when the remote closes its end as well: carbon does that when it has
 * read everything. Whatever else happens leaves the chunk's fate unknown, and it has to be sent again.
 *
 *   connect -> write slice, wait until the system took it, ... -> hold -> half-close -> FIN of the remote
 */
import { connect, type Socket } from "node:net";
import type { Clock, TimerHandle } from "../../shared/clock.ts";
import type { CarbonLines } from "./carbon-lines.ts";

/** Where to, and how long each step may take. */
export interface CarbonAttemptOptions {
  readonly host: string;
  readonly port: number;
  /** Looking the name up included. */
  readonly connectTimeoutMs: number;
  /** Longest time without the system taking a slice. */
  readonly writeTimeoutMs: number;
  /** Longest wait for the remote's FIN after this end was closed. */
  readonly ackTimeoutMs: number;
}

/**
 * A proxy without a live backend accepts and closes at once. Its FIN may not be taken for an
 * acknowledgement, so this end stays open for two round trips after the connection was made, and for at
 * least this long.
 */
const HOLD_MS_MIN = 5;

/** Sends lines and reports once: undefined for delivered, otherwise what went wrong. */
export class CarbonAttempt {
  readonly #options: CarbonAttemptOptions;
  readonly #lines: CarbonLines;
  readonly #slice: Buffer;
  readonly #clock: Clock;
  readonly #report: (fault: string | undefined) => void;
  readonly #socket: Socket;
  #timer: TimerHandle | undefined;
  /** Moment before which this end stays open. */
  #holdUntilMs = 0;
  #isHalfClosed = false;
  #isOver = false;

  /**
   * Connects at once. slice: memory for one slice; belongs to the attempt until it has reported or is
   * aborted. report: called once, from the event loop.
   */
  constructor(
    options: CarbonAttemptOptions,
    lines: CarbonLines,
    slice: Buffer,
    clock: Clock,
    report: (fault: string | undefined) => void,
  ) {
    this.#options = options;
    this.#lines = lines;
    this.#slice = slice;
    this.#clock = clock;
    this.#report = report;
    const startedMs = clock.monotonicMs();
    this.#limit(options.connectTimeoutMs, "connect timeout");
    // allowHalfOpen: a remote that closes first must not make this end look closed on purpose.
    this.#socket = connect({ host: options.host, port: options.port, allowHalfOpen: true, noDelay: true });
    this.#socket.on("connect", () => {
      const nowMs = clock.monotonicMs();
      this.#holdUntilMs = nowMs + Math.max(HOLD_MS_MIN, 2 * (nowMs - startedMs));
      this.#write();
    });
    this.#socket.on("finish", () => {
      this.#isHalfClosed = true;
    });
    this.#socket.on("end", () => this.#end(this.#isHalfClosed ? undefined : "closed by remote"));
    this.#socket.on("error", (error: NodeJS.ErrnoException) => this.#end(error.code ?? error.message));
    this.#socket.on("close", () => this.#end("closed"));
    // Carbon says nothing; but unread bytes would keep its FIN from being seen.
    this.#socket.resume();
  }

  /** Drops the connection; nothing is reported any more. */
  abort(): void {
    this.#isOver = true;
    this.#timer?.cancel();
    this.#socket.destroy();
  }

  /** Writes the next slice, when the system has taken the one before: that is all the memory it needs. */
  #write(): void {
    if (this.#isOver) return;
    const bytes = this.#lines.fill(this.#slice);
    if (bytes === 0) {
      this.#hold();
      return;
    }
    this.#limit(this.#options.writeTimeoutMs, "write timeout");
    this.#socket.write(this.#slice.subarray(0, bytes), () => setImmediate(() => this.#write()));
  }

  #hold(): void {
    this.#timer?.cancel();
    const waitMs = this.#holdUntilMs - this.#clock.monotonicMs();
    if (waitMs > 0) this.#timer = this.#clock.setTimer(Math.ceil(waitMs), () => this.#halfClose());
    else this.#halfClose();
  }

  #halfClose(): void {
    this.#limit(this.#options.ackTimeoutMs, "acknowledgement timeout");
    this.#socket.end();
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
