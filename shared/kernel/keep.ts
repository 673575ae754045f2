/**
 * Series that outlive their interval. They have a table of their own, whose records tell in which interval
 * each was seen last, and which level a gauge had. What goes from one table to another goes as entries:
 *
 *   record   12 u32 1 while it is kept, 0 once forgotten   16 f64 interval   24 f64 level
 *            32 f64 interval in which a gauge was set last, and not only changed
 *   entry     0 u16 key bytes   2 u8 type   3 u8 1 for a gauge that was set, else 0
 *             4 f64 level, NaN for none   12 key
 */
import { mergeGauge, resolveGauge } from "./gauge";
import {
  findSeries,
  firstSeries,
  hashKey,
  insertSeries,
  RECORD_A,
  RECORD_B,
  RECORD_FLAGS,
  RECORD_HEAD,
  RECORD_KEY,
  RECORD_KEY_BYTES,
  RECORD_NEXT,
  RECORD_SENDER,
  RECORD_UPDATES,
  RECORD_WEIGHT,
  resetTable,
  seriesCount,
  TYPE_GAUGE,
  TYPE_SET,
  typeOf,
} from "./table";

const ENTRY_LEVEL = 4;
const ENTRY_KEY: usize = 12;
const ENTRY_IS_SET = 3;
const HAS_ABSOLUTE: u32 = 1;
/** What writeSeen() writes of gauges: all with their level, those that need one to start from, or ... */
const SEEN_BASELESS: u32 = 1;
/** ... those that were only changed, with their level, or with the one that they started from. */
const SEEN_CHANGED: u32 = 2;
const SEEN_BASES: u32 = 3;
/** A base is older than anything that a line says. */
const BASE_STAMP: f64 = 0;

/** Where the last writeSeen() stopped for want of room, 0 when it wrote all there were. */
export let nextSeen: usize = 0;

/**
 * Writes an entry for each series that has updates, from a record on (0 for the first) and as far as there
 * is room before `end`. types: a bit for each type that is wanted. wanted: 0 for all, or one of SEEN_*, for
 * gauges. A gauge whose level is no number is left out. Returns the address behind the last entry.
 */
export function writeSeen(target: usize, end: usize, from: usize, types: u32, wanted: u32): usize {
  let at = target;
  nextSeen = from == 0 ? firstSeries : from;
  for (; nextSeen != 0; nextSeen = usize(load<u32>(nextSeen, RECORD_NEXT))) {
    const type = typeOf(nextSeen);
    if (load<u32>(nextSeen, RECORD_UPDATES) == 0 || ((types >> type) & 1) == 0) continue;
    let level: f64 = NaN;
    let isSet = false;
    if (type == TYPE_GAUGE) {
      const hasBase = (u32(load<u8>(nextSeen, RECORD_FLAGS)) & HAS_ABSOLUTE) != 0;
      isSet = hasBase && load<f64>(nextSeen, RECORD_B) != BASE_STAMP;
      if (wanted == SEEN_BASELESS ? hasBase : wanted >= SEEN_CHANGED && isSet) continue;
      if (wanted == SEEN_BASES) level = hasBase ? load<f64>(nextSeen, RECORD_A) : 0;
      else level = resolveGauge(nextSeen);
      if (!isFinite(level)) continue;
    }
    const keyBytes = usize(load<u16>(nextSeen, RECORD_KEY_BYTES));
    if (at + ENTRY_KEY + keyBytes > end) break;
    store<u16>(at, u16(keyBytes));
    store<u8>(at, u8(type), 2);
    store<u8>(at, u8(isSet), ENTRY_IS_SET);
    store<f64>(at, level, ENTRY_LEVEL);
    memory.copy(at + ENTRY_KEY, nextSeen + RECORD_KEY, keyBytes);
    at += ENTRY_KEY + keyBytes;
  }
  return at;
}

export function nextSeenRecord(): usize {
  return nextSeen;
}

/** Returns the kept series of an entry, 0 where there is none; the place for it is known then. */
function findEntry(entry: usize): usize {
  const keyBytes = usize(load<u16>(entry));
  const key = entry + ENTRY_KEY;
  return findSeries(key, keyBytes, hashKey(key, keyBytes), u32(load<u8>(entry, 2)));
}

