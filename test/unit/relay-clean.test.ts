/** What the relay's kernel does to lines before it routes them: trimming, validation, tags in names. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Packer } from "../../relay/packer.ts";
import { DROP_INVALID, DROP_TOO_LONG } from "../../shared/kernel/relay-codes.ts";
import { fillSlots, PacketLog } from "../support/packets.ts";
import { loadPacker, type PlanOptions } from "../support/plans.ts";

const INVALID = "invalid";
const TOO_LONG = "too long";
const TAGS_MAX = 256;
const LINE_BYTES_MAX = 65_536;

/** Passes one line through a kernel. Returns it as it leaves, or why it does not. */
function passLine(packer: Packer, line: string): string {
  const { exports } = packer;
  const before = [DROP_INVALID, DROP_TOO_LONG].map((code) => exports.linesDropped(code));
  const log = new PacketLog(packer);
  fillSlots(packer, [Buffer.from(line, "latin1")]);
  for (let code = exports.consume(1); code !== 0; code = exports.consume(1)) packer.judgeNames();
  exports.flush();
  log.take();
  if (exports.linesDropped(DROP_INVALID) > before[0]!) return INVALID;
  if (exports.linesDropped(DROP_TOO_LONG) > before[1]!) return TOO_LONG;
  return log.packets.map(({ payload }) => payload.toString("latin1")).join("");
}

type Cases = readonly (readonly [line: string, left: string])[];

/** Checks cases in both builds. A case's second text is the line without its line feed, or why it goes. */
async function check(options: Omit<PlanOptions, "entries">, cases: Cases): Promise<void> {
  for (const debug of [false, true]) {
    const packer = await loadPacker({ ...options, entries: ["h:1"] }, { debug });
    for (const [line, left] of cases) {
      const expected = left === INVALID || left === TOO_LONG ? left : `${left}\n`;
      assert.equal(passLine(packer, line), expected, JSON.stringify(line.slice(0, 200)));
    }
  }
}

test("carriage returns are taken off the ends of lines, and off nothing else", async () => {
  await check({ trimCr: true }, [
    ["a:1|c\r", "a:1|c"],
    ["a:1|c\r\r\r", "a:1|c"],
    ["a:1\r|c\r", "a:1\r|c"],
    ["a\r:1|c", "a\r:1|c"],
    ["a:\r\r", "a:"],
    [":\r", ":"],
    ["\r\ra:1|c\r", "a:1|c"],
    ["a:1|c\r\0", "a:1|c\r\0"],
    [`a:${"\r".repeat(65_000)}`, "a:"],
  ]);
  await check({}, [["a:1|c\r\r", "a:1|c\r\r"]]);
});

test("lines that are no statsd lines are dropped", async () => {
  const valid = [
    ...["a:1|c", "a:1|g", "a:1|ms", "a:1|h", "a:1|d", "a:1|s", "a:1|m", "a:-1|g", "a:+1|g", "a:text|s"],
    ...["a:1|c|@0.5", "a:1|c|#x:y", "a:1|c|@0.5|#x:y,z", "a:1|c|#x|c:container|T17", "a:1:2:3|ms|#x"],
    ...["a:1|c:2|g", "a:1|ms:2|ms|@0.1", "a:1|c\r", "a:1|ms\r\r", "a;x=y:1|c", "a b:1|c", "\xff\xfe:1|c"],
    ...["_e{5,4}:title|text", "_e{1,1}:a|b|#x", "_sc|name|0|m:text", "_sc|a:b|9", "_sc:1|c", "_e:1|c"],
    ...[`${"n".repeat(60_000)}:1|c`, `a:${"1".repeat(60_000)}|c`, "a:x|c", "a: |c", "_:1|c"],
  ];
  const invalid = [
    ...["a:", ":1|c", "a:1", "a:|c", "a:1|", "a:1|k", "a:1|C", "a:1|cc", "a:1|msx", "a:1|mss", "a:1|sm"],
    ...["a:1|c,#x", "a:1|c ", "a:1||c", "a:1|\r", "a::", ":", "_e{", "_s:1", "_x{:1", "a:1|#x|c", "a:1|@1"],
  ].filter((line) => line.includes(":"));
  await check({ validate: true }, [
    ...valid.map((line) => [line, line] as const),
    ...invalid.map((line) => [line, INVALID] as const),
    ...valid.map((line) => [line, line] as const),
  ]);
  await check({ validate: true, trimCr: true }, [
    ["a:1|c\r", "a:1|c"],
    ["a:1|\r", INVALID],
    ["a:\r", INVALID],
  ]);
});

