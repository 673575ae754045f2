/** Until when a leader may write, by the heartbeats that others acknowledged. */

export class Lease {
  readonly #leaseMs: number;
  /** Newest heartbeat that each of the others acknowledged, by the moment at which it was sent. */
  readonly #ackedMs = new Map<string, number>();
  /** The newest heartbeat. */
  #sentMs = 0;
  /** Heartbeats sent before it do not count. */
  #trustedFromMs = 0;

  /** leaseMs: how long a heartbeat counts from the moment at which it was sent. */
  constructor(leaseMs: number) {
    this.#leaseMs = leaseMs;
  }

  /** Moment from which on heartbeats count. */
  get trustedFromMs(): number {
    return this.#trustedFromMs;
  }

  /** Begins anew: nothing that was acknowledged before counts. */
  begin(nowMs: number): void {
    this.#ackedMs.clear();
    this.#trustedFromMs = nowMs;
  }

  /** A heartbeat is sent to all; this member has it. */
  beat(nowMs: number): void {
    this.#sentMs = nowMs;
  }

  /** A member acknowledges the heartbeat of a moment; one that was never sent is passed over. */
  acknowledge(from: string, sentMs: number): void {
    if (!(sentMs <= this.#sentMs && sentMs >= this.#trustedFromMs)) return;
    this.#ackedMs.set(from, Math.max(this.#ackedMs.get(from) ?? sentMs, sentMs));
  }

  /** Only these are counted from now on. */
  keepOnly(members: ReadonlySet<string>): void {
    for (const name of this.#ackedMs.keys()) if (!members.has(name)) this.#ackedMs.delete(name);
  }

  /** When it ends; 0 where no majority has acknowledged anything. majority: members, this one included. */
  untilMs(majority: number): number {
    const sent = [this.#sentMs, ...this.#ackedMs.values()].filter((one) => one >= this.#trustedFromMs);
    const newest = sent.sort((left, right) => right - left)[majority - 1];
    return newest === undefined ? 0 : newest + this.#leaseMs;
  }
}
