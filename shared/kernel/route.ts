/**
 * From lines to destinations: FNV-1a of the name, jump hash to a bucket, the ring's destination of that
 * bucket. Names come again and again, so destinations of names seen lately are remembered under a 64-bit
 * hash that is several times cheaper than FNV-1a, which waits for a multiplication at each byte. A name
 * that is new, or was pushed out, is hashed the long way together with others. That two names meet in all
 * 64 bits is not to be expected in the lifetime of any installation, and as the multipliers are secret,
 * nobody can make a name that meets another one.
 *
 *   memory of names   [ hash u64 | destination u32 | 0 ] x REMEMBERED, by the hash's lowest bits
 *   misses            [ start u32 | name bytes u32 | line u32 | 0 | hash u64 ]
 */
import { reserve } from "./arena";
import { fnv1aFour } from "./fnv1a";
import { jump } from "./jump";
import { LINE_NAME_BYTES, LINE_START, LINES_MAX, lineEntry } from "./lines";

/** Names remembered: 4 MiB, of which only what is used takes memory. */
const REMEMBERED: u32 = 1 << 18;
const MEMORY_SHIFT: usize = 4;
const MISS_BYTES: usize = 24;
const MISS_LINE: usize = 8;
const MISS_HASH: usize = 16;

let bucketCount: i32 = 0;
let ring: usize = 0;
let memorized: usize = 0;
let misses: usize = 0;
let hashes: usize = 0;
let destinations: usize = 0;
let seed: u64 = 0;
let firstMultiplier: u64 = 0;
let secondMultiplier: u64 = 0;

/** Reserves ring and tables. buckets: entries of the ring. hashSeed: any number that senders cannot know. */
export function setupRoute(buckets: u32, hashSeed: u64): void {
  bucketCount = i32(buckets);
  seed = hashSeed;
  firstMultiplier = secretOdd(hashSeed, 1);
  secondMultiplier = secretOdd(hashSeed, 2);
  ring = reserve(usize(buckets) * 4);
  memorized = reserve(usize(REMEMBERED) << MEMORY_SHIFT);
  misses = reserve(usize(LINES_MAX + 4) * MISS_BYTES);
  hashes = reserve(usize(LINES_MAX + 4) * 8);
  destinations = reserve(usize(LINES_MAX) * 4);
}

/** Address of the ring: for each bucket its destination, 32 bits. */
export function ringTable(): usize {
  return ring;
}

/** Returns the destination of a 64-bit FNV-1a hash. */
export function destinationOf(hash: u64): u32 {
  return load<u32>(ring + usize(jump(hash, bucketCount)) * 4);
}

/** Destination of a line that routeLines() has seen. */
export function lineDestination(line: i32): u32 {
  return load<u32>(destinations + usize(line) * 4);
}

/** Derives an odd number, the index-th of a seed. Source: SplitMix64 of Sebastiano Vigna (public domain). */
function secretOdd(hashSeed: u64, index: u64): u64 {
  let z = hashSeed + index * 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return (z ^ (z >> 31)) | 1;
}

/**
 * Mixes in the manner of MurmurHash3 (Austin Appleby): each word on its own, then into the state. Its
 * constant multipliers would let two words be chosen whose differences cancel out whatever the state is.
 */
function mixWord(state: u64, word: u64): u64 {
  word = rotl<u64>(word * firstMultiplier, 31) * secondMultiplier;
  return rotl<u64>(state ^ word, 27) * 5 + 0x52dce729;
}

/** Hashes a name; may read up to 7 bytes behind it. Never 0, which is the hash of an empty place. */
function quickHash(name: usize, bytes: usize): u64 {
  let state = seed ^ (u64(bytes) * 0x9e3779b97f4a7c15);
  const end = name + bytes;
  while (name + 8 <= end) {
    state = mixWord(state, load<u64>(name));
    name += 8;
  }
  if (name < end) state = mixWord(state, load<u64>(name) & ((u64(1) << (u64(end - name) << 3)) - 1));
  state ^= state >> 33;
  state *= 0xff51afd7ed558ccd;
  state ^= state >> 29;
  return state | u64(state == 0);
}

function placeOf(hash: u64): usize {
  return memorized + ((usize(hash) & usize(REMEMBERED - 1)) << MEMORY_SHIFT);
}

/** Finds the destinations of the first `count` lines of the table. nameState: FNV state before each name. */
export function routeLines(count: i32, nameState: u64): void {
  let miss = misses;
  for (let line = 0; line < count; line++) {
    const entry = lineEntry(line);
    const hash = quickHash(load<u32>(entry, LINE_START), load<u32>(entry, LINE_NAME_BYTES));
    const place = placeOf(hash);
    store<u32>(destinations + usize(line) * 4, load<u32>(place, 8));
    if (load<u64>(place) == hash) continue;
    store<u64>(miss, load<u64>(entry, LINE_START));
    store<u32>(miss, line, MISS_LINE);
    store<u64>(miss, hash, MISS_HASH);
    miss += MISS_BYTES;
  }
  if (miss != misses) routeMisses(miss, nameState);
}

function routeMisses(end: usize, nameState: u64): void {
  // Empty names fill the last group up.
  for (let filler: usize = 0; filler < 3; filler++) store<u64>(end + filler * MISS_BYTES, 0);
  let hash = hashes;
  for (let group = misses; group < end; group += 4 * MISS_BYTES) {
    fnv1aFour(nameState, group, MISS_BYTES, hash);
    hash += 32;
  }
  hash = hashes;
  for (let miss = misses; miss < end; miss += MISS_BYTES) {
    const destination = destinationOf(load<u64>(hash));
    const place = placeOf(load<u64>(miss, MISS_HASH));
    store<u64>(place, load<u64>(miss, MISS_HASH));
    store<u32>(place, destination, 8);
    store<u32>(destinations + (usize(load<u32>(miss, MISS_LINE)) << 2), destination);
    hash += 8;
  }
}
