import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Namer, type NamingDestination, type NamingRule } from "../../aggregator/naming.ts";
import { OperatorError } from "../../shared/errors.ts";
import { METRIC_TYPES, type MetricType, parseAggregate } from "../../shared/metric.ts";

const TIMER = METRIC_TYPES.indexOf("timer");
const DESTINATIONS: readonly NamingDestination[] = ["smart", "name", "tag", "both"];

function namerOf(rule: Partial<NamingRule>, aggregate: string): Namer {
  const whole: NamingRule = { destination: "smart", prefix: "", tag: "aggregate", ...rule };
  const perType = <T>(value: T) =>
    Object.fromEntries(METRIC_TYPES.map((type) => [type, value])) as Record<MetricType, T>;
  const parsed = parseAggregate(aggregate);
  assert.ok(parsed);
  return new Namer(perType(whole), perType([parsed]));
}

/** Names a key through a buffer whose surroundings must stay as they are. */
function nameOf(key: Buffer, rule: Partial<NamingRule>, aggregate: string): string {
  const namer = namerOf(rule, aggregate);
  const source = Buffer.concat([Buffer.from(";=x"), key, Buffer.from(";=x")]);
  const target = Buffer.alloc(key.length + namer.maxExtraBytes + 4, "#");
  const length = namer.write(target, 2, source, 3, 3 + key.length, TIMER, 0);
  const isUntouched = (byte: number, index: number) =>
    (index >= 2 && index < 2 + length) || byte === "#".charCodeAt(0);
  assert.ok(target.every(isUntouched), "bytes outside of the name were written");
  assert.ok(length <= key.length + namer.maxExtraBytes);
  return target.toString("latin1", 2, 2 + length);
}

type Case = readonly [key: string, rule: Partial<NamingRule>, aggregate: string, expected: string];

const tableCases: Case[] = [
  ["a.b", { destination: "smart" }, "sum", "a.b.sum"],
  ["a.b", { destination: "name" }, "sum", "a.b.sum"],
  ["a.b", { destination: "tag" }, "sum", "a.b;aggregate=sum"],
  ["a.b", { destination: "both" }, "sum", "a.b.sum;aggregate=sum"],
  ["a.b;z=1", { destination: "smart" }, "sum", "a.b;aggregate=sum;z=1"],
  ["a.b;z=1", { destination: "name" }, "sum", "a.b.sum;z=1"],
  ["a.b;z=1", { destination: "tag" }, "sum", "a.b;aggregate=sum;z=1"],
  ["a.b;z=1", { destination: "both" }, "sum", "a.b.sum;aggregate=sum;z=1"],
];

/** Names that bioyino itself wrote for these keys, but for the two that it got wrong. */
const referenceCases: Case[] = [
  ["a.b;b=2;z=1", { prefix: "pre" }, "sum", "pre.a.b;aggregate=sum;b=2;z=1"],
  ["a.b;b=2;z=1", { prefix: "pre", destination: "name" }, "sum", "pre.a.b.sum;b=2;z=1"],
  ["a.b;aaa=2;zz=1", { tag: "mid" }, "sum", "a.b;aaa=2;mid=sum;zz=1"],
  ["a.b;aaa=2", { tag: "zzz" }, "sum", "a.b;aaa=2;zzz=sum"],
  ["a.b;", { destination: "name" }, "sum", "a.b.sum"],
  ["a.b;", {}, "sum", "a.b;aggregate=sum"],
  ["t", {}, "percentile-75", "t.percentile.75"],
  ["c", {}, "value", "c"],
];

const edgeCases: Case[] = [
  ["a.b;aggregate=mine;z=1", {}, "sum", "a.b;aggregate=sum;z=1"],
  ["a.b;aggregate;z=1", {}, "sum", "a.b;aggregate=sum;z=1"],
  ["a.b;aggregate=1;aggregate=2", { destination: "both" }, "sum", "a.b.sum;aggregate=sum"],
  ["a.b;aggregate=mine", { destination: "name" }, "sum", "a.b.sum;aggregate=mine"],
  // Byte-wise, `aggregate!` lies between the bare key and `aggregate=`.
  ["a.b;aggregate!=1;aggregate=2", {}, "sum", "a.b;aggregate=sum;aggregate!=1"],
  ["a.b;aggregates=1", {}, "sum", "a.b;aggregate=sum;aggregates=1"],
  ["a.b;aggregat=1", {}, "sum", "a.b;aggregat=1;aggregate=sum"],
  ["a.b;aggregate=mine", {}, "value", "a.b;aggregate=mine"],
  ["a.b;z=1", { destination: "both", prefix: "p" }, "value", "p.a.b;z=1"],
  ["a.b", { destination: "tag" }, "value", "a.b"],
  ["a.b;", { destination: "both" }, "value", "a.b"],
  ["a.b;", { destination: "tag" }, "sum", "a.b;aggregate=sum"],
  ["a.b;;;", { destination: "both" }, "sum", "a.b.sum;aggregate=sum"],
  ["a.b;x=1;;y=2;", { destination: "name" }, "sum", "a.b.sum;x=1;y=2"],
  ["a.b", { prefix: "g" }, "sum", "g.a.b.sum"],
  ["a.b", { prefix: "g.h." }, "sum", "g.h.a.b.sum"],
  ["a.b", { prefix: "." }, "sum", "a.b.sum"],
  [".a..b.", {}, "sum", ".a..b..sum"],
  ["a.b;host=x", { tag: "stat" }, "percentile-99.9", "a.b;host=x;stat=percentile.99.9"],
];

