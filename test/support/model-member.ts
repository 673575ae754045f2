/** A member of a cluster as an agent sees it. */
import type { Delta } from "../../cluster/delta.ts";
import { AgentDoor, type DoorNode } from "../../cluster/running/agent-door.ts";
import type { AgentHistory } from "./agent-simulation.ts";

/** One copy has to do after this. */
export const DEGRADED_MS = 1000;

export function keyOf({ source, sequence }: Pick<Delta, "source" | "sequence">): string {
  return `${source}/${sequence}`;
}

/** A member that holds what it gets, and hands it to the others. */
export class ModelMember implements DoorNode {
  readonly name: string;
  readonly #history: AgentHistory;
  readonly held = new Map<string, Delta>();
  readonly #unsafe = new Map<string, (() => void)[]>();
  door!: AgentDoor;
  isUp = true;
  pausedUntilMs = 0;
  /** Changes with each crash. */
  life = 0;
  /** Deltas that came a second time. */
  repeated = 0;
  closedBelow = 0;
  readonly hasClock = true;

  constructor(history: AgentHistory, name: string) {
    this.#history = history;
    this.name = name;
    this.#open();
  }

  #open(): void {
    const incarnation = `${this.name}${this.life}`;
    this.door = new AgentDoor(this, { incarnation, settleMs: 300, nowMs: () => this.#history.nowMs });
    this.door.open();
  }

  clusterNowMs(): number {
    return this.#history.clusterNowMs;
  }
  closeBelow(interval: number): void {
    this.closedBelow = interval;
  }
  tick(): void {
    if (!this.isUp || this.#history.nowMs < this.pausedUntilMs) return;
    this.door.closeBelow(this.#history.interval);
    this.door.tick();
  }

  addForeign(delta: Delta, onSafe: () => void): "held" | "repeated" | "late" {
    const key = keyOf(delta);
    if (this.held.has(key)) {
      this.repeated += 1;
      const waiting = this.#unsafe.get(key);
      if (waiting === undefined) onSafe();
      else waiting.push(onSafe);
      return "repeated";
    }
    this.held.set(key, delta);
    this.#unsafe.set(key, [onSafe]);
    const { life } = this;
    for (const other of this.#history.members) if (other !== this) this.#replicate(other, delta, life);
    this.#history.after(DEGRADED_MS, () => this.#settle(key, life));
    return "held";
  }

  #replicate(other: ModelMember, delta: Delta, life: number): void {
    const travelMs = () => this.#history.between(2, 60);
    this.#history.after(travelMs(), () => {
      if (this.life !== life || !other.isUp || this.#history.nowMs < other.pausedUntilMs) return;
      other.held.set(keyOf(delta), delta);
      this.#history.after(travelMs(), () => this.#settle(keyOf(delta), life));
    });
  }

  #settle(key: string, life: number): void {
    if (this.life !== life) return;
    const waiting = this.#unsafe.get(key) ?? [];
    this.#unsafe.delete(key);
    for (const onSafe of waiting) onSafe();
  }

  pause(forMs: number): void {
    this.pausedUntilMs = this.#history.nowMs + forMs;
  }

  crash(): void {
    // What is safe because one copy had to do is not lost here: the others have what is new.
    for (const other of this.#history.members) {
      if (other === this) continue;
      for (const [key, delta] of this.held) if (!this.#unsafe.has(key)) other.held.set(key, delta);
    }
    this.isUp = false;
    this.life += 1;
    this.held.clear();
    this.#unsafe.clear();
    this.#history.way.memberLost(this);
  }

  restart(): void {
    this.isUp = true;
    this.pausedUntilMs = 0;
    for (const other of this.#history.members) {
      if (other.isUp) for (const [key, delta] of other.held) this.held.set(key, delta);
    }
    this.#open();
  }
}
