/** The sender of `sendproto=test`: packets are counted as if they had been sent, and nothing leaves. */
import { HEADER_BYTES, HEADER_IOV, HEADER_LINES, IOVEC_LENGTH } from "../shared/kernel/layout.ts";
import { type BatchSender, newTally, type SendTally } from "../shared/udp.ts";

export class DiscardSender implements BatchSender {
  readonly io = "dgram";
  readonly tally: SendTally = newTally();
  readonly #view: DataView;
  readonly #memoryBase: bigint;

  /** memoryBase: address that the iovecs count from; see memoryAddress in udp.ts. */
  constructor(memory: WebAssembly.Memory, memoryBase: bigint) {
    this.#view = new DataView(memory.buffer);
    this.#memoryBase = memoryBase;
  }

  send(headers: number, count: number): void {
    for (let i = 0; i < count; i++) {
      const header = headers + i * HEADER_BYTES;
      const iovec = Number(this.#view.getBigUint64(header + HEADER_IOV, true) - this.#memoryBase);
      this.tally.bytesSent += Number(this.#view.getBigUint64(iovec + IOVEC_LENGTH, true));
      this.tally.linesSent += this.#view.getUint32(header + HEADER_LINES, true);
    }
    this.tally.packetsSent += count;
  }

  async flush(): Promise<void> {}

  close(): void {}
}
