/** Many histories at once, on as many threads as one likes. */
import { Worker } from "node:worker_threads";
import { History } from "./history.ts";
import { addStats, newStats, type Stats } from "./stats.ts";

export interface Failure {
  readonly seed: number;
  /** What was violated first, and when. */
  readonly violation: string;
}

/** Seeds first, first + step and so on, up to last, for one thread. */
export interface Task {
  readonly first: number;
  readonly last: number;
  readonly step: number;
  readonly scenario: string | undefined;
  /** No more histories are begun after this, on the wall clock. */
  readonly endMs: number;
  /** Nor after so many failures. */
  readonly failuresMax: number;
}

export interface Outcome {
  seeds: number;
  readonly stats: Stats;
  readonly failures: Failure[];
}

/** Lives through one history; an exception out of the protocol is a violation, too. */
export function liveOnce(seed: number, scenario: string | undefined, outcome: Outcome): void {
  const history = new History(seed, scenario === undefined ? {} : { scenario });
  try {
    history.run();
  } catch (error) {
    history.ledger.violate(error instanceof Error ? `${error.stack}` : String(error));
  }
  outcome.seeds += 1;
  addStats(outcome.stats, history.stats);
  const violation = history.ledger.violations[0];
  if (violation !== undefined) outcome.failures.push({ seed, violation });
}

/** Lives through a thread's part. */
export function live(task: Task): Outcome {
  const outcome: Outcome = { seeds: 0, stats: newStats(), failures: [] };
  for (let seed = task.first; seed <= task.last && Date.now() < task.endMs; seed += task.step) {
    liveOnce(seed, task.scenario, outcome);
    if (outcome.failures.length >= task.failuresMax) break;
  }
  return outcome;
}

const CREW_THREAD = new URL("./crew-thread.js", import.meta.url);

/**
 * Shares a task among threads; `task.step` counts for one. Resolves when all have ended.
 * script: what a thread runs; another compiled tree's is given to live through histories of that code.
 */
export async function liveAll(task: Task, threads: number, script = CREW_THREAD): Promise<Outcome> {
  const sum: Outcome = { seeds: 0, stats: newStats(), failures: [] };
  const parts = Array.from({ length: threads }, (_, thread) => {
    const part: Task = { ...task, first: task.first + thread * task.step, step: task.step * threads };
    return new Promise<void>((resolve, reject) => {
      const worker = new Worker(script, { workerData: part });
      worker.on("message", (outcome: Outcome) => {
        sum.seeds += outcome.seeds;
        addStats(sum.stats, outcome.stats);
        sum.failures.push(...outcome.failures);
      });
      worker.on("error", reject);
      worker.on("exit", () => resolve());
    });
  });
  await Promise.all(parts);
  sum.failures.sort((left, right) => left.seed - right.seed);
  return sum;
}
