/**
 * From lines to what becomes of them. A name that is remembered costs one look; others are placed by the
 * rings of the routes that take them.
 *
 *   quick    one route, FNV-1a and jump hash of the names as they are: four names at a time
 *   judged   the kernel asks each route in turn
 *   asked    the host judges names by its rules, and tells the routes
 *
 * Route 0 is the main one, which is asked last. The others come in their order; one that moves names takes
 * them away from all behind it.
 *
 *   misses   [ start u32 | name bytes u32 | line u32 | 0 | hash u64 ]
 */
import { reserve } from "./arena";
import { FNV_OFFSET, fnv1a, fnv1aFour } from "./fnv1a";
import { jump } from "./jump";
import { LINE_NAME_BYTES, LINE_PLACE, LINE_START, LINES_MAX, lineEntry } from "./lines";
import { forgetAllNames, mix64, PLACE_VALUE, placeOf, quickHash, remember, setupNames } from "./names";
import { DROP_NO_ROUTE, ROUTES_MAX, SHARE_ALL, TARGETS_MAX } from "./relay-codes";
import { hasSuffix, isRewritten, leavingName, leavingNameBytes } from "./rewrite";
import { chooseDestinations, destinationStates, ringBuckets, ringHash, ringKey, wasDiverted } from "./ring";
import { HASH_FNV1A_JUMP, KEY_NAME, STATE_SKIP } from "./ring-codes";
import {
  addDraftTarget,
  areVerdictsFull,
  beginDraft,
  clearVerdicts,
  DIVERTED_FLAG,
  draftTargetCount,
  dropVerdict,
  endDraft,
  keepName,
  setupVerdicts,
} from "./verdict";

const MISS_BYTES: usize = 24;
const MISS_LINE: usize = 8;
const MISS_HASH: usize = 16;

const ROUTE_BYTES: usize = 8;
/** Offset of the share of names that the route takes, 32 bits. */
const ROUTE_SHARE: usize = 0;
/** Offset of whether the route takes names away from those behind it, 32 bits. */
const ROUTE_MOVES: usize = 4;

let routes: usize = 0;
let routeCount: u32 = 0;
let misses: usize = 0;
let missCount: i32 = 0;
let hashes: usize = 0;
let values: usize = 0;
/** Destinations of one target, and the text that a host writes in a name's place. */
let chosen: usize = 0;
/** Whether names may take the quick way. */
let isQuick: bool = false;
/** Whether verdicts can come up. */
let isJudging: bool = false;
let quickRing: usize = 0;
let quickBuckets: i32 = 0;
/** FNV state behind the prefix that all names get. */
let nameState: u64 = FNV_OFFSET;

/** Reserves tables. hashSeed: see setupNames. */
export function setupRoute(hashSeed: u64): void {
  setupNames(hashSeed);
  routes = reserve(usize(ROUTES_MAX) * ROUTE_BYTES);
  misses = reserve(usize(LINES_MAX + 4) * MISS_BYTES);
  hashes = reserve(usize(LINES_MAX + 4) * 8);
  values = reserve(usize(LINES_MAX) * 4);
  chosen = reserve(usize(TARGETS_MAX) * 4);
}

/** Adds a route; its ring and its rewriting have the same index. share: of 2^32 names. */
export function addRoute(share: u32, isMoving: bool, buckets: u32, replicas: u32): void {
  assert(routeCount < u32(ROUTES_MAX));
  if (routeCount == 0) quickBuckets = i32(buckets);
  if (routeCount > 0 || share != SHARE_ALL || replicas > 1) isJudging = true;
  const route = routes + usize(routeCount) * ROUTE_BYTES;
  store<u32>(route, share, ROUTE_SHARE);
  store<u32>(route, u32(isMoving), ROUTE_MOVES);
  routeCount += 1;
}

/**
 * Makes what was set up effective. prefix, prefixBytes: what the main route puts before names.
 * isHostJudging: whether the host has rules.
 */
export function startRoute(prefix: usize, prefixBytes: usize, isHostJudging: bool): void {
  nameState = fnv1a(FNV_OFFSET, prefix, prefixBytes);
  quickRing = ringBuckets(0);
  if (isHostJudging) isJudging = true;
  setupVerdicts(isJudging);
  chooseWay();
}

/** Whether lines can have verdicts. */
export function isJudgingNames(): bool {
  return isJudging;
}

/** Takes notice of changed states of destinations: what was remembered may be wrong now. */
export function updateStates(): void {
  chooseWay();
  forgetNames();
}

function chooseWay(): void {
  isQuick = !isJudging && !hasSuffix(0) && ringHash(0) == HASH_FNV1A_JUMP && ringKey(0) == KEY_NAME;
  for (let bucket: usize = 0; bucket < usize(quickBuckets); bucket++) {
    const destination = usize(load<u32>(quickRing + bucket * 4));
    if (load<u8>(destinationStates() + destination) == u8(STATE_SKIP)) isQuick = false;
  }
}

/** Forgets all names and their verdicts. Only between two batches. */
export function forgetNames(): void {
  forgetAllNames();
  if (isJudging) clearVerdicts();
}

/** What becomes of a line that routeLines() has seen: a destination or a verdict. */
export function lineValue(line: i32): u32 {
  return load<u32>(values + usize(line) * 4);
}

/** Changes what becomes of a line. */
export function setLineValue(line: i32, value: u32): void {
  store<u32>(values + usize(line) * 4, value);
}

