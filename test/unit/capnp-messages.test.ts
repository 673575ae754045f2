/** What becomes of the messages of Rust peers: the same as of lines. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { readLabel } from "../../shared/wire.ts";
import { messageNamed, newMerger, readMessageVectors, writeMessage } from "../support/capnp-messages.ts";
import { type DecodedSeries, decodeFrame, newIntake, TEST_NOW_MS } from "../support/snapshots.ts";

const vectors = readMessageVectors();
const merge = await newMerger();

/** Series in an order that both sides have; samples and members have none. */
function inOrder(series: readonly DecodedSeries[]): DecodedSeries[] {
  return series
    .map((one) => ({ ...one, members: [...one.members].sort(), samples: byValue(one.samples) }))
    .sort((a, b) => (a.key + a.type < b.key + b.type ? -1 : 1));
}

function byValue(samples: DecodedSeries["samples"]): DecodedSeries["samples"] {
  return [...samples].sort((a, b) => a.value - b.value);
}

async function ofLines(lines: readonly string[]): Promise<DecodedSeries[]> {
  const intake = await newIntake();
  intake.send(lines.map((line) => Buffer.from(line)));
  const frame = intake.cut();
  return frame === undefined ? [] : decodeFrame(frame);
}

for (const { schema, name, hex, lines, reasons } of vectors) {
  test(`${schema}, ${name}`, async () => {
    const outcome = writeMessage(Buffer.from(hex, "hex"));
    assert.equal(outcome.kind, schema);
    assert.deepEqual(outcome.reasons, reasons);
    const wanted = inOrder(await ofLines(lines));
    assert.deepEqual(inOrder(outcome.frames.flatMap(decodeFrame)), wanted);
    assert.equal(outcome.taken, wanted.length);
    for (const frame of outcome.frames) assert.equal(merge(frame), readLabel(frame)!.lines);
  });
}

test("the message that the original sends is a counter of 3, made of 2 updates", () => {
  const { frames } = writeMessage(messageNamed("golden"));
  const [series, ...others] = decodeFrame(frames[0]!);
  assert.equal(others.length, 0);
  assert.deepEqual(
    { ...series, free: undefined, members: undefined, samples: undefined },
    {
      key: "a.b;k=v",
      type: "counter",
      updates: 2,
      weight: 2,
      value: 3,
      isAbsolute: false,
      changes: 0,
      free: undefined,
      members: undefined,
      samples: undefined,
    },
  );
});

test("a negative gauge is a level, which no line can say in one step", () => {
  const golden = messageNamed("gauge");
  golden.writeDoubleLE(-7.25, golden.indexOf(Buffer.from(new Float64Array([7.25]).buffer)));
  const depth = decodeFrame(writeMessage(golden).frames[0]!).find(({ key }) => key === "depth")!;
  assert.equal(depth.value, -7.25);
  assert.equal(depth.isAbsolute, true);
});

/** Encodes what the vectors do not have: a message of one timer (2) or set (3) with many values. */
function largeList(type: number, values: Float64Array, sampling: number): Buffer {
  // Root (2 words, 1 pointer), tag, metric (1 word, 4 pointers), name, value (2 words, 1 pointer), list.
  const words = Buffer.alloc((1 + 3 + 1 + 5 + 1 + 3) * 8);
  const pointer = (word: number, to: number, low: number, high: number) => {
    words.writeInt32LE(((to - word - 1) << 2) | low, word * 8);
    words.writeUInt32LE(high >>> 0, word * 8 + 4);
  };
  pointer(0, 1, 0, 2 | (1 << 16));
  words.writeBigUInt64LE(15832876314001345334n, 8);
  words.writeUInt16LE(1, 16);
  pointer(3, 4, 1, 7 | (5 << 3));
  words.writeInt32LE(1 << 2, 32);
  words.writeUInt32LE(1 | (4 << 16), 36);
  words.writeFloatLE(sampling, 40);
  pointer(6, 10, 1, 2 | (4 << 3));
  pointer(7, 11, 0, 2 | (1 << 16));
  words.write("big\0", 80);
  words.writeUInt16LE(type, 96);
  pointer(13, 14, 1, 5 | (values.length << 3));
  const list = Buffer.from(values.buffer);
  const head = Buffer.alloc(8);
  head.writeUInt32LE((words.length + list.length) / 8, 4);
  return Buffer.concat([head, words, list]);
}

