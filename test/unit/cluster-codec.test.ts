import assert from "node:assert/strict";
import { test } from "node:test";
import type { Message } from "../../cluster/message.ts";
import { decodeMessage, encodeMessage } from "../../cluster/transport/codec.ts";
import { FlowWindow } from "../../cluster/transport/flow-window.ts";
import { newPacket, PacketJoiner } from "../../cluster/transport/packet.ts";
import { SendQueue } from "../../cluster/transport/send-queue.ts";
import { crc32 } from "../../shared/checksum.ts";
import { newDeltas } from "../support/peer-rig.ts";

function pack(json: string): Uint8Array {
  const body = Buffer.alloc(8 + json.length);
  body.writeUInt32LE(json.length, 4);
  body.write(json, 8, "latin1");
  body.writeUInt32LE(crc32(body.subarray(4)));
  return newPacket("message", body);
}

test("a manifest that names more deltas than there can be is refused, and so is a run backwards", () => {
  const pull = (from: number, to: number): Message | undefined =>
    decodeMessage(pack(JSON.stringify({ kind: "pull", interval: 1, wanted: [{ source: "a", from, to }] })));
  assert.equal(pull(5, 5)?.kind, "pull");
  assert.equal(pull(0, 3_999_999)?.kind, "pull");
  assert.equal(pull(0, 4_000_000), undefined);
  assert.equal(pull(0, Number.MAX_SAFE_INTEGER), undefined);
  assert.equal(pull(6, 5), undefined);
  // The bound is that of the whole message.
  const wanted = [0, 1, 2].map((source) => ({ source: `${source}`, from: 0, to: 1_999_999 }));
  assert.equal(decodeMessage(pack(JSON.stringify({ kind: "pull", interval: 1, wanted }))), undefined);
  const two = { kind: "pull", interval: 1, wanted: wanted.slice(1) };
  assert.deepEqual(decodeMessage(pack(JSON.stringify(two))), two);
});

test("fields that nobody knows are left out, and a kind is looked up in a list of kinds", () => {
  const beat = '{"kind":"beat","term":1,"floor":2,"more":[1],"__proto__":{"term":9},"constructor":{}}';
  const read = decodeMessage(pack(beat));
  assert.deepEqual(read, { kind: "beat", term: 1, floor: 2 });
  assert.equal(Object.getPrototypeOf(read), Object.prototype);
  for (const kind of ["constructor", "__proto__", "toString", "", "beats"]) {
    assert.equal(decodeMessage(pack(JSON.stringify({ kind, term: 1, floor: 2 }))), undefined);
  }
  // A field that is missing is not found further up.
  assert.equal(decodeMessage(pack('{"kind":"beat","floor":2,"__proto__":{"term":9}}')), undefined);
});

test("a deep nest is refused without a fault", () => {
  assert.equal(decodeMessage(pack("[".repeat(200_000))), undefined);
  assert.equal(decodeMessage(pack(`${"[".repeat(200_000)}${"]".repeat(200_000)}`)), undefined);
});

test("the same message is written once, for whoever it goes to", () => {
  const message = newDeltas(0, 3);
  assert.equal(encodeMessage(message), encodeMessage(message));
  assert.equal(encodeMessage(message), encodeMessage({ ...message }));
  assert.notEqual(encodeMessage(message), encodeMessage(newDeltas(0, 3)));
});

test("a number that JSON has not is found before it is sent", () => {
  assert.throws(
    () => encodeMessage({ kind: "beat", term: 1, floor: Number.POSITIVE_INFINITY }),
    /beat has a/,
  );
  assert.throws(() => encodeMessage({ kind: "heartbeat", term: 1, sentMs: Number.NaN }), /heartbeat has a/);
  assert.ok(encodeMessage({ kind: "leaving", incarnation: "null" }).bytes > 0);
});

test("deltas do not keep, nor share, what a socket has read", () => {
  const bytes = Buffer.concat(encodeMessage(newDeltas(0, 2, 50)).pieces);
  const slab = Buffer.alloc(1 << 20);
  slab.set(bytes, 1000);
  const read = decodeMessage(slab.subarray(1000, 1000 + bytes.length));
  slab.fill(0);
  assert.deepEqual(read, newDeltas(0, 2, 50));
  assert.ok(read?.kind === "deltas" && read.deltas[0]!.bytes.buffer.byteLength < 400);
});

