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

const HELD = ["SIGTERM", "SIGINT", "SIGHUP"] as const;

/**
 * Holds signals back while a daemon starts: without handlers they would end it, and what it has received by
 * then would be lost. Returns handleSignals, which then also hears of those that came.
 */
export function holdSignals(): typeof handleSignals {
  const held = new Set<NodeJS.Signals>();
  const hold = (signal: NodeJS.Signals): void => {
    held.add(signal);
  };
  for (const signal of HELD) process.on(signal, hold);
  return (stop, reload) => {
    handleSignals(stop, reload);
    for (const signal of HELD) process.off(signal, hold);
    for (const signal of held) process.emit(signal, signal);
  };
}
