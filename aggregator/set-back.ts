/** How a clock that is set back is told from one that is corrected. */

/** A clock that goes back by less than this is waited for; one that goes back further was wrong before. */
const WAIT_MS_MAX = 600_000;
const WAIT_INTERVALS_MIN = 2;

/**
 * Returns the number of intervals by which the clock may go back without a new start. Waiting keeps
 * intervals that are flushed already from being written again; a machine whose clock was days ahead at boot
 * must not wait for days.
 */
export function setBackIntervalsMax(intervalMs: number): number {
  return Math.max(WAIT_INTERVALS_MIN, Math.ceil(WAIT_MS_MAX / intervalMs));
}
