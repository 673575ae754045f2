// The snapshot frame: what was put into a header comes out of it, and anything else is no frame.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  FRAME_HEADER_BYTES,
  frameBody,
  newFrame,
  readLabel,
  type SnapshotLabel,
  snapshotIdentity,
} from "../../shared/wire.ts";

const BODY_BYTES_MAX = 300;

const u32 = fc.oneof(fc.integer({ min: 0, max: 0xffff_ffff }), fc.constantFrom(0, 0x8000_0000, 0xffff_ffff));
const u64 = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  fc.constantFrom(0n, 2n ** 63n, 2n ** 64n - 1n),
);
const count = fc.oneof(fc.maxSafeNat(), fc.constantFrom(0, 2 ** 32, Number.MAX_SAFE_INTEGER));
const labelArbitrary: fc.Arbitrary<SnapshotLabel> = fc.record(
  {
    node: u64,
    incarnation: u64,
    origin: u32,
    sequence: count,
    interval: count,
    lowestOpen: count,
    intervalMs: u32,
    entries: u32,
    lines: count,
  },
  { noNullPrototype: true },
);
const bodyArbitrary = fc.uint8Array({ maxLength: BODY_BYTES_MAX });

function frameOf(label: SnapshotLabel, body: Uint8Array): Uint8Array<ArrayBuffer> {
  const frame = newFrame(label, body.length);
  frame.set(body, FRAME_HEADER_BYTES);
  return frame;
}

test("a frame gives back its label and its body, wherever in a buffer it lies", () => {
  fc.assert(
    fc.property(labelArbitrary, bodyArbitrary, fc.nat(9), (label, body, offset) => {
      const frame = frameOf(label, body);
      assert.deepEqual(readLabel(frame), label);
      assert.deepEqual(frameBody(frame), body);
      const around = new Uint8Array(offset + frame.length + 5).fill(0xff);
      around.set(frame, offset);
      const inside = around.subarray(offset, offset + frame.length);
      assert.deepEqual(readLabel(inside), label);
      assert.deepEqual(frameBody(inside), body);
    }),
  );
});

test("a frame cut anywhere, or with anything behind it, is no frame", () => {
  fc.assert(
    fc.property(labelArbitrary, bodyArbitrary, fc.integer({ min: 1, max: 200 }), (label, body, more) => {
      const frame = frameOf(label, body);
      for (let length = 0; length < frame.length; length++) {
        assert.equal(readLabel(frame.subarray(0, length)), undefined, `cut to ${length}`);
      }
      const longer = new Uint8Array(frame.length + more);
      longer.set(frame);
      assert.equal(readLabel(longer), undefined);
    }),
  );
});

test("foreign bytes are no frame", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2 * FRAME_HEADER_BYTES }), (bytes) => {
      assert.equal(readLabel(bytes), undefined);
    }),
    { numRuns: 2000 },
  );
});

test("a frame of another magic, version, header length or body length is no frame", () => {
  const guarded = fc.constantFrom(0, 1, 2, 3, 4, 5, 6, 7, 56, 57, 58, 59);
  fc.assert(
    fc.property(
      labelArbitrary,
      bodyArbitrary,
      guarded,
      fc.integer({ min: 1, max: 255 }),
      (label, body, at, flip) => {
        const frame = frameOf(label, body);
        frame[at]! ^= flip;
        assert.equal(readLabel(frame), undefined);
      },
    ),
  );
});

test("whatever else a header says is read without a throw, and every count is exact", () => {
  const noise = fc.uint8Array({ minLength: 48, maxLength: 48 });
  fc.assert(
    fc.property(labelArbitrary, bodyArbitrary, noise, fc.nat(48), (label, body, bytes, kept) => {
      const frame = frameOf(label, body);
      frame.set(bytes.subarray(kept), 8 + kept);
      const read = readLabel(frame);
      if (read === undefined) return;
      for (const value of [read.sequence, read.interval, read.lowestOpen, read.lines]) {
        assert.ok(Number.isSafeInteger(value) && value >= 0, String(value));
      }
    }),
  );
});

test("a count that a number cannot hold exactly is refused", () => {
  const label = { ...fc.sample(labelArbitrary, { numRuns: 1, seed: 1 })[0]! };
  const unsafe = fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n });
  fc.assert(
    fc.property(fc.constantFrom(24, 32, 40, 64), unsafe, (offset, value) => {
      const frame = newFrame(label, 0);
      new DataView(frame.buffer).setBigUint64(offset, value, true);
      assert.equal(readLabel(frame), undefined);
    }),
  );
});

test("snapshots are the same if node, run, intake and number are", () => {
  fc.assert(
    fc.property(labelArbitrary, labelArbitrary, (one, two) => {
      const isSame = (["node", "incarnation", "origin", "sequence"] as const).every(
        (field) => one[field] === two[field],
      );
      assert.equal(snapshotIdentity(one) === snapshotIdentity(two), isSame);
      const { node, incarnation, origin, sequence } = one;
      const repeated = { ...two, node, incarnation, origin, sequence };
      assert.equal(snapshotIdentity(repeated), snapshotIdentity(one));
    }),
  );
});
