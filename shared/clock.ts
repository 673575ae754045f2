/** Time, handed to whatever needs it, so that tests and the simulator can turn the hands themselves. */

/** A timer that has not fired yet. */
export interface TimerHandle {
  /** Stops the timer; harmless when it has fired already. */
  cancel(): void;
}

/** Source of time. Durations are measured with monotonicMs; nowMs is only for what people and sinks read. */
export interface Clock {
  /** Wall clock in milliseconds since 1970. It may jump. */
  nowMs(): number;
  /** Milliseconds since some fixed moment. It never goes back. */
  monotonicMs(): number;
  /** Calls `fire` once, `delayMs` milliseconds from now, always from the event loop and never at once. */
  setTimer(delayMs: number, fire: () => void): TimerHandle;
}

/** Milliseconds of a clock that never goes back, the same for all threads of this machine. */
export function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** The clock of this machine. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer(delayMs, fire) {
    const timer = setTimeout(fire, delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
};
