/** The store: which intervals are flushed, and what gauges remember from one to the next. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { aggregatesOf, RIG_FIRST as FIRST, namerOf, newStore } from "../support/store-rig.ts";

test("a gauge is changed from the level that it had, also after silence", async () => {
  const { flush } = await newStore();
  await flush(FIRST, ["g:10|g"]);
  await flush(FIRST + 1, ["other:1|c"]);
  assert.equal((await flush(FIRST + 2, ["g:+5|g"])).get("g"), 15);
  assert.equal((await flush(FIRST + 3, ["g:-1|g"])).get("g"), 14);
});

test("levels are kept however many bytes they have", async () => {
  const { flush, counters } = await newStore();
  const names = Array.from({ length: 2500 }, (_, index) => `g${index};k=${"v".repeat(4000)}`);
  await flush(
    FIRST,
    names.map((name) => `${name}:3|g`),
  );
  const rows = await flush(
    FIRST + 1,
    names.map((name) => `${name}:+1|g`),
  );
  assert.equal(rows.size, names.length);
  for (const level of rows.values()) assert.equal(level, 4);
  assert.equal(counters.get("forgottenBases"), 0);
});

test("a gauge beyond all numbers leaves the others theirs", async () => {
  const { flush } = await newStore();
  await flush(FIRST, ["good:1|g", "bad:+1.7e308|g"]);
  const rows = await flush(FIRST + 1, ["good:+1|g", "bad:+1.7e308|g"]);
  assert.equal(rows.get("good"), 2);
  assert.equal(rows.has("bad"), false, "no row holds an infinity");
  assert.equal((await flush(FIRST + 2, ["good:+1|g"])).get("good"), 3);
});

test("gauges that fell silent make room for living ones", async () => {
  const { flush, counters } = await newStore({ seriesMax: 3 });
  await flush(FIRST, ["a:1|g", "b:1|g"]);
  await flush(FIRST + 1, ["c:1|g", "d:1|g"]);
  assert.equal(counters.get("forgottenBases"), 2);
  const rows = await flush(FIRST + 2, ["c:+1|g", "d:+1|g", "a:+1|g"]);
  assert.deepEqual(Object.fromEntries(rows), { c: 2, d: 2, a: 1 });
});

test("a leap of the clock passes over the empty stretch", async () => {
  const { store, flush, flushed, send } = await newStore();
  await flush(FIRST, ["a:1|c"]);
  await send(FIRST + 1, ["a:2|c"]);
  await send(FIRST + 1_000_000_000, ["a:3|c"]);
  const reports = await store.flushClosed();
  assert.ok(reports.length < 5, `${reports.length} flushes`);
  assert.equal(flushed.get(FIRST + 1)?.get("a"), 2);
  assert.equal(flushed.get(FIRST + 1_000_000_000)?.get("a"), 3);
});

test("lines of a broken frame are counted, and so are late ones", async () => {
  const { store, flush, send, counters, frameOf } = await newStore();
  await flush(FIRST, ["a:1|c"]);
  assert.equal(await send(FIRST, ["a:1|c", "b:1|c"]), false);
  assert.equal(counters.get("lateLines"), 2);
  const broken = frameOf(FIRST + 1, ["a:1|c", "b:1|c", "c:1|c"]);
  broken.fill(0xff, broken.length - 8);
  assert.equal(await store.accept(broken), false);
  assert.equal(counters.get("invalidLines"), 3);
  assert.equal(counters.get("invalidFrames"), 1);
});

test("frames are merged while an interval is flushed, and none is lost", async () => {
  const { store, send, hooks, flushed, counters, intake } = await newStore();
  await send(FIRST, ["a:1|c"]);
  let isMerged = false;
  hooks.onBatch = async () => {
    hooks.onBatch = async () => {};
    // The flush waits for this batch to be taken; meanwhile everything else goes on.
    isMerged = await send(FIRST + 1, ["a:2|c"]);
    await send(FIRST, ["a:4|c"]);
  };
  await store.flushClosed();
  assert.equal(isMerged, true);
  assert.equal(counters.get("lateLines"), 1, "what comes for the interval itself is late");
  await store.flushClosed();
  assert.equal(flushed.get(FIRST)?.get("a"), 1);
  assert.equal(flushed.get(FIRST + 1)?.get("a"), 2);
  assert.ok(intake.frames.length > 0);
});

test("a clock that is set back during a flush leads to no interval that nobody has closed", async () => {
  const { store, send, hooks, flushed, frameOf } = await newStore();
  const ahead = FIRST + 86_400;
  await send(FIRST, ["a:1|c"]);
  await store.flushClosed();
  await send(ahead, ["a:2|c"]);
  hooks.onBatch = async () => {
    hooks.onBatch = async () => {};
    // What an intake cuts when it sees the right time: the rest of the wrong one.
    const rest = frameOf(ahead, ["a:1|c"]);
    new DataView(rest.buffer).setBigUint64(40, BigInt(FIRST + 1), true);
    await store.accept(rest);
    await send(FIRST + 1, ["a:4|c"], false);
  };
  await store.flushClosed();
  assert.equal(store.nextFlush, FIRST + 1);
  await send(FIRST + 1, ["a:8|c"]);
  await store.flushClosed();
  assert.equal(flushed.get(FIRST + 1)?.get("a"), 12);
  assert.equal(flushed.get(ahead)?.get("a"), 2);
});

test("intervals that wait for late lines take them, and are flushed when the time is over", async () => {
  const { store, send, flushed, counters } = await newStore({ lateWindowMs: 2500 });
  const endMs = (FIRST + 1) * 1000;
  await send(FIRST, ["a:1|c"]);
  await store.flushClosed(endMs + 2499);
  assert.equal(flushed.size, 0);
  await send(FIRST + 1, ["a:2|c"]);
  await send(FIRST, ["a:4|c"]);
  await store.flushClosed(endMs + 2500);
  assert.deepEqual([...flushed.keys()], [FIRST]);
  assert.equal(flushed.get(FIRST)?.get("a"), 5);
  assert.equal(await send(FIRST, ["a:8|c"]), false);
  assert.equal(counters.get("lateLines"), 1);
  await store.flushClosed(endMs + 3500);
  assert.equal(flushed.get(FIRST + 1)?.get("a"), 2);
});

test("a late window of many intervals keeps no line of now out", async () => {
  const { store, send, counters, flushed } = await newStore({ lateWindowMs: 3_600_000 });
  for (let k = FIRST; k < FIRST + 70; k++) {
    await send(k, ["a:1|c"]);
    await store.flushClosed((k + 1) * 1000);
  }
  assert.equal(counters.get("lateLines"), 0);
  assert.ok(counters.get("openIntervals") <= 64);
  await store.flushAll(FIRST + 70);
  assert.equal(flushed.size, 70);
});

test("the last flush takes what waits for late lines", async () => {
  const { store, send, flushed, batches } = await newStore({ lateWindowMs: 60_000 });
  await send(FIRST, ["a:1|c"]);
  await send(FIRST + 1, ["a:2|c"], false);
  await store.flushAll(FIRST + 1);
  assert.deepEqual([flushed.get(FIRST)?.get("a"), flushed.get(FIRST + 1)?.get("a")], [1, 2]);
  assert.deepEqual(
    batches.map(({ partial }) => partial),
    [false, true],
  );
});

test("other aggregates, names and bounds hold from the next interval on", async () => {
  const { store, options, send, flush, flushed, counters } = await newStore();
  await send(FIRST, ["a:1|c", "g:1|g"], false);
  const aggregates = aggregatesOf({ counter: "rate", gauge: "value" });
  await store.configure({ ...options, aggregates, seriesMax: 1 }, namerOf(aggregates));
  await send(FIRST, ["b:1|c"]);
  await store.flushClosed();
  assert.deepEqual(Object.fromEntries(flushed.get(FIRST)!), { a: 1, g: 1, b: 1 });
  assert.deepEqual(Object.fromEntries(await flush(FIRST + 1, ["g:+1|g", "h:1|g"])), { g: 2 });
  assert.equal(counters.get("refused.series"), 1);
  assert.deepEqual(Object.fromEntries(await flush(FIRST + 2, ["a:3|c"])), { "a.rate": 3 });
});
