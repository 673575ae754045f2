/** Rows of a cluster's orders on their way to the sinks, when others take intervals over. */
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { OrderedRows } from "../../aggregator/ordered-rows.ts";
import type { RowBatch, RowOrder } from "../../aggregator/row.ts";
import { OrderedSinks, stopOrdered } from "../support/ordered-sinks.ts";
import { batchOf, numberedRows } from "../support/rows.ts";
import { startCarbon } from "../support/sinks.ts";
import { waitFor } from "../support/wait-for.ts";

afterEach(stopOrdered);

const INTERVAL = 7;

function orderOf(id: number, yieldCount: number): RowOrder {
  return { id, cause: "first", deliveredTo: [], isInDoubt: false, yieldCount };
}

function batch(prefix: string, lastOfInterval = true): RowBatch {
  const rows = numberedRows(prefix, 5);
  return batchOf(rows, { interval: INTERVAL, revision: 0, timestampSec: 1_700_000_070, lastOfInterval });
}

async function setUp() {
  const carbon = await startCarbon();
  const sinks = new OrderedSinks(["carbon"], OrderedSinks.carbon([carbon.port]));
  const told: string[] = [];
  const rows = new OrderedRows(
    () => sinks.set,
    (order, _sink, isDelivered) => told.push(`${order} ${isDelivered}`),
  );
  const names = (): string[] => carbon.lines().map((line) => line.split(".")[0]!);
  return { carbon, sinks, rows, told, names };
}

test("rows of an order that was made behind a word wait for it, and are not dropped by it", async () => {
  const { sinks, rows, told, names } = await setUp();
  rows.accept(batch("stale"), orderOf(1, 0));
  // The store's thread was faster than the word of the cluster's thread.
  rows.accept(batch("anew", false), orderOf(2, 1));
  rows.accept(batch("anewtoo"), orderOf(2, 1));
  assert.equal(rows.yield({ floor: 0, throughOrder: 1 }), 5, "rows of before");
  sinks.fence.from = Number.POSITIVE_INFINITY;
  await waitFor("the new rows", () => told.length > 0);
  assert.deepEqual(told, ["2 true"]);
  assert.deepEqual([...new Set(names())], ["anew", "anewtoo"]);
  assert.equal(rows.openCount, 0);
});

test("what an order sends after its interval was taken over is dropped, and leaves nothing", async () => {
  const { sinks, rows, told } = await setUp();
  rows.accept(batch("early", false), orderOf(1, 0));
  assert.equal(rows.openCount, 1);
  rows.yield({ floor: INTERVAL, throughOrder: 1 });
  assert.equal(rows.openCount, 0, "its last batch may never come");
  rows.accept(batch("late"), orderOf(1, 0));
  assert.equal(rows.openCount, 0);
  assert.equal(sinks.known(), 5);
  assert.deepEqual(told, []);
});
