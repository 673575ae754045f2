// Records and segments of the disk spool, whole and torn.
import assert from "node:assert/strict";
import { appendFileSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { encodeRecords, RecordReader, type SpoolRecord } from "../../relay/outlet/record.ts";
import { Segment, segmentHeadBytes } from "../../relay/outlet/segment.ts";
import { crc32 } from "../../shared/checksum.ts";
import { newSpoolDir } from "../support/outlet-rig.ts";

const WALL_MS = 1_700_000_000_000;

function record(text: string): SpoolRecord {
  const bytes = Buffer.from(text);
  return { bytes, lines: text.split("\n").length - 1, wallMs: WALL_MS };
}

function readAll(data: Buffer): { texts: string[]; damaged: number } {
  const reader = new RecordReader(data, 0);
  const texts: string[] = [];
  for (let next = reader.next(); next !== undefined; next = reader.next()) {
    texts.push(Buffer.from(next.bytes).toString());
  }
  return { texts, damaged: reader.damaged };
}

const textsArbitrary = fc.array(fc.string({ maxLength: 60 }), { minLength: 1, maxLength: 12 });

test("CRC-32 has the check value of its definition", () => {
  assert.equal(crc32(Buffer.from("123456789")), 0xcbf43926);
  assert.equal(crc32(Buffer.from("6789"), crc32(Buffer.from("12345"))), 0xcbf43926);
});

test("what is encoded is read back", () => {
  fc.assert(
    fc.property(textsArbitrary, (texts) => {
      assert.deepEqual(readAll(encodeRecords(texts.map(record))), { texts, damaged: 0 });
    }),
  );
});

test("a torn tail costs the records in it, and counts once", () => {
  fc.assert(
    fc.property(textsArbitrary, fc.nat(), (texts, cut) => {
      const data = encodeRecords(texts.map(record));
      const end = cut % (data.length + 1);
      let whole = 0;
      let wholeEnd = 0;
      for (const text of texts) {
        const next = wholeEnd + encodeRecords([record(text)]).length;
        if (next > end) break;
        wholeEnd = next;
        whole++;
      }
      const expected = { texts: texts.slice(0, whole), damaged: end === wholeEnd ? 0 : 1 };
      assert.deepEqual(readAll(data.subarray(0, end)), expected);
    }),
  );
});

test("one damaged byte costs one record, whichever it is", () => {
  fc.assert(
    fc.property(textsArbitrary, fc.nat(), fc.integer({ min: 1, max: 255 }), (texts, place, change) => {
      const data = encodeRecords(texts.map(record));
      const at = place % data.length;
      data[at]! ^= change;
      let hit = 0;
      for (let end = 0; hit < texts.length; hit++) {
        end += encodeRecords([record(texts[hit]!)]).length;
        if (at < end) break;
      }
      const { texts: read, damaged } = readAll(data);
      assert.deepEqual(read, [...texts.slice(0, hit), ...texts.slice(hit + 1)]);
      assert.equal(damaged, 1);
    }),
  );
});

test("any bytes are read without an exception", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => void readAll(Buffer.from(bytes))));
});

test("a segment: written, finished, adopted, read", () => {
  const folder = newSpoolDir();
  const path = join(folder, "one");
  const written = Segment.create(path, "main ä:1", "packets", WALL_MS);
  written.append([record("a:1|c\n"), record("b:1|c\nc:1|c\n")]);
  written.append([record("d:1|c\n")]);
  assert.equal(statSync(path).size, written.bytes);
  // Killed before it is finished: the sums are not in the head.
  const killed = Segment.adopt(path)!;
  assert.deepEqual(
    [killed.key, killed.kind, killed.lines, killed.createdMs],
    ["main ä:1", "packets", 4, WALL_MS],
  );
  written.finish();
  const adopted = Segment.adopt(path)!;
  assert.deepEqual([adopted.lines, adopted.bytes], [4, written.bytes]);
  const damage: string[] = [];
  assert.equal(Buffer.from(adopted.read(() => damage.push("x"))!.bytes).toString(), "a:1|c\n");
  assert.equal(adopted.lines, 3);
  const left = join(folder, "left");
  adopted.release(left);
  const rest = Segment.adopt(left)!;
  assert.equal(rest.lines, 3);
  assert.equal(Buffer.from(rest.read(() => damage.push("x"))!.bytes).toString(), "b:1|c\nc:1|c\n");
  assert.equal(Buffer.from(rest.read(() => damage.push("x"))!.bytes).toString(), "d:1|c\n");
  assert.equal(
    rest.read(() => damage.push("x")),
    undefined,
  );
  assert.deepEqual(damage, []);
  rmSync(folder, { recursive: true });
});

test("a segment of a killed writer: its torn tail is left out of its lines", () => {
  const folder = newSpoolDir();
  const path = join(folder, "one");
  const written = Segment.create(path, "key", "packets", WALL_MS);
  written.append([record("a:1|c\n"), record("b:1|c\n")]);
  truncateSync(path, written.bytes - 3);
  assert.equal(Segment.adopt(path)!.lines, 1);
  truncateSync(path, segmentHeadBytes("key"));
  assert.equal(Segment.adopt(path)!.lines, 0);
  truncateSync(path, 10);
  assert.equal(Segment.adopt(path), undefined);
  writeFileSync(path, "");
  assert.equal(Segment.adopt(path), undefined);
  written.remove();
  rmSync(folder, { recursive: true });
});

test("reading notes how far it got, so that a crash repeats little", () => {
  const folder = newSpoolDir();
  const path = join(folder, "one");
  const written = Segment.create(path, "key", "packets", WALL_MS);
  const line = `${"x".repeat(999)}\n`;
  for (let i = 0; i < 400; i++) written.append([record(line)]);
  for (let i = 0; i < 300; i++) written.read(() => assert.fail("no damage"));
  const after = Segment.adopt(path)!;
  assert.ok(after.lines >= 100 && after.lines <= 100 + 140, `${after.lines} lines are left`);
  appendFileSync(path, "no record");
  assert.equal(readFileSync(path).length, written.bytes + 9);
  let damaged = 0;
  let lines = 0;
  for (let next = after.read(() => damaged++); next; next = after.read(() => damaged++)) lines += next.lines;
  assert.deepEqual([damaged, lines >= 100, after.lines], [1, true, 0]);
  rmSync(folder, { recursive: true });
});