test("parts that never end are refused, as are those of lanes that are none", () => {
  const joiner = new PacketJoiner(100);
  const part = (bytes: number, lane: number) => newPacket("part", Buffer.alloc(bytes)).fill(lane, 3, 4);
  assert.equal(joiner.add(part(60, 0)), undefined);
  assert.equal(joiner.add(part(60, 1)), undefined);
  assert.equal(joiner.bytes, 120);
  assert.equal(joiner.add(part(60, 0)), false);
  assert.equal(joiner.add(part(10, 2)), false);
  assert.equal(joiner.add(part(0, 1)), false);
});

test("a queue hands out what is urgent first, in order, and has an end", () => {
  const queue = new SendQueue(1000);
  const packet = (bytes: number, fill: number) => ({ pieces: [Buffer.alloc(bytes, fill)], bytes });
  assert.ok(queue.add(packet(2000, 1), true), "a single one may be larger");
  assert.ok(!queue.add(packet(1, 2), true));
  assert.ok(queue.add(packet(10, 3), false));
  assert.ok(queue.add(packet(10, 4), false));
  assert.equal(queue.bytes, 2020);
  assert.deepEqual([queue.take(500)![0], queue.isUrgent], [3, true]);
  assert.deepEqual([queue.take(500)![0], queue.isUrgent], [4, false]);
  assert.equal(queue.take(500)!.length, 504);
  assert.equal(queue.bytes, 1500);
  // An urgent one that comes now does not wait for the other parts.
  assert.ok(queue.add(packet(700, 5), false));
  assert.equal(queue.take(500)![3], 0);
  assert.equal(queue.take(500)![3], 0);
  assert.equal(queue.take(2000)![3], 1);
  assert.equal(queue.take(500), undefined);
  assert.equal(queue.bytes, 0);
  assert.ok(queue.add(packet(999, 1), true));
  for (let count = 0; count < 10; count++) queue.add(packet(200_000, 1), false);
  assert.ok(queue.bytes <= 1000 + (1 << 20));
  queue.clear();
  assert.equal(queue.take(500), undefined);
});

test("a window narrows while pongs are late, and widens while they are quick", () => {
  const window = new FlowWindow();
  let nowMs = 0;
  const roundTrip = (bytes: number, ms: number): void => {
    window.sent(bytes);
    const mark = window.mark(nowMs);
    nowMs += ms;
    window.answered(mark, nowMs);
  };
  assert.equal(window.room, 32 * 1024);
  roundTrip(window.room, 5);
  assert.equal(window.room, 64 * 1024);
  for (let count = 0; count < 5; count++) roundTrip(window.room, 5);
  assert.equal(window.room, 1024 * 1024);
  roundTrip(window.room, 800);
  assert.equal(window.room, 512 * 1024);
  // What was read in a second tells how much will be in half of one.
  roundTrip(200_000, 1000);
  assert.equal(window.room, 100_000);
  for (let count = 0; count < 9; count++) roundTrip(window.room, 4000);
  assert.equal(window.room, 16 * 1024);
  // One that is not full says nothing of what would fit.
  const before = window.room;
  for (let count = 0; count < 3; count++) roundTrip(0, 5);
  assert.equal(window.roundTripMs, 5);
  roundTrip(before, 5);
  assert.equal(window.room, 2 * before);
});

test("a window counts what was not read, and only believes pongs of its own pings", () => {
  const window = new FlowWindow();
  assert.equal(window.sent(1000), false);
  assert.equal(window.sent(20_000), true);
  const mark = window.mark(0);
  window.sent(500);
  assert.equal(window.bytesUnread, 21_500);
  for (const said of ["", "0", "21500", "1e9", "-5"]) window.answered(said, 1);
  assert.equal(window.bytesUnread, 21_500);
  window.answered(mark, 1);
  window.answered(mark, 2);
  assert.equal(window.bytesUnread, 500);
});
