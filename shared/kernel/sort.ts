/**
 * Sorting of samples. An element is a double, or a double with its weight behind it; ascending by value, then
 * by weight. No input makes it slow: few elements are merged from the bottom up, many are dealt by the bytes
 * of their values, in place (McIlroy, Bostic and McIlroy, "Engineering Radix Sort", 1993).
 *
 * While they are sorted, values are integers of the same order: a negative double has all bits turned over,
 * any other its sign bit. Weights are positive, so their bits are in order as they are.
 */
import { reserve } from "./arena";

/** Elements that are sorted by insertion. */
const RUN_ELEMENTS: usize = 16;
/** From so many elements on, dealing is the quicker way. */
export const DEALT_ELEMENTS_MIN: usize = 2048;
/** Bytes of a value and its weight, the highest first: the levels of dealing. */
const LEVELS: usize = 16;
const VALUE_LEVELS: usize = 8;
const DEAL_ROW_BYTES: usize = 256 * 4;

/** For each level: where the next element of each byte value goes, and where its bucket ends. */
let nextPlaces: usize = 0;
let bucketEnds: usize = 0;

/** Reserves the tables of dealing. */
export function setupSort(): void {
  nextPlaces = reserve(LEVELS * DEAL_ROW_BYTES);
  bucketEnds = reserve(LEVELS * DEAL_ROW_BYTES);
}

/** Turns the bits of a double into an integer; integers are in the order of their doubles. */
export function orderedBits(bits: u64): u64 {
  return bits ^ (u64(i64(bits) >> 63) | 0x8000_0000_0000_0000);
}

/**
 * Sorts `count` elements. other: scratch memory of the same size; not used from DEALT_ELEMENTS_MIN elements
 * on. shift: 3 for doubles, 4 for pairs. Returns where the sorted elements lie: data or other.
 */
export function sortSamples(data: usize, other: usize, count: usize, shift: usize): usize {
  if (count >= DEALT_ELEMENTS_MIN) {
    sortInPlace(data, count, shift);
    return data;
  }
  toKeys(data, count, shift);
  const sorted = mergeSort(data, other, count, shift);
  toValues(sorted, count, shift);
  return sorted;
}

/** Like sortSamples(), without scratch memory: quick for many elements, not so quick for some hundred. */
export function sortInPlace(data: usize, count: usize, shift: usize): void {
  toKeys(data, count, shift);
  deal(data, count, 0, shift);
  toValues(data, count, shift);
}

function toKeys(data: usize, count: usize, shift: usize): void {
  const end = data + (count << shift);
  for (let at = data; at < end; at += 1 << shift) store<u64>(at, orderedBits(load<u64>(at)));
}

function toValues(data: usize, count: usize, shift: usize): void {
  const end = data + (count << shift);
  for (let at = data; at < end; at += 1 << shift) {
    const key = load<u64>(at);
    store<u64>(at, key ^ (u64(~i64(key) >> 63) | 0x8000_0000_0000_0000));
  }
}

function mergeSort(data: usize, other: usize, count: usize, shift: usize): usize {
  const end = data + (count << shift);
  const runBytes = RUN_ELEMENTS << shift;
  for (let start = data; start < end; start += runBytes) {
    insertionSort(start, min<usize>(start + runBytes, end), shift);
  }
  let from = data;
  let to = other;
  for (let width = runBytes; width < count << shift; width <<= 1) {
    mergePass(from, to, count << shift, width, shift);
    const swap = from;
    from = to;
    to = swap;
  }
  return from;
}

function insertionSort(start: usize, end: usize, shift: usize): void {
  if (shift == 4) {
    insertionSortPairs(start, end);
    return;
  }
  for (let next = start + 8; next < end; next += 8) {
    const key = load<u64>(next);
    let place = next;
    while (place > start) {
      const before = load<u64>(place - 8);
      if (before <= key) break;
      store<u64>(place, before);
      place -= 8;
    }
    store<u64>(place, key);
  }
}

function insertionSortPairs(start: usize, end: usize): void {
  for (let next = start + 16; next < end; next += 16) {
    const key = load<u64>(next);
    const weight = load<u64>(next, 8);
    let place = next;
    while (place > start && isPairGreater(load<u64>(place - 16), load<u64>(place - 16, 8), key, weight)) {
      v128.store(place, v128.load(place - 16));
      place -= 16;
    }
    store<u64>(place, key);
    store<u64>(place, weight, 8);
  }
}

function isPairGreater(key: u64, weight: u64, otherKey: u64, otherWeight: u64): bool {
  return key > otherKey || (key == otherKey && weight > otherWeight);
}

/** Merges neighbouring sorted runs of `width` bytes from one area into the other. */
function mergePass(from: usize, to: usize, bytes: usize, width: usize, shift: usize): void {
  for (let start: usize = 0; start < bytes; start += width << 1) {
    const middle = min<usize>(start + width, bytes);
    const end = min<usize>(start + (width << 1), bytes);
    if (shift == 3) mergeRuns(from + start, from + middle, from + end, to + start);
    else mergePairRuns(from + start, from + middle, from + end, to + start);
  }
}

