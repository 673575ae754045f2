import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { forEachRow, RowReader, RowWriter } from "../../aggregator/row.ts";

function write(writer: RowWriter, name: Buffer, value: number): void {
  name.copy(writer.buffer, writer.begin(name.length + 10));
  writer.end(name.length, value);
}

const rows = fc.array(fc.tuple(fc.uint8Array({ maxLength: 300 }), fc.double()));

test("a frame gives back what was written, for any name and value", () => {
  const writer = new RowWriter(16);
  fc.assert(
    fc.property(rows, (expected) => {
      for (const [name, value] of expected) write(writer, Buffer.from(name), value);
      assert.equal(writer.rowCount, expected.length);
      const frame = writer.take();
      assert.equal(frame.byteLength, frame.buffer.byteLength);
      const found: (readonly [Uint8Array, number])[] = [];
      forEachRow(frame, (name, value) => found.push([new Uint8Array(Buffer.from(name, "latin1")), value]));
      assert.deepEqual(found, expected);
    }),
  );
});

test("the layout is the one drawn", () => {
  const writer = new RowWriter();
  write(writer, Buffer.from("a.b"), 1);
  assert.equal(writer.byteLength, 13);
  assert.equal(Buffer.from(writer.take()).toString("hex"), "0300612e62000000000000f03f");
  assert.equal(writer.byteLength, 0);
  assert.equal(writer.rowCount, 0);
});

test("a row that was begun and not ended leaves no trace", () => {
  const writer = new RowWriter();
  writer.begin(5000);
  write(writer, Buffer.from("kept"), 2);
  const names: string[] = [];
  forEachRow(writer.take(), (name) => names.push(name));
  assert.deepEqual(names, ["kept"]);
});

test("a reader goes on where it stopped, and reads a frame within a larger buffer", () => {
  const writer = new RowWriter();
  write(writer, Buffer.from("one"), 1);
  write(writer, Buffer.from("two"), 2);
  const frame = writer.take();
  const around = new Uint8Array(frame.length + 7);
  around.set(frame, 3);
  const reader = new RowReader(around.subarray(3, 3 + frame.length));
  assert.ok(reader.next());
  assert.equal(`${reader.nameLatin1()} ${reader.value}`, "one 1");
  assert.ok(reader.next());
  assert.equal(`${reader.nameLatin1()} ${reader.value}`, "two 2");
  assert.ok(!reader.next());
  assert.ok(!reader.next());
});

test("a frame cut off anywhere within a row is a broken invariant", () => {
  const writer = new RowWriter();
  write(writer, Buffer.from("abc"), 1);
  const frame = writer.take();
  for (let length = 1; length < frame.length; length++) {
    assert.throws(() => forEachRow(frame.subarray(0, length), () => {}), /invariant/);
  }
});

test("the longest name fits, a longer one is a broken invariant", () => {
  const writer = new RowWriter();
  write(writer, Buffer.alloc(0xffff, "x"), 1);
  assert.throws(() => write(writer, Buffer.alloc(0x10000, "x"), 1), /invariant/);
  let bytes = 0;
  forEachRow(writer.take(), (name) => {
    bytes = name.length;
  });
  assert.equal(bytes, 0xffff);
});
