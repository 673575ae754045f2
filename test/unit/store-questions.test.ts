/** What management pages ask the store. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_IDLE } from "../../aggregator/idle.ts";
import type { Answers, Question } from "../../aggregator/questions.ts";
import { aggregatesOf, RIG_FIRST as FIRST, newStore } from "../support/store-rig.ts";

type Rig = Awaited<ReturnType<typeof newStore>>;

/** Asks; fails with what is wrong with the question. */
async function ask<Kind extends Question["kind"]>(
  { answers }: Rig,
  question: Extract<Question, { kind: Kind }>,
): Promise<Answers[Kind]> {
  const reply = await answers.answer(question);
  assert.ok("answer" in reply, "error" in reply ? reply.error : "");
  return reply.answer as Answers[Kind];
}

const aggregates = aggregatesOf({ counter: "value rate", gauge: "value", timer: "max count", set: "count" });

function newRig(some: object = {}): Promise<Rig> {
  return newStore({ aggregates, ...some });
}

test("series of open intervals are found with their values and output names", async () => {
  const rig = await newRig();
  await rig.send(FIRST, ["app.a;k=v:2|c", "app.b:3|ms", "app.b:4|ms", "other:1|c", "app.é:1|s"], false);
  const { series, total } = await ask(rig, { kind: "series", match: "app.?", limit: 10 });
  assert.equal(total, 2);
  assert.deepEqual(series, [
    {
      key: "app.b",
      type: "timer",
      interval: FIRST,
      updates: 2,
      values: { max: 4, count: 2 },
      outputs: { max: "app.b.max", count: "app.b.count" },
    },
    {
      key: "app.é",
      type: "set",
      interval: FIRST,
      updates: 1,
      values: { count: 1 },
      outputs: { count: "app.é.count" },
    },
  ]);
  const tagged = await ask(rig, { kind: "series", match: "/;k=v$/", limit: 10 });
  assert.deepEqual(tagged.series[0]?.outputs, { value: "app.a;k=v", rate: "app.a;aggregate=rate;k=v" });
});

test("the limit bounds what is shown, not what is counted, and the type chooses", async () => {
  const rig = await newRig();
  const names = Array.from({ length: 500 }, (_, index) => `n${index}:1|${index % 2 === 0 ? "c" : "g"}`);
  await rig.send(FIRST, names, false);
  const all = await ask(rig, { kind: "series", match: "n*", limit: 7 });
  assert.deepEqual([all.series.length, all.total], [7, 500]);
  const gauges = await ask(rig, { kind: "series", match: "n*", limit: 1000, type: "gauge" });
  assert.deepEqual([gauges.series.length, gauges.total], [250, 250]);
  assert.ok(gauges.series.every(({ type }) => type === "gauge"));
});

test("idle series are found as long as they are kept, and once only", async () => {
  const rig = await newRig({ idle: { ...DEFAULT_IDLE, counterMs: 10_000 } });
  await rig.flush(FIRST, ["c:5|c", "g:7|g"]);
  const idle = await ask(rig, { kind: "series", match: "*", limit: 10 });
  assert.deepEqual(
    idle.series.map(({ key, interval, updates, values }) => [key, interval, updates, values]),
    [
      ["c", undefined, 0, { value: 0, rate: 0 }],
      ["g", undefined, 0, { value: 7 }],
    ],
  );
  await rig.send(FIRST + 1, ["c:1|c"], false);
  const open = await ask(rig, { kind: "series", match: "c", limit: 10 });
  assert.deepEqual(
    open.series.map(({ interval }) => interval),
    [FIRST + 1],
  );
});

test("long names make an answer shorter, not larger than a client takes", async () => {
  const rig = await newRig();
  rig.answers.history.configure({ intervalsMax: 1, bytesMax: 64 << 20 });
  const tag = "x".repeat(3000);
  const lines = Array.from({ length: 2000 }, (_, index) => `n${index};t=${tag}:1|ms`);
  for (let at = 0; at < lines.length; at += 20) await rig.send(FIRST, lines.slice(at, at + 20), false);
  const found = await ask(rig, { kind: "series", match: "n**", limit: 10_000 });
  assert.equal(found.total, 2000);
  assert.ok(found.series.length > 500 && found.series.length < 2000, `${found.series.length} series`);
  assert.ok(JSON.stringify(found).length < 9 << 20);
  await rig.store.flushAll(FIRST);
  const { intervals } = await ask(rig, { kind: "history", match: "n**", limit: 10_000 });
  const shown = intervals[0]?.rows.length ?? 0;
  assert.ok(shown > 2000 && shown < 4000, `${shown} rows`);
  assert.ok(JSON.stringify(intervals).length < 9 << 20);
});

