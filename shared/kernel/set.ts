/**
 * Sets keep their members exactly, as bytes. Members are entries of the table, in their set's list.
 *
 *   record    head = list of members   count = how many
 *   payload   u32 count   count x (u16 bytes, member)
 */
import { addMember, MEMBER_KEY, RECORD_COUNT, RECORD_HEAD, RECORD_KEY_BYTES, RECORD_NEXT } from "./table";
import { MEMBER_BYTES_MAX } from "./value";

export function setPayloadBytes(record: usize): usize {
  let bytes: usize = 4;
  let member = usize(load<u32>(record, RECORD_HEAD));
  for (; member != 0; member = usize(load<u32>(member, RECORD_NEXT)))
    bytes += 2 + load<u16>(member, RECORD_KEY_BYTES);
  return bytes;
}

export function setIsValid(payload: usize, bytes: usize): bool {
  if (bytes < 4) return false;
  const end = payload + bytes;
  let at = payload + 4;
  for (let left = load<u32>(payload); left > 0; left--) {
    if (at + 2 > end) return false;
    const memberBytes = usize(load<u16>(at));
    if (memberBytes > usize(MEMBER_BYTES_MAX)) return false;
    at += 2 + memberBytes;
  }
  return at == end;
}

export function writeSet(record: usize, payload: usize): void {
  store<u32>(payload, load<u32>(record, RECORD_COUNT));
  let at = payload + 4;
  let member = usize(load<u32>(record, RECORD_HEAD));
  for (; member != 0; member = usize(load<u32>(member, RECORD_NEXT))) {
    const bytes = load<u16>(member, RECORD_KEY_BYTES);
    store<u16>(at, bytes);
    memory.copy(at + 2, member + MEMBER_KEY, bytes);
    at += 2 + usize(bytes);
  }
}

/** Adds the payload's members. Returns false when one found no room; the others count all the same. */
export function mergeSet(record: usize, payload: usize): bool {
  let at = payload + 4;
  let isWhole = true;
  for (let left = load<u32>(payload); left > 0; left--) {
    const bytes = usize(load<u16>(at));
    if (!addMember(record, at + 2, bytes)) isWhole = false;
    at += 2 + bytes;
  }
  return isWhole;
}
