/**
 * FNV-1a, 64 bits, over raw bytes. Source: the FNV page of Landon Curt Noll.
 * Each byte has to wait for the multiplication of the byte before it, so one name alone leaves the processor
 * idle most of the time; four names at once do not.
 */
export const FNV_OFFSET: u64 = 0xcbf29ce484222325;
const FNV_PRIME: u64 = 0x100000001b3;

/** Hashes bytes on from a state; FNV_OFFSET is the state of no bytes. */
export function fnv1a(state: u64, start: usize, bytes: usize): u64 {
  const end = start + bytes;
  for (let at = start; at < end; at++) state = (state ^ u64(load<u8>(at))) * FNV_PRIME;
  return state;
}

/**
 * Hashes four names from one state and stores four hashes of 64 bits.
 * entry: the first of four table entries, entryBytes apart, with the name's address (32 bits) and then its
 * bytes (32 bits). Reads as far behind each name as the longest one is long.
 */
export function fnv1aFour(state: u64, entry: usize, entryBytes: usize, hashes: usize): void {
  const startA = usize(load<u32>(entry));
  const bytesA = load<u32>(entry, 4);
  entry += entryBytes;
  const startB = usize(load<u32>(entry));
  const bytesB = load<u32>(entry, 4);
  entry += entryBytes;
  const startC = usize(load<u32>(entry));
  const bytesC = load<u32>(entry, 4);
  entry += entryBytes;
  const startD = usize(load<u32>(entry));
  const bytesD = load<u32>(entry, 4);
  let a = state;
  let b = state;
  let c = state;
  let d = state;
  const shortest = min(min(bytesA, bytesB), min(bytesC, bytesD));
  const longest = max(max(bytesA, bytesB), max(bytesC, bytesD));
  let i: u32 = 0;
  for (; i + 2 <= shortest; i += 2) {
    a = (a ^ u64(load<u8>(startA + i))) * FNV_PRIME;
    b = (b ^ u64(load<u8>(startB + i))) * FNV_PRIME;
    c = (c ^ u64(load<u8>(startC + i))) * FNV_PRIME;
    d = (d ^ u64(load<u8>(startD + i))) * FNV_PRIME;
    a = (a ^ u64(load<u8>(startA + i, 1))) * FNV_PRIME;
    b = (b ^ u64(load<u8>(startB + i, 1))) * FNV_PRIME;
    c = (c ^ u64(load<u8>(startC + i, 1))) * FNV_PRIME;
    d = (d ^ u64(load<u8>(startD + i, 1))) * FNV_PRIME;
  }
  for (; i < longest; i++) {
    a = select<u64>((a ^ u64(load<u8>(startA + i))) * FNV_PRIME, a, i < bytesA);
    b = select<u64>((b ^ u64(load<u8>(startB + i))) * FNV_PRIME, b, i < bytesB);
    c = select<u64>((c ^ u64(load<u8>(startC + i))) * FNV_PRIME, c, i < bytesC);
    d = select<u64>((d ^ u64(load<u8>(startD + i))) * FNV_PRIME, d, i < bytesD);
  }
  store<u64>(hashes, a);
  store<u64>(hashes, b, 8);
  store<u64>(hashes, c, 16);
  store<u64>(hashes, d, 24);
}
