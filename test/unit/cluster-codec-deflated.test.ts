/** Packets whose parts are deflated, and messages that several peers get. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { deflateRawSync } from "node:zlib";
import { type Delta, deltaOf } from "../../cluster/delta.ts";
import type { Deltas } from "../../cluster/message.ts";
import { decodeMessage, encodeMessage, MESSAGE_BYTES_MAX } from "../../cluster/transport/codec.ts";
import { DEFLATE_BYTES_MAX, inflatePart } from "../../cluster/transport/deflated-part.ts";
import {
  LANE_BULK,
  newPacket,
  PacketCutter,
  PacketJoiner,
  type PacketPieces,
  packetKindOf,
} from "../../cluster/transport/packet.ts";
import { PACKET_BYTES_MAX } from "../../cluster/transport/peer-channel.ts";
import { SendQueue } from "../../cluster/transport/send-queue.ts";
import { newDelta, newDeltas } from "../support/peer-rig.ts";

const PART_BYTES = 64 * 1024;
const FLAG_DEFLATED = 2;
const MEBIBYTE = 1 << 20;

/** A delta whose body is like that of a snapshot: names that have much in common, and numbers. */
function namedDelta(sequence: number, bodyBytes: number): Delta {
  const { bytes } = newDelta(sequence, bodyBytes);
  const frame = Buffer.from(bytes);
  let at = frame.length - bodyBytes;
  for (let series = 0; at < frame.length; series++) {
    at += frame.write(`production.web${series % 97}.requests.${series} ${Math.sin(series)}\n`, at, "latin1");
  }
  return deltaOf(new Uint8Array(frame))!;
}

/** A delta that nothing makes smaller. */
function randomDelta(sequence: number, bodyBytes: number): Delta {
  const frame = Buffer.from(newDelta(sequence, bodyBytes).bytes);
  frame.set(randomBytes(bodyBytes), frame.length - bodyBytes);
  return deltaOf(new Uint8Array(frame))!;
}

function bundle(...deltas: readonly Delta[]): Deltas {
  return { kind: "deltas", deltas, closedBelow: 100, incarnation: "n1-1", wantsAck: true };
}

/** Everything that is sent of a packet. */
function cut(packet: PacketPieces, isDeflating: boolean): Buffer[] {
  const cutter = new PacketCutter(packet, LANE_BULK, isDeflating);
  const sent: Buffer[] = [];
  while (cutter.leftBytes > 0) sent.push(cutter.next(PART_BYTES));
  return sent;
}

/** The packet that comes of it. */
function join(sent: readonly Buffer[]): Uint8Array | undefined | false {
  const joiner = new PacketJoiner(MESSAGE_BYTES_MAX);
  let packet: Uint8Array | undefined | false;
  for (const part of sent) {
    assert.equal(packet, undefined, "it ends with its last part");
    assert.ok(part.length <= PACKET_BYTES_MAX);
    packet = packetKindOf(part) === "part" ? joiner.add(part) : part;
  }
  assert.equal(joiner.bytes, 0);
  return packet;
}

function bytesOf(sent: readonly Uint8Array[]): number {
  return sent.reduce((sum, { length }) => sum + length, 0);
}

/** A part as a peer may send it. */
function newPart(flags: number, body: Uint8Array): Buffer {
  const part = newPacket("part", body);
  part[2] = flags;
  part[3] = LANE_BULK;
  return part;
}

test("deflated deltas come back as they were, and are few bytes on the way", () => {
  // Large and small ones, so that parts begin and end anywhere.
  const sizes = [1, 300_000, 50, 131_072, 7, 700_000, 4096];
  const message = bundle(...sizes.map((size, index) => namedDelta(index, size)));
  const sent = cut(encodeMessage(message), true);
  const packet = join(sent);
  assert.ok(packet);
  assert.deepEqual(decodeMessage(packet), message);
  assert.ok(bytesOf(sent) * 2 < encodeMessage(message).bytes, `${bytesOf(sent)} bytes`);
  assert.equal(sent.length, Math.ceil(encodeMessage(message).bytes / DEFLATE_BYTES_MAX));
});

test("a packet of some kilobytes is one deflated part, and a small one is left as it is", () => {
  const message = bundle(namedDelta(1, 10_000));
  const [part, ...more] = cut(encodeMessage(message), true);
  assert.deepEqual(more, []);
  assert.equal(packetKindOf(part!), "part");
  assert.equal(part![2]! & FLAG_DEFLATED, FLAG_DEFLATED);
  const packet = join([part!]);
  assert.ok(packet);
  assert.deepEqual(decodeMessage(packet), message);
  const small = encodeMessage(bundle(namedDelta(1, 3000)));
  assert.deepEqual(cut(small, true), cut(small, false));
  assert.equal(packetKindOf(cut(small, true)[0]!), "message");
});

test("what cannot be made smaller is sent as it is", () => {
  const message = bundle(randomDelta(0, 500_000));
  const packet = encodeMessage(message);
  assert.deepEqual(cut(packet, true), cut(packet, false));
  // Where only the rest cannot, the parts before it stay deflated.
  const mixed = bundle(namedDelta(0, 300_000), randomDelta(1, 300_000));
  const sent = cut(encodeMessage(mixed), true);
  assert.deepEqual([sent[0]![2], sent.at(-1)![2]], [FLAG_DEFLATED, 1]);
  const joined = join(sent);
  assert.ok(joined);
  assert.deepEqual(decodeMessage(joined), mixed);
  // Once it did not help, it is not tried again for the rest of the packet.
  const late = encodeMessage(bundle(randomDelta(2, 200_000), namedDelta(3, 300_000)));
  assert.deepEqual(cut(late, true), cut(late, false));
});

