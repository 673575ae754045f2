/** Bytes that no Rust peer sends: nothing throws, nothing goes on for ever, and what is taken is valid. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MessageFramer } from "../../aggregator/capnp/message-framer.ts";
import { Message, messageBytes, StructView, tableBytes } from "../../aggregator/capnp/reader.ts";
import { SANITIZE_MODES } from "../../aggregator/reading.ts";
import { readLabel } from "../../shared/wire.ts";
import { messageNamed, newMerger, readMessageVectors, writeMessage } from "../support/capnp-messages.ts";
import { decodeFrame, newIntake } from "../support/snapshots.ts";

const messages = readMessageVectors().map(({ hex }) => Buffer.from(hex, "hex"));
const merge = await newMerger();
const intakes = new Map(
  await Promise.all(
    SANITIZE_MODES.flatMap((sanitize) =>
      [true, false].map(async (influxTags) => {
        const options = { dialect: "bioyino", sanitize, influxTags, unknownType: "drop" } as const;
        const reading = { ...options, untaggedCopy: false };
        const intake = await newIntake({ reading, nameBytesMax: 12, tagsBytesMax: 24 });
        return [`${sanitize} ${influxTags}`, intake] as const;
      }),
    ),
  ),
);

/** Reads and writes a message; every frame that comes of it must be one that the store takes whole. */
function check(bytes: Buffer): void {
  const { frames, taken, reasons } = writeMessage(bytes);
  // Each metric costs a word at least, so there cannot be more than what the message may visit.
  assert.ok(taken + reasons.length <= bytes.length / 4 + 64);
  const written = frames.reduce((sum, frame) => sum + frame.length, 0);
  assert.ok(written <= 64 * bytes.length + 10_000, `${written} bytes of ${bytes.length}`);
  for (const frame of frames) assert.equal(merge(frame), readLabel(frame)!.lines);
}

const word = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  // Pointers of all kinds that lead somewhere near.
  fc
    .tuple(fc.constantFrom(0, 1, 2, 6), fc.integer({ min: -20, max: 40 }), fc.nat(70_000))
    .map(([kind, words, high]) => (BigInt(high) << 32n) | BigInt(((words << 3) | kind) >>> 0)),
  fc.constantFrom(0n, 0x7ff8000000000000n, 0xffffffffffffffffn, 0x3f80000000000000n),
);

test("random bytes", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => check(Buffer.from(bytes))));
});

test("random words in a frame that is right", () => {
  fc.assert(
    fc.property(fc.array(word, { minLength: 1, maxLength: 40 }), (words) => {
      const bytes = Buffer.alloc(8 + words.length * 8);
      bytes.writeUInt32LE(words.length, 4);
      for (const [index, one] of words.entries()) bytes.writeBigUInt64LE(one, 8 + index * 8);
      check(bytes);
    }),
    { numRuns: 1000 },
  );
});

test("real messages with some words or bytes changed", () => {
  const change = fc.record({ at: fc.nat(), word, isByte: fc.boolean() });
  fc.assert(
    fc.property(
      fc.constantFrom(...messages),
      fc.array(change, { minLength: 1, maxLength: 6 }),
      (message, changes) => {
        const bytes = Buffer.from(message);
        for (const { at, word: value, isByte } of changes) {
          if (isByte) bytes[at % bytes.length] = Number(value & 0xffn);
          else bytes.writeBigUInt64LE(value, Math.floor((at % bytes.length) / 8) * 8);
        }
        check(bytes);
      },
    ),
    { numRuns: 3000 },
  );
});

test("nothing is read outside a segment", () => {
  // The message's own bytes lie between others that would be noticed.
  fc.assert(
    fc.property(fc.constantFrom(...messages), fc.nat(), word, (message, at, value) => {
      const [before, after] = [0x00, 0xff].map((filler) => {
        const memory = Buffer.alloc(message.length + 512, filler);
        message.copy(memory, 256);
        memory.writeBigUInt64LE(value, 256 + Math.floor((at % message.length) / 8) * 8);
        const outcome = writeMessage(memory.subarray(256, 256 + message.length));
        return { ...outcome, frames: outcome.frames.map((frame) => Buffer.from(frame).toString("hex")) };
      });
      assert.deepEqual(before, after);
    }),
    { numRuns: 500 },
  );
});

