/** Named numbers in shared memory: one thread writes each of them, others read them without asking. */

/** Readings that are tried before one is taken that a writer may have changed half way. */
const READS_MAX = 1000;

/**
 * Names: a constant list; the order is the layout. The first 8 bytes of the memory are a sequence: odd
 * while the writer is changing several numbers that belong together.
 */
export class Counters<Name extends string> {
  readonly buffer: SharedArrayBuffer;
  readonly #names: readonly Name[];
  readonly #sequence: Int32Array;
  readonly #values: Float64Array;
  readonly #indices = new Map<Name, number>();

  /** buffer: memory of counters with the same names, made by another thread; absent to make new ones. */
  constructor(names: readonly Name[], buffer?: SharedArrayBuffer) {
    this.#names = names;
    this.buffer = buffer ?? new SharedArrayBuffer((1 + names.length) * Float64Array.BYTES_PER_ELEMENT);
    this.#sequence = new Int32Array(this.buffer, 0, 1);
    this.#values = new Float64Array(this.buffer, Float64Array.BYTES_PER_ELEMENT);
    names.forEach((name, index) => {
      this.#indices.set(name, index);
    });
  }

  get(name: Name): number {
    return this.#values[this.#indices.get(name)!]!;
  }

  set(name: Name, value: number): void {
    this.#values[this.#indices.get(name)!] = value;
  }

  add(name: Name, value: number): void {
    this.#values[this.#indices.get(name)!]! += value;
  }

  /** Numbers set between beginWrite and endWrite are seen together by read(). */
  beginWrite(): void {
    Atomics.add(this.#sequence, 0, 1);
  }

  endWrite(): void {
    Atomics.add(this.#sequence, 0, 1);
  }

  /** Returns all numbers as they were at one moment. */
  read(): Record<Name, number> {
    let values = new Float64Array(this.#values);
    for (let read = 0; read < READS_MAX; read++) {
      const before = Atomics.load(this.#sequence, 0);
      values = new Float64Array(this.#values);
      if (before % 2 === 0 && Atomics.load(this.#sequence, 0) === before) break;
    }
    return Object.fromEntries(this.#names.map((name, index) => [name, values[index]!])) as Record<
      Name,
      number
    >;
  }
}
