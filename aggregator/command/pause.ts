/** A pause between two looks at a daemon. */
import type { Clock } from "../../shared/clock.ts";

export function pause(clock: Clock, forMs: number): Promise<void> {
  return new Promise((resolve) => {
    clock.setTimer(forMs, resolve);
  });
}
