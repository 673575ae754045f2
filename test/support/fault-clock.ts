/** Time of the fault tests. How long a fault lasts is a part of it, so these alone may let time pass. */
import { setTimeout as elapse } from "node:timers/promises";

const POLL_MS = 20;

/** Lets a fault last. */
export async function lasting(ms: number): Promise<void> {
  await elapse(ms);
}

/** Resolves with whether the condition came to hold within a time. */
export async function holdsWithin(
  ms: number,
  condition: () => Promise<boolean> | boolean,
  pollMs = POLL_MS,
): Promise<boolean> {
  const endMs = performance.now() + ms;
  while (!(await condition())) {
    if (performance.now() > endMs) return false;
    await elapse(pollMs);
  }
  return true;
}

/** Resolves when the condition holds. Throws, saying what was waited for, after the given time. */
export async function until(
  what: string,
  ms: number,
  condition: () => Promise<boolean> | boolean,
): Promise<void> {
  if (!(await holdsWithin(ms, condition))) throw new Error(`still waiting after ${ms} ms for: ${what}`);
}

/** Resolves at a wall clock time in milliseconds since 1970. */
export async function untilWall(atMs: number): Promise<void> {
  await elapse(Math.max(0, atMs - Date.now()));
}
