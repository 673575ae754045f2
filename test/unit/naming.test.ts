import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  Namer,
  type NamerOptions,
  type NamingDestination,
  type NamingRule,
} from "../../aggregator/naming.ts";
import { OperatorError } from "../../shared/errors.ts";
import { METRIC_TYPES, type MetricType, parseAggregate } from "../../shared/metric.ts";

const TIMER = METRIC_TYPES.indexOf("timer");
const DESTINATIONS: readonly NamingDestination[] = ["smart", "name", "tag", "both"];

function namerOf(rule: Partial<NamingRule>, aggregate: string, options: NamerOptions = {}): Namer {
  const whole: NamingRule = { destination: "smart", prefix: "", tag: "aggregate", ...rule };
  const perType = <T>(value: T) =>
    Object.fromEntries(METRIC_TYPES.map((type) => [type, value])) as Record<MetricType, T>;
  const parsed = parseAggregate(aggregate);
  assert.ok(parsed);
  return new Namer(perType(whole), perType([parsed]), options);
}

/** Names a key through a buffer whose surroundings must stay as they are. */
function nameOf(
  key: Buffer,
  rule: Partial<NamingRule>,
  aggregate: string,
  options: NamerOptions = {},
): string {
  const namer = namerOf(rule, aggregate, options);
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
  ["a.b;aggregate!=1;aggregate=2", {}, "sum", "a.b;aggregate=sum;aggregate_=1"],
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

const text = (aggregate: string, words: string) => [{ aggregate, text: words }];

/** Suffixes, overrides, and other words for aggregates. */
const wordCases: Case[] = [
  ["a.b", { suffix: "h" }, "sum", "a.b.sum.h"],
  ["a.b", { suffix: ".h" }, "value", "a.b.h"],
  ["a.b;z=1", { suffix: "h", destination: "name" }, "sum", "a.b.sum.h;z=1"],
  ["a.b;z=1", { suffix: "h" }, "sum", "a.b.h;aggregate=sum;z=1"],
  ["a.b", { suffix: "h", destination: "both" }, "sum", "a.b.sum.h;aggregate=sum"],
  ["t", { prefix: "g", postfixes: text("max", "upper") }, "max", "g.t.upper"],
  ["t", { prefix: "g", postfixes: text("max", "upper") }, "min", "g.t.min"],
  ["t", { postfixes: text("max", ".upper") }, "max", "t.upper"],
  ["t", { postfixes: [...text("max", "upper"), ...text("max", "top")] }, "max", "t.top"],
  ["t", { prefixOverrides: text("updates", "dbg") }, "updates", "dbg.t.updates"],
  ["t", { prefix: "g", prefixOverrides: text("updates", "dbg") }, "sum", "g.t.sum"],
  ["t", { prefix: "g", prefixOverrides: text("updates", "") }, "updates", "t.updates"],
  ["t", { postfixes: text("updates", "") }, "updates", "t"],
  ["t;x=1", { postfixes: text("updates", "") }, "updates", "t;aggregate=updates;x=1"],
  ["t;x=1", { tagValues: text("max", "upper") }, "max", "t;aggregate=upper;x=1"],
  ["t;x=1", { tagValues: text("max", "") }, "max", "t;x=1"],
  ["t", { tagValues: text("max", ""), destination: "both" }, "max", "t.max"],
  ["t", { postfixes: text("value", "count"), destination: "name" }, "value", "t.count"],
  ["t;x=1", { tagValues: text("value", "all") }, "value", "t;aggregate=all;x=1"],
];

/** Tags that carbon's own parser refuses. */
const mendedCases: Case[] = [
  ["a;bare", {}, "value", "a;bare=true"],
  ["a;bare;z=1", { destination: "name" }, "sum", "a.sum;bare=true;z=1"],
  ["a;k=", {}, "value", "a;k=none"],
  ["a;=v", {}, "value", "a;_=v"],
  ["a;=", {}, "value", "a;_=none"],
  ["a;k!x^y=a!b^c", {}, "value", "a;k_x_y=a!b^c"],
  ["a;k=~v~", {}, "value", "a;k=_v~"],
  ["a;k=a=b", {}, "value", "a;k=a=b"],
  ["a;bare", {}, "sum", "a;aggregate=sum;bare=true"],
];

const cases = [...tableCases, ...referenceCases, ...edgeCases, ...wordCases, ...mendedCases];
for (const [key, rule, aggregate, expected] of cases) {
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
  assert.ok(namer.maxExtraBytes >= "counter.".length + ".rate".length);
});

