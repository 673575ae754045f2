import assert from "node:assert/strict";
import { test } from "node:test";
import {
  compareHello,
  HELLO_BYTES_MAX,
  type Hello,
  isNodeName,
  memberDifferences,
  readHello,
  speakHello,
} from "../../cluster/transport/hello.ts";
import { newPacket } from "../../cluster/transport/packet.ts";
import { helloOf, MEMBERS } from "../support/peer-rig.ts";

const own = helloOf("n1");
const compare = (given: Partial<Hello>): string | undefined => compareHello(own, helloOf("n2", given));

test("equal nodes fit, and those one version apart", () => {
  assert.equal(compare({}), undefined);
  for (const version of [2, 1]) assert.equal(compare({ version }), undefined);
  assert.equal(compareHello(helloOf("n1", { version: 7 }), helloOf("n2", { version: 6 })), undefined);
  assert.match(compare({ version: 3 })!, /protocol version is 1 here and 3 there/);
});

test("one member may differ, on either side, and no more", () => {
  assert.equal(compare({ members: [...MEMBERS, "n4"] }), undefined);
  assert.equal(compare({ members: ["n2", "n1"] }), undefined);
  assert.equal(compare({ members: ["n3", "n2", "n1"] }), undefined);
  assert.match(compare({ members: ["n1", "n2", "n4"] })!, /members are n1, n2, n3 here and n1, n2, n4 there/);
  assert.deepEqual(memberDifferences(own, helloOf("n2", { members: ["n1", "n2", "n4"] })), ["n3", "n4"]);
});

test("a node that is no member on both sides is refused, an agent is not", () => {
  assert.match(compareHello(own, helloOf("n4"))!, /"n4" is no member of the cluster here/);
  assert.match(compare({ members: ["n2", "n3"] })!, /"n1" is no member of the cluster there/);
  assert.equal(compareHello(own, helloOf("a1", { role: "agent", members: [] })), undefined);
  assert.equal(compareHello(helloOf("a1", { role: "agent", members: [] }), own), undefined);
  assert.match(compareHello(own, helloOf("n3", { role: "agent" }))!, /two nodes claim the name "n3"/);
  assert.match(compareHello(own, helloOf("n1", { incarnation: "x" }))!, /two nodes claim the name "n1"/);
});

test("the first settings that differ are named, and others counted", () => {
  const settings = Object.fromEntries(Array.from({ length: 6 }, (_, index) => [`a.${index}`, "left"]));
  const right = Object.fromEntries(Object.keys(settings).map((key) => [key, "right"]));
  const refusal = compareHello(
    { ...own, settings },
    helloOf("n2", { settings: { ...right, "a.0": "left" } }),
  );
  assert.equal(
    refusal,
    'a.1 is "left" here and "right" there; a.2 is "left" here and "right" there; ' +
      'a.3 is "left" here and "right" there; and 2 more differ',
  );
});

test("settings that one side does not know do not count", () => {
  assert.equal(compare({ settings: { interval: "10000", new: "x", toString: "y" } }), undefined);
  assert.equal(compare({ settings: {} }), undefined);
});

test("of long settings the part that differs is shown", () => {
  const long = "count, ".repeat(50);
  const refusal = compareHello(
    { ...own, settings: { a: `${long}max, ${long}` } },
    helloOf("n2", { settings: { a: `${long}min, ${long}` } }),
  )!;
  assert.ok(refusal.length < 150, refusal);
  assert.match(refusal, /^a is "\.\.\..*, max, .*\.\.\." here and "\.\.\..*, min, .*\.\.\." there$/);
});

test("names that would be no header, path or log field are none", () => {
  for (const name of ["n1", "a.b-c_d", "10.0.0.1:8137", "_x", "x".repeat(128)])
    assert.ok(isNodeName(name), name);
  for (const name of ["", " n1", "a b", "a\n", "-x", ".", "é", "x".repeat(129)]) {
    assert.ok(!isNodeName(name), name);
  }
});

test("a hello cannot bring a prototype along, nor more than fits", () => {
  const json = JSON.stringify(own).replace('"settings":{', '"settings":{"__proto__":"x",');
  const read = readHello(newPacket("hello", Buffer.from(json)))!;
  assert.equal(Object.getPrototypeOf(read.settings), Object.prototype);
  assert.ok(Object.hasOwn(read.settings, "__proto__"));
  assert.equal(compareHello(own, { ...read, node: "n2" }), undefined);
  const object = json.replace('"__proto__":"x"', '"__proto__":{"interval":"1"}');
  assert.equal(readHello(newPacket("hello", Buffer.from(object))), undefined);
  const large = { ...own, settings: { a: "x".repeat(65_536), b: "x".repeat(65_536) } };
  assert.ok(readHello(speakHello(large).packet) !== undefined);
  const larger = { ...large.settings, c: large.settings.a, d: large.settings.a };
  const { packet } = speakHello({ ...own, settings: larger });
  assert.ok(packet.length > HELLO_BYTES_MAX);
  assert.equal(readHello(packet), undefined);
});
