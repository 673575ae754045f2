/** Named numbers in shared memory: one thread writes each of them, others read them without asking. */

/** Readings tried at once: a writer at work is done in less. */
const EAGER_READS = 1000;
/**
 * Readings tried after a pause each: a writer that the system took the processor from gets it back
 * meanwhile. Behind the last one the writer counts as dead, and what it left is taken.
 */
const PATIENT_READS = 50;
const PAUSE_MS = 1;
/** Nobody changes or wakes this word; waiting for it is only a pause. */
const pauseWord = new Int32Array(new SharedArrayBuffer(4));

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

  /**
   * Returns all numbers as they were at one moment. Waits up to 50 ms for a writer that is in the middle of
   * a group; after that the group may be half written.
   */
  read(): Record<Name, number> {
    let values = this.#readWhole();
    for (let read = 1; values === undefined && read < EAGER_READS; read++) values = this.#readWhole();
    for (let read = 0; values === undefined && read < PATIENT_READS; read++) {
      Atomics.wait(pauseWord, 0, 0, PAUSE_MS);
      values = this.#readWhole();
    }
    return this.#named(values ?? this.#values);
  }

  /** Returns undefined when a writer was at work meanwhile. */
  #readWhole(): Float64Array | undefined {
    const before = Atomics.load(this.#sequence, 0);
    if (before % 2 !== 0) return undefined;
    const values = new Float64Array(this.#values);
    return Atomics.load(this.#sequence, 0) === before ? values : undefined;
  }

  #named(values: Float64Array): Record<Name, number> {
    return Object.fromEntries(this.#names.map((name, index) => [name, values[index]!])) as Record<
      Name,
      number
    >;
  }
}
