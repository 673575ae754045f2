// The ledger is what all checks believe, so it has to see each kind of fault.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { CarbonWrite } from "../support/fault-carbon.ts";
import { type Balance, balance, type LedgerQuestion } from "../support/fault-ledger.ts";
import type { SentItem } from "../support/fault-source.ts";

const INTERVAL_MS = 2000;

function sent(number: number, atMs: number): SentItem {
  return { name: `f.a.${number}`, node: "a", atMs, count: 3 };
}

function written(number: number, second: number, value = 3, lagMs = 100): CarbonWrite {
  return { name: `f.a.${number}`, second, value, atMs: second * 1000 + lagMs, from: "10.77.0.11" };
}

/** Three intervals with a datagram each, of which carbon has what is given. */
function look(writes: readonly CarbonWrite[], more: Partial<LedgerQuestion> = {}): Balance {
  const items = [sent(0, 1000), sent(1, 3000), sent(2, 5000)];
  const fixed = { intervalMs: INTERVAL_MS, lateAfterMs: 1000, edgeMs: 150, excuses: [] };
  return balance({ items, writes, ...fixed, ...more });
}

const ALL = [written(0, 2), written(1, 4), written(2, 6)];

test("all is well when each line came once, in its interval and in time", () => {
  const { sent, lost, unexcused, duplicated, late, wrongInterval, flushLagMs } = look(ALL);
  assert.deepEqual([sent, lost, unexcused, duplicated, late, wrongInterval], [9, 0, 0, 0, 0, 0]);
  assert.equal(flushLagMs, 100);
});

test("lines that never came are lost, and excused only where the check says so", () => {
  const writes = [written(0, 2), written(1, 4, 1), written(2, 6)];
  assert.deepEqual([look(writes).lost, look(writes).unexcused], [2, 2]);
  const excuses = [{ node: "a", fromMs: 2500, toMs: 3500 }];
  const excused = look(writes, { excuses });
  assert.deepEqual([excused.lost, excused.unexcused], [2, 0]);
  assert.equal(look(writes, { excuses: [{ ...excuses[0]!, node: "b" }] }).unexcused, 2);
});

test("lines counted twice are seen in one interval, in two, and when it was put right later", () => {
  assert.equal(look([...ALL, written(1, 4, 6)]).duplicated, 3);
  assert.equal(look([...ALL, written(1, 6, 3)]).duplicated, 3);
  assert.equal(look([...ALL, written(1, 4, 6, 200), written(1, 4, 3, 300)]).duplicated, 3);
});

test("the last write of a point counts", () => {
  assert.equal(look([...ALL, written(1, 4, 2, 500)]).lost, 1);
});

test("late lines, and intervals without a point, are seen", () => {
  assert.equal(look([written(0, 2), written(1, 4, 3, 1500), written(2, 6)]).late, 3);
  assert.equal(look([written(0, 2), written(2, 6)]).flushLagMs, Number.POSITIVE_INFINITY);
});

test("lines of another interval are wrong, but for those at its edge and those read late", () => {
  const moved = [written(0, 2), written(1, 6), written(2, 6)];
  assert.equal(look(moved).wrongInterval, 3);
  assert.equal(look(moved, { delays: [{ node: "a", fromMs: 2000, toMs: 4500 }] }).wrongInterval, 0);
  const items = [sent(0, 3900)];
  assert.equal(look([written(0, 6)], { items }).wrongInterval, 0);
  assert.equal(look([written(0, 6)], { items, edgeMs: 50 }).wrongInterval, 3);
});

test("sums have to fit their parts", () => {
  const shared = (name: string, second: number, value: number) => ({ ...written(0, second, value), name });
  const sums = ALL.flatMap(({ second }, index) => [
    shared("t.all", second, 3),
    shared("d.a.count", second, 1),
    shared("l.a", second, index + 1),
  ]);
  assert.deepEqual(look([...ALL, ...sums]).torn, []);
  assert.deepEqual(look([...ALL, ...sums, shared("t.all", 4, 6)]).torn, ["t.all at 4 is 6, not 3"]);
  assert.deepEqual(look([...ALL, ...sums, shared("d.a.count", 4, 0)]).torn, ["d.a.count at 4 is 0, not 1"]);
  assert.deepEqual(look([...ALL, ...sums, shared("l.a", 6, 2)]).torn, ["l.a at 6 is 2, not 3"]);
});
