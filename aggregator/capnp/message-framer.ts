/** From a stream of bytes to whole Cap'n Proto messages, which say their size in front. */
import { messageBytes, tableBytes } from "./reader.ts";

/** Why a stream cannot be read any further. */
export type FramingFault = "malformed" | "too-large";

/** Takes one message, in memory that is written over afterwards. Returns whether to go on. */
export type MessageTaker = (message: Buffer) => boolean;

/** What is read before anything else is known. */
const HEAD_BYTES = 8;
/** Memory that a part of a message takes at least, where the message is not smaller. */
const ROOM_BYTES_MIN = 4096;
/** Room up to this is kept from one message to the next. */
const KEPT_BYTES_MAX = 65_536;

export class MessageFramer {
  readonly #bytesMax: number;
  readonly #take: MessageTaker;
  #room: Buffer = Buffer.alloc(0);
  #held = 0;
  /** Bytes after which more is known: the head, the table, the message. */
  #wanted = HEAD_BYTES;
  #isSized = false;

  /** bytesMax: of a message, its table included. */
  constructor(bytesMax: number, take: MessageTaker) {
    this.#bytesMax = bytesMax;
    this.#take = take;
  }

  /** Bytes of a message of which the rest has not come. */
  get partialBytes(): number {
    return this.#held;
  }

  /** Memory that it takes. */
  get roomBytes(): number {
    return this.#room.length;
  }

  /**
   * Takes what came. Returns why the stream is at its end, or "refused" where the taker did not want to go
   * on; undefined otherwise.
   */
  push(chunk: Buffer): FramingFault | "refused" | undefined {
    let at = 0;
    while (at < chunk.length) {
      const part = Math.min(chunk.length - at, this.#wanted - this.#held);
      if (this.#held === 0 && this.#isSized === false) {
        const whole = this.#wholeAt(chunk, at);
        if (whole > 0) {
          if (!this.#take(chunk.subarray(at, at + whole))) return "refused";
          at += whole;
          continue;
        }
      }
      this.#makeRoom(this.#held + part);
      chunk.copy(this.#room, this.#held, at, at + part);
      this.#held += part;
      at += part;
      const fault = this.#advance();
      if (fault !== undefined) return fault;
    }
    return undefined;
  }

  /** Bytes of the message that lies whole in a chunk, 0 where none does or it has to be looked at closely. */
  #wholeAt(chunk: Buffer, at: number): number {
    const left = chunk.length - at;
    if (left < HEAD_BYTES) return 0;
    const rest = chunk.subarray(at);
    const table = tableBytes(rest);
    if (table === undefined || table > left) return 0;
    const bytes = messageBytes(rest);
    return bytes <= left && bytes <= this.#bytesMax ? bytes : 0;
  }

  /** Room grows with what has come, not with what was announced: announcing costs nothing. */
  #makeRoom(bytes: number): void {
    if (bytes <= this.#room.length) return;
    const most = Math.max(this.#wanted, bytes);
    const wider = Buffer.allocUnsafeSlow(
      Math.min(most, Math.max(bytes, 2 * this.#room.length, ROOM_BYTES_MIN)),
    );
    this.#room.copy(wider, 0, 0, this.#held);
    this.#room = wider;
  }

  #advance(): FramingFault | "refused" | undefined {
    while (this.#held === this.#wanted) {
      if (this.#isSized) {
        const message = this.#room.subarray(0, this.#held);
        this.#reset();
        if (!this.#take(message)) return "refused";
        if (this.#room.length > KEPT_BYTES_MAX) this.#room = Buffer.alloc(0);
        return undefined;
      }
      const table = tableBytes(this.#room);
      if (table === undefined) return "malformed";
      if (table > this.#held) {
        this.#wanted = table;
        continue;
      }
      this.#wanted = messageBytes(this.#room);
      this.#isSized = true;
      if (this.#wanted > this.#bytesMax) return "too-large";
    }
    return undefined;
  }

  #reset(): void {
    this.#held = 0;
    this.#wanted = HEAD_BYTES;
    this.#isSized = false;
  }
}