function mergeRuns(a: usize, b: usize, bEnd: usize, out: usize): void {
  const aEnd = b;
  while (a < aEnd && b < bEnd) {
    const left = load<u64>(a);
    const right = load<u64>(b);
    // Without a branch: which run comes next cannot be foreseen.
    const takesB = usize(right < left);
    store<u64>(out, takesB ? right : left);
    a += (1 - takesB) << 3;
    b += takesB << 3;
    out += 8;
  }
  memory.copy(out, a, aEnd - a);
  memory.copy(out + (aEnd - a), b, bEnd - b);
}

function mergePairRuns(a: usize, b: usize, bEnd: usize, out: usize): void {
  const aEnd = b;
  while (a < aEnd && b < bEnd) {
    const takesB = isPairGreater(load<u64>(a), load<u64>(a, 8), load<u64>(b), load<u64>(b, 8));
    v128.store(out, v128.load(takesB ? b : a));
    if (takesB) b += 16;
    else a += 16;
    out += 16;
  }
  memory.copy(out, a, aEnd - a);
  memory.copy(out + (aEnd - a), b, bEnd - b);
}

/** Deals elements into 256 buckets by the byte of a level, and each bucket by the next level's. */
function deal(start: usize, count: usize, from: usize, shift: usize): void {
  const levels = shift == 4 ? LEVELS : VALUE_LEVELS;
  let level = from;
  while (true) {
    if (level == levels) return;
    if (count <= RUN_ELEMENTS << 1) {
      insertionSort(start, start + (count << shift), shift);
      return;
    }
    if (!countBuckets(start, count, level, shift)) break;
    // All have the same byte here.
    level += 1;
  }
  dealOut(level, shift);
  const ends = bucketEnds + level * DEAL_ROW_BYTES;
  let bucket = start;
  for (let byte: usize = 0; byte < 256; byte++) {
    const end = usize(load<u32>(ends + (byte << 2)));
    if (end > bucket + (1 << shift)) deal(bucket, (end - bucket) >> shift, level + 1, shift);
    bucket = end;
  }
}

/** Where the byte of a level lies in an element: numbers are little-endian. */
function byteOffset(level: usize): usize {
  return level < VALUE_LEVELS ? 7 - level : 23 - level;
}

/** Lays the buckets of a level out. Returns whether there is one only. */
function countBuckets(start: usize, count: usize, level: usize, shift: usize): bool {
  const places = nextPlaces + level * DEAL_ROW_BYTES;
  const ends = bucketEnds + level * DEAL_ROW_BYTES;
  const end = start + (count << shift);
  memory.fill(ends, 0, DEAL_ROW_BYTES);
  const offset = byteOffset(level);
  for (let at = start + offset; at < end; at += 1 << shift) {
    const counter = ends + (usize(load<u8>(at)) << 2);
    store<u32>(counter, load<u32>(counter) + 1);
  }
  const first = usize(load<u8>(start + offset));
  if (usize(load<u32>(ends + (first << 2))) == count) return true;
  let place = start;
  for (let byte: usize = 0; byte < 256; byte++) {
    store<u32>(places + (byte << 2), u32(place));
    place += usize(load<u32>(ends + (byte << 2))) << shift;
    store<u32>(ends + (byte << 2), u32(place));
  }
  return false;
}

/** Moves every element to its bucket: one is lifted, and each place that it takes frees the next one. */
function dealOut(level: usize, shift: usize): void {
  const places = nextPlaces + level * DEAL_ROW_BYTES;
  const ends = bucketEnds + level * DEAL_ROW_BYTES;
  const isValue = level < VALUE_LEVELS;
  const bits = u64(byteOffset(level) & 7) << 3;
  for (let byte: usize = 0; byte < 256; byte++) {
    const end = usize(load<u32>(ends + (byte << 2)));
    let at = usize(load<u32>(places + (byte << 2)));
    while (at < end) {
      let key = load<u64>(at);
      let weight: u64 = shift == 4 ? load<u64>(at, 8) : 0;
      while (true) {
        const owner = usize(((isValue ? key : weight) >> bits) & 255);
        if (owner == byte) break;
        const cursor = places + (owner << 2);
        const place = usize(load<u32>(cursor));
        store<u32>(cursor, u32(place + (1 << shift)));
        const lifted = load<u64>(place);
        store<u64>(place, key);
        key = lifted;
        if (shift == 4) {
          const liftedWeight = load<u64>(place, 8);
          store<u64>(place, weight, 8);
          weight = liftedWeight;
        }
      }
      store<u64>(at, key);
      if (shift == 4) store<u64>(at, weight, 8);
      at += 1 << shift;
    }
  }
}
