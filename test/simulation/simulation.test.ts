/** The protocol of the cluster under everything that can go wrong, many histories at a time. */
import assert from "node:assert/strict";
import { availableParallelism } from "node:os";
import { test } from "node:test";
import { liveAll, type Task } from "./crew.ts";
import { History } from "./history.ts";
import { render } from "./report.ts";
import { SCENARIOS } from "./swarm.ts";

const SEEDS = 2000;
/** Histories in which leaders are killed, and nothing else happens. */
const KILLED_SEEDS = 10;
const BUDGET_MS = 40_000;
/** Fewer histories than these say nothing. */
const SEEDS_MIN = 50;
const THREADS = Math.min(4, availableParallelism());

function task(last: number, scenario?: string): Task {
  return { first: 1, last, step: 1, scenario, endMs: Date.now() + BUDGET_MS, failuresMax: 3 };
}

test("no history violates an invariant", async () => {
  const beganMs = Date.now();
  const outcome = await liveAll(task(SEEDS), THREADS);
  const report = render(outcome, (Date.now() - beganMs) / 1000, THREADS, undefined);
  assert.equal(outcome.failures.length, 0, report);
  assert.ok(outcome.seeds >= SEEDS_MIN, `only ${outcome.seeds} histories within ${BUDGET_MS} ms`);
  assert.ok(outcome.stats.critical > 0 && outcome.stats.takeovers > 0, report);
});

test("no scenario violates an invariant", async () => {
  const names = Object.keys(SCENARIOS);
  for (const scenario of names) {
    const outcome = await liveAll(task(2, scenario), 1);
    assert.equal(outcome.failures.length, 0, render(outcome, 1, 1, scenario));
    assert.equal(outcome.seeds, 2);
  }
});

test("without faults everything is written once, two seconds after its interval at the most", async () => {
  const { stats } = await liveAll(task(5, "none"), 1);
  const { lost, amends, takeovers, degraded, inDoubt, mislabelled, settles } = stats;
  assert.deepEqual(
    { lost, amends, takeovers, degraded, inDoubt, mislabelled, settles },
    { lost: 0, amends: 0, takeovers: 0, degraded: 0, inDoubt: 0, mislabelled: 0, settles: 0 },
  );
  assert.ok(Math.max(...stats.lags) < 2000, `lag ${Math.max(...stats.lags)} ms`);
});

test("a killed leader costs a second of its own samples, and no other's", async () => {
  const { stats } = await liveAll(task(KILLED_SEEDS, "kill-leader"), THREADS);
  assert.ok(stats.kills > 0 && stats.leaderships > KILLED_SEEDS, "leaders were killed, and others began");
  // A node takes in some thirty samples a second here.
  assert.ok(stats.lost / stats.kills < 60, `${stats.lost} samples lost by ${stats.kills} kills`);
});

test("the same seed gives the same history", () => {
  const traces = [1, 2].map(() => {
    const lines: string[] = [];
    new History(7, { onTrace: (line) => lines.push(line) }).run();
    return lines.join("\n");
  });
  assert.ok(traces[0]!.length > 1000, "something happens in it");
  assert.equal(traces[0], traces[1]);
});
