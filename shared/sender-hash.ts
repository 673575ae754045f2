/**
 * A number for each host that sends: 32 bits of FNV-1a over the bytes of its address, mixed; never 0, which
 * means that a sender is not known. The same host has the same number however its lines come in.
 */
import { hostBytes } from "./sockaddr.ts";

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/** Hashes the address in bytes[start, end); returns 0 where that is empty. */
export function hashHostBytes(bytes: Uint8Array, start: number, end: number): number {
  if (start === end) return 0;
  let hash = FNV_OFFSET;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ bytes[i]!, FNV_PRIME);
  // Neighbours of one network differ in the last byte alone; this spreads them.
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0 || 1;
}

/** Hashes an address literal; returns 0 for any other text. */
export function hashHost(host: string): number {
  const bytes = hostBytes(host);
  return hashHostBytes(bytes, 0, bytes.length);
}
