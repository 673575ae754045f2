/**
 * Deltas that an agent has in memory:
 *
 *   fresh -> sent -> acknowledged
 *     again <-'        again: to be sent once more, or read from disk; they go before fresh ones
 */
import type { SpooledDelta } from "./agent-world.ts";
import type { Delta, DeltaId } from "./delta.ts";

/** A delta in memory. */
export interface HeldDelta {
  readonly delta: Delta;
  readonly heldMs: number;
  sentMs: number;
  /** Undefined where it is in memory only. */
  readonly spooled: SpooledDelta | undefined;
}

export class AgentHold {
  readonly #fresh = new Map<string, HeldDelta>();
  readonly #sent = new Map<string, HeldDelta>();
  #again = new Map<string, HeldDelta>();
  #bytes = 0;
  #sentBytes = 0;
  #unspooled = 0;

  get size(): number {
    return this.waiting + this.#sent.size;
  }
  get bytes(): number {
    return this.#bytes;
  }
  get sentBytes(): number {
    return this.#sentBytes;
  }
  get sentCount(): number {
    return this.#sent.size;
  }
  /** Deltas that have to be sent. */
  get waiting(): number {
    return this.#again.size + this.#fresh.size;
  }
  /** Bytes of what has to be sent before anything fresh is, and of what was sent. */
  get busyBytes(): number {
    let bytes = this.#sentBytes;
    for (const { delta } of this.#again.values()) bytes += delta.bytes.length;
    return bytes;
  }
  /** Deltas that are on no disk. */
  get unspooled(): number {
    return this.#unspooled;
  }

  add(delta: Delta, nowMs: number): void {
    this.#enter(this.#fresh, { delta, heldMs: nowMs, sentMs: 0, spooled: undefined });
  }

  /** Takes in what was read from disk. */
  load(spooled: readonly SpooledDelta[], nowMs: number): void {
    for (const one of spooled) {
      this.#enter(this.#again, { delta: one.delta, heldMs: nowMs, sentMs: 0, spooled: one });
    }
  }

  /** Puts back what was taken out to be written to disk. */
  restore(items: readonly HeldDelta[]): void {
    for (const held of items) this.#enter(this.#again, held);
  }

  #enter(queue: Map<string, HeldDelta>, held: HeldDelta): void {
    const key = keyOf(held.delta);
    if (this.#fresh.has(key) || this.#again.has(key) || this.#sent.has(key)) {
      // It lies on disk once more than it has to.
      held.spooled?.release();
      return;
    }
    queue.set(key, held);
    this.#bytes += held.delta.bytes.length;
    if (held.spooled === undefined) this.#unspooled += 1;
  }

  /** Returns what is to be sent next, at most so many bytes but at least one. */
  next(bytesMax: number, mayTakeFresh: boolean): HeldDelta[] {
    const bundle: HeldDelta[] = [];
    let bytes = 0;
    const queues = mayTakeFresh ? [this.#again, this.#fresh] : [this.#again];
    for (const queue of queues) {
      for (const held of queue.values()) {
        bytes += held.delta.bytes.length;
        if (bundle.length > 0 && bytes > bytesMax) return bundle;
        bundle.push(held);
      }
    }
    return bundle;
  }

  /** They are on their way. */
  sent(bundle: readonly HeldDelta[], nowMs: number): void {
    for (const held of bundle) {
      const key = keyOf(held.delta);
      if (!this.#again.delete(key)) this.#fresh.delete(key);
      held.sentMs = nowMs;
      this.#sent.set(key, held);
      this.#sentBytes += held.delta.bytes.length;
    }
  }

  /** What was sent before that moment has to be sent once more, ahead of the rest. */
  requeue(sentBeforeMs: number): void {
    const again = new Map<string, HeldDelta>();
    for (const [key, held] of this.#sent) {
      if (held.sentMs > sentBeforeMs) break;
      this.#sent.delete(key);
      this.#sentBytes -= held.delta.bytes.length;
      again.set(key, held);
    }
    if (again.size === 0) return;
    for (const [key, held] of this.#again) again.set(key, held);
    this.#again = again;
  }

  /** Takes a delta out; undefined where it is not there. */
  remove(id: DeltaId): HeldDelta | undefined {
    const key = keyOf(id);
    const sent = this.#sent.get(key);
    const held = sent ?? this.#again.get(key) ?? this.#fresh.get(key);
    if (held === undefined) return undefined;
    const { length } = held.delta.bytes;
    if (sent !== undefined) this.#sentBytes -= length;
    for (const queue of [this.#sent, this.#again, this.#fresh]) queue.delete(key);
    this.#bytes -= length;
    if (held.spooled === undefined) this.#unspooled -= 1;
    return held;
  }

  /** Takes out the oldest that is on no disk; of those that were sent only where there is no other. */
  takeOldest(): HeldDelta | undefined {
    for (const queue of [this.#again, this.#fresh, this.#sent]) {
      for (const held of queue.values()) {
        if (held.spooled === undefined) return this.remove(held.delta);
      }
    }
    return undefined;
  }

  /** Takes out what waits, is on no disk, and is held since that moment or before; at most so many bytes. */
  takeForDisk(heldBeforeMs: number, bytesMax: number): HeldDelta[] {
    const taken: HeldDelta[] = [];
    let bytes = 0;
    for (const held of this.#forDisk(heldBeforeMs)) {
      bytes += held.delta.bytes.length;
      if (taken.length > 0 && bytes > bytesMax) break;
      taken.push(held);
    }
    for (const { delta } of taken) this.remove(delta);
    return taken;
  }

  *#forDisk(heldBeforeMs: number): Generator<HeldDelta, void, void> {
    for (const held of this.#again.values()) {
      if (held.spooled === undefined && held.heldMs <= heldBeforeMs) yield held;
    }
    for (const held of this.#fresh.values()) {
      if (held.heldMs > heldBeforeMs) return;
      yield held;
    }
  }
}

function keyOf({ source, sequence }: DeltaId): string {
  return `${source}/${sequence}`;
}
