/**
 * djb2 of 64 bits over the code points of a text, as the Rust sharding proxy hashes. Source: Daniel J.
 * Bernstein's hash; the proxy adds Unicode characters, not bytes.
 */
import { codePointBytes, readCodePoint } from "./code-point";

const DJB2_START: u64 = 5381;

/** Hashes a text; bytes that are no UTF-8 count as U+FFFD. */
export function djb2(start: usize, bytes: usize): u64 {
  const end = start + bytes;
  let hash = DJB2_START;
  for (let at = start; at < end; at += codePointBytes) {
    hash = (hash << 5) + hash + u64(readCodePoint(at, end));
  }
  return hash;
}
