// CRC-32: the published check value, and both implementations alike.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { crc32, crc32InScript } from "../../shared/checksum.ts";

test("the check value", () => {
  assert.equal(crc32(Buffer.from("123456789")), 0xcbf43926);
  assert.equal(crc32InScript(Buffer.from("123456789")), 0xcbf43926);
  assert.equal(crc32(Buffer.alloc(0)), 0);
});

test("both are alike, and piecewise is the same as at once", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.uint8Array({ maxLength: 200 }), (left, right) => {
      const whole = crc32InScript(Buffer.concat([left, right]));
      assert.equal(crc32(Buffer.concat([left, right])), whole);
      assert.equal(crc32(right, crc32(left)), whole);
      assert.equal(crc32InScript(right, crc32InScript(left)), whole);
    }),
  );
});
