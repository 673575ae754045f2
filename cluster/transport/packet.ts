/**
 * What one WebSocket message holds. Little-endian:
 *
 *    0 u8 version    1 u8 kind    2 u8 flags    3 u8 lane
 *
 * Behind these four: a message (codec.ts), a hello (JSON), nothing for a welcome, or with a part any bytes.
 * Large packets are cut into parts, so that what is urgent need not wait for all of them; each lane has its
 * parts in order, and lanes take turns.
 */

/** Raised when packets change so that older nodes could not even refuse them in words. */
const PACKET_VERSION = 1;
export const PACKET_HEADER_BYTES = 4;

export type PacketKind = "message" | "hello" | "welcome" | "part";
const KINDS: readonly PacketKind[] = ["message", "hello", "welcome", "part"];
const FLAG_LAST = 1;

/** Lane of what is urgent, and of what is bulky. */
export const LANE_CONTROL = 0;
export const LANE_BULK = 1;
export type Lane = typeof LANE_CONTROL | typeof LANE_BULK;

/** Writes a header at the front of bytes. */
export function writePacketHeader(bytes: Uint8Array, kind: PacketKind): void {
  bytes[0] = PACKET_VERSION;
  bytes[1] = KINDS.indexOf(kind);
  bytes[2] = 0;
  bytes[3] = 0;
}

/** Reads a packet's kind; undefined for what is no packet. */
export function packetKindOf(bytes: Uint8Array): PacketKind | undefined {
  if (bytes.length < PACKET_HEADER_BYTES || bytes[0] !== PACKET_VERSION) return undefined;
  return KINDS[bytes[1]!];
}

/** Makes a packet of one piece. */
export function newPacket(kind: PacketKind, body: Uint8Array): Buffer {
  const packet = Buffer.allocUnsafe(PACKET_HEADER_BYTES + body.length);
  writePacketHeader(packet, kind);
  packet.set(body, PACKET_HEADER_BYTES);
  return packet;
}

/** A packet in pieces, as it is before it is sent. */
export interface PacketPieces {
  readonly pieces: readonly Uint8Array[];
  readonly bytes: number;
}

/** Hands a packet out, whole or in parts. */
export class PacketCutter {
  readonly #packet: PacketPieces;
  readonly #lane: Lane;
  #piece = 0;
  /** Bytes of the piece that are out. */
  #offset = 0;
  #left: number;

  constructor(packet: PacketPieces, lane: Lane) {
    this.#packet = packet;
    this.#lane = lane;
    this.#left = packet.bytes;
  }

  /** Bytes that are not out yet. */
  get leftBytes(): number {
    return this.#left;
  }

  /** Returns the next WebSocket message, of at most bytesMax besides a header. */
  next(bytesMax: number): Buffer {
    const isWhole = this.#left === this.#packet.bytes && this.#left <= bytesMax;
    const size = Math.min(this.#left, bytesMax);
    const start = isWhole ? 0 : PACKET_HEADER_BYTES;
    const out = Buffer.allocUnsafe(start + size);
    if (!isWhole) {
      writePacketHeader(out, "part");
      out[2] = size === this.#left ? FLAG_LAST : 0;
      out[3] = this.#lane;
    }
    this.#copy(out, start);
    this.#left -= size;
    return out;
  }

  #copy(out: Buffer, start: number): void {
    for (let at = start; at < out.length; ) {
      const piece = this.#packet.pieces[this.#piece]!;
      const size = Math.min(out.length - at, piece.length - this.#offset);
      out.set(piece.subarray(this.#offset, this.#offset + size), at);
      at += size;
      this.#offset += size;
      if (this.#offset === piece.length) {
        this.#piece += 1;
        this.#offset = 0;
      }
    }
  }
}

/** Puts parts together again, for one connection. */
export class PacketJoiner {
  readonly #bytesMax: number;
  readonly #lanes = [newLane(), newLane()];

  /** bytesMax: a packet that grows beyond it is refused. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Bytes of packets that are not complete. */
  get bytes(): number {
    return this.#lanes.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /**
   * Takes a part. Returns the packet that it completes, undefined where more have to come, or false where it
   * is none that could follow.
   */
  add(part: Uint8Array): Uint8Array | undefined | false {
    const lane = this.#lanes[part[3]!];
    if (lane === undefined || part.length <= PACKET_HEADER_BYTES) return false;
    lane.parts.push(part.subarray(PACKET_HEADER_BYTES));
    lane.bytes += part.length - PACKET_HEADER_BYTES;
    if (lane.bytes > this.#bytesMax) return false;
    if ((part[2]! & FLAG_LAST) === 0) return undefined;
    const packet = new Uint8Array(lane.bytes);
    let at = 0;
    for (const piece of lane.parts.splice(0)) {
      packet.set(piece, at);
      at += piece.length;
    }
    lane.bytes = 0;
    return packet;
  }
}

function newLane(): { parts: Uint8Array[]; bytes: number } {
  return { parts: [], bytes: 0 };
}
