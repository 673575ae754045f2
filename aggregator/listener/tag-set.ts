/**
 * A set of tags of 64 random bits that only grows, 8 bytes each. It is split by the first bits into small
 * tables, so that none of them holds its thread up for long when it has to be doubled.
 */
const SEGMENTS = 64;
const SLOTS_MIN = 64;

interface Segment {
  /** Two words for each slot; both are 0 where it is free. */
  words: Uint32Array;
  count: number;
}

export class TagSet {
  readonly #segments: Segment[] = Array.from({ length: SEGMENTS }, () => ({
    words: new Uint32Array(2 * SLOTS_MIN),
    count: 0,
  }));
  #size = 0;

  /** Tags in the set. */
  get size(): number {
    return this.#size;
  }

  /** Adds a tag, given as two words of 32 bits. Returns whether it was not there yet. */
  add(low: number, high: number): boolean {
    const segment = this.#segments[low % SEGMENTS]!;
    // Zeros mark a free slot; that tag shares the place of another one.
    const word = low === 0 && high === 0 ? SEGMENTS : low;
    if (!insert(segment.words, word, high)) return false;
    segment.count += 1;
    this.#size += 1;
    if (8 * segment.count > 3 * segment.words.length) grow(segment);
    return true;
  }
}

/** Returns false where the tag is there already. */
function insert(words: Uint32Array, low: number, high: number): boolean {
  const mask = words.length / 2 - 1;
  for (let slot = high & mask; ; slot = (slot + 1) & mask) {
    const [first, second] = [words[2 * slot]!, words[2 * slot + 1]!];
    if (first === low && second === high) return false;
    if (first === 0 && second === 0) {
      words[2 * slot] = low;
      words[2 * slot + 1] = high;
      return true;
    }
  }
}

/** Doubles a table that is three quarters full. */
function grow(segment: Segment): void {
  const before = segment.words;
  segment.words = new Uint32Array(2 * before.length);
  for (let i = 0; i < before.length; i += 2) {
    const [low, high] = [before[i]!, before[i + 1]!];
    if (low !== 0 || high !== 0) insert(segment.words, low, high);
  }
}
