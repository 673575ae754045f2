/** `npm run sim:mutations [-- NAME...]`: which histories notice each broken rule, and how soon. */
import { availableParallelism } from "node:os";
import { checkMutations, liveMutated } from "./mutation-gate.ts";
import { MUTATIONS } from "./mutations.ts";

/** Histories that a broken rule may live through before it counts as unnoticed. */
const SEEDS = 3000;
const THREADS = availableParallelism();

checkMutations(MUTATIONS);
const names = process.argv.slice(2);
const chosen = MUTATIONS.filter(({ name }) => names.length === 0 || names.includes(name));
let unnoticed = 0;
for (const mutation of chosen) {
  const beganMs = Date.now();
  const task = { first: 1, last: SEEDS, step: 1, scenario: undefined, endMs: Infinity, failuresMax: 1 };
  const { failures, seeds } = await liveMutated(mutation, task, THREADS);
  const seconds = ((Date.now() - beganMs) / 1000).toFixed(0);
  const first = failures[0];
  if (first === undefined) unnoticed += 1;
  const verdict = first === undefined ? `not noticed in ${seeds}` : `seed ${first.seed}: ${first.violation}`;
  console.log(`${mutation.name.padEnd(44)} ${seconds.padStart(4)} s  ${verdict.slice(0, 160)}`);
}
console.log(unnoticed === 0 ? "every broken rule was noticed" : `${unnoticed} broken rules were not noticed`);
process.exitCode = unnoticed === 0 && chosen.length > 0 ? 0 : 1;
