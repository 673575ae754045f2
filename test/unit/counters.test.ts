// Counters: one thread writes, another reads whole groups or none of them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Counters } from "../../shared/counters.ts";
import { startWorker } from "../../shared/worker.ts";
import { type CountersOrder, GROUP } from "../support/counters-worker.ts";

const READS = 100_000;
/** Groups that the reader must have seen change, or the two threads have not met. */
const CHANGES = 1000;
const DEADLINE_MS = 15_000;
/** Shorter than what a reader waits for a writer: a reading that took less was not given up. */
const GIVEN_UP_MS = 50;

test("numbers are 0 at first, set and added to by name", () => {
  const counters = new Counters(["lines", "bytes"]);
  assert.deepEqual(counters.read(), { lines: 0, bytes: 0 });
  counters.set("lines", 5);
  counters.add("lines", 2);
  counters.add("bytes", 2 ** 53 - 1);
  assert.equal(counters.get("lines"), 7);
  assert.deepEqual(counters.read(), { lines: 7, bytes: 2 ** 53 - 1 });
});

test("counters made of the same memory are the same counters", () => {
  const counters = new Counters(["lines", "bytes"]);
  const others = new Counters(["lines", "bytes"], counters.buffer);
  others.beginWrite();
  others.set("lines", 1);
  others.add("bytes", 2);
  others.endWrite();
  assert.equal(others.buffer, counters.buffer);
  assert.deepEqual(counters.read(), { lines: 1, bytes: 2 });
});

test("a writer that never finishes does not hang its reader", () => {
  const counters = new Counters(["lines"]);
  counters.beginWrite();
  counters.set("lines", 3);
  const startMs = performance.now();
  assert.deepEqual(counters.read(), { lines: 3 });
  assert.ok(performance.now() - startMs < 2000);
});

test("a reader waits for a writer that was stopped within a group", async () => {
  const counters = new Counters(GROUP);
  const stop = new Int32Array(new SharedArrayBuffer(4));
  const order: CountersOrder = { counters: counters.buffer, stop: stop.buffer, pauseMs: 5 };
  const url = new URL("../support/counters-worker.js", import.meta.url);
  const { exited } = await startWorker<object>(url, order, { onMessage() {}, onExit() {} });
  const endMs = performance.now() + DEADLINE_MS;
  const torn: string[] = [];
  let waits = 0;
  while (waits < 20 && performance.now() < endMs) {
    const startMs = performance.now();
    const values = counters.read();
    const tookMs = performance.now() - startMs;
    if (tookMs > GIVEN_UP_MS) continue;
    if (tookMs > 1) waits++;
    if (GROUP.some((name) => values[name] !== values.first)) torn.push(JSON.stringify(values));
  }
  Atomics.store(stop, 0, 1);
  assert.equal(await exited, 0);
  assert.deepEqual(torn.slice(0, 3), []);
  assert.equal(waits, 20);
});

test("no reader sees a group half written", async () => {
  const counters = new Counters(GROUP);
  const stop = new Int32Array(new SharedArrayBuffer(4));
  const order: CountersOrder = { counters: counters.buffer, stop: stop.buffer };
  const { exited } = await startWorker<object>(
    new URL("../support/counters-worker.js", import.meta.url),
    order,
    { onMessage() {}, onExit() {} },
  );
  const endMs = performance.now() + DEADLINE_MS;
  const torn: string[] = [];
  let last = 0;
  let changes = 0;
  let reads = 0;
  for (let nowMs = performance.now(); nowMs < endMs && (reads < READS || changes < CHANGES); ) {
    const values = counters.read();
    const startMs = nowMs;
    nowMs = performance.now();
    reads++;
    // The machine kept the writer away for as long as a reader waits; nothing is promised then.
    if (nowMs - startMs > GIVEN_UP_MS) continue;
    const isTorn = GROUP.some((name) => values[name] !== values.first);
    if (isTorn || values.first < last) torn.push(JSON.stringify({ last, ...values }));
    if (values.first > last) changes++;
    last = values.first;
  }
  Atomics.store(stop, 0, 1);
  assert.equal(await exited, 0);
  assert.deepEqual(torn.slice(0, 3), []);
  assert.ok(reads >= READS && changes >= CHANGES, `only ${reads} readings with ${changes} changes`);
  const end = counters.read();
  assert.ok(GROUP.every((name) => end[name] === end.first) && end.first >= last);
});
