/**
 * The series table: open addressing with linear probing over records on the heap. Set members are entries of
 * the same table, owned by their set's record.
 *
 *   index   [ hash u32 | record u32 ] x capacity, a power of two, at most half full; record 0 = free
 *
 *   record   0 u32 next record of the list it is in   24 f64 a   48 u32 head
 *            4 u16 key bytes                          32 f64 b   52 u32 tail
 *            6 u8  type and age   7 u8 flags          40 f64 c   56 u32 count
 *            8 u32 hash                                          60 u32 weighted count
 *           12 u32 updates (a member: its owner)                 64 u32 sender
 *           16 f64 weight (a member: its key starts here)        68 key
 */
import { reserve } from "./arena";
import { allocate, resetHeap } from "./heap";

export const RECORD_NEXT = 0;
export const RECORD_KEY_BYTES = 4;
export const RECORD_TYPE = 6;
export const RECORD_FLAGS = 7;
const RECORD_HASH = 8;
export const RECORD_UPDATES = 12;
const RECORD_OWNER = 12;
/** Sum of 1 / rate over all samples. */
export const RECORD_WEIGHT = 16;
/** Three numbers and four words whose meaning is the type's: see counter.ts, gauge.ts, timer.ts, set.ts. */
export const RECORD_A = 24;
export const RECORD_B = 32;
export const RECORD_C = 40;
/** The upper half of c, where a timer's origin leaves it free. */
export const RECORD_WEIGHTED_TAIL = 44;
export const RECORD_HEAD = 48;
export const RECORD_TAIL = 52;
export const RECORD_COUNT = 56;
export const RECORD_WEIGHTED_COUNT = 60;
/** Hash of the address of who sent its first line, 0 when it is unknown. */
export const RECORD_SENDER = 64;
export const RECORD_KEY = 68;
export const MEMBER_KEY = 16;

/**
 * An intake also keeps series of earlier intervals, for late lines. Each of those has an age of 1..AGE_MAX in
 * the upper bits of its type; 0 is the present interval.
 */
export const AGE_SHIFT: u32 = 4;
const TYPE_MASK: u32 = 15;

export const TYPE_COUNTER = 0;
export const TYPE_GAUGE = 1;
export const TYPE_TIMER = 2;
export const TYPE_SET = 3;
export const TYPE_COUNT: u32 = 4;
/** An entry that is a member of a set, not a series. */
const TYPE_MEMBER = 255;

const CAPACITY_MIN: u32 = 4096;
const ENTRY_SHIFT: usize = 3;
const KEY_MASK: u32 = 0x00ff_ffff;

let index: usize = 0;
let capacity: u32 = CAPACITY_MIN;
let capacityMax: u32 = 0;
let entries: u32 = 0;
let seriesMax: u32 = 0;
let seed: u64 = 0;

export let seriesCount: u32 = 0;
/** A record with the key that was looked for last, but of another type; 0 where none was met. */
export let clashing: usize = 0;
export let firstSeries: usize = 0;
let lastSeries: usize = 0;

/**
 * Reserves the index. maximum: series the table may hold; set members may be three times as many.
 * hashSeed: secret, so that names cannot be made to collide.
 */
export function setupTable(maximum: u32, hashSeed: u64): void {
  seriesMax = maximum;
  seed = hashSeed;
  capacityMax = CAPACITY_MIN;
  while (capacityMax < maximum * 8 && capacityMax < 1 << 26) capacityMax <<= 1;
  index = reserve(usize(capacityMax) << ENTRY_SHIFT);
}

/** Empties the table and the heap. The index keeps a size that fits what it held. */
export function resetTable(): void {
  memory.fill(index, 0, usize(capacity) << ENTRY_SHIFT);
  while (capacity > CAPACITY_MIN && entries * 8 < capacity) capacity >>= 1;
  entries = 0;
  seriesCount = 0;
  firstSeries = 0;
  lastSeries = 0;
  resetHeap();
}

/**
 * Hashes a key: 64 bits at a time, each mixed by multiplying its halves, so that differences depend on the
 * seed. May read up to 7 bytes behind the key.
 */
export function hashKey(key: usize, bytes: usize): u32 {
  let h = seed ^ (u64(bytes) * 0x9e3779b97f4a7c15);
  let at = key;
  const end = key + bytes;
  while (at + 8 <= end) {
    h = mix(h, load<u64>(at));
    at += 8;
  }
  if (at < end) h = mix(h, load<u64>(at) & ((u64(1) << (u64(end - at) << 3)) - 1));
  return fold(h);
}

/** Hashes a number as hashKey() does a key: in a way that depends on the seed. */
export function hashWord(word: u32): u32 {
  return fold(mix(seed, u64(word)));
}

function fold(h: u64): u32 {
  h ^= h >> 32;
  h *= 0x9fb21c651e98df25;
  return u32(h >> 32);
}

function mix(h: u64, word: u64): u64 {
  const x = (h ^ word) + 0x2545f4914f6cdd1d;
  return ((x & 0xffff_ffff) * (x >> 32)) ^ rotl<u64>(x, 23);
}

/**
 * Returns the record that the index has where a key of this hash would be, 0 for none: brings that place to
 * the cache ahead of find().
 */
export function touch(hash: u32): u32 {
  return load<u32>(index + (usize(hash & (capacity - 1)) << ENTRY_SHIFT), 4);
}

function isSame(a: usize, b: usize, bytes: usize): bool {
  while (bytes >= 16) {
    if (v128.any_true(v128.xor(v128.load(a), v128.load(b)))) return false;
    a += 16;
    b += 16;
    bytes -= 16;
  }
  const equal = i8x16.bitmask(i8x16.eq(v128.load(a), v128.load(b)));
  const wanted = (1 << i32(bytes)) - 1;
  return (equal & wanted) == wanted;
}

