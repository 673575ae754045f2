/** Packets in the form that sendmmsg and recvmmsg want, for programs that have no kernel; see layout.ts. */
import {
  HEADER_BYTES,
  HEADER_IOV,
  HEADER_IOV_COUNT,
  HEADER_LINES,
  HEADER_PAYLOAD_BYTES,
  IOVEC_BYTES,
  IOVEC_LENGTH,
} from "../shared/kernel/layout.ts";
import { memoryAddress } from "../shared/udp.ts";

const PAGE_BYTES = 64 * 1024;

/** A memory that holds `count` headers, their iovecs and payloads of up to strideBytes, in this order. */
export class PacketMemory {
  readonly memory: WebAssembly.Memory;
  /** Offset of the first mmsghdr; also the name that ReceiveBatch gives it. */
  readonly headers = 0;
  /** Offset of the first payload. */
  readonly slots: number;
  readonly bytes: Buffer;
  readonly count: number;
  readonly #strideBytes: number;

  /** base: what memoryAddress says of the memory. Use PacketMemory.create. */
  private constructor(memory: WebAssembly.Memory, count: number, strideBytes: number, base: bigint) {
    this.memory = memory;
    this.count = count;
    this.#strideBytes = strideBytes;
    this.slots = count * (HEADER_BYTES + IOVEC_BYTES);
    this.bytes = Buffer.from(memory.buffer);
    for (let i = 0; i < count; i++) {
      const iovec = count * HEADER_BYTES + i * IOVEC_BYTES;
      this.bytes.writeBigUInt64LE(base + BigInt(this.payload(i)), iovec);
      this.bytes.writeBigUInt64LE(BigInt(strideBytes), iovec + IOVEC_LENGTH);
      this.bytes.writeBigUInt64LE(base + BigInt(iovec), this.header(i) + HEADER_IOV);
      this.bytes.writeBigUInt64LE(1n, this.header(i) + HEADER_IOV_COUNT);
    }
  }

  /** io: which batch sockets will use it. */
  static async create(io: "mmsg" | "dgram", count: number, strideBytes: number): Promise<PacketMemory> {
    const pages = Math.ceil((count * (HEADER_BYTES + IOVEC_BYTES + strideBytes)) / PAGE_BYTES);
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    return new PacketMemory(memory, count, strideBytes, await memoryAddress(io, memory));
  }

  header(index: number): number {
    return index * HEADER_BYTES;
  }

  payload(index: number): number {
    return this.slots + index * this.#strideBytes;
  }

  /** Bytes that were received into a slot. */
  receivedBytes(index: number): number {
    return this.bytes.readUInt32LE(this.header(index) + HEADER_PAYLOAD_BYTES);
  }

  /** Says what a packet to send holds. */
  setLength(index: number, payloadBytes: number, lines: number): void {
    const iovec = this.count * HEADER_BYTES + index * IOVEC_BYTES;
    this.bytes.writeUInt32LE(payloadBytes, iovec + IOVEC_LENGTH);
    this.bytes.writeUInt32LE(lines, this.header(index) + HEADER_LINES);
  }
}