/**
 * Finds what becomes of the first `count` lines of the table. isAsking: leave names that are not remembered
 * to the host. Returns how many lines wait for it.
 */
export function routeLines(count: i32, isAsking: bool): i32 {
  if (isJudging && areVerdictsFull()) forgetNames();
  let miss = misses;
  for (let line = 0; line < count; line++) {
    const entry = lineEntry(line);
    const hash = quickHash(load<u32>(entry, LINE_START), load<u32>(entry, LINE_NAME_BYTES));
    const place = placeOf(hash);
    store<u32>(entry, u32(place), LINE_PLACE);
    store<u32>(values + usize(line) * 4, load<u32>(place, PLACE_VALUE));
    if (load<u64>(place) == hash) continue;
    store<u64>(miss, load<u64>(entry, LINE_START));
    store<u32>(miss, line, MISS_LINE);
    store<u64>(miss, hash, MISS_HASH);
    miss += MISS_BYTES;
  }
  missCount = i32((miss - misses) / MISS_BYTES);
  if (missCount == 0) return 0;
  if (isAsking) return missCount;
  if (isQuick) routeMisses(miss);
  else judgeMisses();
  return 0;
}

/** The quick way. */
function routeMisses(end: usize): void {
  // Empty names fill the last group up.
  for (let filler: usize = 0; filler < 3; filler++) store<u64>(end + filler * MISS_BYTES, 0);
  let hash = hashes;
  for (let group = misses; group < end; group += 4 * MISS_BYTES) {
    fnv1aFour(nameState, group, MISS_BYTES, hash);
    hash += 32;
  }
  hash = hashes;
  for (let miss = misses; miss < end; miss += MISS_BYTES) {
    const bucket = jump(load<u64>(hash), quickBuckets);
    settle(miss, load<u32>(quickRing + usize(bucket) * 4));
    hash += 8;
  }
}

/** Remembers what becomes of a name, and of the line that brought it. */
function settle(miss: usize, value: u32): void {
  remember(load<u64>(miss, MISS_HASH), value);
  setLineValue(i32(load<u32>(miss, MISS_LINE)), value);
}

/** Asks the routes about each name. */
function judgeMisses(): void {
  for (let index = 0; index < missCount; index++) {
    beginVerdict();
    let isMoved = false;
    for (let route: u32 = 1; route < routeCount && !isMoved; route++) {
      if (!isInShare(index, route)) continue;
      addTarget(index, route, 0, 0);
      isMoved = load<u32>(routes + usize(route) * ROUTE_BYTES, ROUTE_MOVES) != 0;
    }
    if (!isMoved && isInShare(index, 0)) addTarget(index, 0, 0, 0);
    endVerdict(index);
  }
}

/** Names that wait for the host, or were judged last. */
export function namesWaiting(): i32 {
  return missCount;
}

function missEntry(index: i32): usize {
  assert(u32(index) < u32(missCount));
  return misses + usize(index) * MISS_BYTES;
}

/** Address of a name that waits for the host. index: 0..routeLines()-1. */
export function missName(index: i32): usize {
  return load<u32>(missEntry(index));
}

/** Bytes of that name. */
export function missNameBytes(index: i32): u32 {
  return load<u32>(missEntry(index), 4);
}

/** Whether a waiting name is among the share of names that a route takes. */
export function isInShare(index: i32, route: u32): bool {
  return isNameInShare(missName(index), missNameBytes(index), route);
}

/** Whether a name is among the share of names that a route takes; the same on all relays. */
export function isNameInShare(name: usize, bytes: usize, route: u32): bool {
  const share = load<u32>(routes + usize(route) * ROUTE_BYTES, ROUTE_SHARE);
  if (share == SHARE_ALL) return true;
  return u32(mix64(fnv1a(FNV_OFFSET, name, bytes)) >> 32) < share;
}

/** Drops a name. reason: a DROP code. */
export function dropName(index: i32, reason: u32): void {
  settle(missEntry(index), dropVerdict(reason));
}

/** Begins the verdict about a name. */
export function beginVerdict(): void {
  beginDraft();
}

/**
 * Sends the name's lines along a route. renamed, renamedBytes: the name in the place of the lines' own;
 * 0 for none.
 */
export function addTarget(index: i32, route: u32, renamed: usize, renamedBytes: usize): void {
  const name = renamed == 0 ? missName(index) : keepName(renamed, renamedBytes);
  const bytes = renamed == 0 ? usize(missNameBytes(index)) : renamedBytes;
  const isChanged = isRewritten(route);
  const key = isChanged ? leavingName(route, name, bytes) : name;
  const keyBytes = isChanged ? leavingNameBytes() : bytes;
  const count = chooseDestinations(route, key, keyBytes, chosen);
  for (let i: u32 = 0; i < count; i++) {
    const destination = load<u32>(chosen + usize(i) * 4);
    const marked = wasDiverted && i == 0 ? route | DIVERTED_FLAG : route;
    addDraftTarget(destination, marked, renamed == 0 ? 0 : name, renamed == 0 ? 0 : bytes);
  }
}

/** Ends the verdict about a name. */
export function endVerdict(index: i32): void {
  settle(missEntry(index), draftTargetCount() == 0 ? dropVerdict(DROP_NO_ROUTE) : endDraft());
}

/** Destination of a line of the relay's own, which goes by its own name. */
export function ownDestination(name: usize, nameBytes: usize): u32 {
  chooseDestinations(0, name, nameBytes, chosen);
  return load<u32>(chosen);
}
