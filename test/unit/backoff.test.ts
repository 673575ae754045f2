import assert from "node:assert/strict";
import { test } from "node:test";
import { Backoff } from "../../shared/backoff.ts";
import { type Random, seededRandom, systemRandom } from "../../shared/random.ts";
import { ManualClock } from "../support/manual-clock.ts";

const lowest: Random = { between: (min) => min };
const highest: Random = { between: (_, max) => max };
const options = { delayMs: 100, multiplier: 2, delayMaxMs: 1000 };

test("pauses grow to the maximum and start again after a success", () => {
  const backoff = new Backoff(options, highest);
  const six = () => Array.from({ length: 6 }, () => backoff.next());
  assert.deepEqual(six(), [100, 200, 400, 800, 1000, 1000]);
  backoff.reset();
  assert.deepEqual(six(), [100, 200, 400, 800, 1000, 1000]);
});

test("jitter takes at most half", () => {
  const backoff = new Backoff(options, lowest);
  assert.deepEqual([backoff.next(), backoff.next(), backoff.next()], [50, 100, 200]);
  const random = seededRandom(7);
  for (let round = 0; round < 1000; round++) {
    const pauseMs = new Backoff(options, random).next();
    assert.ok(pauseMs >= 50 && pauseMs < 100, `${pauseMs}`);
  }
});

test("a maximum below the first delay holds from the start", () => {
  assert.equal(new Backoff({ ...options, delayMaxMs: 30 }, highest).next(), 30);
});

test("bounds that cannot work are refused", () => {
  assert.throws(() => new Backoff({ ...options, delayMs: 0 }, lowest), /delay/);
  assert.throws(() => new Backoff({ ...options, multiplier: 0.5 }, lowest), /multiplier/);
});

test("one seed is one sequence, spread over the whole range", () => {
  const draw = (seed: number) => {
    const random = seededRandom(seed);
    return Array.from({ length: 10_000 }, () => random.between(10, 20));
  };
  assert.deepEqual(draw(1), draw(1));
  assert.notDeepEqual(draw(1), draw(2));
  for (const numbers of [draw(1), Array.from({ length: 10_000 }, () => systemRandom.between(10, 20))]) {
    assert.ok(numbers.every((number) => number >= 10 && number < 20));
    for (let decile = 10; decile < 20; decile++) {
      const share = numbers.filter((number) => Math.floor(number) === decile).length / numbers.length;
      assert.ok(share > 0.08 && share < 0.12, `${decile}: ${share}`);
    }
  }
  assert.equal(seededRandom(3).between(5, 5), 5);
});

test("the manual clock fires timers in order, also those set meanwhile, and not those cancelled", () => {
  const clock = new ManualClock();
  const fired: string[] = [];
  clock.setTimer(30, () => fired.push("late"));
  clock.setTimer(10, () => {
    fired.push(`early at ${clock.monotonicMs()}`);
    clock.setTimer(5, () => fired.push(`nested at ${clock.monotonicMs()}`));
  });
  clock.setTimer(20, () => fired.push("never")).cancel();
  clock.advance(29);
  assert.deepEqual(fired, ["early at 10", "nested at 15"]);
  clock.advance(1);
  assert.equal(fired[2], "late");
});
