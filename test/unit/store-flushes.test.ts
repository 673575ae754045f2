/** When intervals are flushed: each once, in order, and with all that was merged into them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_IDLE } from "../../aggregator/idle.ts";
import { stepsOf, Turns } from "../../aggregator/turns.ts";
import { RIG_FIRST as FIRST, newStore, RIG_INTERVAL_MS } from "../support/store-rig.ts";

/** Lets so many jobs of the microtask queue go first. */
async function passJobs(count: number): Promise<void> {
  for (let job = 0; job < count; job++) await undefined;
}

test("a late line is in the flush of its interval or late, wherever in the flush it comes", async () => {
  // Nothing is kept, so that a flush has no pause either.
  const idle = { ...DEFAULT_IDLE, gaugeLevelMs: 0 };
  const { store, send, flushed, counters, frameOf } = await newStore({
    idle,
    lateWindowMs: 3 * RIG_INTERVAL_MS,
  });
  const total = (): number => [...flushed.values()].reduce((sum, rows) => sum + (rows.get("a") ?? 0), 0);
  for (let jobs = 0; jobs < 60; jobs++) {
    const first = FIRST + 3 * jobs;
    // Three intervals are due at once, so that one flush follows the other without a pause.
    for (let k = first; k < first + 3; k++) await send(k, ["a:1|c"]);
    const late = frameOf(first + 1, ["a:1|c"]);
    const merged = counters.get("mergedLines");
    const flushing = store.flushClosed((first + 6) * RIG_INTERVAL_MS);
    await passJobs(jobs);
    const isMerged = await store.accept(late);
    await flushing;
    assert.equal(counters.get("mergedLines") - merged, isMerged ? 1 : 0);
    assert.equal(total(), counters.get("mergedLines"), `after ${jobs} jobs`);
  }
  assert.ok(counters.get("lateLines") > 0);
  assert.equal(counters.get("mergedLines") + counters.get("lateLines"), 60 * 4);
});

test("without an origin nobody has closed anything", async () => {
  const { store, send, flushed } = await newStore();
  store.removeOrigin(1);
  await send(FIRST, ["a:1|c"]);
  assert.deepEqual(await store.flushClosed(), []);
  await send(FIRST, ["a:2|c"]);
  await store.flushAll(FIRST);
  assert.equal(flushed.get(FIRST)?.get("a"), 3);
});

test("each flush is told when it is done; an interval older than the process is partial", async () => {
  const { store, send, flushed } = await newStore();
  store.begunInterval = FIRST;
  const told: [interval: number, partial: boolean, flushed: number][] = [];
  store.onFlushed = ({ interval, partial }) => told.push([interval, partial, flushed.size]);
  await send(FIRST, ["a:1|c"]);
  await send(FIRST + 1, ["a:2|c"]);
  await store.flushClosed();
  assert.deepEqual(told, [
    [FIRST, true, 1],
    [FIRST + 1, false, 2],
  ]);
});

test("work that took long is seen at once behind a series of many samples", () => {
  const turns = new Turns();
  const startedMs = performance.now();
  while (performance.now() - startedMs < 15);
  assert.equal(turns.isDue(stepsOf(100)), false, "the clock is not looked at for each small series");
  assert.equal(turns.isDue(stepsOf(100_000)), true);
});
