/** What outlives intervals, as it is copied to a node that begins. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { adoptKept, copyKept } from "../../aggregator/kept-copy.ts";
import { RIG_FIRST as FIRST, newStore } from "../support/store-rig.ts";

const COUNT = 300;

/** A store that has seen one gauge in each of some intervals. */
async function withGauges() {
  const rig = await newStore();
  for (let index = 0; index < COUNT; index++) await rig.flush(FIRST + index, [`g${index}:${index}|g`]);
  return rig.store.kept;
}

async function levelsOf(copy: Uint8Array): Promise<Map<string, number>> {
  const { store } = await newStore();
  assert.equal(adoptKept(store.kept, copy), FIRST + COUNT - 1);
  const levels = new Map<string, number>();
  for (const { source, start, end, level } of store.kept.series()) {
    levels.set(source.toString("latin1", start, end), level);
  }
  return levels;
}

test("a copy is no larger than what is kept, in however many intervals that was seen", async () => {
  const kept = await withGauges();
  const before = process.memoryUsage().arrayBuffers;
  const copy = await copyKept(kept, FIRST + COUNT - 1);
  assert.ok(process.memoryUsage().arrayBuffers - before < 8 << 20, "room for each interval is little");
  const levels = await levelsOf(copy);
  assert.equal(levels.size, COUNT);
  assert.deepEqual([levels.get("g0"), levels.get("g299")], [0, 299]);
});

test("a copy that is bounded has what was seen last", async () => {
  const kept = await withGauges();
  const levels = await levelsOf(await copyKept(kept, FIRST + COUNT - 1, 400));
  assert.ok(levels.size > 10 && levels.size < 40, `${levels.size} of them`);
  for (let index = 0; index < levels.size; index++) assert.ok(levels.has(`g${COUNT - 1 - index}`));
});
