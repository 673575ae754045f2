/** Deltas that a member knows of and lacks, and whom it asks for them. */
import type { DeltaId } from "./delta.ts";
import type { Holdings } from "./holdings.ts";
import { deltasOf, type Manifest, withDeltas } from "./manifest.ts";
import type { Peers } from "./peers.ts";
import type { Net } from "./world.ts";

const RETRY_MS = 300;
/** Times that each of those who may have a delta is asked for it. */
const TRIES_MAX = 10;
/** Deltas asked of one peer for one interval at a time. */
const ASKED_MAX = 512;
/** Deltas that are looked for at a time; others are heard of again. */
const WANTED_MAX = 200_000;

interface Want extends DeltaId {
  readonly holders: Set<string>;
  tries: number;
}

/** What one interval lacks, by identity. */
type Wants = Map<string, Want>;

export class Pulls {
  readonly #holdings: Holdings;
  readonly #peers: Peers;
  readonly #net: Net;
  readonly #wants = new Map<number, Wants>();
  /** When each interval was asked for last. */
  readonly #askedMs = new Map<number, number>();
  #count = 0;

  constructor(holdings: Holdings, peers: Peers, net: Net) {
    this.#holdings = holdings;
    this.#peers = peers;
    this.#net = net;
  }

  /** Asks for what is lacking of a manifest, from these peers; the first question goes out at once. */
  want(interval: number, manifest: Manifest, holders: readonly string[], nowMs: number): void {
    const entry = this.#holdings.get(interval);
    if (entry === undefined || entry.isShed || holders.length === 0) return;
    const wants = this.#wants.get(interval) ?? new Map<string, Want>();
    let isNew = false;
    for (const id of deltasOf(manifest)) {
      if (entry.has(id)) continue;
      const key = keyOf(id);
      const want = wants.get(key);
      if (want !== undefined) {
        for (const holder of holders) want.holders.add(holder);
      } else if (this.#count < WANTED_MAX) {
        wants.set(key, { ...id, holders: new Set(holders), tries: 0 });
        this.#count += 1;
        isNew = true;
      }
    }
    if (wants.size === 0) return;
    this.#wants.set(interval, wants);
    if (isNew) this.#ask(interval, wants, nowMs);
  }

  /** Whether something of an interval is being looked for with somebody who is there. */
  isWaiting(interval: number, nowMs: number): boolean {
    const wants = this.#wants.get(interval);
    if (wants === undefined) return false;
    for (const { holders } of wants.values()) {
      for (const holder of holders) if (this.#peers.get(holder)?.isLive(nowMs) === true) return true;
    }
    return false;
  }

  arrived(interval: number, id: DeltaId): void {
    const wants = this.#wants.get(interval);
    if (wants?.delete(keyOf(id)) !== true) return;
    this.#count -= 1;
    if (wants.size === 0) this.#end(interval);
  }

  /** Nothing of this interval is looked for any more. */
  forget(interval: number): void {
    this.#count -= this.#wants.get(interval)?.size ?? 0;
    this.#end(interval);
  }

  #end(interval: number): void {
    this.#wants.delete(interval);
    this.#askedMs.delete(interval);
  }

  tick(nowMs: number): void {
    for (const [interval, wants] of this.#wants) {
      if (nowMs - (this.#askedMs.get(interval) ?? 0) >= RETRY_MS) this.#ask(interval, wants, nowMs);
    }
  }

  #ask(interval: number, wants: Wants, nowMs: number): void {
    this.#askedMs.set(interval, nowMs);
    const asked = new Map<string, DeltaId[]>();
    for (const [key, want] of wants) {
      const live = [...want.holders].filter((holder) => this.#peers.get(holder)?.isLive(nowMs) === true);
      if (live.length === 0) {
        // Whoever comes back tells again what it holds.
        want.tries += 1;
      } else {
        const holder = live[want.tries % live.length]!;
        const ids = asked.get(holder) ?? [];
        if (ids.length >= ASKED_MAX) continue;
        want.tries += 1;
        ids.push(want);
        asked.set(holder, ids);
      }
      if (want.tries > TRIES_MAX * want.holders.size) {
        wants.delete(key);
        this.#count -= 1;
      }
    }
    for (const [holder, ids] of asked) {
      this.#net.send(holder, { kind: "pull", interval, wanted: withDeltas([], ids) });
    }
    if (wants.size === 0) this.#end(interval);
  }
}

function keyOf({ source, sequence }: DeltaId): string {
  return `${source}/${sequence}`;
}
