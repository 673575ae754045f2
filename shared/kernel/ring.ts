/**
 * Rings: from a name to the destinations that take it. The key rule makes a key of the name, the hash places
 * the key on a bucket, the ring's table says whose bucket that is.
 *
 * Further choices, for replicas and for names of destinations that are passed over, come from a chain over
 * the buckets that are left: after each choice the hash is stirred and the last bucket of the list moves to
 * the chosen place. It is the rule of carbon-c-relay, and names of other destinations never move by it.
 * On a ketama ring the next points of the circle follow instead.
 *
 *   record   HASH code, KEY code, buckets, points, replicas, and addresses of the tables below; u32 each
 *   buckets  [ destination u32 ] x buckets                    written by the host
 *   points   [ hash u32 | bucket u32 ] x points, ascending    written by the host, ketama only
 *   order    [ bucket u32 ] x buckets                         bucket b at place b between two calls
 *   touched  [ place u32 ] x buckets                          places of `order` that a chain has changed
 *   states   [ STATE code u8 ] x destinations                 written by the host, for all rings
 *   marks    [ u32 ] x destinations                           the last call that has taken the destination
 */
import { reserve } from "./arena";
import { djb2 } from "./djb2";
import { FNV_OFFSET, fnv1a } from "./fnv1a";
import { jump } from "./jump";
import { keyBytes, makeKey, setupKeys } from "./key";
import { md5First, repairText } from "./md5";
import { murmur3 } from "./murmur3";
import {
  BUCKETS_MAX,
  HASH_DJB2_MOD,
  HASH_FNV1A_JUMP,
  HASH_KETAMA_ETSY,
  HASH_MURMUR3_SHARDS,
  KEY_BYTES_MAX,
  KEY_COMMA_SORTED,
  KEY_NAME,
  REPLICAS_MAX,
  STATE_SKIP,
} from "./ring-codes";

export { keyBytes } from "./key";

const RECORD_SHIFT: usize = 6;
const RECORD_KEY: usize = 4;
const RECORD_BUCKETS: usize = 8;
const RECORD_POINTS: usize = 12;
const RECORD_REPLICAS: usize = 16;
const RECORD_BUCKET_TABLE: usize = 20;
const RECORD_POINT_TABLE: usize = 24;
const RECORD_ORDER: usize = 28;
const RECORD_TOUCHED: usize = 32;
/** Steps of a walk before it is worth looking how many destinations are left to be found. */
const STEPS_BEFORE_COUNT: u32 = 16;

let records: usize = 0;
let ringsMax: u32 = 0;
let ringCount: u32 = 0;
let states: usize = 0;
let marks: usize = 0;
let destinationCount: u32 = 0;
/** Room for a repaired name. */
let repaired: usize = 0;

/** Whether the last choice is not the first one, because that destination is passed over. */
export let wasDiverted: bool = false;

/** The running walk: its mark, where it writes, what it has, what it wants, its steps. */
let walkMark: u32 = 0;
let walkOut: usize = 0;
let walkFound: u32 = 0;
let walkWanted: u32 = 0;
let walkSteps: u32 = 0;

/** Reserves what all rings share; every destination serves. Called once, before addRing. */
export function setupRings(rings: u32, destinations: u32): void {
  assert(records == 0 && rings >= 1 && destinations >= 1);
  ringsMax = rings;
  destinationCount = destinations;
  records = reserve(usize(rings) << RECORD_SHIFT);
  states = reserve(usize(destinations));
  marks = reserve(usize(destinations) << 2);
}

/**
 * Adds a ring. hash, key: codes. buckets: 1..BUCKETS_MAX. points: of a ketama ring, else 0. replicas:
 * 1..REPLICAS_MAX. Returns its number, counted from 0; the host then writes ringBuckets and ringPoints.
 */
export function addRing(hash: u32, key: u32, buckets: u32, points: u32, replicas: u32): u32 {
  assert(ringCount < ringsMax && hash <= u32(HASH_KETAMA_ETSY) && key <= u32(KEY_COMMA_SORTED));
  assert(buckets >= 1 && buckets <= u32(BUCKETS_MAX) && replicas >= 1 && replicas <= u32(REPLICAS_MAX));
  assert((hash == HASH_KETAMA_ETSY) == points > 0);
  setupKeys(key);
  const record = recordOf(ringCount);
  store<u32>(record, hash);
  store<u32>(record, key, RECORD_KEY);
  store<u32>(record, buckets, RECORD_BUCKETS);
  store<u32>(record, points, RECORD_POINTS);
  store<u32>(record, replicas, RECORD_REPLICAS);
  store<u32>(record, u32(reserve(usize(buckets) << 2)), RECORD_BUCKET_TABLE);
  if (hash == HASH_KETAMA_ETSY) {
    store<u32>(record, u32(reserve(usize(points) << 3)), RECORD_POINT_TABLE);
    if (repaired == 0) repaired = reserve(3 * usize(KEY_BYTES_MAX));
  } else {
    const order = reserve(usize(buckets) << 2);
    for (let bucket: u32 = 0; bucket < buckets; bucket++) store<u32>(order + (usize(bucket) << 2), bucket);
    store<u32>(record, u32(order), RECORD_ORDER);
    store<u32>(record, u32(reserve(usize(buckets) << 2)), RECORD_TOUCHED);
  }
  ringCount += 1;
  return ringCount - 1;
}

