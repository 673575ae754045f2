/** The names that one cap knows, of this window and of the last one: two tables of hashes, of fixed size. */

const TALLY_BYTES = 40;
const ADMITTED = 0;
const REFUSED = 1;
const CURRENT = 2;
/** Names in the first table; those in the second come behind. */
const NAMES = 3;
const SLOT_BYTES = 8;
const GENERATIONS = 2;

/** Slots of a table: a power of two, so that at most three quarters of them are taken. */
function slotsOf(count: number): number {
  let slots = 4;
  while (slots * 3 < count * 4) slots *= 2;
  return slots;
}

/** Bytes that a cap of `count` names needs; a multiple of 8. */
export function capTableBytes(count: number): number {
  return TALLY_BYTES + GENERATIONS * SLOT_BYTES * slotsOf(count);
}

/**
 * One cap's names. Used by one thread at a time. Invariant: the names of both tables together are `current`,
 * never more than `count`; of a name that is in both, one is counted.
 */
export class CapTable {
  readonly #count: number;
  readonly #mask: number;
  readonly #seeds: readonly [number, number];
  readonly #tally: Float64Array;
  readonly #tables: readonly Int32Array[];
  /** Hash of the last name asked for. */
  #low = 0;
  #high = 0;

  /** offset: where its bytes begin in the memory, a multiple of 8. seeds: secret, the same in all threads. */
  constructor(memory: SharedArrayBuffer, offset: number, count: number, seeds: readonly [number, number]) {
    const slots = slotsOf(count);
    this.#count = count;
    this.#mask = slots - 1;
    this.#seeds = seeds;
    this.#tally = new Float64Array(memory, offset, TALLY_BYTES / 8);
    this.#tables = [0, 1].map(
      (table) => new Int32Array(memory, offset + TALLY_BYTES + table * slots * SLOT_BYTES, slots * 2),
    );
  }

  /** Whether a name is known or could become so. generation: 0 or 1, the table of this window. */
  hasRoomFor(name: Uint8Array, generation: number): boolean {
    this.#hash(name);
    const isKnown = this.#has(generation) || this.#has(1 - generation);
    return isKnown || this.#tally[CURRENT]! < this.#count;
  }

  /** Makes a name known in this window, if it is so already or there is room. Returns whether it is now. */
  admit(name: Uint8Array, generation: number): boolean {
    this.#hash(name);
    if (this.#has(generation)) return true;
    if (!this.#has(1 - generation)) {
      if (this.#tally[CURRENT]! >= this.#count) {
        this.#tally[REFUSED]! += 1;
        return false;
      }
      this.#tally[ADMITTED]! += 1;
      this.#tally[CURRENT]! += 1;
    }
    const table = this.#tables[generation]!;
    const place = this.#placeIn(table);
    table[place] = this.#low;
    table[place + 1] = this.#high;
    this.#tally[NAMES + generation]! += 1;
    return true;
  }

  /**
   * Begins a window: the names of the one before the last are forgotten. generation: the new window's table.
   */
  begin(generation: number): void {
    // Clearing touches all of a table's memory, which an empty one need not have got from the system yet.
    if (this.#tally[NAMES + generation]! > 0) this.#tables[generation]!.fill(0);
    this.#tally[NAMES + generation] = 0;
    this.#tally[CURRENT] = this.#tally[NAMES + 1 - generation]!;
  }

  /** Names known now, and names that became known or were turned away, ever. */
  tally(): { readonly current: number; readonly admitted: number; readonly refused: number } {
    const [admitted = 0, refused = 0, current = 0] = this.#tally;
    return { current, admitted, refused };
  }

  #has(generation: number): boolean {
    const table = this.#tables[generation]!;
    const place = this.#placeIn(table);
    return table[place] !== 0 || table[place + 1] !== 0;
  }

  /** Where the name is, or the free place where it would be. There is one, as a quarter stays free. */
  #placeIn(table: Int32Array): number {
    let slot = this.#low & this.#mask;
    for (;;) {
      const [low, high] = [table[slot * 2]!, table[slot * 2 + 1]!];
      if ((low === this.#low && high === this.#high) || (low === 0 && high === 0)) return slot * 2;
      slot = (slot + 1) & this.#mask;
    }
  }

  /**
   * Hashes a name, in two independent halves of 32 bits, never both 0.
   * Source: cyrb53 by bryc (public domain), with all bits of both halves kept.
   */
  #hash(name: Uint8Array): void {
    let [low, high] = this.#seeds;
    for (let index = 0; index < name.length; index++) {
      const byte = name[index]!;
      low = Math.imul(low ^ byte, 0x9e3779b1);
      high = Math.imul(high ^ byte, 0x5f356495);
      low ^= low >>> 15;
      high ^= high >>> 13;
    }
    low = Math.imul(low ^ (low >>> 16), 0x85ebca6b) ^ Math.imul(high ^ (high >>> 13), 0xc2b2ae35);
    high = Math.imul(high ^ (high >>> 16), 0x85ebca6b) ^ Math.imul(low ^ (low >>> 13), 0xc2b2ae35);
    this.#low = low === 0 && high === 0 ? 1 : low;
    this.#high = high;
  }
}