test("a deleted series begins anew, whatever its type, and is idle no more", async () => {
  const rig = await newRig({ idle: { ...DEFAULT_IDLE, counterMs: 60_000, gaugeMs: 60_000 } });
  await rig.flush(FIRST, ["c:1|c", "g:10|g", "keep:1|g"]);
  await rig.send(FIRST + 1, ["c:5|c", "g:+1|g", "t:1|ms", "t:9|ms", "s:x|s", "s:y|s"], false);
  assert.deepEqual(await ask(rig, { kind: "delete", match: "?" }), { deleted: 4 });
  assert.deepEqual(await ask(rig, { kind: "delete", match: "?" }), { deleted: 0 });
  await rig.send(FIRST + 1, ["t:3|ms", "s:x|s", "c:2|c"]);
  await rig.store.flushClosed();
  assert.deepEqual(Object.fromEntries(rig.flushed.get(FIRST + 1)!), {
    c: 2,
    "c.rate": 2,
    "t.max": 3,
    "t.count": 1,
    "s.count": 1,
    keep: 1,
  });
  assert.equal((await rig.flush(FIRST + 2, ["g:+1|g"])).get("g"), 1, "its level is gone");
});

test("only series of the given type are deleted", async () => {
  const rig = await newRig();
  await rig.send(FIRST, ["a:1|c", "a:2|g"], false);
  assert.deepEqual(await ask(rig, { kind: "delete", match: "a", type: "counter" }), { deleted: 1 });
  await rig.store.flushAll(FIRST);
  assert.equal(rig.flushed.get(FIRST)?.get("a"), 2);
});

test("the rows of the last intervals can be looked at, newest first, within bounds", async () => {
  const rig = await newRig();
  for (let k = 0; k < 5; k++) await rig.flush(FIRST + k, [`a:${k}|c`, `b:${k}|g`]);
  const { intervals } = await ask(rig, { kind: "history", match: "a**", limit: 3 });
  assert.deepEqual(
    intervals.map(({ interval, rowCount, isKept, rows }) => [interval, rowCount, isKept, rows]),
    [
      [
        FIRST + 4,
        3,
        true,
        [
          { name: "a", value: 4 },
          { name: "a.rate", value: 4 },
        ],
      ],
      [FIRST + 3, 3, true, [{ name: "a", value: 3 }]],
      [FIRST + 2, 3, true, []],
    ],
  );
  assert.equal(intervals[0]?.timestampSec, FIRST + 5);
  rig.answers.history.configure({ intervalsMax: 3, bytesMax: 60 });
  const bounded = await ask(rig, { kind: "history", match: "**", limit: 100 });
  assert.deepEqual(
    bounded.intervals.map(({ isKept }) => isKept),
    [true, false, false],
  );
  assert.ok(rig.answers.history.bytes <= 60);
  rig.answers.history.configure({ intervalsMax: 0, bytesMax: 60 });
  assert.deepEqual(await ask(rig, { kind: "history", match: "**", limit: 100 }), { intervals: [] });
});

test("offenders are told with what was refused, clashes with their types", async () => {
  const rig = await newRig({ seriesPerPrefixMax: 3, prefixParts: 1, overflowName: "over" });
  const lines = Array.from({ length: 10 }, (_, index) => `bad.n${index}:1|c`);
  await rig.send(FIRST, [...lines, "good.a:1|c", "good.a:1|g", "good.b:1|ms"], false);
  const { prefixes, clashes } = await ask(rig, { kind: "offenders", limit: 2 });
  assert.deepEqual(prefixes, [
    { name: "bad", series: 3, refusedLines: 7 },
    { name: "good", series: 3, refusedLines: 0 },
  ]);
  assert.deepEqual(clashes, [{ key: "good.a", types: ["counter", "gauge"] }]);
});

