/** The protocol of the cluster under everything that can go wrong, many histories at a time. */
import assert from "node:assert/strict";
import { availableParallelism } from "node:os";
import { test } from "node:test";
import { liveAll, type Task } from "./crew.ts";
import { render } from "./report.ts";
import { SCENARIOS } from "./swarm.ts";

const SEEDS = 2000;
const BUDGET_MS = 45_000;
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

for (const scenario of Object.keys(SCENARIOS)) {
  test(`scenario ${scenario}`, async () => {
    const outcome = await liveAll(task(4, scenario), 1);
    assert.equal(outcome.failures.length, 0, render(outcome, 1, 1, scenario));
    assert.equal(outcome.seeds, 4);
  });
}
