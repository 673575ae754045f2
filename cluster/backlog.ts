/** Deltas on their way to one peer: those that wait, and those that were sent and not acknowledged. */
import type { Delta, DeltaId } from "./delta.ts";

interface Queued {
  readonly delta: Delta;
  readonly queuedMs: number;
  sentMs: number;
}

export class Backlog {
  /** To be sent again, before what waits: that may be very much, which is not moved for these. */
  #again = new Map<string, Queued>();
  /** Not sent yet; in order. */
  readonly #waiting = new Map<string, Queued>();
  /** By the time of sending. */
  readonly #sent = new Map<string, Queued>();
  bytes = 0;

  get size(): number {
    return this.#again.size + this.#waiting.size + this.#sent.size;
  }
  get isWaiting(): boolean {
    return this.#again.size + this.#waiting.size > 0;
  }

  add(delta: Delta, nowMs: number): void {
    this.#waiting.set(keyOf(delta), { delta, queuedMs: nowMs, sentMs: 0 });
    this.bytes += delta.bytes.length;
  }

  /** Takes a delta out. Returns whether it was there. */
  remove(id: DeltaId): boolean {
    const key = keyOf(id);
    const queued = this.#waiting.get(key) ?? this.#sent.get(key) ?? this.#again.get(key);
    if (queued === undefined) return false;
    for (const queue of [this.#again, this.#waiting, this.#sent]) queue.delete(key);
    this.bytes -= queued.delta.bytes.length;
    return true;
  }

  /** Takes the oldest out; false where there is none. */
  dropOldest(): boolean {
    const oldest = first(this.#sent) ?? first(this.#again) ?? first(this.#waiting);
    return oldest !== undefined && this.remove(oldest.delta);
  }

  /** Returns what is to be sent next, at most so many bytes but at least one delta; it counts as sent. */
  next(bytesMax: number, nowMs: number): Delta[] {
    const deltas: Delta[] = [];
    let bytes = 0;
    for (const queue of [this.#again, this.#waiting]) {
      for (const [key, queued] of queue) {
        bytes += queued.delta.bytes.length;
        if (deltas.length > 0 && bytes > bytesMax) return deltas;
        queue.delete(key);
        queued.sentMs = nowMs;
        this.#sent.set(key, queued);
        deltas.push(queued.delta);
      }
    }
    return deltas;
  }

  /** What was sent before that moment waits again, ahead of the rest. */
  requeue(sentBeforeMs: number): void {
    const again = new Map<string, Queued>();
    for (const [key, queued] of this.#sent) {
      if (queued.sentMs > sentBeforeMs) break;
      this.#sent.delete(key);
      again.set(key, queued);
    }
    if (again.size === 0) return;
    for (const [key, queued] of this.#again) again.set(key, queued);
    this.#again = again;
  }

  /** Interval below which nothing waits to be sent, as far as the first one tells. */
  get waitingInterval(): number | undefined {
    return (first(this.#again) ?? first(this.#waiting))?.delta.interval;
  }

  /** Age of the oldest delta in milliseconds; 0 for none. */
  lagMs(nowMs: number): number {
    const moments = [first(this.#sent), first(this.#again), first(this.#waiting)].flatMap((queued) =>
      queued === undefined ? [] : [queued.queuedMs],
    );
    return moments.length === 0 ? 0 : Math.max(0, nowMs - Math.min(...moments));
  }
}

function first(queue: Map<string, Queued>): Queued | undefined {
  for (const queued of queue.values()) return queued;
  return undefined;
}

function keyOf({ source, sequence }: DeltaId): string {
  return `${source}/${sequence}`;
}