test("pointing at the same thing again and again makes no large message of a small one", () => {
  // A snapshot of version 2 whose metrics, 5 words each, all have the name and samples of the first.
  const metrics = 2000;
  const samples = 4000;
  const list = 5 + metrics * 5;
  const words = Buffer.alloc((list + 2 + 3 + samples) * 8);
  const pointer = (at: number, to: number, kind: number, high: number) => {
    words.writeInt32LE(((to - at - 1) << 2) | kind, at * 8);
    words.writeUInt32LE(high >>> 0, at * 8 + 4);
  };
  pointer(0, 1, 0, 2 | (1 << 16));
  words.writeBigUInt64LE(15832876314001345334n, 8);
  words.writeUInt16LE(1, 16);
  pointer(3, 4, 1, 7 | ((metrics * 5) << 3));
  words.writeInt32LE(metrics << 2, 32);
  words.writeUInt32LE(1 | (4 << 16), 36);
  words.write("a\0", list * 8);
  for (let metric = 0; metric < metrics; metric++) {
    pointer(5 + metric * 5 + 1, list, 1, 2 | (2 << 3));
    pointer(5 + metric * 5 + 2, list + 1, 0, 2 | (1 << 16));
  }
  words.writeUInt16LE(2, (list + 2) * 8);
  pointer(list + 3, list + 4, 1, 5 | (samples << 3));
  const head = Buffer.alloc(8);
  head.writeUInt32LE(words.length / 8, 4);
  const outcome = writeMessage(Buffer.concat([head, words]));
  assert.equal(outcome.kind, "v2");
  assert.equal(outcome.taken + outcome.reasons.length, metrics);
  assert.ok(outcome.taken >= 1);
  assert.ok(outcome.samples <= (2 * words.length) / 8, `${outcome.samples} samples`);
});

test("a list of a billion structs without bytes is no list", () => {
  const message = Buffer.from(messageNamed("empty snapshot"));
  // The tag of the list is the last word.
  message.writeUInt32LE(0xfffffffc, message.length - 8);
  message.writeUInt32LE(0, message.length - 4);
  assert.deepEqual(writeMessage(message).kind, "malformed");
});

test("a root outside its segment, and text without its end, are refused", () => {
  const golden = messageNamed("golden");
  // The same words as the second segment, behind one without any.
  const head = Buffer.alloc(16);
  head.writeUInt32LE(1);
  head.writeUInt32LE(golden.length / 8 - 1, 8);
  assert.equal(writeMessage(Buffer.concat([head, golden.subarray(8)])).kind, "malformed");
  assert.equal(writeMessage(Buffer.alloc(8)).kind, "malformed");
  const endless = Buffer.from(golden);
  endless[endless.indexOf("k=v") + 3] = 46;
  assert.deepEqual(writeMessage(endless).reasons, ["empty_name"]);
});

test("a line feed in a name is refused even where nothing is cleaned", () => {
  const names = { sanitize: "off", influxTags: false, nameBytesMax: 12, tagsBytesMax: 24 } as const;
  for (const name of ["a\nb", "a;k=\nv", "é\n"]) {
    assert.deepEqual(writeMessage(namedMessage(Buffer.from(name)), { names }).reasons, ["control_character"]);
  }
  assert.equal(writeMessage(namedMessage(Buffer.from("a b\r")), { names }).taken, 1);
});

test("a table says how many segments there are, up to a bound", () => {
  const head = Buffer.alloc(8);
  head.writeUInt32LE(511);
  assert.equal(tableBytes(head), 4 + 512 * 4 + 4);
  for (const count of [512, 0x7fffffff, 0xffffffff]) {
    head.writeUInt32LE(count);
    assert.equal(tableBytes(head), undefined);
    assert.equal(Message.open(head), undefined);
  }
  const large = Buffer.alloc(8);
  large.writeUInt32LE(0xffffffff, 4);
  assert.equal(messageBytes(large), 8 + 0xffffffff * 8);
  const message = Message.open(messageNamed("golden"))!;
  assert.equal(message.root(new StructView()), "present");
});

test("however a stream is cut, the same messages come out", () => {
  const stream = Buffer.concat(messages);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 50 }), (sizes) => {
      const taken: string[] = [];
      const framer = new MessageFramer(1 << 20, (message) => taken.push(message.toString("hex")) > 0);
      for (let at = 0, turn = 0; at < stream.length; turn++) {
        const end = Math.min(stream.length, at + sizes[turn % sizes.length]!);
        assert.equal(framer.push(stream.subarray(at, end)), undefined);
        assert.ok(framer.roomBytes <= 2 * framer.partialBytes + 65_536);
        at = end;
      }
      assert.equal(framer.partialBytes, 0);
      assert.deepEqual(
        taken,
        messages.map((message) => message.toString("hex")),
      );
    }),
  );
});

