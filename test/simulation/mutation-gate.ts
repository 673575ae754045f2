/**
 * Breaks one rule of the compiled protocol at a time, in a private copy, and looks whether histories notice.
 * A rule that can be broken unseen is not tested.
 */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { liveAll, type Outcome, type Task } from "./crew.ts";
import type { Mutation } from "./mutations.ts";

/** The compiled tree that this file is a part of. */
const tree = fileURLToPath(new URL("../../", import.meta.url));
const COPIED = ["cluster", "shared", "test/simulation"];

/**
 * Returns a file's text with the rule broken. Throws where what shall be replaced is not there exactly once:
 * the mutation has to follow the code.
 */
export function mutateText(text: string, { name, file, find, replace }: Mutation): string {
  const count = text.split(find).length - 1;
  if (count !== 1) throw new Error(`mutation "${name}": found ${count} times in ${file}: ${find}`);
  return text.replace(find, () => replace);
}

/** Whether each mutation fits the code; throws for the first that does not. */
export function checkMutations(mutations: readonly Mutation[]): void {
  for (const mutation of mutations) {
    mutateText(readFileSync(join(tree, "cluster", mutation.file), "utf8"), mutation);
  }
}

/** Lives through histories of the mutated code, on so many threads. */
export async function liveMutated(mutation: Mutation, task: Task, threads: number): Promise<Outcome> {
  const copy = mkdtempSync(join(tmpdir(), "mutation-"));
  try {
    for (const folder of COPIED) {
      mkdirSync(join(copy, folder), { recursive: true });
      cpSync(join(tree, folder), join(copy, folder), {
        recursive: true,
        filter: (path) => !path.endsWith(".wasm"),
      });
    }
    writeFileSync(join(copy, "package.json"), '{ "type": "module" }\n');
    const path = join(copy, "cluster", mutation.file);
    writeFileSync(path, mutateText(readFileSync(path, "utf8"), mutation));
    const script = pathToFileURL(join(copy, "test", "simulation", "crew-thread.js"));
    return await liveAll(task, threads, script);
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}
