/**
 * Messages as bytes. Behind the packet's header (packet.ts), little-endian:
 *
 *    4 u32 CRC-32 of all that follows    8 u32 bytes of the head    12 head, JSON    .. blobs
 *
 * The head is the message itself, without what is large: frames of deltas, and what a state keeps, stand
 * behind it as they are, and manifests are texts.
 */
import { crc32 } from "../../shared/checksum.ts";
import { assert } from "../../shared/errors.ts";
import { type Delta, deltaOf } from "../delta.ts";
import type { Deltas, Message, State } from "../message.ts";
import { parseJson } from "./field-reader.ts";
import { isManifest, writeManifest } from "./manifest-text.ts";
import { type DeltasHead, type MessageHead, readMessageHead, type StateHead } from "./message-reader.ts";
import { PACKET_HEADER_BYTES, type PacketPieces, packetKindOf, writePacketHeader } from "./packet.ts";

/** Largest message in bytes. */
export const MESSAGE_BYTES_MAX = 96 * 1024 * 1024;
/** Largest head in bytes: JSON costs many times its bytes while it is read. */
const HEAD_BYTES_MAX = 32 * 1024 * 1024;

const CRC_AT = PACKET_HEADER_BYTES;
const SIZE_AT = CRC_AT + 4;
const HEAD_AT = SIZE_AT + 4;

const NO_BLOBS: readonly Uint8Array[] = [];

/** The same message often goes to several peers. */
const encoded = new WeakMap<Message, PacketPieces>();

/** Deltas that were encoded. Who sends the same ones to several peers makes a message for each, in a row. */
interface Bundle {
  readonly json: string;
  /** Gone as soon as nobody sends it any more: it may be large. */
  readonly packet: WeakRef<PacketPieces>;
}
const bundles: Bundle[] = [];
const BUNDLES_MAX = 8;

/**
 * Writes a message as a packet. Nobody may change the message, or its deltas' bytes, afterwards. Its pieces
 * are not copied. A second call with the same object, or with equal words about the very same deltas, returns
 * the same packet, so that what is made of it need be made only once. Throws where a number is not finite.
 */
export function encodeMessage(message: Message): PacketPieces {
  let packet = encoded.get(message);
  if (packet === undefined) {
    packet = encode(message);
    encoded.set(message, packet);
  }
  return packet;
}

function encode(message: Message): PacketPieces {
  const [head, blobs] = takeBlobs(message);
  const json = JSON.stringify(head, (_, value: unknown) =>
    isManifest(value) ? writeManifest(value) : value,
  );
  // JSON has no endless numbers, and writes null for them; so it does for nothing else here.
  const isSound = !json.includes("null") || readMessageHead(parseJson(json)) !== undefined;
  assert(isSound, `message ${message.kind} has a field that cannot be sent`);
  const known = blobs.length === 0 ? undefined : findBundle(json, blobs);
  if (known !== undefined) return known;
  const headBytes = Buffer.byteLength(json);
  const front = Buffer.allocUnsafe(HEAD_AT + headBytes);
  writePacketHeader(front, "message");
  front.writeUInt32LE(headBytes, SIZE_AT);
  front.write(json, HEAD_AT, "utf8");
  let crc = crc32(front.subarray(SIZE_AT));
  let bytes = front.length;
  for (const blob of blobs) {
    crc = crc32(blob, crc);
    bytes += blob.length;
  }
  front.writeUInt32LE(crc, CRC_AT);
  const packet = { pieces: [front, ...blobs], bytes };
  if (blobs.length > 0) {
    if (bundles.length === BUNDLES_MAX) bundles.shift();
    bundles.push({ json, packet: new WeakRef(packet) });
  }
  return packet;
}

function findBundle(json: string, blobs: readonly Uint8Array[]): PacketPieces | undefined {
  for (const bundle of bundles) {
    const packet = bundle.json === json ? bundle.packet.deref() : undefined;
    if (packet?.pieces.length !== blobs.length + 1) continue;
    if (blobs.every((blob, index) => blob === packet.pieces[index + 1])) return packet;
  }
  return undefined;
}

