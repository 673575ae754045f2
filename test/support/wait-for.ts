/** Waiting for what other processes do: they cannot call back, so they are asked again and again. */

const POLL_MS = 20;
const DEADLINE_MS = 20_000;

/** Resolves when the condition holds. Throws, saying what was waited for, after 20 seconds. */
export async function waitFor(what: string, condition: () => Promise<boolean> | boolean): Promise<void> {
  const endMs = Date.now() + DEADLINE_MS;
  while (!(await condition())) {
    if (Date.now() > endMs) throw new Error(`still waiting for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
