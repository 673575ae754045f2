/** What every member does at a leader's word: it records, acknowledges, and fetches what it lacks. */
import type { HeldInterval } from "./held-interval.ts";
import { DeltaSet } from "./manifest.ts";
import type { Done, Intent } from "./message.ts";
import type { NodeParts } from "./node-parts.ts";

export class Follower {
  readonly #parts: NodeParts;
  /** Intents that were recorded while something of them was missing here, and who waits for it. */
  readonly #lacking = new Map<number, { readonly from: string; readonly intent: Intent }>();

  constructor(parts: NodeParts) {
    this.#parts = parts;
  }

  /** An intent of the leader of the newest term that is known. */
  receiveIntent(from: string, intent: Intent, nowMs: number): void {
    const { interval, kind: _kind, ...pending } = intent;
    const { manifest } = pending;
    const { registers, pulls, peers, holdings } = this.#parts;
    const entry = registers.merge(interval, { pending }, () => {
      const current = holdings.get(interval);
      if (current !== undefined) this.#acknowledge(from, current, intent);
    });
    if (entry === undefined || peers.isSelfWitness) return;
    pulls.want(interval, manifest, [from], nowMs);
  }

  #acknowledge(from: string, entry: HeldInterval, intent: Intent): void {
    const { interval, term, revision, manifest } = intent;
    const { peers, world } = this.#parts;
    const { pending } = entry;
    const isLatest = pending?.slot.term === term && pending.slot.revision === revision;
    // Something newer was recorded meanwhile: its leader has the word.
    if (!isLatest) return;
    const holdsAll = !peers.isSelfWitness && pending.missing === 0;
    if (holdsAll || peers.isSelfWitness) this.#lacking.delete(interval);
    else this.#lacking.set(interval, { from, intent });
    const besides = DeltaSet.of(manifest).missingFrom(entry.inventory());
    world.net.send(from, { kind: "intent-ack", term, interval, revision, holdsAll, besides });
  }

  /** A delta has come: whoever waits for an intent to be held is told once it is. */
  arrived(entry: HeldInterval): void {
    const lacking = this.#lacking.get(entry.interval);
    if (lacking !== undefined && entry.pending?.missing === 0) {
      this.#acknowledge(lacking.from, entry, lacking.intent);
    }
  }

  receiveDone(from: string, done: Done, nowMs: number): void {
    const { interval, term, revision, manifest, sinks, isComplete } = done;
    const { registers, pulls, peers } = this.#parts;
    const pending = { term, revision, manifest };
    const entry = registers.merge(interval, { pending, delivered: { ...pending, sinks, isComplete } });
    if (entry !== undefined && !peers.isSelfWitness) pulls.want(interval, manifest, [from], nowMs);
  }

  forget(interval: number): void {
    this.#lacking.delete(interval);
  }
}
