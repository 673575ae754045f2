/** Signals that end a daemon in good order. */

/**
 * Calls `stop` at the first SIGTERM, SIGINT or SIGHUP, and ignores further ones: what is being handed over
 * is worth the wait, and stop has a deadline of its own.
 */
export function stopOnSignal(stop: (signal: NodeJS.Signals) => void): void {
  let isStopping = false;
  for (const name of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
    process.on(name, (signal) => {
      if (isStopping) return;
      isStopping = true;
      stop(signal);
    });
  }
}