test("a large message is refused, and its memory given back, whether it comes at once or in parts", () => {
  const large = Buffer.alloc(8 + 200_000);
  large.writeUInt32LE(25_000, 4);
  for (const part of [large.length, 1000]) {
    let taken = 0;
    const take = () => {
      taken += 1;
      return true;
    };
    const push = (framer: MessageFramer) => {
      for (let at = 0; at < large.length; at += part) {
        const fault = framer.push(large.subarray(at, at + part));
        if (fault !== undefined) return fault;
      }
      return undefined;
    };
    assert.equal(push(new MessageFramer(large.length - 1, take)), "too-large");
    assert.equal(taken, 0);
    const framer = new MessageFramer(large.length, take);
    assert.equal(push(framer), undefined);
    assert.equal(taken, 1);
    assert.equal(framer.roomBytes, 0);
    assert.equal(new MessageFramer(large.length, () => false).push(large), "refused");
  }
});

let keysCompared = 0;

test("names become the keys that the kernel makes of them", () => {
  const part = fc.constantFrom(
    ...[
      "a",
      "bc",
      "web",
      ";",
      ";;",
      ";k=v",
      ";a=1",
      ",",
      ",x=y",
      "=",
      ".",
      "/",
      " ",
      "\t",
      "  ",
      "\x01",
      "\x7f",
    ],
    ...[
      ";\uff5e",
      ";😀",
      "é",
      "\u00a0",
      "\u0085",
      "\u0090",
      "\u2003",
      "\u3000",
      "漢",
      "😀",
      "~",
      "!",
      "_",
      "-",
      "\r",
    ],
  );
  const invalid = fc.constantFrom([0xc3], [0x80], [0xed, 0xa0, 0x80], [0xff], [0xf4, 0x90, 0x80, 0x80]);
  const piece = fc.oneof({ weight: 12, arbitrary: part.map((text) => [...Buffer.from(text)]) }, invalid);
  const names = fc.array(piece, { minLength: 1, maxLength: 12 }).map((pieces) => Buffer.from(pieces.flat()));
  fc.assert(
    fc.property(names, fc.constantFrom(...SANITIZE_MODES), fc.boolean(), (name, sanitize, influxTags) => {
      const { snapshotter, send, cut } = intakes.get(`${sanitize} ${influxTags}`)!;
      snapshotter.refreshCounts();
      // Of tags that are all empty a peer leaves one semicolon, and a line two.
      const isEmptyTag = name.indexOf(";") === name.length - 1 && name.length > 1;
      send([Buffer.concat([name, Buffer.from(isEmptyTag ? ";:1|c" : ":1|c")])]);
      const frame = cut();
      const wanted = frame === undefined ? [] : decodeFrame(frame).map(({ key }) => key);
      const rules = { sanitize, influxTags, nameBytesMax: 12, tagsBytesMax: 24 };
      const { frames, reasons } = writeMessage(namedMessage(name), { names: rules });
      const keys = frames.flatMap(decodeFrame).map(({ key }) => key);
      keysCompared += keys.length;
      assert.deepEqual(keys, wanted, `${name.toString("latin1")} ${sanitize} ${influxTags} ${reasons}`);
    }),
    { numRuns: 5000 },
  );
  assert.ok(keysCompared > 500, `only ${keysCompared} names were good`);
});

test("a key has no more tags than that of a line", async () => {
  const { send, cut } = await newIntake();
  for (const count of [255, 256, 257]) {
    for (const text of [";k", ";;k"]) {
      const name = Buffer.from(`a${text.repeat(count)}`);
      send([Buffer.concat([name, Buffer.from(":1|c")])]);
      const frame = cut();
      const wanted = frame === undefined ? [] : decodeFrame(frame).map(({ key }) => key);
      const { frames, reasons } = writeMessage(namedMessage(name));
      assert.deepEqual(
        frames.flatMap(decodeFrame).map(({ key }) => key),
        wanted,
      );
      assert.deepEqual(reasons, count > 256 ? ["tags_too_long"] : []);
    }
  }
});

/** A message of version 1: a counter of 1 with a name of any bytes. */
function namedMessage(name: Buffer): Buffer {
  const words = Buffer.alloc((1 + 2 + 5 + 3) * 8);
  words.writeUInt32LE(1 | (1 << 16), 4);
  words.writeUInt32LE(1 | (4 << 16), 20);
  words.writeDoubleLE(1, 24);
  // The name lies behind everything else, the type is 6 words on.
  words.writeUInt32LE((6 << 2) | 1, 32);
  words.writeUInt32LE(2 | ((name.length + 1) << 3), 36);
  words.writeUInt32LE(2 << 2, 40);
  words.writeUInt32LE(2 | (1 << 16), 44);
  const text = Buffer.alloc(Math.ceil((name.length + 1) / 8) * 8);
  name.copy(text);
  const head = Buffer.alloc(8);
  head.writeUInt32LE((words.length + text.length) / 8, 4);
  return Buffer.concat([head, words, text]);
}
