/**
 * The memory of names. Names come again and again, so what becomes of those seen lately is remembered under
 * a 64-bit hash that is several times cheaper than FNV-1a, which waits for a multiplication at each byte.
 * That two names meet in all 64 bits is not to be expected in the lifetime of any installation, and as the
 * multipliers are secret, nobody can make a name that meets another one.
 *
 *   place   [ hash u64 | value u32 | lines in this window u32 ] x NAMES_COUNT, by the hash's lowest bits
 */
import { reserve } from "./arena";

/** Names remembered: 4 MiB, of which only what is used takes memory. */
export const NAMES_COUNT: u32 = 1 << 18;
const PLACE_SHIFT: usize = 4;
/** Offset of what becomes of the name, 32 bits. */
export const PLACE_VALUE: usize = 8;
/** Offset of what sampling counts: 8 bits of the window, 24 bits of lines. */
export const PLACE_SAMPLED: usize = 12;

let table: usize = 0;
let seed: u64 = 0;
let firstMultiplier: u64 = 0;
let secondMultiplier: u64 = 0;

/** Reserves the memory. hashSeed: any number that senders cannot know. */
export function setupNames(hashSeed: u64): void {
  table = reserve(usize(NAMES_COUNT) << PLACE_SHIFT);
  setSeed(hashSeed);
}

function setSeed(hashSeed: u64): void {
  seed = hashSeed;
  firstMultiplier = secretOdd(hashSeed, 1);
  secondMultiplier = secretOdd(hashSeed, 2);
}

/** Forgets all names: under another seed none of them has the hash that it is stored with. */
export function forgetAllNames(): void {
  setSeed(secretOdd(seed, 3));
}

/** Address of the memory, for a host that carries it over to another kernel. */
export function namesTable(): usize {
  return table;
}

/** The seed that the names are stored under. */
export function namesSeed(): u64 {
  return seed;
}

/** Derives an odd number, the index-th of a seed. Source: SplitMix64 of Sebastiano Vigna (public domain). */
function secretOdd(hashSeed: u64, index: u64): u64 {
  return mix64(hashSeed + index * 0x9e3779b97f4a7c15) | 1;
}

/** Spreads a word over all its bits. Source: the same. */
export function mix64(z: u64): u64 {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
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
export function quickHash(name: usize, bytes: usize): u64 {
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

/** Address of the place where a name with that hash is remembered, if it is. */
export function placeOf(hash: u64): usize {
  return table + ((usize(hash) & usize(NAMES_COUNT - 1)) << PLACE_SHIFT);
}

/** Remembers what becomes of a name; whoever had its place is forgotten. */
export function remember(hash: u64, value: u32): void {
  const place = placeOf(hash);
  store<u64>(place, hash);
  store<u32>(place, value, PLACE_VALUE);
  store<u32>(place, 0, PLACE_SAMPLED);
}
