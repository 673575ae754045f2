/** When sinks count as having failed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { newLosses } from "../../aggregator/sink/queue.ts";
import type { SinkStatus } from "../../aggregator/sink/sink.ts";
import { SinkFailures } from "../../aggregator/sink-failures.ts";

function statusOf(some: Partial<SinkStatus> = {}): SinkStatus {
  return {
    name: "carbon[a]",
    state: "idle",
    queuedBytes: 0,
    queuedRows: 0,
    oldestMs: 0,
    rowsSent: 0,
    rowsRetried: 0,
    rowsLost: newLosses(),
    ...some,
  };
}

test("a sink has failed while it retries, and once for rows that it sent again or lost", () => {
  const failures = new SinkFailures();
  const [reason] = Object.keys(newLosses()) as (keyof SinkStatus["rowsLost"])[];
  assert.equal(failures.look([statusOf()]), false);
  assert.equal(failures.look([statusOf({ state: "retrying" })]), true);
  assert.equal(failures.look([statusOf({ rowsSent: 10 })]), false);
  assert.equal(failures.look([statusOf({ rowsRetried: 1 })]), true);
  assert.equal(failures.look([statusOf({ rowsRetried: 1 })]), false);
  const lost = statusOf({ rowsRetried: 1, rowsLost: { ...newLosses(), [reason!]: 3 } });
  assert.deepEqual([failures.look([lost]), failures.look([lost])], [true, false]);
  assert.equal(failures.look([]), false);
});
