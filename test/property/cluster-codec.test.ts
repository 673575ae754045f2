/** Properties of messages as bytes: they come back as they were, and nothing else gets through. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Manifest } from "../../cluster/manifest.ts";
import type { Message } from "../../cluster/message.ts";
import type { DeliveredSlot, Register, Slot } from "../../cluster/register.ts";
import { decodeMessage, encodeMessage } from "../../cluster/transport/codec.ts";
import { readHello, speakHello } from "../../cluster/transport/hello.ts";
import { newPacket, PacketCutter, PacketJoiner } from "../../cluster/transport/packet.ts";
import { crc32 } from "../../shared/checksum.ts";
import { newDelta } from "../support/peer-rig.ts";

const count = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const interval = fc.integer({ min: -1, max: 2 ** 40 });
const name = fc.string({ maxLength: 20, unit: "binary" });
const isTrue = fc.boolean();
const milliseconds = fc
  .double({ noNaN: true, noDefaultInfinity: true })
  .map((value) => (Object.is(value, -0) ? 0 : value));
const manifest: fc.Arbitrary<Manifest> = fc.array(
  fc
    .tuple(name, fc.nat({ max: 1e6 }), fc.nat({ max: 1000 }))
    .map(([source, from, more]) => ({ source, from, to: from + more })),
  { maxLength: 8 },
);
const decided = { term: count, revision: count, manifest };
const decidedKeys = ["term", "revision", "manifest"] as const;
const slot: fc.Arbitrary<Slot> = fc.record(
  { ...decided, isInDoubt: isTrue },
  { requiredKeys: [...decidedKeys] },
);
const delivered: fc.Arbitrary<DeliveredSlot> = fc.record(
  { ...decided, isInDoubt: isTrue, sinks: fc.array(name), isComplete: isTrue },
  { requiredKeys: [...decidedKeys, "sinks", "isComplete"] },
);
const register: fc.Arbitrary<Register> = fc.record(
  { pending: slot, delivered },
  { requiredKeys: ["pending"] },
);
const registers = fc.array(fc.tuple(interval, register), { maxLength: 4 });
const held = fc.array(fc.tuple(interval, manifest), { maxLength: 4 });
const delta = fc.tuple(fc.nat(), fc.nat({ max: 300 })).map(([sequence, bytes]) => newDelta(sequence, bytes));

type Arbitraries = {
  readonly [K in Message["kind"]]: fc.Arbitrary<Omit<Extract<Message, { readonly kind: K }>, "kind">>;
};
/** The compiler sees that no kind is forgotten. */
const arbitraries: Arbitraries = {
  "vote-request": fc.record({ isPre: isTrue, term: count, isForced: isTrue }),
  vote: fc.record({ isPre: isTrue, term: count }),
  "vote-refused": fc.record({ term: count }),
  heartbeat: fc.record({ term: count, sentMs: milliseconds }),
  "heartbeat-ack": fc.record({ term: count, sentMs: milliseconds }),
  beat: fc.record({ term: count, floor: interval }),
  stale: fc.record({ term: count }),
  "clock-request": fc.record({ askedMs: milliseconds }),
  "clock-answer": fc.record(
    { askedMs: milliseconds, clockMs: milliseconds, wallMs: milliseconds },
    { requiredKeys: ["askedMs", "clockMs"] },
  ),
  deltas: fc.record(
    { deltas: fc.array(delta, { maxLength: 5 }), closedBelow: interval, incarnation: name, wantsAck: isTrue },
    { requiredKeys: ["deltas", "incarnation", "wantsAck"] },
  ),
  "deltas-ack": fc.record({ held: manifest }),
  query: fc.record({ term: count }),
  "query-answer": fc.record(
    { term: count, registers, held, presentSince: interval, forgottenBelow: interval },
    { requiredKeys: ["term", "registers", "held", "presentSince"] },
  ),
  intent: fc.record(
    { ...decided, interval, isInDoubt: isTrue },
    { requiredKeys: [...decidedKeys, "interval"] },
  ),
  "intent-ack": fc.record({ term: count, interval, revision: count, holdsAll: isTrue, besides: manifest }),
  done: fc.record({ ...decided, interval, sinks: fc.array(name), isComplete: isTrue }),
  pull: fc.record({ interval, wanted: manifest }),
  digest: fc.record({ undelivered: held }),
  "state-request": fc.record({ incarnation: name }),
  state: fc.record(
    {
      incarnation: name,
      registers,
      held,
      kept: fc.uint8Array({ maxLength: 2000 }),
      keptThrough: interval,
      forgottenBelow: interval,
    },
    { requiredKeys: ["incarnation", "registers", "held", "keptThrough"] },
  ),
  leaving: fc.record({ incarnation: name }),
  "take-over": fc.record({ term: count }),
};
const message: fc.Arbitrary<Message> = fc.oneof(
  ...Object.entries(arbitraries).map(([kind, fields]) => {
    return (fields as fc.Arbitrary<object>).map((rest) => ({ kind, ...rest }) as Message);
  }),
);

/** fast-check's records have no prototype. */
const plain = (value: Message): Message => structuredClone(value);

function bytesOf(value: Message): Uint8Array {
  return new Uint8Array(Buffer.concat(encodeMessage(value).pieces));
}

test("a message comes back as it was", () => {
  fc.assert(
    fc.property(message, (sent) => {
      const packet = encodeMessage(sent);
      const bytes = bytesOf(sent);
      assert.equal(bytes.length, packet.bytes);
      assert.deepEqual(decodeMessage(bytes), plain(sent));
    }),
    { numRuns: 1000 },
  );
});

