// Events and service checks: every row of the vectors, as the column `recommended` says, and what they
// leave open.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { DogItem } from "../../aggregator/event/event.ts";
import { readEvent } from "../../aggregator/event/event-line.ts";
import { DROP_BAD_CHECK, DROP_BAD_EVENT, DROP_BAD_UTF8 } from "../../shared/kernel/reasons.ts";
import { readTsvVectors, unescapeField } from "../support/vectors.ts";

/** Stands for "now": no line of the vectors has it. */
const NOW_SEC = 1;

/** Writes an item as the vectors do. */
function described(item: DogItem): string {
  const time = item.timestampSec === NOW_SEC ? "now" : String(item.timestampSec);
  const quote = JSON.stringify;
  const scope = item.scope === undefined ? "" : ` scope=${item.scope}`;
  const tags = `tags=[${item.tags.join(", ")}]${scope}`;
  const place = `ts=${time} host=${quote(item.host)}`;
  if (item.kind === "check") {
    return `check name=${quote(item.name)} status=${item.status} ${place} msg=${quote(item.message)} ${tags}`;
  }
  const { title, text, aggregationKey, priority, source, alert } = item;
  const grouping = `key=${quote(aggregationKey)} prio=${priority} src=${quote(source)} alert=${alert}`;
  return `event title=${quote(title)} text=${quote(text)} ${place} ${grouping} ${tags}`;
}

function outcome(line: Uint8Array | string): string {
  const read = readEvent(Buffer.from(line), NOW_SEC);
  return "fault" in read ? `reject:${read.fault}` : described(read.item);
}

/** Reads a line that is good. */
function good(line: string): DogItem {
  const read = readEvent(Buffer.from(line), NOW_SEC);
  assert.ok("item" in read, line);
  return read.item;
}

function skipped(line: string): number {
  const read = readEvent(Buffer.from(line), NOW_SEC);
  assert.ok("item" in read, line);
  return read.skippedFields;
}

const rows = readTsvVectors("dogstatsd.tsv").filter(({ group }) => group === "event" || group === "check");

test("there are vectors", () => assert.ok(rows.length >= 38, `only ${rows.length}`));

for (const { id, input, recommended } of rows) {
  test(`${id}: ${input}`, () => {
    const expected = unescapeField(recommended!).toString();
    // `_e:` begins a metric of that name; whoever reads it as an event is told that it is none.
    const wanted = expected === "reject:bad-type" ? "reject:bad-prefix" : expected;
    assert.equal(outcome(unescapeField(input!)), wanted);
  });
}

test("each fault has its counter", () => {
  const reason = (line: Uint8Array | string) => {
    const read = readEvent(Buffer.from(line), NOW_SEC);
    assert.ok("fault" in read);
    return read.reason;
  };
  assert.equal(reason("_e{1,1}:ab"), DROP_BAD_EVENT);
  assert.equal(reason("_sc|a"), DROP_BAD_CHECK);
  assert.equal(reason(Buffer.from([0x5f, 0x73, 0x63, 0x7c, 0xff, 0x7c, 0x30])), DROP_BAD_UTF8);
});

test("lengths beyond all bounds are too long, and headers beyond them none", () => {
  assert.equal(outcome("_e{99999999999,3}:a|b"), "reject:too-short");
  assert.equal(outcome("_e{3,99999999999999999999999}:foo|bar"), "reject:too-short");
  assert.equal(outcome(`_e{${"9".repeat(60_000)},3}:a|b`), "reject:bad-header");
  assert.equal(outcome(`_e{1,1}:a|b${"|x".repeat(30_000)}`).startsWith("event"), true);
});

test("a length that cuts a character is refused", () => {
  assert.equal(outcome("_e{1,1}:é|b"), "reject:title-length");
  assert.equal(outcome("_e{1,1}:a|é"), "reject:text-length");
});

test("fields that say where it comes from are handed on", () => {
  const item = good("_sc|a|0|c:ci-1,in-2|e:it-false,cn-x|card:high|#device:eth0,host:h1,host:h2,x");
  const { container, external, cardinality, device, host, tags } = item;
  assert.deepEqual(
    { container, external, cardinality, device, host, tags },
    {
      container: "ci-1,in-2",
      external: "it-false,cn-x",
      cardinality: "high",
      device: "eth0",
      host: "h2",
      tags: ["x"],
    },
  );
});

test("of a repeated field the last counts, also where it takes something back", () => {
  const item = good("_e{1,1}:a|b|#x,device:d,veneurlocalonly|#y|k:1|k:|s:one|s:two|p:low|t:success|d:5|d:6");
  assert.deepEqual(item, {
    kind: "event",
    title: "a",
    text: "b",
    timestampSec: 6,
    host: "",
    tags: ["y"],
    aggregationKey: "",
    source: "two",
    priority: "low",
    alert: "success",
  });
});

test("wrong, unknown and empty fields are passed over and counted", () => {
  assert.equal(skipped("_e{1,1}:a|b|d:0|d:-1|d:1.5|d:99999999999|d:|p:high|t:bad|card:all|c:|e:|x:y|"), 12);
  assert.equal(skipped("_e{1,1}:a|b|m:not for events|constructor:x|__proto__:x|D:5"), 4);
  assert.equal(skipped("_sc|a|0|k:not for checks|p:low||toString:"), 4);
  assert.equal(skipped("_sc|a|0|#|h:|m:"), 0);
  assert.equal(good("_e{1,1}:a|b|d:0|d:99999999999").timestampSec, NOW_SEC);
});

test("tags are sorted by their bytes", () => {
  // U+10000 comes behind U+FF5E in bytes, and before it in UTF-16.
  assert.deepEqual(good("_sc|a|0|#\u{10000},\uff5e,b,,a,b").tags, ["a", "b", "\uff5e", "\u{10000}"]);
});
