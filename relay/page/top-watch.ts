/** What `statsrelay top` is shown: while somebody asks, the receivers watch names and senders. */
import { dropCounter, LINE_DROP_REASONS } from "../counters.ts";
import type { Receivers } from "../receivers.ts";
import { mergeSnapshots } from "../top/sampler.ts";
import type { BucketLoad, TopPage } from "../top/screen.ts";
import type { RelayState } from "./status.ts";

/** Nobody has asked for so long: watching ends. */
const IDLE_MS = 10_000;
/** Rates are taken over at least this time. */
const RATE_MS = 900;

interface Reading {
  readonly atMs: number;
  readonly received: number;
  readonly dropped: number;
  /** Lines routed, by key of the destination. */
  readonly routed: ReadonlyMap<string, number>;
}

export class TopWatch {
  readonly #receivers: Receivers;
  #idle: NodeJS.Timeout | undefined;
  #readings: Reading[] = [];

  constructor(receivers: Receivers) {
    this.#receivers = receivers;
  }

  /** The page as it is now; the first one has no rates and nothing seen yet. */
  page(state: RelayState): TopPage {
    this.#receivers.watch(true);
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.close(), IDLE_MS).unref();
    const now = read(state);
    const before =
      this.#readings.findLast(({ atMs }) => now.atMs - atMs >= RATE_MS) ?? this.#readings[0] ?? now;
    this.#readings = [...this.#readings.filter(({ atMs }) => now.atMs - atMs < IDLE_MS).slice(-30), now];
    const seconds = (now.atMs - before.atMs) / 1000;
    const rate = (count: number) => (seconds > 0 ? count / seconds : 0);
    return {
      snapshot: mergeSnapshots(this.#receivers.topSnapshots()),
      buckets: bucketLoads(state, (key) => rate((now.routed.get(key) ?? 0) - (before.routed.get(key) ?? 0))),
      received: rate(now.received - before.received),
      dropped: rate(now.dropped - before.dropped),
    };
  }

  /** Ends the watch. */
  close(): void {
    clearTimeout(this.#idle);
    this.#readings = [];
    this.#receivers.watch(false);
  }
}

function read(state: RelayState): Reading {
  let received = 0;
  let dropped = 0;
  for (const { intake } of state.listeners) {
    received += intake.received;
    dropped += intake.kernelDrops;
    for (const reason of LINE_DROP_REASONS) dropped += intake[dropCounter(reason)];
  }
  const routed = new Map([...state.outputs].map(([key, output]) => [key, output.routed] as const));
  return { atMs: performance.now(), received, dropped, routed };
}

function bucketLoads(state: RelayState, rateOf: (key: string) => number): BucketLoad[] {
  const loads = state.plan.destinations.map(({ key, ring, text }) => ({
    ring,
    destination: text,
    linesPerSecond: rateOf(key),
    isUp: state.isUp(key),
  }));
  const sums = new Map<string, number>();
  for (const { ring, linesPerSecond } of loads) sums.set(ring, (sums.get(ring) ?? 0) + linesPerSecond);
  return loads.map((load) => {
    const sum = sums.get(load.ring) ?? 0;
    return { ...load, share: sum > 0 ? load.linesPerSecond / sum : 0 };
  });
}
