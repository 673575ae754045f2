/** What is said of plans: which names move by a reload, which may stay, what has no room. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { makePlacer } from "../../relay/command/placer.ts";
import { makePlan, type Plan } from "../../relay/plan.ts";
import { isJudgingAlike } from "../../relay/plan-order.ts";
import { reviewMoves } from "../../relay/reload.ts";
import { parseConfig } from "../../shared/config.ts";
import { OperatorError } from "../../shared/errors.ts";
import { planWith } from "../support/plans.ts";

const RING = "destinations = h:1 h:2 h:3";

function planOf(text: string): Plan {
  return makePlan(parseConfig(`[relay]\n${text}\n`, "test").relay);
}

test("names that leave under another name move, though the ring is the same", async () => {
  const before = planOf(RING);
  for (const change of ["metrics-prefix = web", "metrics-suffix = web"]) {
    const moved = await reviewMoves(before, planOf(`${RING}\n${change}`), 100);
    assert.ok(moved.main! > 0.5, `${change}: ${moved.main}`);
    await assert.rejects(reviewMoves(before, planOf(`${RING}\n${change}`), 10), /reload-moved-max is 10 %/);
  }
});

test("names that a route no longer takes have moved, though the rings are the same", async () => {
  const route = (more: string) => planOf(`${RING}\n[route.copy]\ndestinations = h:4\n${more}`);
  const all = route("");
  const moved = await reviewMoves(all, route("share = 50"), 100);
  assert.ok(Math.abs(moved.copy! - 0.5) < 0.05, `${moved.copy}`);
  assert.equal((await reviewMoves(all, route("mode = move"), 100)).main, 1);
  assert.deepEqual(await reviewMoves(all, route(""), 0), { main: 0, copy: 0 });
});

test("known names stay only where they are judged as before", () => {
  const before = planOf(RING);
  assert.ok(isJudgingAlike(before, planOf("destinations = h:9 h:1 h:2 h:3")));
  const routed = `${RING}\n[route.copy]\ndestinations = h:4`;
  for (const after of [`${RING}\nblock[] = bad.**`, `${RING}\ncap[] = users=10`, routed]) {
    assert.equal(isJudgingAlike(before, planOf(after)), false, after);
  }
  assert.equal(isJudgingAlike(planOf(routed), planOf(`${routed}\nshare = 50`)), false);
});

test("more destinations than a kernel has room for are an operator's fault", () => {
  const many = Array.from({ length: 8193 }, (_, index) => `h${index}:1`);
  assert.throws(() => planWith({ entries: many }), OperatorError);
  assert.equal(planWith({ entries: many.slice(1) }).destinationCount, 8192);
});

test("explain says that tags are placed as part of the name, where they become so", async () => {
  const placer = await makePlacer(planOf(`${RING}\ntag-format = graphite`));
  assert.match(placer.place(Buffer.from("a.b")).targets[0]!.why.join(), /placed as NAME;k=v/);
  assert.deepEqual((await makePlacer(planOf(RING))).place(Buffer.from("a.b")).targets[0]!.why, []);
});
