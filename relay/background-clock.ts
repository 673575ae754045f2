/** The clock of work that goes on beside the relay's own: a timer of it never keeps the process alive. */
import { type Clock, systemClock } from "../shared/clock.ts";

/** This machine's clock; a process that has nothing else to do ends though timers are set. */
export const backgroundClock: Clock = {
  nowMs: systemClock.nowMs,
  monotonicMs: systemClock.monotonicMs,
  setTimer(delayMs, fire) {
    const timer = setTimeout(fire, delayMs).unref();
    return { cancel: () => clearTimeout(timer) };
  },
};
