/**
 * The registers of a member, in memory and on disk. What others are told of a register is on disk before; a
 * disk that refuses is counted and loud, and the register goes on in memory.
 */
import type { Alarms } from "./alarms.ts";
import type { HeldInterval } from "./held-interval.ts";
import type { Holdings } from "./holdings.ts";
import { mergeRegisters, type Register } from "./register.ts";
import type { ClusterCounts } from "./view.ts";
import type { World } from "./world.ts";

const UNSAVED = "unsaved";

/** The saves of one interval that are under way, and who waits for them. */
interface Saving {
  count: number;
  readonly waiting: (() => void)[];
}

export class Registers {
  readonly #world: World;
  readonly #holdings: Holdings;
  readonly #counts: ClusterCounts;
  readonly #alarms: Alarms;
  readonly #savings = new Map<number, Saving>();
  #droppedBelow = 0;
  /** Intervals of which the disk has something, and the entries that were looked at last. */
  readonly #saved = new Set<number>();
  #seen: readonly HeldInterval[] = [];

  constructor(world: World, holdings: Holdings, counts: ClusterCounts, alarms: Alarms) {
    this.#world = world;
    this.#holdings = holdings;
    this.#counts = counts;
    this.#alarms = alarms;
  }

  /**
   * Adds what another register says. `done` is called when all that is known of the interval is on disk, or
   * was refused by it; at once where nothing is new. Returns the entry, or undefined where it is forgotten.
   */
  merge(interval: number, register: Register, done: () => void = () => {}): HeldInterval | undefined {
    const entry = this.#holdings.open(interval);
    if (entry === undefined) return undefined;
    const merged = mergeRegisters(entry.register, register);
    if (entry.register === undefined || !isSame(entry.register, merged)) {
      entry.setRegister(merged);
      entry.changedMs = this.#world.clock.monotonicMs();
      this.#save(interval, merged);
    }
    const saving = this.#savings.get(interval);
    if (saving === undefined) done();
    else saving.waiting.push(done);
    return entry;
  }

  #save(interval: number, register: Register): void {
    const saving = this.#savings.get(interval) ?? { count: 0, waiting: [] };
    this.#savings.set(interval, saving);
    saving.count += 1;
    this.#saved.add(interval);
    this.#world.disk.saveRegister(interval, register, (isSaved) => {
      this.#noteSaved(isSaved);
      saving.count -= 1;
      if (saving.count > 0) return;
      this.#savings.delete(interval);
      for (const done of saving.waiting) done();
    });
  }

  #noteSaved(isSaved: boolean): void {
    if (isSaved) {
      this.#alarms.clear(UNSAVED);
      return;
    }
    this.#counts.unsavedWrites += 1;
    const text = "the state folder takes no writes: what is decided is in memory only";
    if (this.#alarms.raise(UNSAVED, text, this.#world.clock.monotonicMs())) {
      this.#world.log.error("cluster.unsaved", { unsavedWrites: this.#counts.unsavedWrites });
    }
  }

  /** Takes those of forgotten intervals off the disk. */
  trim(): void {
    const { lowest } = this.#holdings;
    const entries = this.#holdings.entries();
    if (entries !== this.#seen) {
      this.#seen = entries;
      // An interval that is lost keeps the lowest where it is, for as long as anybody may come back with it.
      for (const interval of this.#saved) {
        if (this.#holdings.get(interval) !== undefined) continue;
        this.#saved.delete(interval);
        this.#world.disk.forgetRegister?.(interval);
      }
    }
    if (lowest <= this.#droppedBelow) return;
    this.#droppedBelow = lowest;
    this.#world.disk.dropRegisters(lowest);
  }
}

function isSame(register: Register, other: Register): boolean {
  const { pending, delivered } = register;
  if (pending.term !== other.pending.term || pending.revision !== other.pending.revision) return false;
  if (delivered === undefined || other.delivered === undefined) return delivered === other.delivered;
  return (
    delivered.term === other.delivered.term &&
    delivered.revision === other.delivered.revision &&
    delivered.isComplete === other.delivered.isComplete &&
    delivered.sinks.length === other.delivered.sinks.length
  );
}
