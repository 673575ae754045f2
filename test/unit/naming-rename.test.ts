/** Rename rules of output names. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { OutputRenamer, RENAMED_BYTES_MAX } from "../../aggregator/naming/output-renamer.ts";
import { Namer } from "../../aggregator/naming.ts";
import { parseConfig } from "../../shared/config.ts";
import { OperatorError } from "../../shared/errors.ts";
import { METRIC_TYPES, type MetricType } from "../../shared/metric.ts";

const { naming, aggregation } = parseConfig("[naming.default]\nprefix = p", "suite.ini");
const SUM = aggregation.timer.findIndex(({ name }) => name === "sum");

/** Names keys in one buffer with nothing but the room that was asked for. */
function namesOf(namer: Namer, keys: readonly string[], type: MetricType = "timer", index = SUM): string[] {
  return keys.map((key) => {
    const source = Buffer.from(key, "latin1");
    const target = Buffer.alloc(1 + source.length + namer.maxExtraBytes + 1, "#");
    const length = namer.write(target, 1, source, 0, source.length, METRIC_TYPES.indexOf(type), index);
    assert.equal(target[0], 0x23);
    assert.equal(target.at(-1), 0x23);
    return target.toString("latin1", 1, 1 + length);
  });
}

const namerOf = (...rename: string[]) => new Namer(naming, aggregation, { rename });

test("the first rule that fits applies to the name as written, and leaves tags alone", () => {
  const namer = namerOf("p.app.*.sum -> apps.$1.total", "p.app.** -> rest.$1", "/^p\\.db/ -> database");
  assert.deepEqual(namesOf(namer, ["app.a", "app.a.b", "db.x", "other", "app.t;z=1", "db;bare"]), [
    "apps.a.total",
    "rest.a.b.sum",
    "database.x.sum",
    "p.other.sum",
    // Told in a tag, the aggregate is no part of the name.
    "rest.t;aggregate=sum;z=1",
    "database;aggregate=sum;bare=true",
  ]);
  assert.equal(namer.refusedRenames, 0);
});

test("a name is judged once, and renamed every time", () => {
  const namer = namerOf("p.a.* -> b.$1");
  for (let round = 0; round < 3; round++) assert.deepEqual(namesOf(namer, ["a", "c"]), ["b.sum", "p.c.sum"]);
});

test("what is no name is left out and counted for each row", () => {
  const namer = namerOf(
    "/^p\\.empty\\.sum$/ -> $1x".replace("$1x", "$0$0$0$0$0$0$0$0$0$0"),
    "p.long.* -> $1$1",
  );
  const long = `long.${"x".repeat(3000)}`;
  assert.deepEqual(namesOf(namer, [long, long]), [`p.${long}.sum`, `p.${long}.sum`]);
  assert.equal(namer.refusedRenames, 0, "the glob takes one part only");
  const deep = namerOf("p.** -> $1$1");
  assert.deepEqual(namesOf(deep, [long, long, "a"]), [`p.${long}.sum`, `p.${long}.sum`, "a.suma.sum"]);
  assert.equal(deep.refusedRenames, 2);
});

test("a name that a rule leaves empty or with a blank stays", () => {
  const empty = namerOf("/^(p)\\.a\\.sum(x?)$/ -> $2");
  assert.deepEqual(namesOf(empty, ["a"]), ["p.a.sum"]);
  assert.equal(empty.refusedRenames, 1);
  const bytes = namerOf("p.a.* -> ü.$1", "p.**.sum -> é.$1");
  assert.deepEqual(
    namesOf(bytes, ["a", "\xff"]),
    [Buffer.from("ü.sum").toString("latin1"), "\xe9.\xff"],
    "names that are no UTF-8 get one byte for each character",
  );
});

test("more new names than can be kept are written all the same", () => {
  const renamer = new OutputRenamer(["k.* -> new.$1"], 64 << 10);
  const target = Buffer.alloc(RENAMED_BYTES_MAX);
  let wrong = 0;
  for (let round = 0; round < 3; round++) {
    for (let number = 0; number < 10_000; number++) {
      const end = renamer.rename(target, 3, 3 + target.write(`k.${number}`, 3));
      if (target.toString("latin1", 3, end) !== `new.${number}`) wrong += 1;
    }
  }
  assert.equal(wrong, 0);
});

test("many names are renamed and left alone as they should be, again and again", () => {
  const namer = namerOf("p.even.*.sum -> e.$1");
  let wrong = 0;
  for (let round = 0; round < 2; round++) {
    for (let number = 0; number < 20_000; number++) {
      const isEven = number % 2 === 0;
      const [name] = namesOf(namer, [`${isEven ? "even" : "odd"}.${number}`]);
      if (name !== (isEven ? `e.${number}` : `p.odd.${number}.sum`)) wrong += 1;
    }
  }
  assert.equal(wrong, 0);
});

test("rules that would write tags or merge all their names are refused", () => {
  const cases: readonly (readonly [rule: string, said: RegExp])[] = [
    ["a.* -> b;k=$1", /tags cannot be renamed/],
    ["a.* -> b", /gives one name to all that match; use \$1/],
    ["a.** -> b.$$1", /gives one name/],
    ["a b", /without an arrow/],
    ["/(/ -> b", /has the pattern \/\(\/ that is no regular expression/],
  ];
  for (const [rule, said] of cases) {
    assert.throws(
      () => namerOf(rule),
      (error) => error instanceof OperatorError && said.test(error.message),
    );
  }
  for (const rule of ["a.b -> c", "/^a\\.\\w+/ -> b", "a.* -> b.$0"]) assert.ok(namerOf(rule), rule);
  assert.throws(
    () => parseConfig("[aggregation]\nrename[] = a.* -> b", "suite.ini"),
    /line 2: .*gives one name to all that match/,
  );
});