function recordOf(ring: u32): usize {
  return records + (usize(ring) << RECORD_SHIFT);
}

/** Address of a ring's buckets: the destination of each, 32 bits, below the number given to setupRings. */
export function ringBuckets(ring: u32): usize {
  return load<u32>(recordOf(ring), RECORD_BUCKET_TABLE);
}

/** Address of a ketama ring's points: hash and bucket, 32 bits each, ascending by hash. */
export function ringPoints(ring: u32): usize {
  return load<u32>(recordOf(ring), RECORD_POINT_TABLE);
}

/** Address of the destinations' STATE codes, one byte each, for all rings. */
export function destinationStates(): usize {
  return states;
}

/** HASH code of a ring. */
export function ringHash(ring: u32): u32 {
  return load<u32>(recordOf(ring));
}

/** KEY code of a ring. */
export function ringKey(ring: u32): u32 {
  return load<u32>(recordOf(ring), RECORD_KEY);
}

/** Buckets of a ring. */
export function bucketCountOf(ring: u32): u32 {
  return load<u32>(recordOf(ring), RECORD_BUCKETS);
}

/**
 * Whether each name goes to the destination of the bucket that the jump hash of its FNV-1a gives, and nowhere
 * else. Depends on the states of the ring's destinations.
 */
export function isPlainRing(ring: u32): bool {
  const record = recordOf(ring);
  if (ringHash(ring) != HASH_FNV1A_JUMP || ringKey(ring) != KEY_NAME) return false;
  if (load<u32>(record, RECORD_REPLICAS) != 1) return false;
  const buckets = load<u32>(record, RECORD_BUCKETS);
  for (let bucket: u32 = 0; bucket < buckets; bucket++) {
    if (load<u8>(states + destinationOfBucket(record, bucket)) == STATE_SKIP) return false;
  }
  return true;
}

/**
 * Makes a name's key by the ring's rule and sets keyBytes. May read up to 7 bytes behind the name. Returns
 * the key's address: within the name, or in a scratch that the next call overwrites.
 */
export function keyOf(ring: u32, name: usize, bytes: usize): usize {
  return makeKey(ringKey(ring), name, bytes);
}

/** Copies a name's key to out, which has room for the name. Returns its bytes. */
export function copyKey(ring: u32, name: usize, bytes: usize, out: usize): u32 {
  const key = keyOf(ring, name, bytes);
  memory.copy(out, key, keyBytes);
  return u32(keyBytes);
}

/** Hashes a key as the ring does; 32-bit hashes are widened by zeros. */
export function hashOf(ring: u32, key: usize, bytes: usize): u64 {
  const hash = ringHash(ring);
  if (hash == HASH_FNV1A_JUMP) return fnv1a(FNV_OFFSET, key, bytes);
  if (hash == HASH_DJB2_MOD) return djb2(key, bytes);
  if (hash == HASH_MURMUR3_SHARDS) return u64(murmur3(key, bytes));
  const repairedBytes = bytes <= usize(KEY_BYTES_MAX) ? repairText(key, bytes, repaired) : 0;
  return u64(repairedBytes == 0 ? md5First(key, bytes) : md5First(repaired, repairedBytes));
}

/** Places a key among the first `count` buckets of a ring without points. */
function place(hash: u32, key: u64, count: u32): u32 {
  return hash == HASH_FNV1A_JUMP ? u32(jump(key, i32(count))) : u32(key % u64(count));
}

/** Number of the first point at or behind a hash; the number of points where there is none. */
function pointAt(record: usize, hash: u32): u32 {
  const points = usize(load<u32>(record, RECORD_POINT_TABLE));
  let low: u32 = 0;
  let high = load<u32>(record, RECORD_POINTS);
  while (low < high) {
    const middle = (low + high) >> 1;
    if (load<u32>(points + (usize(middle) << 3)) < hash) low = middle + 1;
    else high = middle;
  }
  return low;
}

function bucketOfPoint(record: usize, point: u32): u32 {
  const number = point == load<u32>(record, RECORD_POINTS) ? 0 : point;
  return load<u32>(usize(load<u32>(record, RECORD_POINT_TABLE)) + (usize(number) << 3), 4);
}

/** Places a hash of hashOf() on its bucket, whatever the state of destinations. */
export function bucketOfHash(ring: u32, hash: u64): u32 {
  const record = recordOf(ring);
  const code = load<u32>(record);
  if (code == HASH_KETAMA_ETSY) return bucketOfPoint(record, pointAt(record, u32(hash)));
  return place(code, hash, load<u32>(record, RECORD_BUCKETS));
}

/** Places a key on its bucket, whatever the state of destinations. */
export function bucketOf(ring: u32, key: usize, bytes: usize): u32 {
  return bucketOfHash(ring, hashOf(ring, key, bytes));
}

