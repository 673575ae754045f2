/**
 * Parts of packets whose bytes are deflated (RFC 1951), each by itself. A part is made of so few bytes that
 * neither side stands still for it, and what is urgent goes between two of them, however long the packet is.
 * Whole packets of a million series would take a second to inflate, in which a leader loses its lease.
 */
import { deflateRawSync, inflateRawSync } from "node:zlib";
import type { PacketPieces } from "./packet.ts";

/** Bytes of a packet that become one part, at most. Larger ones would be smaller by a few percent. */
export const DEFLATE_BYTES_MAX = 128 * 1024;
/** Fewer are not worth the work. */
export const DEFLATE_BYTES_MIN = 4 * 1024;

/** Names repeat within a snapshot, which the fastest level finds as well as any. */
const LEVEL = 1;
/** A part is deflated if that takes off at least one byte in so many. */
const GAIN = 8;
/** Nearly every part fits. */
const OUTPUT_BYTES = 32 * 1024;

/** Parts by the place of their bytes; undefined where deflating does not help. */
type DeflatedParts = Map<number, Buffer | undefined>;

/** The same packet usually goes to several peers. Parts live as long as it does. */
const deflated = new WeakMap<PacketPieces, DeflatedParts>();

/**
 * Returns a part of a packet: a header, and behind it `size` bytes from `at` on, deflated. Returns undefined
 * where they would not become much fewer. A second call for the same place in the same packet returns the
 * same part, so it has to be for the same size and header.
 */
export function deflatePart(
  packet: PacketPieces,
  at: number,
  size: number,
  header: Uint8Array,
): Buffer | undefined {
  let parts = deflated.get(packet);
  if (parts === undefined) {
    parts = new Map();
    deflated.set(packet, parts);
  }
  if (!parts.has(at)) {
    const bytes = deflateRawSync(bytesAt(packet, at, size), { level: LEVEL, chunkSize: OUTPUT_BYTES });
    parts.set(at, bytes.length <= size - size / GAIN ? Buffer.concat([header, bytes]) : undefined);
  }
  return parts.get(at);
}

/** Returns a part as it was, or undefined for anything that is none, or would become too large. */
export function inflatePart(bytes: Uint8Array): Uint8Array | undefined {
  try {
    // With one byte of room more it need not ask for another buffer.
    return inflateRawSync(bytes, { maxOutputLength: DEFLATE_BYTES_MAX, chunkSize: DEFLATE_BYTES_MAX + 1 });
  } catch {
    // Whatever was wrong with it, it is counted by who wanted it.
    return undefined;
  }
}

/** Returns some bytes of a packet; they are copied only where pieces meet. */
function bytesAt({ pieces }: PacketPieces, at: number, size: number): Uint8Array {
  const found: Uint8Array[] = [];
  let start = at;
  let left = size;
  for (const piece of pieces) {
    if (left === 0) break;
    if (start < piece.length) {
      const part = piece.subarray(start, start + left);
      found.push(part);
      left -= part.length;
    }
    start = Math.max(0, start - piece.length);
  }
  return found.length === 1 ? found[0]! : Buffer.concat(found, size);
}
