/**
 * Cuts one stream of bytes into parts that hold whole lines. It looks for line feeds from the end of a
 * chunk, so that a chunk with many lines costs as much as one with a single line.
 *
 *   chunk 1  a:1|c LF b:2          -> "a:1|c LF", rest "b:2"
 *   chunk 2  |c LF                 -> "b:2" + "|c LF"
 */
import { SLOT_PAYLOAD_BYTES_MAX } from "./kernel/layout.ts";
import type { StreamTally } from "./udp.ts";

const LF = 10;
const NOTHING = Buffer.alloc(0);
const REST_BYTES_MIN = 256;

/**
 * Takes a part of a stream: all of `head`, then `chunk` from `start` to `end`; together at most
 * SLOT_PAYLOAD_BYTES_MAX bytes. Both are only lent.
 */
export type LineTaker = (head: Uint8Array, chunk: Buffer, start: number, end: number) => void;

export class LineFramer {
  readonly #lineBytesMax: number;
  readonly #tally: StreamTally;
  readonly #take: LineTaker;
  /** The unfinished line, in the first #restBytes bytes. */
  #rest: Buffer = NOTHING;
  #restBytes = 0;
  /** Whether bytes are skipped up to the next line feed, since the line before it is too long. */
  #isSkipping = false;

  /** lineBytesMax: without line feed; lines that would not fit into a slot are too long in any case. */
  constructor(lineBytesMax: number, tally: StreamTally, take: LineTaker) {
    this.#lineBytesMax = Math.min(lineBytesMax, SLOT_PAYLOAD_BYTES_MAX - 1);
    this.#tally = tally;
    this.#take = take;
  }

  /** Takes the next bytes of the stream. */
  push(chunk: Buffer): void {
    const last = chunk.lastIndexOf(LF);
    if (last < 0) {
      this.#keep(chunk, 0);
      return;
    }
    const start = this.#finishLine(chunk);
    if (start <= last) this.#takeLines(chunk, start, last + 1);
    this.#keep(chunk, last + 1);
  }

  /** The stream has ended: what is left of it counts as a line. */
  end(): void {
    if (this.#restBytes > 0) this.#take(this.#rest.subarray(0, this.#restBytes), NOTHING, 0, 0);
    this.#restBytes = 0;
    this.#isSkipping = false;
  }

  /** The stream has broken off: the end of its last line may be missing, so it is dropped. */
  abort(): void {
    if (this.#restBytes > 0) this.#tally.linesCut += 1;
    this.#restBytes = 0;
    this.#isSkipping = false;
  }

  /**
   * Deals with the line that began in an earlier chunk and ends in this one.
   * Returns where the first line begins that is not dealt with.
   */
  #finishLine(chunk: Buffer): number {
    if (this.#restBytes === 0 && !this.#isSkipping) return 0;
    const feed = chunk.indexOf(LF);
    if (this.#isSkipping) {
      this.#tally.bytesTooLong += feed;
      this.#isSkipping = false;
      return feed + 1;
    }
    const lineBytes = this.#restBytes + feed;
    const rest = this.#rest.subarray(0, this.#restBytes);
    this.#restBytes = 0;
    if (lineBytes > this.#lineBytesMax) {
      this.#tally.linesTooLong += 1;
      this.#tally.bytesTooLong += lineBytes;
      return feed + 1;
    }
    // More lines go with it into the same slot, unless one of them is too long.
    const end = this.#findEnd(chunk, feed + 1, SLOT_PAYLOAD_BYTES_MAX - rest.length);
    this.#take(rest, chunk, 0, end);
    return end;
  }

  /** Takes the lines from `start` to `end`, which is behind a line feed. */
  #takeLines(chunk: Buffer, start: number, end: number): void {
    let from = start;
    while (from < end) {
      const to = this.#findEnd(chunk, from, from + SLOT_PAYLOAD_BYTES_MAX);
      if (to > from) {
        this.#take(NOTHING, chunk, from, to);
        from = to;
        continue;
      }
      const feed = chunk.indexOf(LF, from);
      this.#tally.linesTooLong += 1;
      this.#tally.bytesTooLong += feed - from;
      from = feed + 1;
    }
  }

  /**
   * Finds how far lines go that begin at `start`, are not too long and end before `limit`.
   * Returns the index behind a line feed, or `start` where the first line is none of these.
   */
  #findEnd(chunk: Buffer, start: number, limit: number): number {
    let end = start;
    for (;;) {
      // A line feed must come within lineBytesMax bytes; the last one in reach skips all lines before it.
      const feed = chunk.lastIndexOf(LF, Math.min(end + this.#lineBytesMax, limit - 1));
      if (feed < end) return end;
      end = feed + 1;
    }
  }

  /** Keeps what follows the last line feed. */
  #keep(chunk: Buffer, start: number): void {
    const count = chunk.length - start;
    if (count === 0) return;
    if (this.#isSkipping) {
      this.#tally.bytesTooLong += count;
      return;
    }
    const needed = this.#restBytes + count;
    if (needed > this.#lineBytesMax) {
      this.#tally.linesTooLong += 1;
      this.#tally.bytesTooLong += needed;
      this.#restBytes = 0;
      this.#isSkipping = true;
      return;
    }
    if (needed > this.#rest.length) {
      const larger = Buffer.allocUnsafe(Math.min(this.#lineBytesMax, Math.max(REST_BYTES_MIN, 2 * needed)));
      this.#rest.copy(larger, 0, 0, this.#restBytes);
      this.#rest = larger;
    }
    chunk.copy(this.#rest, this.#restBytes, start);
    this.#restBytes = needed;
  }
}