/** Returns a record's type, without its age. */
export function typeOf(record: usize): u32 {
  return u32(load<u8>(record, RECORD_TYPE)) & TYPE_MASK;
}

/** Returns a record's age. */
export function ageOf(record: usize): u32 {
  return u32(load<u8>(record, RECORD_TYPE)) >> AGE_SHIFT;
}

let freeEntry: usize = 0;

/** Finds an entry; where there is none, leaves the place for it in freeEntry. */
function probe(key: usize, bytes: usize, hash: u32, type: u32, owner: usize, keyOffset: usize): usize {
  const mask = capacity - 1;
  const wanted = u32(bytes) | (type << 16);
  let place = hash & mask;
  while (true) {
    const entry = index + (usize(place) << ENTRY_SHIFT);
    const record = usize(load<u32>(entry, 4));
    if (record == 0) {
      freeEntry = entry;
      return 0;
    }
    if (load<u32>(entry) == hash) {
      const found = load<u32>(record, RECORD_KEY_BYTES) & KEY_MASK;
      if (found == wanted) {
        const isOwned = type != TYPE_MEMBER || load<u32>(record, RECORD_OWNER) == u32(owner);
        if (isOwned && isSame(record + keyOffset, key, bytes)) return record;
      } else if ((found & 0xffff) == u32(bytes) && type != TYPE_MEMBER && found >> 16 != TYPE_MEMBER) {
        if (isSame(record + keyOffset, key, bytes)) clashing = record;
      }
    }
    place = (place + 1) & mask;
  }
}

/** Makes a record with a zeroed header and enters it at freeEntry. Returns 0 where the bounds forbid it. */
function insert(key: usize, bytes: usize, hash: u32, type: u32, keyOffset: usize): usize {
  if (entries * 2 >= capacity) {
    if (capacity == capacityMax) return 0;
    grow();
    probe(key, bytes, hash, type, usize.MAX_VALUE, keyOffset);
  }
  const record = allocate(keyOffset + bytes);
  if (record == 0) return 0;
  memory.fill(record, 0, keyOffset);
  store<u16>(record, u16(bytes), RECORD_KEY_BYTES);
  store<u8>(record, u8(type), RECORD_TYPE);
  store<u32>(record, hash, RECORD_HASH);
  memory.copy(record + keyOffset, key, bytes);
  store<u32>(freeEntry, hash);
  store<u32>(freeEntry, u32(record), 4);
  entries += 1;
  return record;
}

/** Doubles the index and enters all records again; they are reached through their lists. */
function grow(): void {
  capacity <<= 1;
  memory.fill(index, 0, usize(capacity) << ENTRY_SHIFT);
  for (let series = firstSeries; series != 0; series = usize(load<u32>(series, RECORD_NEXT))) {
    enter(series);
    if (typeOf(series) != TYPE_SET) continue;
    let member = usize(load<u32>(series, RECORD_HEAD));
    for (; member != 0; member = usize(load<u32>(member, RECORD_NEXT))) enter(member);
  }
}

function enter(record: usize): void {
  const hash = load<u32>(record, RECORD_HASH);
  let place = hash & (capacity - 1);
  while (true) {
    const entry = index + (usize(place) << ENTRY_SHIFT);
    if (load<u32>(entry, 4) == 0) {
      store<u32>(entry, hash);
      store<u32>(entry, u32(record), 4);
      return;
    }
    place = (place + 1) & (capacity - 1);
  }
}

/** Returns the record of a series, 0 when the table does not have it. */
export function findSeries(key: usize, bytes: usize, hash: u32, type: u32): usize {
  clashing = 0;
  return probe(key, bytes, hash, type, 0, RECORD_KEY);
}

/** Returns the record of a series, new where need be, or 0 when the table is full. type: with its age. */
export function findOrInsertSeries(key: usize, bytes: usize, hash: u32, type: u32): usize {
  const found = probe(key, bytes, hash, type, 0, RECORD_KEY);
  if (found != 0) return found;
  return seriesCount >= seriesMax ? 0 : insertSeries(key, bytes, hash, type);
}

/**
 * Adds the series that findSeries() has just not found, whatever the number of series. Returns its record, 0
 * without memory. In clashing is a record of the same key and another type, or 0.
 */
export function insertSeries(key: usize, bytes: usize, hash: u32, type: u32): usize {
  const record = insert(key, bytes, hash, type, RECORD_KEY);
  if (record == 0) return 0;
  if (lastSeries == 0) firstSeries = record;
  else store<u32>(lastSeries, u32(record), RECORD_NEXT);
  lastSeries = record;
  seriesCount += 1;
  return record;
}

/** Takes the series inserted last out of the count: it is not one that came from outside. */
export function leaveUncounted(): void {
  seriesCount -= 1;
}

/** Adds a member to a set's list unless it is there. Returns whether there was room. */
export function addMember(owner: usize, key: usize, bytes: usize): bool {
  const hash = hashKey(key, bytes) ^ (u32(owner) * 0x9e3779b1);
  if (probe(key, bytes, hash, TYPE_MEMBER, owner, MEMBER_KEY) != 0) return true;
  const member = insert(key, bytes, hash, TYPE_MEMBER, MEMBER_KEY);
  if (member == 0) return false;
  store<u32>(member, u32(owner), RECORD_OWNER);
  store<u32>(member, load<u32>(owner, RECORD_HEAD), RECORD_NEXT);
  store<u32>(owner, u32(member), RECORD_HEAD);
  store<u32>(owner, load<u32>(owner, RECORD_COUNT) + 1, RECORD_COUNT);
  return true;
}