for (const [key, rule, aggregate, expected] of [...tableCases, ...referenceCases, ...edgeCases]) {
  test(`${aggregate} of ${key} ${JSON.stringify(rule)} is ${expected}`, () => {
    assert.equal(nameOf(Buffer.from(key), rule, aggregate), expected);
  });
}

test("bytes are copied as they are, valid UTF-8 or not", () => {
  assert.equal(
    nameOf(Buffer.from("\xff\x00\x80;k=\xfe", "latin1"), {}, "max"),
    "\xff\x00\x80;aggregate=max;k=\xfe",
  );
  const postfixed = nameOf(Buffer.from("größe"), { prefix: "ü" }, "max");
  assert.equal(Buffer.from(postfixed, "latin1").toString("utf8"), "ü.größe.max");
});

test("types and aggregates have their own names", () => {
  const aggregates = { counter: ["value", "rate"], gauge: ["value"], timer: ["max"], set: ["count"] };
  const rules = Object.fromEntries(
    METRIC_TYPES.map((type) => [type, { destination: "name", prefix: type, tag: "" }]),
  ) as Record<MetricType, NamingRule>;
  const parsed = Object.fromEntries(
    METRIC_TYPES.map((type) => [type, aggregates[type].map((name) => parseAggregate(name)!)]),
  ) as Record<MetricType, NonNullable<ReturnType<typeof parseAggregate>>[]>;
  const namer = new Namer(rules, parsed);
  const target = Buffer.alloc(64);
  const name = (type: MetricType, aggregate: number) =>
    target.toString(
      "latin1",
      0,
      namer.write(target, 0, Buffer.from("x"), 0, 1, METRIC_TYPES.indexOf(type), aggregate),
    );
  assert.equal(name("counter", 0), "counter.x");
  assert.equal(name("counter", 1), "counter.x.rate");
  assert.equal(name("set", 0), "set.x.count");
  assert.equal(namer.maxExtraBytes, "counter.".length + ".rate".length);
});

test("a tag key that is none is the operator's fault", () => {
  for (const tag of ["", "a=b", "a;b", "a b"]) {
    assert.throws(() => namerOf({ tag }, "sum"), OperatorError, tag);
    assert.doesNotThrow(() => namerOf({ tag, destination: "name" }, "sum"));
  }
});

/** The rules once more, as slowly and plainly as they can be written. */
function slowName(key: string, rule: NamingRule, label: string): string {
  const [name, ...parts] = key.split(";");
  const isTagged = key.includes(";");
  const { destination, prefix, tag } = rule;
  const inTag = destination === "tag" || destination === "both" || (destination === "smart" && isTagged);
  const inName = destination === "name" || destination === "both" || (destination === "smart" && !isTagged);
  let tags = parts.filter((part) => part !== "");
  if (inTag && label !== "") {
    const before = tags.findIndex((part) => part >= tag);
    tags.splice(before < 0 ? tags.length : before, 0, `${tag}=${label}\0`);
    tags = tags.filter((part) => part.endsWith("\0") || !(part === tag || part.startsWith(`${tag}=`)));
  }
  const body = `${name}${inName && label !== "" ? `.${label}` : ""}`;
  return [(prefix === "" ? "" : `${prefix}.`) + body, ...tags].join(";").replace("\0", "");
}

/** Few letters, so that keys of tags meet often; one of them above ASCII. */
const letters = (maxLength: number, minLength = 0) =>
  fc.string({ unit: fc.constantFrom("a", "b", "=", "!", ".", "\xe9"), minLength, maxLength });

test("names are those of a slow implementation, for any key", () => {
  const rule = fc.record({
    destination: fc.constantFrom(...DESTINATIONS),
    prefix: fc.constantFrom("", "p", "p.q"),
    tag: fc.constantFrom("a", "ab", "b", "zz", "a!"),
  });
  const key = fc
    .tuple(letters(6, 1), fc.array(letters(4), { maxLength: 5 }))
    .map(([name, tags]) => [name, ...tags.sort((left, right) => (left < right ? -1 : 1))].join(";"));
  const aggregate = fc.constantFrom("value", "sum", "percentile-99");
  fc.assert(
    fc.property(key, rule, aggregate, (text, one, kind) => {
      const expected = slowName(text, one, parseAggregate(kind)!.label);
      assert.equal(nameOf(Buffer.from(text, "latin1"), one, kind), expected);
    }),
    { numRuns: 3000 },
  );
});