const MANY = Array.from({ length: TAGS_MAX }, (_, index) => `t${String(index).padStart(3, "0")}:v`);

test("tags move behind the name as graphite has them", async () => {
  await check({ tagFormat: "graphite" }, [
    ["app.requests:12|c|#b:2,a:1", "app.requests;a=1;b=2:12|c"],
    ["a:1|c", "a:1|c"],
    ["a:1|c|@0.5|#x:y", "a;x=y:1|c|@0.5"],
    ["a:1|c|#x:y|@0.5", "a;x=y:1|c|@0.5"],
    ["a:1|c|#x:y|c:container|T17", "a;x=y:1|c|c:container|T17"],
    ["a:1|c|#x:y\r", "a;x=y:1|c\r"],
    ["a:1|c|#", "a:1|c"],
    ["a:1|c|#,,", "a:1|c"],
    ["a:1|c|#,x:y,", "a;x=y:1|c"],
    ["a:1|c|#bare", "a;bare=true:1|c"],
    ["a:1|c|#k:", "a;k=true:1|c"],
    ["a:1|c|#:", "a;=true:1|c"],
    ["a:1|c|#x:y:z", "a;x=y_z:1|c"],
    ["a:1|c|#url:http://h;p=q", "a;url=http_//h_p_q:1|c"],
    ["a:1|c|#k=v", "a;k_v=true:1|c"],
    ["a:1|c|#v.w:x.y", "a;v.w=x.y:1|c"],
    ["a:1|c|#bb:1,b:2,b", "a;b=true;b=2;bb=1:1|c"],
    ["a:1|c|#\xff:1,z:1,A:1", "a;A=1;z=1;\xff=1:1|c"],
    ["a;z=1:1|c|#b:2", "a;z=1;b=2:1|c"],
    ["a|#x:1|c|#y", "a|#x;y=true:1|c"],
    ["a:1|c|#x|#y", "a;x=true:1|c|#y"],
    [":1|c|#x", ";x=true:1|c"],
    ["_e{1,1}:a|b|#x", "_e{1,1}:a|b|#x"],
    ["_sc|a:b|0|#x", "_sc|a:b|0|#x"],
    [`a:1|c|#${MANY.toReversed()}`, `a;${MANY.join(";").replaceAll(":", "=")}:1|c`],
    [`a:1|c|#${MANY},x`, TOO_LONG],
  ]);
});

test("tags become parts of the name, as Lyft's relay has them", async () => {
  await check({ tagFormat: "name" }, [
    ["app.requests:12|c|#b:2,a:1", "app.requests.__a=1.__b=2:12|c"],
    ["a:1|c|@0.5|#v.w:x.y,bare|c:id\r", "a.__bare=true.__v_w=x_y:1|c|@0.5|c:id\r"],
    ["a:1|c|#k:,:v", "a.__=v.__k=true:1|c"],
    ["a:1|c|#", "a:1|c"],
    [`a:1|c|#${MANY}`, `a.__${MANY.join(".__").replaceAll(":", "=")}:1|c`],
  ]);
});

test("tags of a line that could outgrow a datagram are not moved", async () => {
  const tags = "|#x,y";
  const longest = "n".repeat(LINE_BYTES_MAX - 2 * 8 - ":1|c".length - tags.length);
  await check({ tagFormat: "name", packetlen: 1400 }, [
    [`${longest}:1|c${tags}`, `${longest}.__x=true.__y=true:1|c`],
    [`${longest}n:1|c${tags}`, TOO_LONG],
    [`${longest}n:1|c`, `${longest}n:1|c`],
  ]);
});

test("lines are trimmed, then validated, then converted", async () => {
  await check({ trimCr: true, validate: true, tagFormat: "graphite" }, [
    ["a:1|c|#x:y\r", "a;x=y:1|c"],
    ["a:1|#x:y|c", INVALID],
    ["a:1|c\r|#x", "a;x=true:1|c\r"],
  ]);
});

test("tags of a route follow the tags of the line as it leaves, not as it came", async () => {
  const options = { metricsTags: "x:y" };
  for (const [rename, line, left] of [
    ["q -> r", "a|#b:1|c", "a|#b:1|c,x:y\n"],
    ["a** -> r", "a|#b:1|c", "r:1|c|#x:y\n"],
    ["a** -> r", "a|#b:1|c|#c", "r:1|c|#c,x:y\n"],
    ["/b/ -> r", "a|#b:1|c", "a|#r:1|c,x:y\n"],
  ] as const) {
    const packer = await loadPacker({ ...options, entries: ["h:1"], rename: [rename] });
    assert.equal(passLine(packer, line), left);
  }
});
