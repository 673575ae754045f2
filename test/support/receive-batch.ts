/** Kernel memory with a receive batch, and what tests do with it. */
import {
  HEADER_BYTES,
  HEADER_IOV,
  HEADER_IOV_COUNT,
  HEADER_LINES,
  HEADER_PAYLOAD_BYTES,
  IOVEC_BYTES,
  IOVEC_LENGTH,
  SLOT_BYTES,
  SLOT_COUNT,
  SLOT_PAYLOAD_BYTES_MAX,
} from "../../shared/kernel/layout.ts";
import { type BatchReceiver, CONTROL_DRAIN, memoryAddress } from "../../shared/udp.ts";

export const HEADERS = 1024;
const IOVECS = HEADERS + SLOT_COUNT * HEADER_BYTES;
const SLOTS = IOVECS + SLOT_COUNT * IOVEC_BYTES;
const PAGES = 80;

/** How datagrams are read. */
export type Kind = "mmsg" | "dgram";

/** A memory with a receive batch as kernel/batch.ts lays it out; it can hold packets to send just as well. */
export async function newBatch(io: Kind) {
  const memory = new WebAssembly.Memory({ initial: PAGES });
  const base = await memoryAddress(io, memory);
  const view = new DataView(memory.buffer);
  for (let slot = 0; slot < SLOT_COUNT; slot++) {
    const iovec = IOVECS + slot * IOVEC_BYTES;
    view.setBigUint64(iovec, base + BigInt(SLOTS + slot * SLOT_BYTES), true);
    view.setBigUint64(iovec + IOVEC_LENGTH, BigInt(SLOT_PAYLOAD_BYTES_MAX), true);
    view.setBigUint64(HEADERS + slot * HEADER_BYTES + HEADER_IOV, base + BigInt(iovec), true);
    view.setBigUint64(HEADERS + slot * HEADER_BYTES + HEADER_IOV_COUNT, 1n, true);
  }
  return { memory, view, headers: HEADERS, slots: SLOTS };
}

export type TestBatch = Awaited<ReturnType<typeof newBatch>>;

/** Puts packets into slots, each with three lines. */
export function fill(batch: TestBatch, packets: readonly Uint8Array[]): void {
  packets.forEach((packet, slot) => {
    new Uint8Array(batch.memory.buffer).set(packet, SLOTS + slot * SLOT_BYTES);
    batch.view.setBigUint64(IOVECS + slot * IOVEC_BYTES + IOVEC_LENGTH, BigInt(packet.length), true);
    batch.view.setUint32(HEADERS + slot * HEADER_BYTES + HEADER_LINES, 3, true);
  });
}

/** Reads the payloads of a batch as Latin-1. */
export function textsOf(batch: TestBatch, received: number): string[] {
  return Array.from({ length: received }, (_, slot) => {
    const bytes = batch.view.getUint32(HEADERS + slot * HEADER_BYTES + HEADER_PAYLOAD_BYTES, true);
    return Buffer.from(batch.memory.buffer, SLOTS + slot * SLOT_BYTES, bytes).toString("latin1");
  });
}

/** What makes a run end. */
export function newControl(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4));
}

/** Receives until `isDone`, then stops by `word`. Returns the payload of each slot. */
export async function receiveUntil(
  receiver: BatchReceiver,
  io: Kind,
  isDone: (texts: readonly string[]) => boolean,
  word = CONTROL_DRAIN,
): Promise<string[]> {
  const batch = await newBatch(io);
  const control = newControl();
  const texts: string[] = [];
  const handler = {
    onBatch(received: number): boolean {
      texts.push(...textsOf(batch, received));
      if (isDone(texts)) Atomics.store(control, 0, word);
      return true;
    },
  };
  await receiver.run(batch, handler, control);
  return texts;
}

/** Receives until `count` datagrams are there, then drains. */
export async function receive(receiver: BatchReceiver, io: Kind, count: number): Promise<string[]> {
  return receiveUntil(receiver, io, (texts) => texts.length >= count);
}
