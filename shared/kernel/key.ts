/**
 * Key rules: what of a name decides where it goes. A key that is not part of the name is made in a scratch.
 *
 *   parts   [ first 8 bytes as a big-endian number u64 | start u32 | bytes u32 ] x tags, twice for merging
 *
 * Names come from anybody: sorting takes n log n steps whatever they hold.
 */
import { reserve } from "./arena";
import { KEY_BYTES_MAX, KEY_COMMA_SORTED, KEY_NAME, KEY_SORTED, KEY_UNTAGGED } from "./ring-codes";

const COMMA: u32 = 44;
const SEMICOLON: u32 = 59;
const PART_BYTES: usize = 16;
const PART_START: usize = 8;
const PART_LENGTH: usize = 12;
/** Parts sorted by insertion before runs are merged. */
const RUN_BYTES: usize = 8 * PART_BYTES;

/** Bytes of the key that makeKey() returned last. */
export let keyBytes: usize = 0;

let scratch: usize = 0;
let parts: usize = 0;
let otherParts: usize = 0;

/** Reserves what a rule needs, once for all rings that use it. rule: a KEY code. */
export function setupKeys(rule: u32): void {
  if ((rule != KEY_SORTED && rule != KEY_COMMA_SORTED) || scratch != 0) return;
  scratch = reserve(usize(KEY_BYTES_MAX) + 64);
  // A name of nothing but separators has one part more than bytes.
  parts = reserve((usize(KEY_BYTES_MAX) + 1) * PART_BYTES);
  otherParts = reserve((usize(KEY_BYTES_MAX) + 1) * PART_BYTES);
}

/**
 * Makes the key of a name and sets keyBytes. rule: a KEY code. May read up to 7 bytes behind the name.
 * Returns the key's address: within the name, or in a scratch that the next call overwrites.
 */
export function makeKey(rule: u32, name: usize, bytes: usize): usize {
  keyBytes = bytes;
  if (rule == KEY_NAME || bytes > usize(KEY_BYTES_MAX)) return name;
  const first = rule == KEY_COMMA_SORTED ? findComma(name, name + bytes) : findSeparator(name, name + bytes);
  if (first == name + bytes) return name;
  if (rule == KEY_UNTAGGED) {
    keyBytes = first - name;
    return name;
  }
  const separator = u32(load<u8>(first));
  const count = splitTags(first + 1, name + bytes, separator);
  return count == 0 ? name : joinSorted(name, first - name, count, separator);
}

function findComma(at: usize, end: usize): usize {
  while (at < end && u32(load<u8>(at)) != COMMA) at++;
  return at;
}

function findSeparator(at: usize, end: usize): usize {
  for (; at < end; at++) {
    const byte = u32(load<u8>(at));
    if (byte == COMMA || byte == SEMICOLON) break;
  }
  return at;
}

/** Lists the tags between start and end. Returns how many, or 0 where they are in order as they are. */
function splitTags(start: usize, end: usize, separator: u32): usize {
  let isInOrder = true;
  let part = parts;
  let tag = start;
  for (let at = start; at <= end; at++) {
    if (at < end && u32(load<u8>(at)) != separator) continue;
    const bytes = at - tag;
    let head = bswap<u64>(load<u64>(tag));
    if (bytes < 8) head &= bytes == 0 ? 0 : ~u64(0) << (64 - (u64(bytes) << 3));
    store<u64>(part, head);
    store<u32>(part, u32(tag), PART_START);
    store<u32>(part, u32(bytes), PART_LENGTH);
    if (part != parts && isInOrder) isInOrder = !isAfter(part - PART_BYTES, part);
    part += PART_BYTES;
    tag = at + 1;
  }
  return isInOrder ? 0 : (part - parts) / PART_BYTES;
}

/** Whether one part comes after another in the order of bytes; of equal beginnings the shorter is first. */
function isAfter(one: usize, other: usize): bool {
  const head = load<u64>(one);
  const otherHead = load<u64>(other);
  if (head != otherHead) return head > otherHead;
  const bytes = load<u32>(one, PART_LENGTH);
  const otherBytes = load<u32>(other, PART_LENGTH);
  const start = usize(load<u32>(one, PART_START));
  const otherStart = usize(load<u32>(other, PART_START));
  const shared = usize(min(bytes, otherBytes));
  let i: usize = 8;
  while (i + 8 <= shared && load<u64>(start + i) == load<u64>(otherStart + i)) i += 8;
  for (; i < shared; i++) {
    const byte = load<u8>(start + i);
    const otherByte = load<u8>(otherStart + i);
    if (byte != otherByte) return byte > otherByte;
  }
  return bytes > otherBytes;
}

/** Writes the name's head and its tags in order to the scratch. Returns the scratch. */
function joinSorted(name: usize, headBytes: usize, count: usize, separator: u32): usize {
  memory.copy(scratch, name, headBytes);
  let out = scratch + headBytes;
  const sorted = sortParts(count * PART_BYTES);
  const end = sorted + count * PART_BYTES;
  for (let part = sorted; part < end; part += PART_BYTES) {
    const bytes = usize(load<u32>(part, PART_LENGTH));
    store<u8>(out, separator);
    memory.copy(out + 1, load<u32>(part, PART_START), bytes);
    out += bytes + 1;
  }
  keyBytes = out - scratch;
  return scratch;
}

/** Sorts the parts by merging. Returns where they lie. */
function sortParts(bytes: usize): usize {
  const end = parts + bytes;
  for (let start = parts; start < end; start += RUN_BYTES) sortRun(start, min(start + RUN_BYTES, end));
  let from = parts;
  let to = otherParts;
  for (let width = RUN_BYTES; width < bytes; width <<= 1) {
    for (let start: usize = 0; start < bytes; start += width << 1) {
      const middle = min(start + width, bytes);
      mergeRuns(from + start, from + middle, from + min(middle + width, bytes), to + start);
    }
    const swapped = from;
    from = to;
    to = swapped;
  }
  return from;
}

function sortRun(start: usize, end: usize): void {
  for (let next = start + PART_BYTES; next < end; next += PART_BYTES) {
    for (let place = next; place > start && isAfter(place - PART_BYTES, place); place -= PART_BYTES) {
      const part = v128.load(place);
      v128.store(place, v128.load(place - PART_BYTES));
      v128.store(place - PART_BYTES, part);
    }
  }
}

/** Merges the runs start..middle and middle..end to out. */
function mergeRuns(start: usize, middle: usize, end: usize, out: usize): void {
  let a = start;
  let b = middle;
  while (a < middle && b < end) {
    const takesB = isAfter(a, b);
    const source = takesB ? b : a;
    v128.store(out, v128.load(source));
    out += PART_BYTES;
    if (takesB) b += PART_BYTES;
    else a += PART_BYTES;
  }
  memory.copy(out, a, middle - a);
  memory.copy(out + (middle - a), b, end - b);
}
