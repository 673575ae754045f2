/** Signals that end a daemon in good order, or let it read its configuration again. */

/**
 * Calls `stop` at the first SIGTERM or SIGINT, and ignores further ones: what is being handed over is worth
 * the wait, and stop has a deadline of its own. SIGHUP calls `reload`; where there is none, it stops too.
 */
export function handleSignals(stop: (signal: NodeJS.Signals) => void, reload?: () => void): void {
  let isStopping = false;
  const stopOnce = (signal: NodeJS.Signals): void => {
    if (isStopping) return;
    isStopping = true;
    stop(signal);
  };
  process.on("SIGTERM", stopOnce);
  process.on("SIGINT", stopOnce);
  process.on("SIGHUP", (signal) => (reload === undefined ? stopOnce(signal) : reload()));
}