/** Series in the table that have been forgotten, and still take room. */
export let forgottenSeries: u32 = 0;

export function forgottenCount(): u32 {
  return forgottenSeries;
}

/**
 * Keeps the series of the entries start..end as seen in an interval. most: series that the table may have.
 * isLate: the interval may lie before others, and what was seen in a later one stays as it is. Returns the
 * address of the first entry that found no room; `end` when all did.
 */
export function keepSeries(start: usize, end: usize, interval: f64, most: u32, isLate: bool): usize {
  let at = start;
  while (at < end) {
    const keyBytes = usize(load<u16>(at));
    let record = findEntry(at);
    if (record == 0) {
      if (seriesCount >= most) return at;
      const key = at + ENTRY_KEY;
      record = insertSeries(key, keyBytes, hashKey(key, keyBytes), u32(load<u8>(at, 2)));
      if (record == 0) return at;
      store<f64>(record, -Infinity, RECORD_B);
    } else if (load<u32>(record, RECORD_UPDATES) == 0) {
      forgottenSeries -= 1;
    } else if (isLate && load<f64>(record, RECORD_WEIGHT) > interval) {
      noteSet(record, at, interval);
      at += ENTRY_KEY + keyBytes;
      continue;
    }
    noteSet(record, at, interval);
    store<u32>(record, 1, RECORD_UPDATES);
    store<f64>(record, interval, RECORD_WEIGHT);
    store<f64>(record, load<f64>(at, ENTRY_LEVEL), RECORD_A);
    at += ENTRY_KEY + keyBytes;
  }
  return at;
}

function noteSet(record: usize, entry: usize, interval: f64): void {
  if (load<u8>(entry, ENTRY_IS_SET) == 0 || load<f64>(record, RECORD_B) >= interval) return;
  store<f64>(record, interval, RECORD_B);
}

/** Returns the interval in which a kept gauge was set last; minus infinity for one that never was. */
export function keptSetIn(record: usize): f64 {
  return load<f64>(record, RECORD_B);
}

/** Changes the level of a kept gauge. */
export function changeKept(record: usize, change: f64): void {
  const level = load<f64>(record, RECORD_A) + change;
  if (isFinite(level)) store<f64>(record, level, RECORD_A);
}

/** Gives each entry the level that is kept for it, NaN where none is of this interval or a later one. */
export function fillLevels(start: usize, end: usize, earliest: f64): void {
  for (let at = start; at < end; at += ENTRY_KEY + usize(load<u16>(at))) {
    const record = findEntry(at);
    const isKept =
      record != 0 && load<u32>(record, RECORD_UPDATES) != 0 && load<f64>(record, RECORD_WEIGHT) >= earliest;
    store<f64>(at, isKept ? load<f64>(record, RECORD_A) : NaN, ENTRY_LEVEL);
  }
}

/** Sets gauges that were not set to the levels in the entries. 36 bytes behind those are used. */
export function adoptLevels(start: usize, end: usize): void {
  for (let at = start; at < end; at += ENTRY_KEY + usize(load<u16>(at))) {
    const level = load<f64>(at, ENTRY_LEVEL);
    const record = isFinite(level) ? findEntry(at) : 0;
    if (record == 0) continue;
    // A gauge's payload that says: it was set to this level, before all else.
    memory.fill(end, 0, 36);
    store<u32>(end, 1);
    store<f64>(end, level, 8);
    store<f64>(end, BASE_STAMP, 16);
    mergeGauge(record, end);
  }
}

/** Returns the first kept series behind a record (0: of all) that was not seen in an interval, 0 for none. */
export function nextIdle(record: usize, interval: f64): usize {
  let next = record == 0 ? firstSeries : usize(load<u32>(record, RECORD_NEXT));
  for (; next != 0; next = usize(load<u32>(next, RECORD_NEXT))) {
    if (load<u32>(next, RECORD_UPDATES) != 0 && load<f64>(next, RECORD_WEIGHT) != interval) break;
  }
  return next;
}

/** Whether a record's series is kept, and not forgotten. */
export function isKept(record: usize): bool {
  return load<u32>(record, RECORD_UPDATES) != 0;
}

