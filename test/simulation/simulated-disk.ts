/**
 * The disk of one machine, which outlives its processes. What was not told to be saved may be lost at a
 * crash, or not; order is kept, so nothing is there without what was written before it.
 */
import type { Register } from "../../cluster/register.ts";
import type { Disk, SavedState, Vote } from "../../cluster/world.ts";
import type { Dice } from "./dice.ts";
import type { Machine } from "./machine.ts";
import type { Swarm } from "./swarm.ts";

const NO_VOTE: Vote = { term: 0, votedFor: undefined };

interface Write {
  /** Undefined where it is refused. */
  readonly apply: (() => void) | undefined;
  readonly done: (isSaved: boolean) => void;
}

export class SimulatedDisk {
  /** Full: registers cannot be saved; the vote has its room. */
  isFull = false;
  vote: Vote = NO_VOTE;
  readonly registers = new Map<number, Register>();
  /** What the process said last, saved or not. */
  readonly said = new Map<number, Register>();
  /** Intervals whose last register was refused. */
  readonly refused = new Set<number>();
  #isEmpty = true;
  #writes: Write[] = [];
  #syncing = 0;
  #machine: Machine | undefined;
  readonly #dice: Dice;
  readonly #swarm: Swarm;

  readonly #say: (interval: number, register: Register) => void;

  /** say: told of every register that the process would save. */
  constructor(dice: Dice, swarm: Swarm, say: (interval: number, register: Register) => void) {
    this.#say = say;
    this.#dice = dice;
    this.#swarm = swarm;
  }

  /** What a process finds, and how it writes. */
  open(machine: Machine): { saved: SavedState; disk: Disk } {
    this.#machine = machine;
    const saved = { vote: this.vote, registers: [...this.registers], isEmpty: this.#isEmpty };
    const isCurrent = machine.isCurrent();
    const disk: Disk = {
      saveVote: (vote, done) => {
        if (!isCurrent()) return;
        const apply = (): void => {
          this.vote = vote;
          this.#isEmpty = false;
        };
        this.#write({ apply, done });
      },
      saveRegister: (interval, register, done) => {
        if (!isCurrent()) return;
        this.said.set(interval, register);
        this.#say(interval, register);
        if (this.isFull) {
          this.refused.add(interval);
          this.#write({ apply: undefined, done });
          return;
        }
        const apply = (): void => {
          this.registers.set(interval, register);
          this.refused.delete(interval);
          this.#isEmpty = false;
        };
        this.#write({ apply, done });
      },
      dropRegisters: (below) => {
        if (!isCurrent()) return;
        for (const registers of [this.registers, this.said]) {
          for (const interval of registers.keys()) if (interval < below) registers.delete(interval);
        }
      },
    };
    return { saved, disk };
  }

  /** The process has ended: of what was under way, some beginning is there. */
  crash(): void {
    for (const { apply } of this.#writes) {
      if (this.#dice.isHit(0.5)) break;
      apply?.();
    }
    this.#writes = [];
    this.#syncing = 0;
    this.said.clear();
    for (const [interval, register] of this.registers) this.said.set(interval, register);
  }

  /** Somebody put in another disk. */
  wipe(): void {
    this.vote = NO_VOTE;
    this.registers.clear();
    this.said.clear();
    this.refused.clear();
    this.#isEmpty = true;
  }

  #write(write: Write): void {
    this.#writes.push(write);
    if (this.#syncing === 0) this.#sync();
  }

  /** Saves all that waits at once, as a group commit does. */
  #sync(): void {
    const group = this.#writes.length;
    this.#syncing = group;
    let delayMs = 0.3 + this.#dice.waitMs(this.#swarm.diskMs);
    if (this.#dice.isHit(this.#swarm.diskStalls)) delayMs += this.#dice.between(500, 3000);
    this.#machine!.later(delayMs, () => {
      const saved = this.#writes.splice(0, group);
      this.#syncing = 0;
      if (this.#writes.length > 0) this.#sync();
      for (const { apply } of saved) apply?.();
      const isCurrent = this.#machine!.isCurrent();
      for (const { apply, done } of saved) if (isCurrent()) done(apply !== undefined);
    });
  }
}
