/** Series without lines: for how long they are written, and with what. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_IDLE, type IdleOptions, idleSpans } from "../../aggregator/idle.ts";
import {
  aggregatesOf,
  RIG_FIRST as FIRST,
  RIG_INTERVAL_MS as I,
  namerOf,
  newStore,
} from "../support/store-rig.ts";

const EVER = Number.POSITIVE_INFINITY;
const aggregates = aggregatesOf({
  counter: "value rate updates",
  gauge: "value updates",
  timer: "count rate min max mean percentile-90 updates",
  set: "count updates",
});
const everything = ["c:5|c", "g:7|g", "t:3|ms", "s:x|s"];
const zeros = { c: 0, "c.rate": 0, g: 7, "t.count": 0, "t.rate": 0, "s.count": 0 };

function newIdleStore(idle: Partial<IdleOptions>, some: object = {}) {
  return newStore({ aggregates, idle: { ...DEFAULT_IDLE, ...idle }, ...some });
}

/** Rows of n flushes without the lines of `names`, as objects. */
async function idleFlushes({ flush }: Awaited<ReturnType<typeof newStore>>, n: number) {
  const flushes: object[] = [];
  for (let k = 1; k <= n; k++) {
    const rows = await flush(FIRST + k, ["other:1|c"]);
    for (const name of rows.keys()) if (name.startsWith("other")) rows.delete(name);
    flushes.push(Object.fromEntries(rows));
  }
  return flushes;
}

test("by default idle series are not written", async () => {
  const rig = await newIdleStore({});
  await rig.flush(FIRST, everything);
  assert.deepEqual(await idleFlushes(rig, 2), [{}, {}]);
  assert.equal(rig.counters.get("idleRows"), 0);
  assert.equal(rig.counters.get("keptSeries"), 1, "the level of the gauge");
});

test("kept for ever, each type has what is true of nothing, and a gauge its level", async () => {
  const rig = await newIdleStore({ counterMs: EVER, gaugeMs: EVER, timerMs: EVER, setMs: EVER });
  await rig.flush(FIRST, everything);
  const idle = await idleFlushes(rig, 3);
  for (const rows of idle) {
    const own = Object.fromEntries(Object.entries(rows).filter(([name]) => !name.startsWith("other")));
    assert.deepEqual(own, zeros);
  }
  assert.equal(rig.counters.get("idleRows"), 3 * Object.keys(zeros).length);
});

test("idle series are written when nothing at all was received", async () => {
  const rig = await newIdleStore({ counterMs: EVER });
  await rig.flush(FIRST, ["c:5|c"]);
  await rig.store.flushAll(FIRST + 1);
  await rig.send(FIRST + 2, ["other:1|c"]);
  await rig.store.flushClosed();
  assert.deepEqual(Object.fromEntries(rig.flushed.get(FIRST + 1)!), { c: 0, "c.rate": 0 });
});

test("a duration of N - 1 intervals shows a series in N flushes", async () => {
  for (const [type, line, name] of [
    ["counterMs", "c:5|c", "c"],
    ["gaugeMs", "g:7|g", "g"],
    ["timerMs", "t:3|ms", "t.count"],
    ["setMs", "s:x|s", "s.count"],
  ] as const) {
    const rig = await newIdleStore({ [type]: 2 * I + I / 2, gaugeLevelMs: 0 });
    assert.ok((await rig.flush(FIRST, [line])).has(name));
    const idle = await idleFlushes(rig, 4);
    assert.deepEqual(
      idle.map((rows) => name in rows),
      [true, true, false, false],
      type,
    );
  }
});

test("a series that comes again is idle anew from then on", async () => {
  const rig = await newIdleStore({ counterMs: I });
  await rig.flush(FIRST, ["c:5|c"]);
  assert.equal((await rig.flush(FIRST + 1, ["o:1|c"])).get("c"), 0);
  assert.equal((await rig.flush(FIRST + 2, ["c:3|c"])).get("c"), 3);
  assert.equal((await rig.flush(FIRST + 3, ["o:1|c"])).get("c"), 0);
  assert.equal((await rig.flush(FIRST + 4, ["o:1|c"])).has("c"), false);
});

test("a gauge's level is known as long as it is said, and as long as it is shown", async () => {
  const levels = async (idle: Partial<IdleOptions>, silent: number) => {
    const { flush } = await newIdleStore(idle);
    await flush(FIRST, ["g:10|g"]);
    for (let k = 1; k <= silent; k++) await flush(FIRST + k, ["other:1|c"]);
    return (await flush(FIRST + silent + 1, ["g:+5|g"])).get("g");
  };
  assert.equal(await levels({ gaugeLevelMs: 2 * I }, 1), 15);
  assert.equal(await levels({ gaugeLevelMs: 2 * I }, 2), 5);
  assert.equal(await levels({ gaugeLevelMs: 0 }, 0), 5);
  assert.equal(await levels({ gaugeLevelMs: 0, gaugeMs: 3 * I }, 2), 15);
});

test("a gauge that was changed is shown at its level when it is idle", async () => {
  const rig = await newIdleStore({ gaugeMs: EVER });
  await rig.flush(FIRST, ["g:10|g"]);
  await rig.flush(FIRST + 1, ["g:-3|g"]);
  assert.equal((await rig.flush(FIRST + 2, ["other:1|c"])).get("g"), 7);
});

