/**
 * The open intervals and the memory that they have. A kernel's memory never shrinks, so what an interval has
 * touched counts until its kernel is dropped; one that is done with is kept for the next interval.
 */
import { Interval } from "./interval.ts";
import type { Kept } from "./kept.ts";
import type { Terms } from "./terms.ts";

/** Whatever others hold, an interval may have this share of the memory: lines must get somewhere. */
const SHARE_MIN = 1 / 8;
/** Share of the memory that kept series may have: the lines of now come first. */
const KEPT_SHARE_MAX = 1 / 2;

/** An interval, and what it is computed by. */
export interface OpenInterval {
  readonly interval: Interval;
  readonly terms: Terms;
}

export class OpenIntervals {
  readonly #open = new Map<number, OpenInterval>();
  readonly #kept: Kept;
  #spare: OpenInterval | undefined;
  #terms: Terms;

  private constructor(terms: Terms, kept: Kept, spare: Interval) {
    this.#terms = terms;
    this.#kept = kept;
    this.#spare = { interval: spare, terms };
  }

  /** kept: what shares the memory with them. */
  static async create(terms: Terms, kept: Kept): Promise<OpenIntervals> {
    return new OpenIntervals(terms, kept, await Interval.create(terms.options));
  }

  get size(): number {
    return this.#open.size;
  }

  /** Indices of the intervals, in the order in which they were opened. */
  indices(): IterableIterator<number> {
    return this.#open.keys();
  }

  values(): IterableIterator<OpenInterval> {
    return this.#open.values();
  }

  get(index: number): OpenInterval | undefined {
    return this.#open.get(index);
  }

  /** Terms of the intervals that are opened from now on. */
  get terms(): Terms {
    return this.#terms;
  }

  set terms(terms: Terms) {
    this.#terms = terms;
    // Its kernel knows other aggregates and bounds.
    this.#spare = undefined;
    this.#kept.setBounds(terms.options.seriesMax, this.#keptBytesMax());
  }

  /** Opens interval k, where a kernel stands ready; else see prepare(). */
  open(index: number): OpenInterval | undefined {
    const opened = this.#spare;
    if (opened === undefined) return undefined;
    this.#spare = undefined;
    opened.interval.open(index);
    this.#open.set(index, opened);
    this.balance();
    return opened;
  }

  /** Makes a kernel ready for the next interval. */
  async prepare(): Promise<void> {
    const terms = this.#terms;
    const interval = await Interval.create(terms.options);
    if (terms === this.#terms) this.#spare ??= { interval, terms };
  }

  /** Is done with an interval. */
  close(index: number): void {
    const closed = this.#open.get(index);
    this.#open.delete(index);
    if (closed === undefined || closed.terms !== this.#terms || this.#spare !== undefined) return;
    // One that has grown large would leave too little to the others; a new one starts with nothing.
    if (closed.interval.heldBytes <= this.#terms.options.memoryBytesMax / 2) this.#spare = closed;
  }

  /** Memory that everything holds, in bytes. */
  get heldBytes(): number {
    return this.#intervalBytes() + this.#kept.heldBytes;
  }

  #intervalBytes(): number {
    let bytes = this.#spare?.interval.heldBytes ?? 0;
    for (const { interval } of this.#open.values()) bytes += interval.heldBytes;
    return bytes;
  }

  /** Gives each table what the others leave of the memory. */
  balance(): void {
    const bytesMax = this.#terms.options.memoryBytesMax;
    const left = bytesMax - this.heldBytes;
    for (const { interval } of this.#open.values()) interval.setRoom(left, bytesMax * SHARE_MIN);
    this.#kept.setBounds(this.#terms.options.seriesMax, this.#keptBytesMax());
  }

  #keptBytesMax(): number {
    const bytesMax = this.#terms.options.memoryBytesMax;
    return Math.min(bytesMax * KEPT_SHARE_MAX, bytesMax - this.#intervalBytes());
  }
}
