/**
 * Who sent the datagrams of a batch: room for the sockaddr that recvmmsg(2) writes beside each of them. Off,
 * the headers point nowhere and the system call has nothing to write.
 */
import { HEADER_BYTES, SLOT_COUNT } from "./kernel/layout.ts";
import { hashHostBytes } from "./sender-hash.ts";
import { decodeHost, hostBytesAt } from "./sockaddr.ts";
import type { ReceiveBatch } from "./udp.ts";

/** Offset of msg_name in a mmsghdr, a 64-bit address. */
const HEADER_NAME = 0;
/** Offset of msg_namelen, 32 bits: room before the call, bytes written after it. */
const HEADER_NAME_BYTES = 8;
/** sizeof(struct sockaddr_storage). */
const NAME_BYTES = 128;

export class SenderNames {
  readonly #names = Buffer.alloc(SLOT_COUNT * NAME_BYTES);
  readonly #base: bigint;
  /** The batch whose headers point here, and a view of its memory. */
  #batch: ReceiveBatch | undefined;
  #view: DataView | undefined;
  /** Slots from the first whose headers have to be made ready again. */
  #changed = SLOT_COUNT;

  /** addressOf: returns the system address of a buffer, which stays where it is. */
  constructor(addressOf: (buffer: ArrayBuffer) => bigint) {
    this.#base = addressOf(this.#names.buffer);
  }

  /** Makes the headers ready for a call: all at first, then those that the call before has changed. */
  attach(batch: ReceiveBatch): void {
    const { memory, headers } = batch;
    if (this.#view === undefined || this.#view.buffer !== memory.buffer || this.#batch !== batch) {
      this.#view = new DataView(memory.buffer);
      this.#batch = batch;
      this.#changed = SLOT_COUNT;
      for (let slot = 0; slot < SLOT_COUNT; slot++) {
        const name = headers + slot * HEADER_BYTES + HEADER_NAME;
        this.#view.setBigUint64(name, this.#base + BigInt(slot * NAME_BYTES), true);
      }
    }
    for (let slot = 0; slot < this.#changed; slot++) {
      this.#view.setUint32(headers + slot * HEADER_BYTES + HEADER_NAME_BYTES, NAME_BYTES, true);
      // A datagram without a sender's address leaves the name as it is.
      this.#names.writeUInt16LE(0, slot * NAME_BYTES);
    }
    this.#changed = 0;
  }

  /** A call has filled the first `received` slots. */
  noteReceived(received: number): void {
    this.#changed = received;
  }

  /** Lets the headers point nowhere again. */
  detach({ memory, headers }: ReceiveBatch): void {
    this.#batch = undefined;
    this.#view = undefined;
    const view = new DataView(memory.buffer);
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      const header = headers + slot * HEADER_BYTES;
      view.setBigUint64(header + HEADER_NAME, 0n, true);
      view.setUint32(header + HEADER_NAME_BYTES, 0, true);
    }
  }

  /** Returns the address literal of a slot's sender, or an empty text. */
  nameOf(slot: number): string {
    return decodeHost(this.#names.subarray(slot * NAME_BYTES, (slot + 1) * NAME_BYTES));
  }

  /** Returns a number for a slot's sender, see sender-hash.ts; 0 where it is not known. */
  hashOf(slot: number): number {
    const { start, end } = hostBytesAt(this.#names, slot * NAME_BYTES);
    return hashHostBytes(this.#names, start, end);
  }
}
