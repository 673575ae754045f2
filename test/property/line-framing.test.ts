/** Streams of lines: however they are cut into chunks, the same lines come out. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SLOT_PAYLOAD_BYTES_MAX } from "../../shared/kernel/layout.ts";
import { LineFramer } from "../../shared/line-framer.ts";
import type { StreamTally } from "../../shared/udp.ts";

function newTally(): StreamTally {
  return {
    connections: 0,
    accepted: 0,
    refused: 0,
    idleClosed: 0,
    linesTooLong: 0,
    bytesTooLong: 0,
    linesCut: 0,
    handshakesFailed: 0,
  };
}

/** Lets a framer take chunks. Returns its parts, each of which must fit a slot. */
function frame(chunks: readonly Buffer[], lineBytesMax: number) {
  const tally = newTally();
  const parts: Buffer[] = [];
  const framer = new LineFramer(lineBytesMax, tally, (head, chunk, start, end) => {
    const part = Buffer.concat([head, chunk.subarray(start, end)]);
    assert.ok(part.length > 0 && part.length <= SLOT_PAYLOAD_BYTES_MAX, `${part.length} bytes`);
    parts.push(part);
  });
  for (const chunk of chunks) framer.push(chunk);
  framer.end();
  return { parts, tally };
}

/** What is to come out, by cutting the whole text at once. */
function model(text: Buffer, lineBytesMax: number) {
  const lines = text.toString("latin1").split("\n");
  const last = lines.pop() ?? "";
  const kept = lines.filter((line) => line.length <= lineBytesMax).map((line) => `${line}\n`);
  const all = last === "" ? lines : [...lines, last];
  const long = all.filter((line) => line.length > lineBytesMax);
  return {
    text: kept.join("") + (last.length <= lineBytesMax ? last : ""),
    linesTooLong: long.length,
    bytesTooLong: long.reduce((sum, line) => sum + line.length, 0),
  };
}

function cut(text: Buffer, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  let from = 0;
  for (let i = 0; from < text.length; i++) {
    const size = sizes[i % sizes.length] ?? 1;
    chunks.push(text.subarray(from, from + size));
    from += size;
  }
  return chunks;
}

function check(text: Buffer, sizes: readonly number[], lineBytesMax: number): void {
  const { parts, tally } = frame(cut(text, sizes), lineBytesMax);
  const expected = model(text, lineBytesMax);
  assert.equal(Buffer.concat(parts).toString("latin1"), expected.text);
  assert.equal(tally.linesTooLong, expected.linesTooLong);
  assert.equal(tally.bytesTooLong, expected.bytesTooLong);
  assert.equal(tally.linesCut, 0);
  // Only the last part may end inside a line.
  for (const part of parts.slice(0, -1)) assert.equal(part.at(-1), 10);
}

test("chunks of any size carry the same lines", () => {
  const line = fc.oneof(
    fc.constant(""),
    fc.string({ unit: fc.constantFrom("a", ":", "1", "|"), maxLength: 40 }),
    fc.integer({ min: 0, max: 40 }).map((length) => "x".repeat(length)),
  );
  fc.assert(
    fc.property(
      fc.array(line, { maxLength: 40 }),
      fc.boolean(),
      fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 8 }),
      fc.integer({ min: 1, max: 40 }),
      (lines, isFinished, sizes, lineBytesMax) => {
        check(Buffer.from(lines.join("\n") + (isFinished ? "\n" : "")), sizes, lineBytesMax);
      },
    ),
    { numRuns: 2000 },
  );
});

test("chunks beyond the size of a slot are split at line ends", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 70_000 }), { minLength: 1, maxLength: 12 }),
      fc.array(fc.integer({ min: 1, max: 140_000 }), { minLength: 1, maxLength: 4 }),
      fc.constantFrom(100, 8192, SLOT_PAYLOAD_BYTES_MAX - 1),
      (lengths, sizes, lineBytesMax) => {
        const text = Buffer.from(lengths.map((length) => "y".repeat(length)).join("\n"));
        check(
          text,
          sizes.map((size) => size + 1000),
          lineBytesMax,
        );
      },
    ),
    { numRuns: 200 },
  );
});

test("a line may have exactly the bound, and one that would not fill a slot with its end is too long", () => {
  for (const extra of [-1, 0, 1]) check(Buffer.from(`${"z".repeat(8 + extra)}\nb\n`), [3], 8);
  const text = Buffer.from(`${"z".repeat(SLOT_PAYLOAD_BYTES_MAX)}\nb\n`);
  const { parts, tally } = frame(cut(text, [50_000]), 1 << 20);
  assert.deepEqual(parts.map(String), ["b\n"]);
  assert.equal(tally.linesTooLong, 1);
});

test("the unfinished line of a stream that breaks off is dropped and counted", () => {
  const tally = newTally();
  const framer = new LineFramer(100, tally, () => assert.fail("it is no whole line"));
  framer.push(Buffer.from("app.requests:1"));
  framer.abort();
  framer.abort();
  framer.end();
  assert.equal(tally.linesCut, 1);
});
