/** Feeds the relay's kernel without sockets and records the packets that it would send. */
import type { Packer } from "../../relay/packer.ts";
import {
  HEADER_BYTES,
  HEADER_FLAGS,
  HEADER_IOV,
  HEADER_LINES,
  HEADER_PAYLOAD_BYTES,
  IOVEC_LENGTH,
  SLOT_BYTES,
  SLOT_COUNT,
} from "../../shared/kernel/layout.ts";
import { type BatchSender, newTally } from "../../shared/udp.ts";

/** One packet as it would leave. */
export interface Packet {
  /** Index of the destination. */
  readonly destination: number;
  readonly payload: Buffer;
}

/** Puts datagrams into the first slots, as recvmmsg would. isCut: they were longer than their slots. */
export function fillSlots(packer: Packer, datagrams: readonly Buffer[], isCut = false): void {
  const { memory, headers, slots } = packer.batch;
  const bytes = Buffer.from(memory.buffer);
  datagrams.forEach((datagram, slot) => {
    datagram.copy(bytes, slots + slot * SLOT_BYTES);
    bytes.writeUInt32LE(datagram.length, headers + slot * HEADER_BYTES + HEADER_PAYLOAD_BYTES);
    bytes.writeUInt32LE(isCut ? 0x20 : 0, headers + slot * HEADER_BYTES + HEADER_FLAGS);
  });
}

/** Records packets in the order in which the kernel sealed them, over all destinations. */
export class PacketLog {
  readonly packets: Packet[] = [];
  /** Lines in the packets, as the kernel says. */
  lines = 0;
  readonly #packer: Packer;
  readonly #senders: readonly BatchSender[];

  constructor(packer: Packer) {
    this.#packer = packer;
    // Whoever is asked first takes the packets of all, as their order is what counts here.
    const sender: BatchSender = {
      io: "dgram",
      tally: newTally(),
      send: () => this.#takeOnce(),
      flush: async () => {},
      close: () => {},
    };
    this.#senders = new Array<BatchSender>(1024).fill(sender);
  }

  #isTaken = false;

  #takeOnce(): void {
    if (this.#isTaken) return;
    this.#isTaken = true;
    const { exports, memory } = this.#packer;
    const view = new DataView(memory.buffer);
    const taken = new Map<number, number>();
    for (let index = 0; index < exports.sealedCount(); index++) {
      const destination = exports.sealedDestination(index);
      const number = taken.get(destination) ?? 0;
      taken.set(destination, number + 1);
      const header = exports.packetHeaders(destination) + number * HEADER_BYTES;
      const iovec = Number(view.getBigUint64(header + HEADER_IOV, true));
      const start = Number(view.getBigUint64(iovec, true));
      const length = Number(view.getBigUint64(iovec + IOVEC_LENGTH, true));
      this.packets.push({ destination, payload: Buffer.from(memory.buffer.slice(start, start + length)) });
      this.lines += view.getUint32(header + HEADER_LINES, true);
    }
  }

  /** Takes what is sealed now. */
  take(): void {
    this.#isTaken = false;
    this.#packer.sendSealed(this.#senders);
  }

  /** Packs the datagrams in the slots. */
  consume(received: number): void {
    const { exports } = this.#packer;
    while (exports.consume(received) !== 0) this.take();
    this.take();
  }
}

/** Packs datagrams as one flush interval and returns the packets in the order in which they leave. */
export function packAll(packer: Packer, datagrams: readonly Buffer[]): Packet[] {
  const log = new PacketLog(packer);
  for (let from = 0; from < datagrams.length; from += SLOT_COUNT) {
    const batch = datagrams.slice(from, from + SLOT_COUNT);
    fillSlots(packer, batch);
    log.consume(batch.length);
  }
  packer.addSelfStat();
  log.take();
  packer.exports.flush();
  log.take();
  return log.packets;
}
