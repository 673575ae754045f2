/** Histories notice broken rules. The whole list takes minutes: `npm run sim:mutations`. */
import assert from "node:assert/strict";
import { availableParallelism } from "node:os";
import { test } from "node:test";
import { checkMutations, liveMutated, mutateText } from "./mutation-gate.ts";
import { MUTATIONS } from "./mutations.ts";

/** Those that any few histories notice. */
const SOON = [
  "an intent needs no majority",
  "an intent counts before it is on disk",
  "rows go out without a lease",
  "tables are not folded in the manifest's order",
  "late deltas do not amend",
];
const SEEDS = 80;
const THREADS = Math.min(4, availableParallelism());

test("each mutation fits the code in one place", () => {
  checkMutations(MUTATIONS);
});

test("a mutation that fits nowhere, or in two places, is an error", () => {
  const mutation = { name: "n", file: "f.js", find: "if (a)", replace: "if (b)" };
  assert.equal(mutateText("x; if (a) y;", mutation), "x; if (b) y;");
  assert.throws(() => mutateText("x;", mutation), /found 0 times in f.js/);
  assert.throws(() => mutateText("if (a) if (a)", mutation), /found 2 times in f.js/);
});

for (const name of SOON) {
  test(`histories notice when ${name}`, async () => {
    const mutation = MUTATIONS.find((one) => one.name === name)!;
    const endMs = Date.now() + 60_000;
    const task = { first: 1, last: SEEDS, step: 1, scenario: undefined, endMs, failuresMax: 1 };
    const { failures, seeds } = await liveMutated(mutation, task, THREADS);
    assert.ok(failures.length > 0, `${seeds} histories did not notice`);
  });
}
