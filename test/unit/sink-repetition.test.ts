// Which orders which class of sink gets.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type DoubtPolicy, rulingOf, type SinkClass } from "../../aggregator/sink/repetition.ts";
import type { WriteCause } from "../../cluster/world.ts";

const causes: readonly WriteCause[] = ["first", "takeover", "amend", "settle"];

function rulings(sinkClass: SinkClass, onDoubt: DoubtPolicy = "skip", isInDoubt = false): string[] {
  return causes.map((cause) => rulingOf(sinkClass, onDoubt, { cause, isInDoubt }));
}

test("what replaces gets everything", () => {
  assert.deepEqual(rulings("overwrite"), ["write", "write", "write", "write"]);
  assert.deepEqual(rulings("overwrite", "skip", true), ["write", "write", "write", "write"]);
});

test("what keeps the first gets no second", () => {
  assert.deepEqual(rulings("first-wins"), ["write", "write", "not_amended", "not_amended"]);
  assert.deepEqual(rulings("first-wins", "skip", true), ["write", "write", "not_amended", "not_amended"]);
});

test("a journal gets all that is new", () => {
  assert.deepEqual(rulings("journal"), ["write", "write", "write", "not_amended"]);
});

test("what adds up gets nothing twice, unless it is told so", () => {
  assert.deepEqual(rulings("additive"), ["write", "in_doubt", "not_amended", "not_amended"]);
  assert.deepEqual(rulings("additive", "skip", true), ["in_doubt", "in_doubt", "not_amended", "not_amended"]);
  assert.deepEqual(rulings("additive", "resend", true), ["write", "write", "not_amended", "not_amended"]);
});
