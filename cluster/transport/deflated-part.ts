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

/** Deflated bytes by their place; undefined where deflating does not help. */
type DeflatedParts = Map<number, Buffer | undefined>;

/** The same packet usually goes to several peers. Parts live as long as it does. */
const deflated = new WeakMap<PacketPieces, DeflatedParts>();

/**
 * Returns `size` bytes of a packet from `at` on in deflated form, or undefined where they would not become
 * much fewer. A second call for the same part of the same packet returns the same bytes.
 */
export function deflatePart(packet: PacketPieces, at: number, size: number): Buffer | undefined {
  let parts = deflated.get(packet);
  if (parts === undefined) {
    parts = new Map();
    deflated.set(packet, parts);
  }
  // Places are always the same multiples, and what is behind them as well.
  if (!parts.has(at)) parts.set(at, deflate(bytesAt(packet, at, size)));
  return parts.get(at);
}

function deflate(bytes: Uint8Array): Buffer | undefined {
  const part = deflateRawSync(bytes, { level: LEVEL, chunkSize: OUTPUT_BYTES });
  // A view of a larger buffer would keep all of that.
  return part.length <= bytes.length - bytes.length / GAIN ? Buffer.from(part) : undefined;
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
