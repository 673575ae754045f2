/**
 * What the cluster's thread tells the others through shared memory: what time it is in the cluster, and until
 * when rows may be written. One thread writes, all others read.
 *
 *   f64   0 cluster clock minus monotonic clock   1 end of the lease   2 floor   3 until when that counts
 */

import { machineMs } from "../shared/clock.ts";

const OFFSET = 0;
const LEASE = 1;
const FLOOR = 2;
const FLOOR_UNTIL = 3;
const WORDS = 4;

export class ClusterWords {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Float64Array;

  /** buffer: of another thread's; without it, one that says wall clock, no lease, and nothing to write. */
  constructor(buffer?: SharedArrayBuffer) {
    this.buffer = buffer ?? new SharedArrayBuffer(WORDS * Float64Array.BYTES_PER_ELEMENT);
    this.#words = new Float64Array(this.buffer);
    if (buffer !== undefined) return;
    this.#words[OFFSET] = Date.now() - machineMs();
    this.#words[FLOOR] = Number.NEGATIVE_INFINITY;
  }

  /** The cluster's clock in milliseconds since 1970. */
  nowMs(): number {
    return Math.floor(machineMs() + this.#words[OFFSET]!);
  }

  setNow(clockMs: number): void {
    this.#words[OFFSET] = clockMs - machineMs();
  }

  /** untilMs: of machineMs(). */
  setLease(untilMs: number): void {
    this.#words[LEASE] = untilMs;
  }

  /** Another node writes the intervals from `floor` on. untilMs: of machineMs(). */
  setFloor(floor: number, untilMs: number): void {
    this.#words[FLOOR] = floor;
    this.#words[FLOOR_UNTIL] = untilMs;
  }

  /** Whether this node leads, and may write. */
  get isLeased(): boolean {
    return machineMs() < this.#words[LEASE]!;
  }

  /** Whether rows of an interval may be written: by the leader, or because the leader will not. */
  mayWrite(interval: number): boolean {
    return this.isLeased || (interval < this.#words[FLOOR]! && machineMs() < this.#words[FLOOR_UNTIL]!);
  }
}

/** The clock that intervals go by: the cluster's, or this machine's where there is no cluster. */
export function intervalClock(words: SharedArrayBuffer | undefined): () => number {
  if (words === undefined) return () => Date.now();
  const cluster = new ClusterWords(words);
  return () => cluster.nowMs();
}