function destinationOfBucket(record: usize, bucket: u32): u32 {
  return load<u32>(usize(load<u32>(record, RECORD_BUCKET_TABLE)) + (usize(bucket) << 2));
}

/**
 * Chooses the destinations of a name. May read up to 7 bytes behind it. out: room for as many 32-bit numbers
 * as the ring has replicas. Returns how many were written, at least 1; see chooseByHash.
 */
export function chooseDestinations(ring: u32, name: usize, bytes: usize, out: usize): u32 {
  const key = keyOf(ring, name, bytes);
  return chooseByHash(ring, hashOf(ring, key, keyBytes), out);
}

/**
 * Chooses destinations by a hash of hashOf(): as many distinct ones as the ring has replicas, without those
 * that are passed over. Fewer where there are no more; where all are passed over, the first choice alone.
 */
export function chooseByHash(ring: u32, hash: u64, out: usize): u32 {
  const record = recordOf(ring);
  const first = destinationOfBucket(record, bucketOfHash(ring, hash));
  store<u32>(out, first);
  wasDiverted = false;
  const replicas = load<u32>(record, RECORD_REPLICAS);
  if (replicas == 1 && load<u8>(states + first) != STATE_SKIP) return 1;
  beginWalk(replicas, out);
  if (load<u32>(record) == HASH_KETAMA_ETSY) walkPoints(record, u32(hash));
  else walkChain(record, hash);
  wasDiverted = walkFound > 0 && load<u8>(states + first) == STATE_SKIP;
  return max<u32>(walkFound, 1);
}

function beginWalk(wanted: u32, out: usize): void {
  walkMark += 2;
  if (walkMark == 0) {
    // Marks of calls long ago must not be taken for this one's.
    memory.fill(marks, 0, usize(destinationCount) << 2);
    walkMark = 2;
  }
  walkOut = out;
  walkFound = 0;
  walkWanted = wanted;
  walkSteps = 0;
}

/** Takes the destination of a bucket unless it was taken or is passed over. Returns whether to walk on. */
function visit(record: usize, bucket: u32): bool {
  const destination = destinationOfBucket(record, bucket);
  const mark = marks + (usize(destination) << 2);
  if (load<u8>(states + destination) != STATE_SKIP && load<u32>(mark) != walkMark) {
    store<u32>(mark, walkMark);
    store<u32>(walkOut + (usize(walkFound) << 2), destination);
    walkFound += 1;
  }
  walkSteps += 1;
  if (walkSteps == STEPS_BEFORE_COUNT) wantOnlyWhatIsLeft(record);
  return walkFound < walkWanted;
}

/** Lowers what a walk wants to what it can find, so that it does not go through all buckets in vain. */
function wantOnlyWhatIsLeft(record: usize): void {
  const buckets = load<u32>(record, RECORD_BUCKETS);
  let reachable = walkFound;
  for (let bucket: u32 = 0; bucket < buckets && reachable < walkWanted; bucket++) {
    const destination = destinationOfBucket(record, bucket);
    const mark = marks + (usize(destination) << 2);
    if (load<u8>(states + destination) == STATE_SKIP || load<u32>(mark) >= walkMark) continue;
    // Another mark than that of taken ones, so that each is counted once and can still be taken.
    store<u32>(mark, walkMark + 1);
    reachable += 1;
  }
  walkWanted = reachable;
}

/** Walks the chain of a ring without points; leaves the order of buckets as it was. */
function walkChain(record: usize, key: u64): void {
  const hash = load<u32>(record);
  const order = usize(load<u32>(record, RECORD_ORDER));
  const touched = usize(load<u32>(record, RECORD_TOUCHED));
  let left = load<u32>(record, RECORD_BUCKETS);
  let changes: u32 = 0;
  while (left > 0) {
    const chosen = place(hash, key, left);
    if (!visit(record, load<u32>(order + (usize(chosen) << 2)))) break;
    key = stir(key);
    left -= 1;
    store<u32>(order + (usize(chosen) << 2), load<u32>(order + (usize(left) << 2)));
    store<u32>(touched + (usize(changes) << 2), chosen);
    changes += 1;
  }
  for (let change: u32 = 0; change < changes; change++) {
    const changed = load<u32>(touched + (usize(change) << 2));
    store<u32>(order + (usize(changed) << 2), changed);
  }
}

/** The next hash of a chain. Source: xorshift64* of Sebastiano Vigna, with carbon-c-relay's shifts. */
function stir(hash: u64): u64 {
  hash ^= hash >> 12;
  hash ^= hash << 25;
  hash ^= hash >> 27;
  return hash * 0x2545f4914f6cdd1d;
}

/** Walks the points from a hash on, once around the circle. */
function walkPoints(record: usize, hash: u32): void {
  const points = load<u32>(record, RECORD_POINTS);
  let point = pointAt(record, hash);
  if (point == points) point = 0;
  for (let step: u32 = 0; step < points; step++) {
    if (!visit(record, bucketOfPoint(record, point))) break;
    point += 1;
    if (point == points) point = 0;
  }
}
