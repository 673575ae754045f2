/** The ring: which destination each bucket belongs to. */

/** Buckets and the destinations behind them. */
export interface Ring {
  /** For each bucket, in the order of the configuration, the index of its destination. */
  readonly ring: readonly number[];
  /** Distinct destination arguments in the order of their first bucket. */
  readonly destinations: readonly string[];
}

/**
 * Builds the ring of a list of destination arguments. A bucket's number is its position in the list and
 * nothing else, as in Go statsrelay, so destinations are appended and never inserted. Equal arguments share
 * one destination and one packet; a different instance makes them distinct.
 */
export function buildRing(entries: readonly string[]): Ring {
  const indexes = new Map<string, number>();
  const ring = entries.map((entry) => {
    const index = indexes.get(entry) ?? indexes.size;
    indexes.set(entry, index);
    return index;
  });
  return { ring, destinations: [...indexes.keys()] };
}
