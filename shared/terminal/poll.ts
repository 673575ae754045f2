/** Asks again and again for a page and shows it, until the time is over or somebody has seen enough. */
import type { Clock } from "../clock.ts";
import { OperatorError } from "../errors.ts";
import type { Terminal } from "./terminal.ts";

/** How to watch. */
export interface PollOptions<Page> {
  /** Throws OperatorError when nobody answers: at first that ends the watch, later it is shown. */
  fetch(): Promise<Page>;
  /** trouble: why the page is not a new one; empty where it is. */
  show(page: Page, trouble: string): void;
  /** How long to watch, in milliseconds; Infinity until it is told to leave. */
  readonly limitMs: number;
  /** Shows one page, at the end of that time. */
  readonly isOnce: boolean;
  readonly isFullScreen: boolean;
}

const POLL_MS = 1_000;

/** Watches. Throws what the first fetch throws, and with isOnce any other. */
export async function pollPages<Page>(
  options: PollOptions<Page>,
  terminal: Terminal,
  clock: Clock,
): Promise<void> {
  const { isOnce, limitMs } = options;
  const startedMs = clock.monotonicMs();
  let page = await options.fetch();
  let trouble = "";
  const left = terminal.open(options.isFullScreen);
  try {
    for (;;) {
      if (!isOnce) options.show(page, trouble);
      const remainingMs = limitMs - (clock.monotonicMs() - startedMs);
      if (remainingMs <= 0 || (await pause(Math.min(POLL_MS, remainingMs), left, clock))) break;
      try {
        page = await options.fetch();
        trouble = "";
      } catch (error) {
        if (isOnce || !(error instanceof OperatorError)) throw error;
        trouble = error.message;
      }
    }
  } finally {
    terminal.close();
  }
  if (isOnce) options.show(page, "");
}

/** Waits; resolves with whether somebody wants to leave. */
async function pause(delayMs: number, left: Promise<void>, clock: Clock): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = clock.setTimer(delayMs, () => resolve(false));
    void left.then(() => {
      timer.cancel();
      resolve(true);
    });
  });
}