for (const sampling of [1, 0.25]) {
  test(`a timer of a million samples at ${sampling} is spread over entries and frames`, () => {
    const count = 1_000_000;
    const message = largeList(
      2,
      Float64Array.from({ length: count }, (_, index) => index),
      sampling,
    );
    const { frames, taken, samples } = writeMessage(message);
    assert.equal(taken, 1);
    assert.equal(samples, count);
    assert.ok(frames.length > 1);
    const series = frames.flatMap(decodeFrame);
    assert.ok(series.every(({ key, value }) => key === "big" && value === count - 1));
    const values = series.flatMap(({ samples: some }) => some);
    assert.ok(values.every(({ value, weight }, index) => value === index && weight === 1 / sampling));
    assert.equal(
      frames.reduce((sum, frame) => sum + merge(frame)!, 0),
      count,
    );
    assert.ok(frames.every((frame) => frame.length < 5 << 20));
  });
}

test("a pointer may lie far from what it points at, and that far from what it is", () => {
  const golden = messageNamed("golden");
  const content = golden.subarray(16);
  const head = Buffer.alloc(16);
  [2, 1, 2, content.length / 8].forEach((value, index) => {
    head.writeUInt32LE(value, index * 4);
  });
  // The first segment sends to the second, whose two words say: in the third, and a struct of 2 words and 1.
  const far = Buffer.alloc(24);
  [6, 1, 2, 2, 0, 2 | (1 << 16)].forEach((value, index) => {
    far.writeUInt32LE(value, index * 4);
  });
  const message = Buffer.concat([head, far, content]);
  const wanted = writeMessage(golden);
  assert.deepEqual(writeMessage(message), wanted);
  assert.equal(wanted.taken, 1);
  // A pair that leads to another far pointer, to no segment, or behind its end.
  for (const [at, value] of [
    [24, 6],
    [28, 3],
    [24, (50 << 3) | 2],
    [32, 2],
    [20, 9],
  ] as const) {
    const broken = Buffer.from(message);
    broken.writeUInt32LE(value, at);
    assert.equal(writeMessage(broken).kind, "malformed", `${value} at ${at}`);
  }
});

test("samples that are no numbers are left out and counted", () => {
  assert.equal(writeMessage(messageNamed("samples that are no numbers")).skippedSamples, 2);
});

test("a set of many members is spread over entries, and each has an update", () => {
  const values = Float64Array.from({ length: 10_000 }, (_, index) => index / 8);
  const { frames, samples } = writeMessage(largeList(3, values, 1));
  const series = frames.flatMap(decodeFrame);
  assert.deepEqual(
    series.map(({ updates }) => updates),
    [1, 1, 1],
  );
  assert.equal(samples, 3);
  assert.equal(merge(frames[0]!), 3);
  const members = series.flatMap(({ members: some }) => some);
  assert.deepEqual(members, Array.from(values, String));
});

/** The stamp of a gauge in a frame. */
function stampOf(frame: Uint8Array, key: string): number {
  const bytes = Buffer.from(frame);
  const at = bytes.indexOf(`${key}\x01\0\0\0`, 0, "latin1") + key.length;
  return bytes.readDoubleLE(at + 16);
}

test("of a gauge that comes twice within a millisecond the later one wins", () => {
  const frame = writeMessage(messageNamed("gauge")).frames[0]!;
  assert.equal(stampOf(frame, "depth"), TEST_NOW_MS);
  assert.ok(stampOf(frame, "low;z=1") > TEST_NOW_MS);
  assert.ok(stampOf(frame, "low;z=1") < TEST_NOW_MS + 1);
});

test("a gauge has the time that its sender says, unless it is yet to come", () => {
  const [second, first] = vectors
    .filter(({ name }) => name === "times")
    .sort((a, b) => (a.schema < b.schema ? 1 : -1))
    .map(({ hex }) => writeMessage(Buffer.from(hex, "hex")).frames[0]!);
  assert.equal(stampOf(second!, "s"), 1_699_999_999_000);
  assert.equal(stampOf(second!, "ms"), 1_699_999_999_500);
  assert.equal(Math.floor(stampOf(second!, "future")), TEST_NOW_MS);
  assert.equal(Math.floor(stampOf(second!, "none")), TEST_NOW_MS);
  assert.equal(stampOf(first!, "s"), 1_699_999_990_000);
});
