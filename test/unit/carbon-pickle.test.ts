// Rows as pickles: the bytes, their bounds, and what Python makes of them.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import type { RowBatch } from "../../aggregator/row.ts";
import { CarbonPickle, PICKLE_ROWS_MAX } from "../../aggregator/sink/carbon-pickle.ts";
import { SLICE_BYTES } from "../../aggregator/sink/carbon-rows.ts";
import { batchOf, numberedRows } from "../support/rows.ts";

/** All messages of some batches, without their lengths. */
function pickle(batches: readonly RowBatch[]): { messages: Buffer[]; encoder: CarbonPickle } {
  const encoder = new CarbonPickle(batches);
  const slice = Buffer.alloc(SLICE_BYTES);
  const messages: Buffer[] = [];
  for (let bytes = encoder.fill(slice); bytes > 0; bytes = encoder.fill(slice)) {
    for (let at = 0; at < bytes; ) {
      const end = at + 4 + slice.readUInt32BE(at);
      messages.push(Buffer.from(slice.subarray(at + 4, end)));
      at = end;
      assert.ok(at <= bytes, "a message ends within its slice");
    }
  }
  return { messages, encoder };
}

/** What Python's own unpickler reads, as JSON; undefined where there is no Python. */
function unpickle(messages: readonly Buffer[]): unknown[] | undefined {
  const program = [
    "import sys, json, pickle",
    "texts = sys.stdin.read().split()",
    "loads = lambda text: pickle.loads(bytes.fromhex(text))",
    "rows = [[[n, t, v, type(t).__name__] for n, (t, v) in loads(text)] for text in texts]",
    "print(json.dumps(rows))",
  ].join("\n");
  const input = messages.map((message) => message.toString("hex")).join("\n");
  const { status, stdout } = spawnSync("python3", ["-c", program], { input, encoding: "utf8" });
  return status === 0 ? (JSON.parse(stdout) as unknown[]) : undefined;
}

test("a row, byte by byte", () => {
  const { messages } = pickle([batchOf([["ab", 1.5]])]);
  const expected = "80025d28" + "5802000000" + "6162" + "4a00f15365" + "473ff8000000000000" + "8686" + "652e";
  assert.deepEqual(
    messages.map((message) => message.toString("hex")),
    [expected],
  );
});

test("Python reads the very rows", (t) => {
  const later = { timestampSec: 3_000_000_000, interval: 2 };
  const batches = [
    batchOf([
      ["größe.日本;a=b", 0.1],
      ["x", -0],
    ]),
    batchOf([["y", 5e-324]], later),
  ];
  const read = unpickle(pickle(batches).messages);
  if (read === undefined) return t.skip("no python3");
  assert.deepEqual(read, [
    [
      ["größe.日本;a=b", 1_700_000_000, 0.1, "int"],
      ["x", 1_700_000_000, -0, "int"],
      ["y", 3_000_000_000, 5e-324, "float"],
    ],
  ]);
});

test("messages hold at most 500 rows, and what a slice has room for", (t) => {
  const rows = [...numberedRows("short", 1234), ...numberedRows(`long.${"n;".repeat(4000)}`, 40)];
  const { messages, encoder } = pickle([batchOf(rows)]);
  assert.deepEqual({ ...encoder.tally }, { written: 1274, invalidName: 0, notFinite: 0 });
  const read = unpickle(messages);
  if (read === undefined) return t.skip("no python3");
  const counts = read.map((message) => (message as unknown[]).length);
  assert.ok(counts.every((count) => count <= PICKLE_ROWS_MAX));
  assert.deepEqual(
    read.flat().map((row) => (row as unknown[])[0]),
    rows.map(([name]) => name),
  );
});

test("refused rows leave no trace, also where nothing else is left", () => {
  const bad = batchOf([
    ["", 1],
    ["a b", 1],
    ["a", Number.NaN],
    [`a;b=${"v".repeat(20_000)}`, 1],
  ]);
  const { messages, encoder } = pickle([bad, bad]);
  assert.deepEqual(messages, []);
  assert.deepEqual({ ...encoder.tally }, { written: 0, invalidName: 6, notFinite: 2 });
  const mixed = pickle([bad, batchOf([["good", 2]]), bad]);
  assert.deepEqual(mixed.messages, pickle([batchOf([["good", 2]])]).messages);
});
