/**
 * A source outside the membership: it hands its deltas to one member, and to the next where it does not hear
 * that they are safe. It never fails itself, so nothing of it may be lost.
 */
import type { Delta } from "../../cluster/delta.ts";
import type { History } from "./history.ts";
import { type Entry, NAME_COUNT, nameOf, OUTSIDE } from "./ledger.ts";
import type { Machine } from "./machine.ts";

const SNAPSHOT_MS = 1000;
/** Patience with a member that does not answer. */
const PATIENCE_MS = 3000;
/** A member gives up waiting for a second copy after this, on its own clock. */
const DEGRADED_MS = 900;
const EPOCH_MS = 1_700_000_000_000;

export class Agent {
  readonly #history: History;
  readonly #source: string;
  readonly #waiting = new Map<number, Entry>();
  #sequence = 0;
  #member = 0;
  #heardMs = 0;

  constructor(history: History, number: number) {
    this.#history = history;
    this.#source = `agent${number}.0.1`;
  }

  /** Deltas that nobody has said to be safe. */
  get waiting(): number {
    return this.#waiting.size;
  }

  tick(): void {
    const { schedule, ledger, dice, swarm } = this.#history;
    const nowMs = schedule.nowMs;
    if (!this.#history.isDraining) {
      // It may hang a little behind the cluster's clock.
      const interval = Math.floor((EPOCH_MS + nowMs - dice.between(0, 300)) / swarm.intervalMs);
      const delta: Delta = {
        source: this.#source,
        sequence: this.#sequence++,
        interval,
        samples: 1 + dice.below(20),
        bytes: new Uint8Array(20),
      };
      const names = 1 + dice.below(2 ** NAME_COUNT - 1);
      this.#waiting.set(delta.sequence, ledger.note(delta, OUTSIDE, names));
    }
    if (nowMs - this.#heardMs > PATIENCE_MS) {
      this.#heardMs = nowMs;
      this.#member += 1;
    }
    const members = this.#history.machines.filter(({ isWitness }) => !isWitness);
    const member = members[this.#member % members.length]!;
    for (const entry of this.#waiting.values()) this.#offer(member, entry);
    schedule.after(SNAPSHOT_MS, () => this.tick());
  }

  /** A member called a delta safe: two have it, or nobody else took it for a while. */
  #checkSafe({ delta, holders, heldMs }: Entry): void {
    const { schedule, ledger, swarm } = this.#history;
    const inside = holders & ~(1 << OUTSIDE);
    if (swarm.dataNodes === 1 || (inside & (inside - 1)) !== 0) return;
    const sinceMs = schedule.nowMs - (heldMs ?? schedule.nowMs);
    if (sinceMs < DEGRADED_MS && schedule.nowMs - ledger.crashedMs > DEGRADED_MS) {
      ledger.violate(`I3: ${nameOf(delta)} was called safe with one copy after ${sinceMs.toFixed(0)} ms`);
    }
  }

  #offer(member: Machine, entry: Entry): void {
    const { schedule, dice, swarm, network, ledger } = this.#history;
    const isLost = (): boolean => !network.isCalm && dice.isHit(0.02 + swarm.loss);
    const answer = (isRefused: boolean): void => {
      if (isLost()) return;
      schedule.after(1 + dice.waitMs(swarm.delayMs), () => {
        this.#heardMs = schedule.nowMs;
        if (!this.#waiting.delete(entry.delta.sequence)) return;
        entry.isRefused = isRefused;
        ledger.release(entry, OUTSIDE);
      });
    };
    if (isLost()) return;
    schedule.after(1 + dice.waitMs(swarm.delayMs), () => {
      member.process((node) => {
        const isCurrent = member.isCurrent();
        const onSafe = (): void => {
          if (!isCurrent()) return;
          this.#checkSafe(entry);
          answer(false);
        };
        const verdict = node.addForeign(entry.delta, onSafe);
        if (!isCurrent()) return;
        if (verdict === "late") answer(true);
        else ledger.hold(entry, member.index);
      });
    });
  }
}
