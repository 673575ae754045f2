/**
 * Packets on their way to UDP repeaters: copies, so that the slots can be used again, in a memory that system
 * calls read.
 *
 *   headers [ mmsghdr 0 | ... ]  iovecs [ iovec 0 | ... ]  payloads, one behind the other
 */
import {
  HEADER_BYTES,
  HEADER_IOV,
  HEADER_IOV_COUNT,
  HEADER_LINES,
  IOVEC_BYTES,
  IOVEC_LENGTH,
  SLOT_COUNT,
  SLOT_PAYLOAD_BYTES_MAX,
} from "../../shared/kernel/layout.ts";
import { type BatchSender, memoryAddress } from "../../shared/udp.ts";

const PACKETS_MAX = 4 * SLOT_COUNT;
/** As much as a batch can hold, so that one of datagrams leaves in one call. */
const PAYLOAD_BYTES_MAX = SLOT_COUNT * SLOT_PAYLOAD_BYTES_MAX;
const HEADERS = 0;
const IOVECS = HEADERS + PACKETS_MAX * HEADER_BYTES;
const PAYLOADS = IOVECS + PACKETS_MAX * IOVEC_BYTES;
const PAGE_BYTES = 65_536;

export class RepeatPackets {
  readonly memory: WebAssembly.Memory;
  readonly #base: bigint;
  readonly #bytes: Buffer;
  #count = 0;
  #end = PAYLOADS;

  private constructor(memory: WebAssembly.Memory, base: bigint) {
    this.memory = memory;
    this.#base = base;
    this.#bytes = Buffer.from(memory.buffer);
    for (let packet = 0; packet < PACKETS_MAX; packet++) {
      const header = HEADERS + packet * HEADER_BYTES;
      const iovec = base + BigInt(IOVECS + packet * IOVEC_BYTES);
      this.#bytes.writeBigUInt64LE(iovec, header + HEADER_IOV);
      this.#bytes.writeBigUInt64LE(1n, header + HEADER_IOV_COUNT);
      // Each packet counts as one.
      this.#bytes.writeUInt32LE(1, header + HEADER_LINES);
    }
  }

  /** io: how the packets will be sent. */
  static async create(io: "mmsg" | "dgram"): Promise<RepeatPackets> {
    const memory = new WebAssembly.Memory({
      initial: Math.ceil((PAYLOADS + PAYLOAD_BYTES_MAX) / PAGE_BYTES),
    });
    return new RepeatPackets(memory, await memoryAddress(io, memory));
  }

  /** Adds source[from, to) as a packet. Returns false where there is no room: send() makes some. */
  add(source: Buffer, from: number, to: number): boolean {
    if (this.#count === PACKETS_MAX || this.#end + to - from > PAYLOADS + PAYLOAD_BYTES_MAX) return false;
    const iovec = IOVECS + this.#count * IOVEC_BYTES;
    source.copy(this.#bytes, this.#end, from, to);
    this.#bytes.writeBigUInt64LE(this.#base + BigInt(this.#end), iovec);
    this.#bytes.writeUInt32LE(to - from, iovec + IOVEC_LENGTH);
    this.#end += to - from;
    this.#count += 1;
    return true;
  }

  /** Hands all packets to each sender, and forgets them. */
  send(senders: readonly BatchSender[]): void {
    if (this.#count > 0) for (const sender of senders) sender.send(HEADERS, this.#count);
    this.#count = 0;
    this.#end = PAYLOADS;
  }
}
