/** Figures of one history, or of many. */

export interface Stats {
  kills: number;
  pauses: number;
  partitions: number;
  jumps: number;
  sinkFailures: number;
  leaves: number;
  transfers: number;
  wipes: number;
  /** Faults at critical points. */
  critical: number;
  writes: number;
  amends: number;
  takeovers: number;
  settles: number;
  degraded: number;
  /** Intervals written although something that was delivered may be lost. */
  inDoubt: number;
  elections: number;
  leaderships: number;
  samples: number;
  /** Samples whose interval is not the one in which they came. */
  mislabelled: number;
  /** Samples that no process had any more, uncut ones included. */
  lost: number;
  lateSamples: number;
  forgottenSamples: number;
  unmergeableSamples: number;
  /** Deltas that a process left behind although others could have had them. */
  leftBehind: number;
  rivals: number;
  stale: number;
  messages: number;
  events: number;
  /** Deltas that one node alone held a while after all was well. */
  thin: number;
  /** Milliseconds from the end of an interval to its first acknowledgement, for each sink. */
  lags: number[];
}

export function newStats(): Stats {
  return {
    kills: 0,
    pauses: 0,
    partitions: 0,
    jumps: 0,
    sinkFailures: 0,
    leaves: 0,
    transfers: 0,
    wipes: 0,
    critical: 0,
    writes: 0,
    amends: 0,
    takeovers: 0,
    settles: 0,
    degraded: 0,
    inDoubt: 0,
    elections: 0,
    leaderships: 0,
    samples: 0,
    mislabelled: 0,
    lost: 0,
    lateSamples: 0,
    forgottenSamples: 0,
    unmergeableSamples: 0,
    leftBehind: 0,
    rivals: 0,
    stale: 0,
    messages: 0,
    events: 0,
    thin: 0,
    lags: [],
  };
}

/** Adds figures to others. */
export function addStats(sum: Stats, more: Stats): void {
  for (const lag of more.lags) sum.lags.push(lag);
  for (const key of Object.keys(more) as (keyof Stats)[]) {
    if (key !== "lags") sum[key] += more[key];
  }
}

/** Returns a quantile of milliseconds, in seconds. */
export function quantile(sorted: readonly number[], part: number): number {
  return (sorted[Math.floor(part * (sorted.length - 1))] ?? 0) / 1000;
}
