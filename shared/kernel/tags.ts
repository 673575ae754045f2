/**
 * Graphite tags in a series key: `name;k=v;k=v`, sorted by their bytes so that order does not make a
 * series.
 */
import { reserve } from "./arena";

const SEMICOLON: u32 = 59;

/** Tags that a key may have. */
export const TAGS_MAX = 256;

/** Start addresses and byte counts of the tags being sorted, as pairs of u32. */
let parts: usize = 0;

/** Reserves the list of tags. */
export function setupTags(): void {
  parts = reserve(TAGS_MAX * 8);
}

/**
 * Whether text a comes after text b, byte by byte; where one starts with the other, the shorter comes
 * first.
 */
function isAfter(a: usize, aBytes: usize, b: usize, bBytes: usize): bool {
  const bytes = min<usize>(aBytes, bBytes);
  for (let i: usize = 0; i < bytes; i++) {
    const x = load<u8>(a + i);
    const y = load<u8>(b + i);
    if (x != y) return x > y;
  }
  return aBytes > bBytes;
}

/**
 * Whether the tags start..end, written behind one another with semicolons, are sorted, none is empty, and
 * there are no more than a key may have. isUnique: whether none may come twice.
 */
export function areTagsInOrder(start: usize, end: usize, isUnique: bool): bool {
  let before: usize = 0;
  let beforeBytes: usize = 0;
  let at = start;
  for (let count = 1; count <= TAGS_MAX; count++) {
    const tag = at;
    while (at < end && load<u8>(at) != SEMICOLON) at += 1;
    if (at == tag) return false;
    if (before != 0) {
      if (isAfter(before, beforeBytes, tag, at - tag)) return false;
      if (isUnique && isEqual(before, beforeBytes, tag, at - tag)) return false;
    }
    if (at == end) return true;
    before = tag;
    beforeBytes = at - tag;
    at += 1;
  }
  return false;
}

function isEqual(a: usize, aBytes: usize, b: usize, bBytes: usize): bool {
  return aBytes == bBytes && memory.compare(a, b, aBytes) == 0;
}

/**
 * Writes the tags start..end sorted, each behind a semicolon, without empty ones; where all are empty a
 * single semicolon keeps the key marked as tagged. isUnique: whether repeated ones are left out. Returns the
 * bytes written, 0 when there are more than TAGS_MAX.
 */
export function writeSortedTags(target: usize, start: usize, end: usize, isUnique: bool): usize {
  let count = 0;
  let at = start;
  while (at < end) {
    const tag = at;
    while (at < end && load<u8>(at) != SEMICOLON) at += 1;
    if (at > tag) {
      if (count == TAGS_MAX) return 0;
      insertSorted(count, tag, at - tag);
      count += 1;
    }
    at += 1;
  }
  if (count == 0) {
    store<u8>(target, SEMICOLON);
    return 1;
  }
  let out = target;
  for (let i = 0; i < count; i++) {
    const part = parts + (usize(i) << 3);
    const bytes = load<u32>(part, 4);
    if (isUnique && i > 0 && isEqual(load<u32>(part - 8), load<u32>(part - 4), load<u32>(part), bytes))
      continue;
    store<u8>(out, SEMICOLON);
    memory.copy(out + 1, load<u32>(part), bytes);
    out += bytes + 1;
  }
  return out - target;
}

/**
 * Inserts a tag into the first `count` parts behind those that do not come after it. Its place is found by
 * halves: long tags that differ late must not cost a comparison with each of the others.
 */
function insertSorted(count: i32, tag: usize, bytes: usize): void {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    const part = parts + (usize(middle) << 3);
    if (isAfter(load<u32>(part), load<u32>(part, 4), tag, bytes)) high = middle;
    else low = middle + 1;
  }
  const place = parts + (usize(low) << 3);
  memory.copy(place + 8, place, usize(count - low) << 3);
  store<u32>(place, u32(tag));
  store<u32>(place, u32(bytes), 4);
}