test("counter and gauge of one name are kept apart", async () => {
  const rig = await newIdleStore({ counterMs: EVER, gaugeMs: EVER });
  await rig.flush(FIRST, ["a:5|c", "a:7|g"]);
  const rows: [string, number][] = [];
  await rig.flush(FIRST + 1, ["a:1|c"]);
  for (const [name, value] of rig.flushed.get(FIRST + 1)!) rows.push([name, value]);
  // Both are written under one name; the gauge, which is idle, comes last.
  assert.equal(new Map(rows).get("a"), 7);
  assert.equal(rig.counters.get("typeClashes"), 1);
});

test("expired series make room, those that are kept stay whole", async () => {
  const rig = await newIdleStore({ counterMs: 2 * I, gaugeLevelMs: EVER });
  const names = (prefix: string) => Array.from({ length: 3000 }, (_, index) => `${prefix}${index}`);
  await rig.flush(FIRST, [...names("c").map((name) => `${name}:1|c`), "g:5|g"]);
  for (let k = 1; k <= 4; k++) await rig.flush(FIRST + k, ["x:1|c"]);
  assert.equal(rig.counters.get("keptSeries"), 2);
  assert.ok(rig.store.kept.generation > 0, "the others were moved together");
  assert.equal((await rig.flush(FIRST + 5, ["g:+1|g"])).get("g"), 6);
  assert.equal(rig.counters.get("forgottenBases"), 0);
});

test("where there is no room for all, what was seen longest ago goes", async () => {
  const rig = await newIdleStore({ counterMs: EVER }, { seriesMax: 4 });
  await rig.flush(FIRST, ["a:1|c", "b:1|c"]);
  await rig.flush(FIRST + 1, ["c:1|c", "d:1|c"]);
  const rows = await rig.flush(FIRST + 2, ["e:1|c"]);
  assert.deepEqual([...rows.keys()].filter((name) => name.length === 1).sort(), ["c", "d", "e"]);
  assert.equal(rig.counters.get("forgottenBases"), 2);
});

test("a clock that is set back makes nothing immortal", async () => {
  const rig = await newIdleStore({ counterMs: I });
  const ahead = FIRST + 86_400;
  await rig.flush(ahead, ["c:1|c"]);
  await rig.send(FIRST, ["o:1|c"], false);
  assert.equal((await rig.flush(FIRST, ["o:1|c"])).get("c"), 0);
  assert.equal((await rig.flush(FIRST + 1, ["o:1|c"])).has("c"), false);
});

test("a clock that is set back shows nothing that is only remembered", async () => {
  const rig = await newIdleStore({ gaugeLevelMs: 5 * I });
  await rig.flush(FIRST + 86_400, ["g:5|g"]);
  await rig.send(FIRST, ["o:1|c"], false);
  assert.equal((await rig.flush(FIRST, ["o:1|c"])).has("g"), false);
  assert.equal((await rig.flush(FIRST + 1, ["g:+1|g"])).get("g"), 6);
});

test("intervals that the clock ran ahead to age nothing", async () => {
  const rig = await newIdleStore({ counterMs: 2 * I });
  await rig.flush(FIRST, ["c:1|c"]);
  await rig.send(FIRST + 86_400, ["d:1|c"], false);
  // The clock is set right before that interval is over.
  await rig.send(FIRST + 1, ["o:1|c"], false);
  await rig.store.flushClosed();
  assert.equal(rig.flushed.get(FIRST + 86_400)?.get("d"), 1);
  const rows = await rig.flush(FIRST + 1, ["o:1|c"]);
  assert.deepEqual([rows.get("c"), rows.get("d")], [0, 0]);
});

test("what was kept under a clock that was ahead makes room for what is now", async () => {
  const { flush, send } = await newIdleStore({}, { seriesMax: 2 });
  await flush(FIRST + 86_400, ["a:1|g", "b:1|g"]);
  await send(FIRST, ["o:1|c"], false);
  await flush(FIRST, ["c:10|g", "d:20|g"]);
  const rows = await flush(FIRST + 1, ["c:+1|g", "d:+1|g"]);
  assert.deepEqual([rows.get("c"), rows.get("d")], [11, 21]);
});

test("types that a reload keeps no longer are forgotten, also where nothing else expires", async () => {
  const rig = await newIdleStore({ counterMs: EVER });
  await rig.flush(FIRST, ["c:5|c", "g:1|g"]);
  await rig.store.configure({ ...rig.options, idle: DEFAULT_IDLE }, namerOf(aggregates));
  await rig.flush(FIRST + 1, ["o:1|c"]);
  assert.equal(rig.counters.get("keptSeries"), 1, "the level of the gauge");
  await rig.store.configure(
    { ...rig.options, idle: { ...DEFAULT_IDLE, gaugeLevelMs: 0 } },
    namerOf(aggregates),
  );
  await rig.flush(FIRST + 2, ["o:1|c"]);
  assert.equal(rig.counters.get("keptSeries"), 0);
});

test("spans are whole intervals, and tell when nobody needs to look", () => {
  const spans = idleSpans({ ...DEFAULT_IDLE, counterMs: 2500 }, 1000);
  assert.deepEqual(
    [spans.shown, spans.kept, spans.types],
    [
      [2, 0, 0, 0],
      [2, EVER, 0, 0],
      [0, 1],
    ],
  );
  assert.equal(spans.isUneventful, false);
  assert.equal(idleSpans(DEFAULT_IDLE, 1000).isUneventful, true);
  assert.equal(idleSpans({ ...DEFAULT_IDLE, gaugeLevelMs: 0 }, 1000).types.length, 0);
});