test("offenders of the interval flushed last are told with those of the open ones", async () => {
  const rig = await newRig({ seriesPerPrefixMax: 3, prefixParts: 1, overflowName: "over" });
  const lines = (prefix: string, count: number) =>
    Array.from({ length: count }, (_, index) => `${prefix}.n${index}:1|c`);
  await rig.flush(FIRST, [...lines("bad", 10), ...lines("good", 2), "good.n0:1|g"]);
  const after = await ask(rig, { kind: "offenders", limit: 1 });
  assert.deepEqual(after.prefixes, [{ name: "bad", series: 3, refusedLines: 7 }]);
  assert.deepEqual(after.clashes, [{ key: "good.n0", types: ["counter", "gauge"] }]);
  await rig.send(FIRST + 1, [...lines("bad", 5), ...lines("new", 1)], false);
  const { prefixes } = await ask(rig, { kind: "offenders", limit: 10 });
  assert.deepEqual(prefixes, [
    { name: "bad", series: 3, refusedLines: 9 },
    { name: "good", series: 3, refusedLines: 0 },
    { name: "new", series: 1, refusedLines: 0 },
  ]);
  await rig.store.flushAll(FIRST + 1);
  await rig.flush(FIRST + 2, ["good.a:1|c"]);
  const { clashes } = await ask(rig, { kind: "offenders", limit: 10 });
  assert.deepEqual(clashes, []);
});

test("of very many prefixes the largest are found", async () => {
  const rig = await newRig({ prefixParts: 1, seriesMax: 100_000 });
  const many = Array.from({ length: 3000 }, (_, index) => `p${index}.a:1|c`);
  await rig.send(FIRST, [...many, "p1234.b:1|c", "p77.b:1|c", "p77.c:1|c"], false);
  const { prefixes } = await ask(rig, { kind: "offenders", limit: 3 });
  assert.deepEqual(prefixes.map(({ name, series }) => [name, series]).slice(0, 2), [
    ["p77", 3],
    ["p1234", 2],
  ]);
  assert.equal(prefixes.length, 3);
});

test("a gauge that was only changed is shown at the level that its flush will give it", async () => {
  const rig = await newRig();
  await rig.flush(FIRST, ["g:10|g", "set:10|g"]);
  await rig.send(FIRST + 1, ["g:+1|g", "set:5|g", "new:-2|g"], false);
  const { series } = await ask(rig, { kind: "series", match: "*", limit: 10 });
  const shown = Object.fromEntries(series.map(({ key, values }) => [key, values.value]));
  assert.deepEqual(shown, { g: 11, set: 5, new: -2 });
  await rig.store.flushAll(FIRST + 1);
  assert.deepEqual(Object.fromEntries(rig.flushed.get(FIRST + 1)!), shown);
});

test("searches go one after the other, and too many are refused", async () => {
  const rig = await newRig();
  await rig.send(FIRST, ["a:1|c"], false);
  const asked = Array.from({ length: 70 }, () =>
    rig.answers.answer({ kind: "series", match: "*", limit: 1 }),
  );
  const refused = (await Promise.all(asked)).filter((answer) => "error" in answer);
  assert.deepEqual(refused, Array(6).fill({ error: "too many searches wait; try again" }));
  const { total } = await ask(rig, { kind: "series", match: "*", limit: 1 });
  assert.equal(total, 1, "and then there is room again");
});

test("a broken pattern is an answer, not a fault", async () => {
  const { answers } = await newRig();
  for (const kind of ["series", "delete", "history", "tail"] as const) {
    const reply = await answers.answer({ kind, match: "/(/", limit: 1, tail: 1 });
    assert.match("error" in reply ? reply.error : "", /^pattern/, kind);
  }
});

test("a search that others interrupt ends where the table is emptied", async () => {
  const rig = await newRig({ memoryBytesMax: 256 << 20, seriesMax: 200_000 });
  for (let part = 0; part < 10; part++) {
    await rig.send(
      FIRST,
      Array.from({ length: 10_000 }, (_, index) => `n${part}.${index}:1|c`),
      false,
    );
  }
  const asked = ask(rig, { kind: "series", match: "/./", limit: 1 });
  await rig.store.flushAll(FIRST);
  await rig.send(FIRST + 1, ["later:1|c"], false);
  const { total } = await asked;
  assert.ok(total > 0 && total <= 100_001, `${total}`);
});
