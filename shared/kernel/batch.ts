/** The receive batch: see layout.ts for the drawing. */
import { reserve } from "./arena";
import {
  HEADER_BYTES,
  HEADER_FLAGS,
  HEADER_IOV,
  HEADER_IOV_COUNT,
  HEADER_PAYLOAD_BYTES,
  IOVEC_BYTES,
  IOVEC_LENGTH,
  SLOT_BYTES,
  SLOT_COUNT,
  SLOT_PAYLOAD_BYTES_MAX,
} from "./layout";

const LF: u8 = 10;
/** The flag that recvmmsg sets where a datagram was longer than its slot. */
const MSG_TRUNC: u32 = 0x20;

let headers: usize = 0;
let slots: usize = 0;

/**
 * Reserves the batch and fills in the addresses that recvmmsg reads.
 * memoryBase: address of this memory's first byte in the process, or 0 where no system call will see it.
 */
export function setupBatch(memoryBase: u64): void {
  headers = reserve(SLOT_COUNT * HEADER_BYTES);
  const iovecs = reserve(SLOT_COUNT * IOVEC_BYTES);
  slots = reserve(SLOT_COUNT * SLOT_BYTES);
  for (let i: usize = 0; i < usize(SLOT_COUNT); i++) {
    const iovec = iovecs + i * IOVEC_BYTES;
    store<u64>(iovec, memoryBase + u64(slots + i * SLOT_BYTES));
    store<u64>(iovec, SLOT_PAYLOAD_BYTES_MAX, IOVEC_LENGTH);
    const header = headers + i * HEADER_BYTES;
    store<u64>(header, memoryBase + u64(iovec), HEADER_IOV);
    store<u64>(header, 1, HEADER_IOV_COUNT);
  }
}

/** Address of the first mmsghdr. */
export function batchHeaders(): usize {
  return headers;
}

/** Address of the first slot. */
export function batchSlots(): usize {
  return slots;
}

/** Address of a slot's payload. slot: 0..SLOT_COUNT-1. */
export function slotStart(slot: i32): usize {
  return slots + usize(slot) * SLOT_BYTES;
}

/** Payload bytes received into a slot. */
export function slotBytes(slot: i32): usize {
  return load<u32>(headers + usize(slot) * HEADER_BYTES, HEADER_PAYLOAD_BYTES);
}

/** Takes the last, unfinished line off a datagram that did not fit into its slot. Returns whether it did. */
export function dropCutLine(slot: i32): bool {
  const header = headers + usize(slot) * HEADER_BYTES;
  const flags = load<u32>(header, HEADER_FLAGS);
  if ((flags & MSG_TRUNC) == 0) return false;
  const start = slotStart(slot);
  let end = start + slotBytes(slot);
  while (end > start && load<u8>(end - 1) != LF) end -= 1;
  store<u32>(header, u32(end - start), HEADER_PAYLOAD_BYTES);
  return true;
}
