/** `npm run sim:mutations [-- NAME...]`: which histories notice each broken rule, and how soon. */
import { availableParallelism } from "node:os";
import { liveAll } from "./crew.ts";
import { checkMutations, liveMutated } from "./mutation-gate.ts";
import { MUTATIONS, type Mutation } from "./mutations.ts";

/** Histories that a broken rule may live through before it counts as unnoticed. */
const SEEDS = 3000;
const SEEDS_OF_FIGURES = 60;
const THREADS = availableParallelism();

/** What noticed it, in words; undefined where nothing did. */
async function notice(mutation: Mutation): Promise<string | undefined> {
  const { isSeen, scenario } = mutation;
  const last = isSeen === undefined ? SEEDS : SEEDS_OF_FIGURES;
  const task = { first: 1, last, step: 1, scenario, endMs: Number.POSITIVE_INFINITY, failuresMax: 1 };
  const broken = await liveMutated(mutation, task, THREADS);
  const first = broken.failures[0];
  if (first !== undefined) {
    const { failures } = await liveAll({ ...task, first: first.seed, last: first.seed }, 1);
    if (failures.length > 0) throw new Error(`seed ${first.seed} fails for the sound code, too`);
    return `seed ${first.seed}: ${first.violation}`;
  }
  if (isSeen === undefined) return undefined;
  const sound = await liveAll(task, THREADS);
  return isSeen(broken.stats, sound.stats) ? "by its figures" : undefined;
}

checkMutations(MUTATIONS);
const names = process.argv.slice(2);
const chosen = MUTATIONS.filter(({ name }) => names.length === 0 || names.includes(name));
let unnoticed = 0;
for (const mutation of chosen) {
  const beganMs = Date.now();
  const noticed = await notice(mutation);
  if (noticed === undefined) unnoticed += 1;
  const seconds = ((Date.now() - beganMs) / 1000).toFixed(0);
  const verdict = (noticed ?? "NOT NOTICED").split("\n")[0]!.slice(0, 150);
  console.log(`${mutation.name.padEnd(50)} ${seconds.padStart(4)} s  ${verdict}`);
}
console.log(unnoticed === 0 ? "every broken rule was noticed" : `${unnoticed} broken rules were not noticed`);
process.exitCode = unnoticed === 0 && chosen.length > 0 ? 0 : 1;
