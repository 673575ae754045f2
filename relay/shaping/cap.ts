/**
 * Caps on the number of names: of the names with a prefix only so many pass, so that names made of
 * identifiers harm nobody. Names that came in this window of time or the last one are known, and keep their
 * place.
 *
 *   shared memory   [ lock i32 | epoch i32 | seeds 2 u32 | elapsed f64 ]
 *   for each cap    [ tally 5 f64 ]
 *                   [ hash 2 u32 ] x slots     names of the windows with even epochs
 *                   [ hash 2 u32 ] x slots     names of those with odd ones
 *
 * Names are kept as 64-bit hashes under a secret seed. All threads share the memory, since each of them sees
 * only some of the lines; it can also outlive a reload, so that known names stay known.
 */
import { randomBytes } from "node:crypto";
import type { CardinalityCap } from "../../shared/config-shaping.ts";
import { OperatorError } from "../../shared/errors.ts";
import { CapTable, capTableBytes } from "./cap-table.ts";

const LOCK_WORD = 0;
const EPOCH_WORD = 1;
const SEED_WORD = 2;
/** Index of the 64-bit number after them. */
const ELAPSED_NUMBER = 2;
const HEADER_BYTES = 24;
/** Waiting for the lock looks at it again that often, should a waker have been missed. */
const LOCK_WAIT_MS = 5;
/** What may stand between a prefix and the rest of a name: `.`, and what begins tags. */
const BOUNDARIES: ReadonlySet<number> = new Set([".", ";", ","].map((text) => text.charCodeAt(0)));

/** One cap, as it stands. */
export interface CapStatus {
  readonly prefix: string;
  /** Names that may pass. */
  readonly count: number;
  /** Names known now: those of this window and of the last one. Never above count. */
  readonly current: number;
  /** Names that became known, ever. */
  readonly admitted: number;
  /** Names turned away, ever; one that is judged again counts again. */
  readonly refused: number;
}

interface Cap {
  readonly config: CardinalityCap;
  readonly prefix: Uint8Array;
  readonly table: CapTable;
}

/**
 * Makes the memory of some caps, for threads to share: 21 to 43 bytes for each name that a cap allows.
 * Throws OperatorError where the machine has not so much.
 */
export function makeCapMemory(caps: readonly CardinalityCap[]): SharedArrayBuffer {
  const bytes = caps.reduce((sum, { count }) => sum + capTableBytes(count), HEADER_BYTES);
  let memory: SharedArrayBuffer;
  try {
    memory = new SharedArrayBuffer(bytes);
  } catch {
    const mebibytes = Math.ceil(bytes / 2 ** 20);
    throw new OperatorError(
      `relay.cap needs ${mebibytes} MiB of memory, which is not there; lower its counts`,
    );
  }
  new Uint8Array(memory, SEED_WORD * 4, 8).set(randomBytes(8));
  return memory;
}

/** The caps of a relay, as one thread uses them. */
export class CapSet {
  /** The longest prefix first, so that the first that fits counts. */
  readonly #caps: readonly Cap[];
  readonly #windowMs: number;
  readonly #words: Int32Array;
  readonly #numbers: Float64Array;
  /** The last epoch that this thread has answered to. */
  #epoch: number;
  #startedMs: number | undefined;
  #elapsedBeforeMs: number;

