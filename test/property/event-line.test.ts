// Whatever comes as an event or a check, reading it ends with an item or a reason; what was written is
// read back.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { readEvent } from "../../aggregator/event/event-line.ts";

const piece = fc.oneof(
  fc.constantFrom(
    "_e{",
    "_sc|",
    "|",
    "}:",
    ",",
    "#",
    "d:",
    "h:",
    "m:",
    "t:error",
    "\\n",
    "\r",
    "é",
    ":",
    "|0",
  ),
  fc.nat(200).map(String),
  fc.string({ unit: "binary", maxLength: 8 }),
);
const noise = fc
  .tuple(fc.array(piece, { maxLength: 30 }), fc.uint8Array({ maxLength: 6 }))
  .map(([pieces, bytes]) => Buffer.concat([Buffer.from(pieces.join("")), bytes]));
const hostile = fc.oneof(
  noise,
  noise.map((bytes) => Buffer.concat([Buffer.from("_e{"), bytes])),
  noise.map((bytes) => Buffer.concat([Buffer.from("_e{3,3}:foo|bar|"), bytes])),
  noise.map((bytes) => Buffer.concat([Buffer.from("_sc|a|1|"), bytes])),
);

test("nothing makes it throw, and every line ends one way", () => {
  fc.assert(
    fc.property(hostile, (line) => {
      const copy = Buffer.from(line);
      const read = readEvent(line, 1);
      assert.deepEqual(line, copy);
      assert.equal("item" in read, !("fault" in read));
      if ("item" in read) {
        const { item } = read;
        assert.notEqual(item.kind === "event" ? item.title : item.name, "");
        assert.ok(Number.isSafeInteger(item.timestampSec) && item.timestampSec > 0);
        assert.equal(new Set(item.tags).size, item.tags.length);
        assert.ok(item.tags.every((tag) => tag !== "" && !tag.includes(",")));
      } else {
        assert.ok(read.reason > 0);
      }
    }),
    { numRuns: 3000 },
  );
});

/** Any text that a client can send: of characters, on one line, and with no `\n` of its own. */
const text = fc.string({ unit: "grapheme", maxLength: 20 }).filter((one) => !/[\r\n\\]/.test(one));
const word = text.map((one) => one.replace(/[|,]/g, ""));

test("what a client writes is what is read, bars in title and text included", () => {
  fc.assert(
    fc.property(
      fc.record({ title: text.filter((one) => one !== ""), body: text, host: word, key: word, tag: word }),
      ({ title, body, host, key, tag }) => {
        const lengths = `${Buffer.byteLength(title)},${Buffer.byteLength(body)}`;
        const line = `_e{${lengths}}:${title}|${body}|d:7|h:${host}|k:${key}|#x${tag}`;
        const read = readEvent(Buffer.from(line), 1);
        assert.ok("item" in read && read.item.kind === "event", line);
        const { item } = read;
        assert.deepEqual(
          [item.title, item.text, item.host, item.aggregationKey, item.tags, item.timestampSec],
          [title, body, host, key, [`x${tag}`], 7],
        );
      },
    ),
    { numRuns: 1000 },
  );
});
