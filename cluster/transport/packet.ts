/**
 * What one WebSocket message holds. Little-endian:
 *
 *    0 u8 version    1 u8 kind    2 u8 flags    3 u8 lane
 *
 * Behind these four: a message (codec.ts), a hello (JSON), nothing for a welcome, or with a part any bytes.
 * Large packets are cut into parts, so that what is urgent need not wait for all of them; each lane has its
 * parts in order, and lanes take turns. Flags of a part: 1 it is the last, 2 it is deflated. A packet may
 * have parts of both sorts.
 */
import { DEFLATE_BYTES_MAX, DEFLATE_BYTES_MIN, deflatePart, inflatePart } from "./deflated-part.ts";

/** Raised when packets change so that older nodes could not even refuse them in words. */
const PACKET_VERSION = 1;
export const PACKET_HEADER_BYTES = 4;

export type PacketKind = "message" | "hello" | "welcome" | "part";
const KINDS: readonly PacketKind[] = ["message", "hello", "welcome", "part"];
const FLAG_LAST = 1;
const FLAG_DEFLATED = 2;

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

/** A packet in pieces, as it is before it is sent. Nobody changes it any more. */
export interface PacketPieces {
  readonly pieces: readonly Uint8Array[];
  readonly bytes: number;
}

function newPartHeader(isLast: boolean, lane: Lane, isDeflated: boolean): Uint8Array {
  const header = new Uint8Array(PACKET_HEADER_BYTES);
  writePacketHeader(header, "part");
  header[2] = (isLast ? FLAG_LAST : 0) | (isDeflated ? FLAG_DEFLATED : 0);
  header[3] = lane;
  return header;
}

/** Hands a packet out, whole or in parts. */
export class PacketCutter {
  readonly #packet: PacketPieces;
  readonly #lane: Lane;
  #isDeflating: boolean;
  #piece = 0;
  /** Bytes of the piece that are out. */
  #offset = 0;
  #left: number;

  /** isDeflating: whether parts are deflated, as far as that helps; a packet is then always in one lane. */
  constructor(packet: PacketPieces, lane: Lane, isDeflating = false) {
    this.#packet = packet;
    this.#lane = lane;
    this.#isDeflating = isDeflating;
    this.#left = packet.bytes;
  }

  /** Bytes that are not out yet. */
  get leftBytes(): number {
    return this.#left;
  }

  /**
   * Returns the next WebSocket message, of at most bytesMax besides a header; a deflated one may have up to
   * DEFLATE_BYTES_MAX. Nobody may change it: others may be sent the same.
   */
  next(bytesMax: number): Buffer {
    const deflated = this.#isDeflating ? this.#nextDeflated() : undefined;
    if (deflated !== undefined) return deflated;
    const isWhole = this.#left === this.#packet.bytes && this.#left <= bytesMax;
    const size = Math.min(this.#left, bytesMax);
    const start = isWhole ? 0 : PACKET_HEADER_BYTES;
    const out = Buffer.allocUnsafe(start + size);
    if (!isWhole) out.set(newPartHeader(size === this.#left, this.#lane, false));
    let at = start;
    this.#advance(size, (bytes) => {
      out.set(bytes, at);
      at += bytes.length;
    });
    return out;
  }

  #nextDeflated(): Buffer | undefined {
    const size = Math.min(this.#left, DEFLATE_BYTES_MAX);
    if (size < DEFLATE_BYTES_MIN) return undefined;
    const header = newPartHeader(size === this.#left, this.#lane, true);
    const part = deflatePart(this.#packet, this.#packet.bytes - this.#left, size, header);
    if (part === undefined) {
      // The rest will hardly be any better, and each attempt costs more than it sends.
      this.#isDeflating = false;
      return undefined;
    }
    this.#advance(size);
    return part;
  }

  /** Goes on by so many bytes, and shows them. */
  #advance(size: number, show?: (bytes: Uint8Array) => void): void {
    this.#left -= size;
    for (let left = size; left > 0; ) {
      const piece = this.#packet.pieces[this.#piece]!;
      const bytes = Math.min(left, piece.length - this.#offset);
      show?.(piece.subarray(this.#offset, this.#offset + bytes));
      left -= bytes;
      this.#offset += bytes;
      if (this.#offset === piece.length) {
        this.#piece += 1;
        this.#offset = 0;
      }
    }
  }
}

/** Parts have so many bytes on the average, unless there are few: each costs more than its bytes. */
const MEAN_BYTES_MIN = 4 * 1024;
const FEW_PARTS = 1024;

/** Puts parts together again, for one connection. */
export class PacketJoiner {
  readonly #bytesMax: number;
  readonly #lanes = [newLane(), newLane()];

  /** bytesMax: a packet that grows beyond it is refused, and so is one of very many parts. */
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
    const flags = part[2]!;
    if (lane === undefined || flags > (FLAG_LAST | FLAG_DEFLATED)) return false;
    const body = part.subarray(PACKET_HEADER_BYTES);
    const bytes = (flags & FLAG_DEFLATED) === 0 ? body : inflatePart(body);
    if (bytes === undefined || bytes.length === 0) return false;
    lane.parts.push(bytes);
    lane.bytes += bytes.length;
    if (lane.bytes > this.#bytesMax) return false;
    if (lane.parts.length > Math.max(FEW_PARTS, this.#bytesMax / MEAN_BYTES_MIN)) return false;
    if ((flags & FLAG_LAST) === 0) return undefined;
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
