/** The known name that a mistyped one was probably meant to be. */

/** Longer names are no typing errors, and comparing takes the product of the lengths. */
const LENGTH_MAX = 40;

/**
 * Finds the known name with the fewest typing errors, at most one for every three letters. Case, underscores
 * and blanks do not count. Returns undefined when none is near.
 */
export function nearest(name: string, known: Iterable<string>): string | undefined {
  if (name.length > LENGTH_MAX) return undefined;
  const plain = name.toLowerCase().replace(/[_\s]/g, "-");
  let best: string | undefined;
  let bestErrors = Number.POSITIVE_INFINITY;
  for (const candidate of known) {
    const errors = countErrors(plain, candidate);
    if (errors <= Math.ceil(candidate.length / 3) && errors < bestErrors)
      [best, bestErrors] = [candidate, errors];
  }
  return best;
}

/** Levenshtein's distance: letters to add, remove or replace. */
function countErrors(from: string, to: string): number {
  let above = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const replaced = above[column - 1]! + (from[row - 1] === to[column - 1] ? 0 : 1);
      current.push(Math.min(replaced, above[column]! + 1, current[column - 1]! + 1));
    }
    above = current;
  }
  return above[to.length]!;
}