  /** memory: made by makeCapMemory for equal caps in the same order. */
  constructor(caps: readonly CardinalityCap[], windowMs: number, memory = makeCapMemory(caps)) {
    this.#windowMs = windowMs;
    this.#words = new Int32Array(memory, 0, HEADER_BYTES / 4);
    this.#numbers = new Float64Array(memory, 0, HEADER_BYTES / 8);
    this.#epoch = Atomics.load(this.#words, EPOCH_WORD);
    this.#elapsedBeforeMs = this.#numbers[ELAPSED_NUMBER]!;
    const seeds = [this.#words[SEED_WORD]!, this.#words[SEED_WORD + 1]!] as const;
    let offset = HEADER_BYTES;
    this.#caps = caps
      .map((config) => {
        const table = new CapTable(memory, offset, config.count, seeds);
        offset += capTableBytes(config.count);
        return { config, prefix: Buffer.from(config.prefix), table };
      })
      .sort((one, other) => other.prefix.length - one.prefix.length);
  }

  /**
   * Returns the cap that counts a name, if any does: the one with the longest prefix. A prefix fits a name
   * that is equal to it or goes on behind it with a dot, or with the `;` or `,` of tags; where the prefix
   * ends in one of these itself, whatever begins with it.
   */
  capOf(name: Uint8Array): CardinalityCap | undefined {
    return this.#find(name)?.config;
  }

  /** Whether a name would pass now. Changes and counts nothing. */
  hasRoomFor(name: Uint8Array): boolean {
    const cap = this.#find(name);
    return cap === undefined || this.#locked(() => cap.table.hasRoomFor(name, this.#generation()));
  }

  /** Whether a name passes; it is known from now on. Names that no cap counts always do. */
  admit(name: Uint8Array): boolean {
    const cap = this.#find(name);
    return cap === undefined || this.#locked(() => cap.table.admit(name, this.#generation()));
  }

  /**
   * Begins a new window when the last one is over. nowMs: of a clock that does not go back; each thread may
   * have its own. Call it now and then. Returns whether all that was said about names must be forgotten:
   * names are then asked for anew, which tells those that still come from those that do not.
   */
  rotate(nowMs: number): boolean {
    if (this.#caps.length === 0) return false;
    return this.#locked(() => {
      const epoch = this.#words[EPOCH_WORD]!;
      const isBegun = epoch !== this.#epoch;
      if (isBegun) {
        this.#epoch = epoch;
        this.#startedMs = undefined;
        this.#elapsedBeforeMs = this.#numbers[ELAPSED_NUMBER]!;
      }
      this.#startedMs ??= nowMs;
      const elapsedMs = this.#elapsedBeforeMs + nowMs - this.#startedMs;
      if (elapsedMs < this.#windowMs) {
        // For threads that take over; it counts from the first thread's start.
        this.#numbers[ELAPSED_NUMBER] = Math.max(this.#numbers[ELAPSED_NUMBER]!, elapsedMs);
        return isBegun;
      }
      this.#begin(nowMs);
      return true;
    });
  }

  #begin(nowMs: number): void {
    this.#epoch = (this.#epoch + 1) | 0;
    this.#words[EPOCH_WORD] = this.#epoch;
    this.#numbers[ELAPSED_NUMBER] = 0;
    this.#elapsedBeforeMs = 0;
    this.#startedMs = nowMs;
    for (const { table } of this.#caps) table.begin(this.#generation());
  }

  /** How the caps stand, the longest prefix first. The same in all threads. */
  status(): CapStatus[] {
    return this.#caps.map(({ config: { prefix, count }, table }) => ({ prefix, count, ...table.tally() }));
  }

  /** Which of the two tables of a cap is that of this window. The shared epoch counts, not the thread's. */
  #generation(): number {
    return this.#words[EPOCH_WORD]! & 1;
  }

  #find(name: Uint8Array): Cap | undefined {
    for (const cap of this.#caps) if (isBelow(cap.prefix, name)) return cap;
    return undefined;
  }

  /** Does something while no other thread does. Held for one look into a table, or to clear one. */
  #locked<Result>(act: () => Result): Result {
    while (Atomics.compareExchange(this.#words, LOCK_WORD, 0, 1) !== 0) {
      Atomics.wait(this.#words, LOCK_WORD, 1, LOCK_WAIT_MS);
    }
    try {
      return act();
    } finally {
      Atomics.store(this.#words, LOCK_WORD, 0);
      Atomics.notify(this.#words, LOCK_WORD, 1);
    }
  }
}

function isBelow(prefix: Uint8Array, name: Uint8Array): boolean {
  const end = prefix.length;
  if (name.length < end) return false;
  for (let index = 0; index < end; index++) if (prefix[index] !== name[index]) return false;
  return name.length === end || BOUNDARIES.has(name[end]!) || BOUNDARIES.has(prefix[end - 1]!);
}
