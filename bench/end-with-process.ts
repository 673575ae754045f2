/** Ends what a benchmark has started when the benchmark itself ends early, by a signal or an error. */

const ends = new Set<() => void>();

process.once("exit", () => {
  for (const end of ends) end();
});

// Without a handler a signal would end the process past the one above.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

/** Calls end when this process ends. Returns what takes that back. end: must not wait, nor throw. */
export function endWithProcess(end: () => void): () => void {
  ends.add(end);
  return () => ends.delete(end);
}
