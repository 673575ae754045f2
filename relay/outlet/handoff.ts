/** How packets get from a receiver thread to the outlet: copied out of kernel memory and posted. */
import type { MessagePort } from "node:worker_threads";
import { HEADER_BYTES, HEADER_IOV, HEADER_LINES, IOVEC_LENGTH } from "../../shared/kernel/layout.ts";
import { type BatchSender, newTally, type SendTally } from "../../shared/udp.ts";

/** Words of `table` for each packet: its bytes, its lines. */
const TABLE_WORDS = 2;

/** Packets of one channel, back to back in `bytes`. The table says where each ends and what it holds. */
export interface Handoff {
  readonly channel: number;
  readonly bytes: ArrayBuffer;
  readonly table: Uint32Array<ArrayBuffer>;
}

/** One packet that waits to be sent. */
export interface Packet {
  /** Whole lines, each ended by a line feed. */
  readonly bytes: Uint8Array;
  readonly lines: number;
  /** Moment on the monotonic clock at which the outlet took it. */
  readonly takenMs: number;
}

/** Makes the count of bytes under way to one channel, shared by all its receivers and the outlet. */
export function newBacklog(): SharedArrayBuffer {
  return new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
}

/** What a handoff counts for in the backlog. */
export function handoffBytes(handoff: Handoff): number {
  return handoff.bytes.byteLength + handoff.table.byteLength;
}

/** Takes a handoff apart. takenMs: now, on the monotonic clock. The packets share the handoff's memory. */
export function readHandoff(handoff: Handoff, takenMs: number): Packet[] {
  const { bytes, table } = handoff;
  const packets: Packet[] = [];
  let from = 0;
  for (let word = 0; word < table.length; word += TABLE_WORDS) {
    const length = table[word]!;
    packets.push({ bytes: new Uint8Array(bytes, from, length), lines: table[word + 1]!, takenMs });
    from += length;
  }
  return packets;
}

/**
 * Hands one destination's packets to the outlet, from a receiver thread. Sent means handed over here: what
 * becomes of the lines then is in the channel's own counters.
 */
export class OutletSender implements BatchSender {
  readonly io = "dgram";
  readonly tally: SendTally = newTally();
  readonly #port: MessagePort;
  readonly #channel: number;
  readonly #memory: WebAssembly.Memory;
  readonly #memoryBase: number;
  readonly #backlog: Int32Array;
  readonly #backlogBytesMax: number;
  #view: DataView;

  /**
   * port: the other end is the outlet's, which got it by a `port` message. memoryBase: address that the
   * iovecs count from; see memoryAddress in udp.ts. backlog: see newBacklog; what would take it above
   * backlogBytesMax is lost as queue_full, so that an outlet that stands still costs no more memory.
   */
  constructor(
    port: MessagePort,
    channel: number,
    memory: WebAssembly.Memory,
    memoryBase: bigint,
    backlog: SharedArrayBuffer,
    backlogBytesMax: number,
  ) {
    this.#port = port;
    this.#channel = channel;
    this.#memory = memory;
    this.#memoryBase = Number(memoryBase);
    this.#backlog = new Int32Array(backlog);
    this.#backlogBytesMax = backlogBytesMax;
    this.#view = new DataView(memory.buffer);
  }

  send(headers: number, count: number): void {
    if (count === 0) return;
    if (this.#view.buffer !== this.#memory.buffer) this.#view = new DataView(this.#memory.buffer);
    const table = new Uint32Array(count * TABLE_WORDS);
    let payloadBytes = 0;
    let lines = 0;
    for (let i = 0; i < count; i++) {
      const header = headers + i * HEADER_BYTES;
      const length = this.#view.getUint32(this.#iovec(header) + IOVEC_LENGTH, true);
      const packetLines = this.#view.getUint32(header + HEADER_LINES, true);
      table[i * TABLE_WORDS] = length;
      table[i * TABLE_WORDS + 1] = packetLines;
      payloadBytes += length;
      lines += packetLines;
    }
    const bytesMore = payloadBytes + table.byteLength;
    if (Atomics.add(this.#backlog, 0, bytesMore) + bytesMore > this.#backlogBytesMax) {
      Atomics.sub(this.#backlog, 0, bytesMore);
      this.tally.linesLost.queue_full += lines;
      return;
    }
    const handoff: Handoff = {
      channel: this.#channel,
      bytes: this.#copy(headers, count, payloadBytes),
      table,
    };
    this.#port.postMessage(handoff, [handoff.bytes, table.buffer]);
    this.tally.packetsSent += count;
    this.tally.bytesSent += payloadBytes;
    this.tally.linesSent += lines;
  }

  /** Nothing waits on this side. */
  async flush(): Promise<void> {}

  /** The port is shared with other channels, so it is not this one's to close. */
  close(): void {}

  #iovec(header: number): number {
    return Number(this.#view.getBigUint64(header + HEADER_IOV, true)) - this.#memoryBase;
  }

  #copy(headers: number, count: number, payloadBytes: number): ArrayBuffer {
    const copy = new Uint8Array(payloadBytes);
    let to = 0;
    for (let i = 0; i < count; i++) {
      const iovec = this.#iovec(headers + i * HEADER_BYTES);
      const start = Number(this.#view.getBigUint64(iovec, true)) - this.#memoryBase;
      const length = this.#view.getUint32(iovec + IOVEC_LENGTH, true);
      copy.set(new Uint8Array(this.#memory.buffer, start, length), to);
      to += length;
    }
    return copy.buffer;
  }
}
