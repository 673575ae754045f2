/**
 * Tells the kernel who sent each datagram, as a number, and the control thread which host each number stands
 * for.
 */
import type { BatchReceiver } from "../../shared/udp.ts";

/** A sender's number and its address literal. */
export type SenderEntry = readonly [hash: number, host: string];

/** Hosts that one intake tells of in its life; of others only their numbers are known. */
export const SENDERS_MAX = 65_536;
/** New hosts are told of at most this often, in milliseconds. */
const POST_MS = 1000;

export class SenderBook {
  readonly #receiver: BatchReceiver;
  readonly #post: (entries: readonly SenderEntry[]) => void;
  readonly #known = new Set<number>();
  #new: SenderEntry[] = [];
  #nextPostMs = 0;
  /** The sender of the slot before: batches come from one host more often than not. */
  #last = 0;

  /** post: takes hosts that were not told of before. The receiver begins to note its senders. */
  constructor(receiver: BatchReceiver, post: (entries: readonly SenderEntry[]) => void) {
    this.#receiver = receiver;
    this.#post = post;
    receiver.watchSenders(true);
  }

  /**
   * Writes the numbers of the senders of the first `received` slots to memory, 32 bits each, from `address`
   * on; 0 for one that is not known. nowMs: the wall clock.
   */
  note(memory: WebAssembly.Memory, address: number, received: number, nowMs: number): void {
    if (received > 0) {
      const numbers = new Uint32Array(memory.buffer, address, received);
      for (let slot = 0; slot < received; slot++) {
        const hash = this.#receiver.senderHashOf(slot);
        numbers[slot] = hash;
        if (hash !== this.#last) this.#meet(hash, slot);
      }
    }
    if (this.#new.length === 0) return;
    // Also at once where the clock was set back.
    if (nowMs < this.#nextPostMs && nowMs > this.#nextPostMs - POST_MS) return;
    this.#nextPostMs = nowMs + POST_MS;
    this.#post(this.#new);
    this.#new = [];
  }

  #meet(hash: number, slot: number): void {
    this.#last = hash;
    if (hash === 0 || this.#known.has(hash) || this.#known.size >= SENDERS_MAX) return;
    this.#known.add(hash);
    this.#new.push([hash, this.#receiver.senderOf(slot)]);
  }
}
