/**
 * Cuts one stream of bytes into frames, as DogStatsD clients write them to unix stream sockets:
 *
 *   | bytes of the payload, 32 bits, little endian | payload: one or more lines | ...
 *
 * A frame is a part as line-framer.ts makes them. One that would not fit into a slot ends the stream: nobody
 * can say that what follows is a length.
 */
import { SLOT_PAYLOAD_BYTES_MAX } from "./kernel/layout.ts";
import type { LineTaker } from "./line-framer.ts";
import type { StreamTally } from "./udp.ts";

const LENGTH_BYTES = 4;
const REST_BYTES_MIN = 256;
/** A larger buffer is not kept for the next frame: clients seldom send more than 8 KiB at a time. */
const REST_BYTES_KEPT = 16_384;
const NOTHING = Buffer.alloc(0);

export class LengthFramer {
  readonly #tally: StreamTally;
  readonly #take: LineTaker;
  readonly #onBroken: () => void;
  /** The length of the frame at hand, in the first #lengthBytes bytes. */
  readonly #length = Buffer.alloc(LENGTH_BYTES);
  #lengthBytes = 0;
  /** The unfinished payload, in the first #restBytes bytes. */
  #rest: Buffer = NOTHING;
  #restBytes = 0;
  #isBroken = false;

  /** onBroken: called once when the stream cannot be read any further. */
  constructor(tally: StreamTally, take: LineTaker, onBroken: () => void) {
    this.#tally = tally;
    this.#take = take;
    this.#onBroken = onBroken;
  }

  /** Takes the next bytes of the stream. */
  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length && !this.#isBroken) {
      at = this.#lengthBytes < LENGTH_BYTES ? this.#readLength(chunk, at) : this.#readPayload(chunk, at);
    }
  }

  /** The stream has ended: a frame that has not is dropped. */
  end(): void {
    if (this.#lengthBytes > 0 && !this.#isBroken) this.#tally.linesCut += 1;
    this.#isBroken = true;
    this.#rest = NOTHING;
  }

  /** The stream has broken off. */
  abort(): void {
    this.end();
  }

  /** Returns the index behind what it has read. */
  #readLength(chunk: Buffer, from: number): number {
    const end = Math.min(chunk.length, from + LENGTH_BYTES - this.#lengthBytes);
    chunk.copy(this.#length, this.#lengthBytes, from, end);
    this.#lengthBytes += end - from;
    if (this.#lengthBytes < LENGTH_BYTES) return end;
    const frameBytes = this.#length.readUInt32LE();
    if (frameBytes === 0) this.#lengthBytes = 0;
    if (frameBytes > SLOT_PAYLOAD_BYTES_MAX) {
      this.#tally.linesTooLong += 1;
      this.#isBroken = true;
      this.#onBroken();
    }
    return end;
  }

  /** Returns the index behind what it has read. */
  #readPayload(chunk: Buffer, from: number): number {
    const missing = this.#length.readUInt32LE() - this.#restBytes;
    if (chunk.length - from < missing) {
      this.#keep(chunk, from);
      return chunk.length;
    }
    const end = from + missing;
    this.#take(this.#rest.subarray(0, this.#restBytes), chunk, from, end);
    if (this.#rest.length > REST_BYTES_KEPT) this.#rest = NOTHING;
    this.#restBytes = 0;
    this.#lengthBytes = 0;
    return end;
  }

  /** Room is made as bytes come, since a length alone is cheap to send. */
  #keep(chunk: Buffer, from: number): void {
    const needed = this.#restBytes + chunk.length - from;
    if (needed > this.#rest.length) {
      const larger = Buffer.allocUnsafe(
        Math.min(SLOT_PAYLOAD_BYTES_MAX, Math.max(REST_BYTES_MIN, 2 * needed)),
      );
      this.#rest.copy(larger, 0, 0, this.#restBytes);
      this.#rest = larger;
    }
    chunk.copy(this.#rest, this.#restBytes, from);
    this.#restBytes = needed;
  }
}