test("a message that any byte of has changed, or that is cut, is none", () => {
  fc.assert(
    fc.property(message, fc.nat(), fc.integer({ min: 1, max: 255 }), (sent, place, change) => {
      const bytes = bytesOf(sent);
      const at = place % bytes.length;
      // Flags and lane mean nothing here.
      if (at === 2 || at === 3) return;
      bytes[at]! ^= change;
      assert.equal(decodeMessage(bytes), undefined);
      bytes[at]! ^= change;
      assert.equal(decodeMessage(bytes.subarray(0, at)), undefined);
      assert.equal(decodeMessage(Buffer.concat([bytes, Buffer.alloc(1)])), undefined);
    }),
    { numRuns: 500 },
  );
});

/** A packet whose checksum and sizes fit, around any JSON. */
function sealed(json: string, blobs: Uint8Array): Uint8Array {
  const head = Buffer.from(json);
  const body = Buffer.alloc(4 + head.length + blobs.length);
  body.writeUInt32LE(head.length);
  body.set(head, 4);
  body.set(blobs, 4 + head.length);
  const crc = Buffer.alloc(4);
  crc.writeUInt32LE(crc32(body));
  return newPacket("message", Buffer.concat([crc, body]));
}

/** Values that JSON may have in any place. */
const anything = fc.oneof(
  fc.jsonValue(),
  fc.constantFrom<unknown>(-1, 0.5, 1e300, 2 ** 53, "", "__proto__", null, [], {}, [[]], true),
);

test("whatever else has a checksum is read or refused, and never throws", () => {
  fc.assert(
    fc.property(fc.json(), fc.uint8Array({ maxLength: 300 }), (json, blobs) => {
      assert.equal(decodeMessage(sealed(json, blobs)), undefined);
    }),
    { numRuns: 500 },
  );
  fc.assert(
    fc.property(message, fc.nat(), anything, (sent, place, value) => {
      const { kind, ...fields } = sent;
      const blobs = kind === "deltas" ? sent.deltas.map(({ bytes }) => bytes) : [];
      const head: Record<string, unknown> = { kind, ...fields };
      if (kind === "deltas") head.sizes = blobs.map(({ length }) => length);
      const keys = Object.keys(head);
      head[keys[place % keys.length]!] = value;
      const read = decodeMessage(sealed(JSON.stringify(head), Buffer.concat(blobs)));
      if (read !== undefined) assert.deepEqual(decodeMessage(bytesOf(read)), read);
    }),
    { numRuns: 1000 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      assert.equal(decodeMessage(bytes), undefined);
      assert.equal(decodeMessage(newPacket("message", bytes)), undefined);
    }),
  );
});

test("parts of packets come together again, each lane by itself", () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 500 }), { minLength: 1, maxLength: 5 }),
      fc.uint8Array({ minLength: 1, maxLength: 900 }),
      fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 300 })), { minLength: 1, maxLength: 30 }),
      fc.boolean(),
      (some, other, turns, isDeflating) => {
        // Those that are deflated have to be large, and to have something in common.
        const pieces = isDeflating ? some.map((piece) => Buffer.alloc(200 * piece.length, piece)) : some;
        const packets = [Buffer.concat(pieces), Buffer.from(other)];
        const cutters = [
          new PacketCutter({ pieces, bytes: packets[0]!.length }, 0, isDeflating),
          new PacketCutter({ pieces: [other], bytes: other.length }, 1),
        ];
        const joiner = new PacketJoiner(1_000_000);
        const joined: Uint8Array[][] = [[], []];
        const advance = (lane: number, bytesMax: number): void => {
          const cutter = cutters[lane]!;
          if (cutter.leftBytes === 0) return;
          const isFirst = cutter.leftBytes === packets[lane]!.length;
          const part = cutter.next(bytesMax);
          // A packet that is not cut is as it was.
          const isWhole = isFirst && cutter.leftBytes === 0 && part.equals(packets[lane]!);
          const whole = isWhole ? part : joiner.add(part);
          assert.notEqual(whole, false);
          if (whole !== undefined && whole !== false) joined[lane]!.push(whole);
        };
        for (const [isOther, bytesMax] of turns) advance(isOther ? 1 : 0, bytesMax);
        for (const lane of [0, 1]) while (cutters[lane]!.leftBytes > 0) advance(lane, 10_000);
        for (const lane of [0, 1]) {
          assert.equal(joined[lane]!.length, 1);
          assert.deepEqual(Buffer.from(joined[lane]![0]!), packets[lane]);
        }
        assert.equal(joiner.bytes, 0);
      },
    ),
  );
});

test("a hello comes back as it was, and anything else is none", () => {
  const nodeName = fc.stringMatching(/^[A-Za-z0-9_][\w.:@-]{0,20}$/);
  const hello = fc.record({
    version: fc.integer({ min: 1, max: 1000 }),
    node: nodeName,
    incarnation: name,
    role: fc.constantFrom("member" as const, "witness" as const, "agent" as const),
    members: fc.array(nodeName, { maxLength: 10 }),
    settings: fc.dictionary(fc.string(), fc.string({ unit: "binary" }), { noNullPrototype: true }),
  });
  fc.assert(
    fc.property(hello, (said) => {
      const { packet } = speakHello(said);
      assert.deepEqual(readHello(packet), structuredClone(said));
      assert.equal(readHello(packet.subarray(0, packet.length - 1)), undefined);
    }),
  );
  fc.assert(
    fc.property(fc.json(), (json) => {
      assert.equal(readHello(newPacket("hello", Buffer.from(json))), undefined);
    }),
  );
});