test("peers that get the same deltas get the same bytes, which are deflated once", () => {
  const deltas = [namedDelta(0, 300_000), namedDelta(1, 200_000)];
  const [first, second] = [encodeMessage(bundle(...deltas)), encodeMessage(bundle(...deltas))];
  assert.equal(first, second);
  const [ones, others] = [cut(first, true), cut(second, true)];
  assert.equal(ones.length, 4);
  ones.forEach((part, index) => {
    assert.equal(part, others[index]);
  });
  // Others are others.
  assert.notEqual(encodeMessage({ ...bundle(...deltas), closedBelow: 101 }), first);
  assert.notEqual(encodeMessage(bundle(...deltas.slice(0, 1))), first);
  assert.notEqual(encodeMessage(bundle(namedDelta(0, 300_000), deltas[1]!)), first);
});

test("a part that is no deflated one, or swells beyond a part's size, is refused", () => {
  const sound = deflateRawSync(Buffer.alloc(1000, "name "));
  assert.deepEqual(inflatePart(sound), Buffer.alloc(1000, "name "));
  const bomb = deflateRawSync(Buffer.alloc(32 * MEBIBYTE));
  assert.ok(bomb.length < PACKET_BYTES_MAX);
  const unsound = [bomb, sound.subarray(0, -1), randomBytes(100).fill(0xff, 0, 1), Buffer.alloc(0)];
  for (const bytes of unsound) {
    assert.equal(inflatePart(bytes), undefined);
    assert.equal(new PacketJoiner(MESSAGE_BYTES_MAX).add(newPart(FLAG_DEFLATED, bytes)), false);
  }
  const most = deflateRawSync(Buffer.alloc(DEFLATE_BYTES_MAX));
  assert.equal(inflatePart(most)?.length, DEFLATE_BYTES_MAX);
  assert.equal(inflatePart(deflateRawSync(Buffer.alloc(DEFLATE_BYTES_MAX + 1))), undefined);
  // Nothing is none, too: such parts could come without an end.
  const joiner = new PacketJoiner(1000);
  assert.equal(joiner.add(newPart(FLAG_DEFLATED, deflateRawSync(Buffer.alloc(0)))), false);
  assert.equal(joiner.add(newPart(4, sound)), false);
});

test("packets that grow too large when inflated are refused, and so are endless small parts", () => {
  const most = newPart(FLAG_DEFLATED, deflateRawSync(Buffer.alloc(DEFLATE_BYTES_MAX)));
  const joiner = new PacketJoiner(3 * DEFLATE_BYTES_MAX);
  for (let part = 0; part < 3; part++) assert.equal(joiner.add(most), undefined);
  assert.equal(joiner.add(most), false);
  const patient = new PacketJoiner(MESSAGE_BYTES_MAX);
  const crumb = newPart(0, Buffer.alloc(1));
  let count = 0;
  while (patient.add(crumb) === undefined) count += 1;
  assert.ok(count < 50_000, `${count} parts of a byte`);
});

test("deltas that were inflated keep little more than themselves", () => {
  const message = bundle(...[0, 1, 2, 3].map((sequence) => namedDelta(sequence, 60_000)));
  const packet = join(cut(encodeMessage(message), true));
  assert.ok(packet);
  const read = decodeMessage(packet);
  assert.ok(read?.kind === "deltas");
  const buffers = new Set(read.deltas.map(({ bytes }) => bytes.buffer));
  const kept = [...buffers].reduce((sum, { byteLength }) => sum + byteLength, 0);
  assert.ok(kept < 1.01 * 4 * 60_000 + 1000, `${kept} bytes`);
});

test("deltas of several intervals do not keep each other", () => {
  const inInterval = (interval: number, sequence: number): Delta => {
    const frame = Buffer.from(newDelta(sequence, 5000).bytes);
    frame.writeBigUInt64LE(BigInt(interval), 32);
    return deltaOf(new Uint8Array(frame))!;
  };
  const message = bundle(...[7, 8, 7, 9, 8].map(inInterval));
  const read = decodeMessage(Buffer.concat(encodeMessage(message).pieces));
  assert.deepEqual(read, message);
  assert.ok(read?.kind === "deltas");
  const buffers = new Map<ArrayBufferLike, number>();
  for (const { bytes, interval } of read.deltas) {
    assert.equal(buffers.get(bytes.buffer) ?? interval, interval);
    buffers.set(bytes.buffer, interval);
  }
  const bytes = [...buffers.keys()].map(({ byteLength }) => byteLength);
  assert.deepEqual(bytes, [2 * 5080, 2 * 5080, 5080]);
});

test("a queue counts what waits as it is, not as it will be sent", () => {
  const queue = new SendQueue(2 * MEBIBYTE, true);
  const packet = encodeMessage(newDeltas(0, 1, MEBIBYTE));
  assert.ok(queue.add(packet, true));
  assert.equal(queue.bytes, packet.bytes);
  assert.equal(queue.take(PART_BYTES)![2], FLAG_DEFLATED);
  assert.equal(queue.bytes, packet.bytes - DEFLATE_BYTES_MAX);
  // What is urgent comes between, and is never deflated.
  const urgent = encodeMessage({ kind: "leaving", incarnation: "x".repeat(10_000) });
  assert.ok(queue.add(urgent, false));
  assert.equal(packetKindOf(queue.take(PART_BYTES)!), "message");
  let parts = 0;
  while (queue.take(PART_BYTES) !== undefined) parts += 1;
  assert.equal(parts, 8);
  assert.equal(queue.bytes, 0);
});
