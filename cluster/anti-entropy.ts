/**
 * Every few seconds a follower tells the leader of the intervals that are not done as far as it knows, with
 * what it holds of them. The leader fetches what it lacks, and tells what it knows; so a lost word is made
 * good, and no delta stays with one member only.
 */

import type { Decision } from "./decision.ts";
import { doneOf } from "./delivery.ts";
import type { HeldInterval } from "./held-interval.ts";
import { DeltaSet, type Manifest } from "./manifest.ts";
import type { Digest } from "./message.ts";
import type { NodeParts } from "./node-parts.ts";
import { TIMES } from "./options.ts";
import { isNewer } from "./register.ts";

/** Intervals in one digest; the others come in the next ones. */
const ROWS_MAX = 64;
/** Pace at which what was not found for long is looked for. */
const SEEK_OLD_MS = 60_000;

export class AntiEntropy {
  readonly #parts: NodeParts;
  readonly #decisionOf: (interval: number) => Decision | undefined;
  #sentMs = 0;
  /** Where the next digest begins. */
  #cursor = 0;

  /** decisionOf: what this member as the leader has decided on an interval. */
  constructor(parts: NodeParts, decisionOf: (interval: number) => Decision | undefined) {
    this.#parts = parts;
    this.#decisionOf = decisionOf;
  }

  /** leader: another member that leads. Without one, only what is known to be missing is asked for. */
  tick(leader: string | undefined, nowMs: number): void {
    if (nowMs - this.#sentMs < TIMES.digestMs) return;
    this.#sentMs = nowMs;
    const now = this.#parts.interval();
    const open = this.#parts.holdings.entries().filter((entry) => entry.interval < now && isOpen(entry));
    const from = open.findIndex(({ interval }) => interval >= this.#cursor);
    const rows = open.slice(Math.max(0, from), Math.max(0, from) + ROWS_MAX);
    this.#cursor = (rows.at(-1)?.interval ?? -1) + 1;
    const oldest = now - this.#parts.settings.retainIntervals;
    for (const entry of rows) {
      // What is old and still missing is most likely lost: it is not asked for all the time.
      const pauseMs = entry.interval < oldest ? SEEK_OLD_MS : 0;
      if (nowMs - entry.soughtMs < pauseMs) continue;
      entry.soughtMs = nowMs;
      this.#pullKnown(entry, nowMs);
    }
    if (rows.length === 0 || leader === undefined) return;
    const undelivered = rows.map((entry) => [entry.interval, undeliveredOf(entry)] as const);
    this.#parts.world.net.send(leader, { kind: "digest", undelivered });
  }

  /** Asks once more for what is known to be in the interval, and missing here. */
  #pullKnown({ interval, delivered, pending }: HeldInterval, nowMs: number): void {
    const holders = this.#parts.peers.data().map(({ name }) => name);
    for (const check of [delivered, pending]) {
      if (check === undefined || check.missing === 0) continue;
      this.#parts.pulls.want(interval, check.slot.manifest, holders, nowMs);
    }
  }

  /** A member is there again: it may not know of revisions that were delivered without it. */
  greet(to: string): void {
    for (const { interval, register } of this.#parts.holdings.entries()) {
      const slot = register?.delivered;
      if (slot !== undefined && slot.revision > 1) this.#parts.world.net.send(to, doneOf(interval, slot));
    }
  }

  /**
   * A digest for the leader. Returns whether it names what is forgotten here, as the follower should know.
   */
  receive(from: string, digest: Digest, nowMs: number): boolean {
    const { holdings, pulls, world, settings } = this.#parts;
    const ahead = this.#parts.interval() + settings.retainIntervals;
    let isForgotten = false;
    for (const [interval, held] of digest.undelivered) {
      if (interval > ahead) continue;
      const entry = holdings.open(interval);
      if (entry === undefined) {
        isForgotten = true;
        continue;
      }
      pulls.want(interval, held, [from], nowMs);
      const slot = this.#decisionOf(interval)?.slot;
      if (slot !== undefined) world.net.send(from, { kind: "intent", interval, ...slot });
      const { register } = entry;
      if (register?.delivered !== undefined) world.net.send(from, doneOf(interval, register.delivered));
    }
    return isForgotten;
  }
}

/** Whether there is something that this member should hear, fetch, or hand over. */
function isOpen(entry: HeldInterval): boolean {
  const { delivered, pending } = entry;
  return (
    !entry.isComplete || entry.surplus > 0 || [delivered, pending].some((check) => (check?.missing ?? 0) > 0)
  );
}

function undeliveredOf(entry: HeldInterval): Manifest {
  const { register } = entry;
  if (register?.delivered === undefined) return entry.inventory();
  const isAmended = isNewer(register.pending, register.delivered);
  return DeltaSet.of((isAmended ? register.pending : register.delivered).manifest).missingFrom(
    entry.inventory(),
  );
}
