/** Property: what a sketch says of a key holds for the true counts, which a plain map keeps here. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { mergeLists, type SketchList, TopSketch } from "../../relay/top/sketch.ts";

type Step = readonly [key: string, weight: number];

/** Few keys weigh much and many weigh little, as names do. */
const stepArbitrary: fc.Arbitrary<Step> = fc.tuple(
  fc.oneof(
    fc.constantFrom("a", "b", "c"),
    fc.integer({ min: 0, max: 40 }).map((number) => `k${number}`),
    fc.constantFrom("__proto__", "constructor", ""),
  ),
  fc.integer({ min: 1, max: 64 }).map((quarters) => quarters / 4),
);
const stepsArbitrary = fc.array(stepArbitrary, { maxLength: 300 });

/** True counts; weights are quarters, which add up exactly. */
function countOf(steps: readonly Step[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const [key, weight] of steps) counts.set(key, (counts.get(key) ?? 0) + weight);
  return counts;
}

function sketchOf(steps: readonly Step[], capacity: number): TopSketch {
  const sketch = new TopSketch(capacity);
  for (const [key, weight] of steps) sketch.add(key, weight);
  return sketch;
}

function assertBounds({ items, floor }: SketchList, counts: ReadonlyMap<string, number>, slack = 0): void {
  const listed = new Set(items.map(({ key }) => key));
  assert.equal(listed.size, items.length, "a key stands there twice");
  for (const { key, count, error } of items) {
    const real = counts.get(key) ?? 0;
    assert.ok(real <= count + slack && real >= count - error - slack, `${key}: ${real}, ${count} - ${error}`);
  }
  for (const [key, real] of counts) {
    assert.ok(listed.has(key) || real <= floor + slack, `${key} has ${real}, the floor is ${floor}`);
  }
}

test("true counts lie within the bounds, and every key above total / capacity is there", () => {
  fc.assert(
    fc.property(stepsArbitrary, fc.integer({ min: 1, max: 50 }), (steps, capacity) => {
      const sketch = sketchOf(steps, capacity);
      const counts = countOf(steps);
      const list = sketch.list(capacity);
      assertBounds(list, counts);
      assert.ok(list.items.length <= capacity);
      const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
      assert.equal(sketch.total, total);
      const listed = new Set(list.items.map(({ key }) => key));
      for (const [key, count] of counts) {
        assert.ok(count <= total / capacity || listed.has(key), `${key} with ${count} of ${total}`);
      }
      // A sketch that never had to replace a key is exact.
      if (counts.size <= capacity) assert.ok(list.items.every(({ error }) => error === 0));
    }),
    { numRuns: 1000 },
  );
});

test("the list is sorted, and a shorter one keeps the bounds", () => {
  fc.assert(
    fc.property(stepsArbitrary, fc.integer({ min: 1, max: 50 }), fc.nat(20), (steps, capacity, n) => {
      const list = sketchOf(steps, capacity).list(n);
      assertBounds(list, countOf(steps));
      assert.ok(list.items.length <= n);
      const sorted = list.items.every(({ count }, i) => i === 0 || list.items[i - 1]!.count >= count);
      assert.ok(sorted);
    }),
    { numRuns: 500 },
  );
});

test("lists of several sketches merge into one whose bounds hold for all of them", () => {
  const runs = fc.array(fc.tuple(stepsArbitrary, fc.integer({ min: 1, max: 50 })), { maxLength: 4 });
  fc.assert(
    fc.property(runs, fc.integer({ min: 1, max: 30 }), (parts, n) => {
      const merged = mergeLists(
        parts.map(([steps, capacity]) => sketchOf(steps, capacity).list(n)),
        n,
      );
      assertBounds(merged, countOf(parts.flatMap(([steps]) => steps)), 1e-9);
      assert.ok(merged.items.length <= n);
    }),
    { numRuns: 500 },
  );
});

test("of a key that a list lacks, only that list's floor is added", () => {
  const item = (key: string, count: number, error: number) => ({ key, count, error });
  const merged = mergeLists(
    [
      { items: [item("both", 50, 1), item("one", 40, 2)], floor: 3 },
      { items: [item("both", 20, 0)], floor: 5 },
    ],
    2,
  );
  assert.deepEqual(merged, { items: [item("both", 70, 1), item("one", 45, 7)], floor: 8 });
});

test("decay scales the counts and keeps the bounds, also where keys are forgotten", () => {
  const phases = fc.array(fc.tuple(stepsArbitrary, fc.constantFrom(0, 0.001, 0.25, 0.5, 1)), {
    maxLength: 5,
  });
  fc.assert(
    fc.property(phases, fc.integer({ min: 1, max: 50 }), (list, capacity) => {
      const sketch = new TopSketch(capacity);
      const counts = new Map<string, number>();
      for (const [steps, factor] of list) {
        for (const [key, weight] of steps) {
          sketch.add(key, weight);
          counts.set(key, (counts.get(key) ?? 0) + weight);
        }
        sketch.decay(factor);
        for (const [key, count] of counts) counts.set(key, count * factor);
        assertBounds(sketch.list(capacity), counts, 1e-9);
      }
    }),
    { numRuns: 500 },
  );
});

test("what has decayed to nothing makes room", () => {
  const sketch = sketchOf([["old", 5]], 10);
  for (let i = 0; i < 20; i++) sketch.decay(0.5);
  assert.deepEqual(sketch.top(10), []);
  sketch.decay(0);
  sketch.add("new", 2);
  assert.deepEqual(sketch.top(10), [{ key: "new", count: 2, error: 0 }]);
});