/** Returns the interval in which a kept series was seen last. */
export function seenIn(record: usize): f64 {
  return load<f64>(record, RECORD_WEIGHT);
}

/** Says that a kept series was seen in another interval than it was thought. */
export function setSeenIn(record: usize, interval: f64): void {
  store<f64>(record, interval, RECORD_WEIGHT);
}

/** Returns the level of a kept gauge; NaN for other types. */
export function keptLevel(record: usize): f64 {
  return load<f64>(record, RECORD_A);
}

/** Forgets a kept series. Its room is had again by compactKept(). */
export function forgetKept(record: usize): void {
  if (load<u32>(record, RECORD_UPDATES) == 0) return;
  store<u32>(record, 0, RECORD_UPDATES);
  forgottenSeries += 1;
}

/** Forgets what was seen before an interval. */
export function forgetKeptBefore(interval: f64): void {
  for (let record = firstSeries; record != 0; record = usize(load<u32>(record, RECORD_NEXT))) {
    if (load<f64>(record, RECORD_WEIGHT) < interval) forgetKept(record);
  }
}

/**
 * Returns the earliest interval in which a kept series was seen last; infinity without any. What was seen
 * behind the present interval, by a clock that has been set back since, counts as seen just before it.
 */
export function earliestSeen(present: f64): f64 {
  let earliest: f64 = Infinity;
  for (let record = firstSeries; record != 0; record = usize(load<u32>(record, RECORD_NEXT))) {
    if (load<u32>(record, RECORD_UPDATES) == 0) continue;
    if (load<f64>(record, RECORD_WEIGHT) > present) store<f64>(record, present - 1, RECORD_WEIGHT);
    earliest = Math.min(earliest, load<f64>(record, RECORD_WEIGHT));
  }
  return earliest;
}

/**
 * Moves the kept series together where others have been forgotten. Records lie behind one another in the
 * order of their list, so each moves down, or stays. scratch: room for a record with the longest key.
 */
export function compactKept(scratch: usize): void {
  let record = firstSeries;
  resetTable();
  forgottenSeries = 0;
  while (record != 0) {
    const next = usize(load<u32>(record, RECORD_NEXT));
    if (load<u32>(record, RECORD_UPDATES) != 0) moveKept(record, scratch);
    record = next;
  }
}

function moveKept(record: usize, scratch: usize): void {
  const keyBytes = usize(load<u16>(record, RECORD_KEY_BYTES));
  const type = typeOf(record);
  // Its new place may overlap the old one.
  memory.copy(scratch, record, usize(RECORD_KEY) + keyBytes);
  const key = scratch + RECORD_KEY;
  const hash = hashKey(key, keyBytes);
  findSeries(key, keyBytes, hash, type);
  const moved = insertSeries(key, keyBytes, hash, type);
  assert(moved != 0);
  store<u32>(moved, 1, RECORD_UPDATES);
  store<f64>(moved, load<f64>(scratch, RECORD_WEIGHT), RECORD_WEIGHT);
  store<f64>(moved, load<f64>(scratch, RECORD_A), RECORD_A);
  store<f64>(moved, load<f64>(scratch, RECORD_B), RECORD_B);
}

/** Empties the table of kept series. */
export function forgetAllKept(): void {
  resetTable();
  forgottenSeries = 0;
}

/** Returns the record of the key at an address, 0 when there is none. */
export function lookUp(key: usize, bytes: u32, type: u32): usize {
  return findSeries(key, bytes, hashKey(key, bytes), type);
}

/** Makes a series of an interval as it was before its first line; its place in the table stays. */
export function forgetSeries(record: usize): void {
  if (typeOf(record) == TYPE_SET) {
    // No record lies at address 1, so members that are left to it are never found again.
    let member = usize(load<u32>(record, RECORD_HEAD));
    for (; member != 0; member = usize(load<u32>(member, RECORD_NEXT))) store<u32>(member, 1, RECORD_UPDATES);
  }
  store<u8>(record, 0, RECORD_FLAGS);
  memory.fill(record + RECORD_UPDATES, 0, RECORD_SENDER - RECORD_UPDATES);
}