test("etsy's tags stay as they came", () => {
  const key = Buffer.from("a;bare;k=;=v;x!=~y");
  assert.equal(nameOf(key, {}, "value", { preset: "etsy" }), "a;bare;k=;=v;x!=~y");
  assert.equal(nameOf(key, {}, "value", { preset: "etsy-legacy" }), "a;bare;k=;=v;x!=~y");
});

const prometheusCases: Case[] = [
  ["a.b-c/d", {}, "count", "a_b_c_d_count"],
  ["a:b", {}, "value", "a:b"],
  ["9a.b", {}, "sum", "_9a_b_sum"],
  ["9a", { prefix: "p.q" }, "sum", "p_q_9a_sum"],
  ["a", { suffix: "x-y" }, "sum", "a_sum_x_y"],
  ["a.b;h.x=1.2;9z=~;bare", {}, "max", "a_b_max;h_x=1.2;_9z=_;bare=true"],
  [
    "a.b;z=1",
    { tag: "quantile", tagValues: text("percentile-99", "0.99") },
    "percentile-99",
    "a_b;quantile=0.99;z=1",
  ],
  ["a.b", { tag: "quantile" }, "percentile-99", "a_b;quantile=percentile.99"],
  ["a.b", { destination: "name" }, "percentile-99", "a_b_percentile_99"],
  ["größe", {}, "value", "gr____e"],
];

for (const [key, rule, aggregate, expected] of prometheusCases) {
  test(`Prometheus's ${aggregate} of ${key} ${JSON.stringify(rule)} is ${expected}`, () => {
    assert.equal(nameOf(Buffer.from(key), rule, aggregate, { preset: "prometheus" }), expected);
  });
}

test("more tags than the kernel takes are not mended, and the name keeps within its bound", () => {
  const tags = Array.from({ length: 300 }, () => "b");
  const name = nameOf(Buffer.from(["a", ...tags].join(";")), {}, "value");
  const written = name.split(";").slice(1);
  assert.equal(written.filter((tag) => tag === "b=true").length, 256);
  assert.equal(written.filter((tag) => tag === "b").length, 44);
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
  const written = tags.map((part) => (part.endsWith("\0") ? part.slice(0, -1) : mendTag(part)));
  return [(prefix === "" ? "" : `${prefix}.`) + body, ...written].join(";");
}

function mendTag(part: string): string {
  const [, key = "", value] = /^([^=]*)(?:=(.*))?$/s.exec(part)!;
  const written = value === undefined ? "true" : value.replace(/^~/, "_");
  return `${key.replace(/[!^]/g, "_") || "_"}=${written || "none"}`;
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

/** carbon's own rules: TaggedSeries.parse() in its util.py, and lines of three fields. */
function isCarbonName(name: string): boolean {
  const [metric, ...tags] = name.split(";");
  return metric !== "" && tags.every((tag) => /^[^!^=]+=[^~]/s.test(tag));
}

test("whatever tags a series has, carbon takes its name", () => {
  const tag = fc.string({ unit: fc.constantFrom("a", "=", "!", "^", "~", ".", ""), maxLength: 5 });
  const rule = fc.record({
    destination: fc.constantFrom(...DESTINATIONS),
    prefix: fc.constantFrom("", "p"),
    tag: fc.constantFrom("a", "b"),
  });
  fc.assert(
    fc.property(fc.array(tag, { maxLength: 6 }), rule, (tags, one) => {
      const key = ["x", ...tags.sort()].join(";");
      for (const preset of ["bioyino", "veneur", "prometheus"] as const) {
        const name = nameOf(Buffer.from(key), one, "sum", { preset });
        assert.ok(isCarbonName(name), `${preset}: ${key} is ${name}`);
      }
    }),
    { numRuns: 1000 },
  );
});
