/** How a clock that is set back is told from one that is corrected. */

/** A clock that goes back by less than this is waited for; one that goes back further was wrong before. */
const WAIT_MS_MAX = 600_000;
const WAIT_INTERVALS_MIN = 2;
/** A cluster's clock goes back only where it was not the cluster's before; less may be a boundary at hand. */
const FOLLOW_INTERVALS = 1;

/**
 * Returns the number of intervals by which the clock may go back without a new start. Waiting keeps
 * intervals that are flushed already from being written again; a machine whose clock was days ahead at boot
 * must not wait for days. isOfCluster: whether the clock is a cluster's, where nothing is written twice and
 * waiting would only label lines by another time than the others do.
 */
export function setBackIntervalsMax(intervalMs: number, isOfCluster = false): number {
  if (isOfCluster) return FOLLOW_INTERVALS;
  return Math.max(WAIT_INTERVALS_MIN, Math.ceil(WAIT_MS_MAX / intervalMs));
}