function takeBlobs(message: Message): [head: MessageHead, blobs: readonly Uint8Array[]] {
  if (message.kind === "deltas") {
    const { deltas, ...rest } = message;
    const head: DeltasHead = { ...rest, sizes: deltas.map(({ bytes }) => bytes.length) };
    return [head, deltas.map(({ bytes }) => bytes)];
  }
  if (message.kind === "state") {
    const { kept, ...rest } = message;
    if (kept === undefined) return [rest, NO_BLOBS];
    const head: StateHead = { ...rest, keptBytes: kept.length };
    return [head, [kept]];
  }
  return [message, NO_BLOBS];
}

/**
 * Reads a packet of kind "message". Returns undefined for anything that is not a whole and sound message.
 * Deltas' bytes are views of a buffer for each interval, which nobody else uses.
 */
export function decodeMessage(packet: Uint8Array): Message | undefined {
  if (packet.length < HEAD_AT || packet.length > MESSAGE_BYTES_MAX) return undefined;
  if (packetKindOf(packet) !== "message") return undefined;
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  if (view.getUint32(CRC_AT, true) !== crc32(packet.subarray(SIZE_AT))) return undefined;
  const blobsAt = HEAD_AT + view.getUint32(SIZE_AT, true);
  if (blobsAt > packet.length || blobsAt - HEAD_AT > HEAD_BYTES_MAX) return undefined;
  const json = Buffer.from(packet.buffer, packet.byteOffset + HEAD_AT, blobsAt - HEAD_AT).toString("utf8");
  const head = readMessageHead(parseJson(json));
  if (head === undefined) return undefined;
  const blobs = packet.subarray(blobsAt);
  if (head.kind === "deltas") return readDeltas(head, blobs);
  if (head.kind === "state") return readState(head, blobs);
  return blobs.length === 0 ? head : undefined;
}

function readDeltas({ sizes, ...head }: DeltasHead, blobs: Uint8Array): Deltas | undefined {
  if (sizes.reduce((sum, size) => sum + size, 0) !== blobs.length) return undefined;
  const frames = ownBytes(blobs);
  const deltas: Delta[] = [];
  let at = 0;
  for (const size of sizes) {
    const delta = deltaOf(frames.subarray(at, at + size));
    if (delta === undefined) return undefined;
    deltas.push(delta);
    at += size;
  }
  return { ...head, deltas: apartByInterval(deltas) };
}

/**
 * Intervals are forgotten one after the other, and each shall give back its memory then: where there are
 * several, those of each get a buffer.
 */
function apartByInterval(deltas: readonly Delta[]): readonly Delta[] {
  const free = new Map<number, number>();
  for (const { interval, bytes } of deltas) free.set(interval, (free.get(interval) ?? 0) + bytes.length);
  if (free.size <= 1) return deltas;
  const buffers = new Map([...free].map(([interval, bytes]) => [interval, new Uint8Array(bytes)]));
  return deltas.map((delta) => {
    const { interval, bytes } = delta;
    const buffer = buffers.get(interval)!;
    const start = buffer.length - free.get(interval)!;
    free.set(interval, buffer.length - start - bytes.length);
    const own = buffer.subarray(start, start + bytes.length);
    own.set(bytes);
    return { ...delta, bytes: own };
  });
}

function readState({ keptBytes, ...head }: StateHead, blobs: Uint8Array): State | undefined {
  if ((keptBytes ?? 0) !== blobs.length) return undefined;
  return keptBytes === undefined ? head : { ...head, kept: ownBytes(blobs) };
}

/**
 * What is held for minutes must not keep a much larger buffer, nor be changed with it: what a socket has read
 * is, for small messages, a view of the many that came with it.
 */
function ownBytes(bytes: Uint8Array): Uint8Array {
  return bytes instanceof Buffer ? new Uint8Array(bytes) : bytes;
}
