/**
 * Standard output for the console sink. A terminal that is stopped with Ctrl-S, or a pipe that nobody reads,
 * makes a write wait for as long as it likes: in the control thread, if that is where it is written. So
 * terminals and pipes are opened a second time, such that a write takes what there is room for and returns.
 */
import { closeSync, constants, fstatSync, openSync, write } from "node:fs";
import { isatty } from "node:tty";
import type { Clock, TimerHandle } from "../../shared/clock.ts";

/** What the table is written to: standard output, or any writable stream. */
export interface ConsoleOutput {
  /** written: called when the text has left this process, or with what went wrong. */
  write(text: string, written?: (error?: Error | null) => void): unknown;
  on?(event: "error", listener: (error: Error) => void): unknown;
  readonly isTTY?: boolean;
  /** Characters in a line of the terminal. */
  readonly columns?: number | undefined;
  /** Bytes that wait for a reader. */
  readonly writableLength?: number;
  /** Lets go of what was opened for it. What waits is dropped, and nothing is reported any more. */
  release?(): void;
}

const STDOUT = 1;
/** How long to wait before a reader that was not reading is tried again. */
const RETRY_MS = 50;

interface Piece {
  readonly bytes: Buffer;
  readonly written: ((error?: Error | null) => void) | undefined;
}

/** Writes to a descriptor, at most one write at a time, in the order in which texts came. */
export class DescriptorOutput implements ConsoleOutput {
  readonly #descriptor: number;
  readonly #isOwned: boolean;
  readonly #clock: Clock;
  readonly #pieces: Piece[] = [];
  #writableLength = 0;
  /** Bytes of the first piece that are written. */
  #offset = 0;
  #isWriting = false;
  #isReleased = false;
  #retry: TimerHandle | undefined;
  #onError: (error: Error) => void = () => {};

  /** descriptor: best one that does not block. isOwned: whether release() closes it. */
  constructor(descriptor: number, isOwned: boolean, clock: Clock) {
    this.#descriptor = descriptor;
    this.#isOwned = isOwned;
    this.#clock = clock;
  }

  get isTTY(): boolean {
    return isatty(this.#descriptor);
  }

  /**
   * Undefined where it is no terminal: process.stdout would make a pipe that others write to as well its own.
   */
  get columns(): number | undefined {
    return this.isTTY ? process.stdout.columns : undefined;
  }

  get writableLength(): number {
    return this.#writableLength;
  }

  on(_event: "error", listener: (error: Error) => void): void {
    this.#onError = listener;
  }

  write(text: string, written?: (error?: Error | null) => void): void {
    const bytes = Buffer.from(text);
    this.#pieces.push({ bytes, written });
    this.#writableLength += bytes.length;
    this.#writeNext();
  }

  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#retry?.cancel();
    this.#pieces.length = 0;
    this.#writableLength = 0;
    if (!this.#isWriting) this.#closeDescriptor();
  }

  #writeNext(): void {
    const piece = this.#pieces[0];
    if (this.#isWriting || this.#retry !== undefined || this.#isReleased || piece === undefined) return;
    this.#isWriting = true;
    write(
      this.#descriptor,
      piece.bytes,
      this.#offset,
      piece.bytes.length - this.#offset,
      null,
      (error, bytes) => {
        this.#isWriting = false;
        if (this.#isReleased) this.#closeDescriptor();
        else if (error === null) this.#advance(piece, bytes);
        else if (error.code === "EAGAIN" || error.code === "EINTR") this.#wait();
        else this.#fail(error);
      },
    );
  }

  #advance(piece: Piece, bytes: number): void {
    this.#offset += bytes;
    this.#writableLength -= bytes;
    if (this.#offset >= piece.bytes.length) {
      this.#pieces.shift();
      this.#offset = 0;
      piece.written?.();
    }
    this.#writeNext();
  }

  #wait(): void {
    this.#retry = this.#clock.setTimer(RETRY_MS, () => {
      this.#retry = undefined;
      this.#writeNext();
    });
  }

  #fail(error: Error): void {
    const failed = this.#pieces.splice(0);
    this.#writableLength = 0;
    this.#offset = 0;
    this.#onError(error);
    for (const { written } of failed) written?.(error);
  }

  #closeDescriptor(): void {
    if (this.#isOwned) closeSync(this.#descriptor);
  }
}

/** Opens standard output so that nobody has to wait for its reader, where the system has a way. */
export function openConsoleOutput(clock: Clock): ConsoleOutput {
  const status = fstatSync(STDOUT);
  // A file takes what it gets, and opened again it would be written from its start.
  if (!status.isCharacterDevice() && !status.isFIFO()) return process.stdout;
  try {
    // Opened anew, since the flag would otherwise be seen by all who have the terminal open, the shell first.
    const flags = constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
    return new DescriptorOutput(openSync(`/proc/self/fd/${STDOUT}`, flags), true, clock);
  } catch {
    // No such file, or a terminal of another user: then a thread of the pool waits, and not this one.
    return new DescriptorOutput(STDOUT, false, clock);
  }
}
