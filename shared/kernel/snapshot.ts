/**
 * The body of a snapshot: one entry for each series. The frame around it is shared/wire.ts.
 *
 *   entry   0 u16 key bytes   2 u8 type   3 u8 0   4 u32 updates   8 f64 weight
 *          16 u32 payload bytes   20 u32 sender   24 key   payload
 */

import { reserve } from "./arena";
import { COUNTER_PAYLOAD_BYTES, counterIsValid, mergeCounter, writeCounter } from "./counter";
import { gaugeIsValid, gaugePayloadBytes, mergeGauge, writeGauge } from "./gauge";
import {
  ADMITTED,
  admit,
  countAdmitted,
  countLost,
  countRefused,
  REFUSED_MEMORY,
  REFUSED_TIMER_SAMPLES,
  timerSamplesMax,
} from "./limits";
import { mergeSet, setIsValid, setPayloadBytes, writeSet } from "./set";
import {
  ageOf,
  clashing,
  findSeries,
  firstSeries,
  hashKey,
  insertSeries,
  leaveUncounted,
  RECORD_COUNT,
  RECORD_KEY,
  RECORD_KEY_BYTES,
  RECORD_NEXT,
  RECORD_SENDER,
  RECORD_UPDATES,
  RECORD_WEIGHT,
  RECORD_WEIGHTED_COUNT,
  TYPE_COUNTER,
  TYPE_GAUGE,
  TYPE_SET,
  TYPE_TIMER,
  typeOf,
} from "./table";
import { mergeTimer, takenWeight, timerIsValid, timerPayloadBytes, timerSamples, writeTimer } from "./timer";

const ENTRY_BYTES: usize = 24;

/** Entries of the last snapshot written. */
export let entryCount: u32 = 0;
/** Samples in the series of the last snapshot written. */
export let writtenSamples: f64 = 0;
/** Samples that the last merge refused, and that no overflow series took. */
export let refusedSamplesOfMerge: f64 = 0;
/** Samples that the last merge took. */
export let mergedSamples: f64 = 0;

function payloadBytes(record: usize): usize {
  const type = typeOf(record);
  if (type == TYPE_COUNTER) return COUNTER_PAYLOAD_BYTES;
  if (type == TYPE_GAUGE) return gaugePayloadBytes(record);
  return type == TYPE_TIMER ? timerPayloadBytes(record) : setPayloadBytes(record);
}

/** Returns the bytes that writeSnapshot() will need. */
export function snapshotBytes(age: u32): usize {
  let bytes: usize = 0;
  for (let record = firstSeries; record != 0; record = usize(load<u32>(record, RECORD_NEXT))) {
    if (load<u32>(record, RECORD_UPDATES) == 0 || ageOf(record) != age) continue;
    bytes += ENTRY_BYTES + usize(load<u16>(record, RECORD_KEY_BYTES)) + payloadBytes(record);
  }
  return bytes;
}

/** Writes an entry up to its payload, whose address it returns. */
function writeEntry(at: usize, record: usize, payload: usize): usize {
  const keyBytes = load<u16>(record, RECORD_KEY_BYTES);
  store<u16>(at, keyBytes);
  store<u16>(at, u16(typeOf(record)), 2);
  store<u32>(at, load<u32>(record, RECORD_UPDATES), 4);
  store<f64>(at, load<f64>(record, RECORD_WEIGHT), 8);
  store<u32>(at, u32(payload), 16);
  store<u32>(at, load<u32>(record, RECORD_SENDER), 20);
  memory.copy(at + ENTRY_BYTES, record + RECORD_KEY, keyBytes);
  return at + ENTRY_BYTES + keyBytes;
}

/**
 * Writes all series of an age that have updates. Returns the address behind the last entry; sets entryCount
 * and writtenSamples.
 */
export function writeSnapshot(target: usize, age: u32): usize {
  let at = target;
  entryCount = 0;
  writtenSamples = 0;
  for (let record = firstSeries; record != 0; record = usize(load<u32>(record, RECORD_NEXT))) {
    if (load<u32>(record, RECORD_UPDATES) == 0 || ageOf(record) != age) continue;
    writtenSamples += f64(load<u32>(record, RECORD_UPDATES));
    const bytes = payloadBytes(record);
    at = writeEntry(at, record, bytes);
    const type = typeOf(record);
    if (type == TYPE_COUNTER) writeCounter(record, at);
    else if (type == TYPE_GAUGE) writeGauge(record, at);
    else if (type == TYPE_TIMER) writeTimer(record, at);
    else writeSet(record, at);
    at += bytes;
    entryCount += 1;
  }
  return at;
}

function isValidPayload(type: u32, payload: usize, bytes: usize): bool {
  if (type == TYPE_COUNTER) return counterIsValid(payload, bytes);
  if (type == TYPE_GAUGE) return gaugeIsValid(payload, bytes);
  if (type == TYPE_TIMER) return timerIsValid(payload, bytes);
  return type == TYPE_SET && setIsValid(payload, bytes);
}

/** Whether an entry's samples are some, and as many as its payload has where that is known. */
function isValidCount(entry: usize, payload: usize): bool {
  const updates = load<u32>(entry, 4);
  const isTimer = u32(load<u8>(entry, 2)) == TYPE_TIMER;
  return updates > 0 && (!isTimer || updates == timerSamples(payload));
}

/** Whether start..end holds exactly `count` whole entries with finite numbers. Safe on any bytes. */
export function isValidSnapshot(start: usize, end: usize, count: u32): bool {
  let at = start;
  for (; count > 0; count--) {
    if (end - at < ENTRY_BYTES) return false;
    const keyBytes = usize(load<u16>(at));
    const payload = usize(load<u32>(at, 16));
    const left = end - at - ENTRY_BYTES;
    if (keyBytes == 0 || keyBytes > left || payload > left - keyBytes) return false;
    const weight = load<f64>(at, 8);
    if (load<u8>(at, 3) != 0 || !isFinite(weight) || !(weight > 0)) return false;
    const start = at + ENTRY_BYTES + keyBytes;
    if (!isValidPayload(load<u8>(at, 2), start, payload) || !isValidCount(at, start)) return false;
    at = start + payload;
  }
  return at == end;
}

/** Merges the entries start..end, which must be valid. Sets mergedSamples and refusedSamplesOfMerge. */
export function mergeSnapshot(start: usize, end: usize): void {
  mergedSamples = 0;
  refusedSamplesOfMerge = 0;
  for (let at = start; at < end; ) {
    const keyBytes = usize(load<u16>(at));
    const bytes = usize(load<u32>(at, 16));
    mergeEntry(at, keyBytes, at + ENTRY_BYTES + keyBytes);
    at += ENTRY_BYTES + keyBytes + bytes;
  }
}

function mergeEntry(entry: usize, keyBytes: usize, payload: usize): void {
  const key = entry + ENTRY_BYTES;
  const type = u32(load<u8>(entry, 2));
  const hash = hashKey(key, keyBytes);
  const sender = load<u32>(entry, 20);
  let record = findSeries(key, keyBytes, hash, type);
  let reason = ADMITTED;
  if (record == 0) {
    reason = admit(key, keyBytes, sender);
    if (reason == ADMITTED) {
      record = insertSeries(key, keyBytes, hash, type);
      if (record == 0) reason = REFUSED_MEMORY;
      else welcome(record, key, keyBytes, sender);
    }
  }
  const updates = load<u32>(entry, 4);
  if (reason == ADMITTED) {
    const taken = take(record, type, entry, payload);
    if (taken < updates) countLost(lossOf(record, type), updates - taken);
    return;
  }
  const overflow = overflowSeries(type);
  const taken = overflow == 0 ? 0 : take(overflow, type, entry, payload);
  if (overflow == 0) refusedSamplesOfMerge += f64(updates);
  countRefused(reason, taken, updates - taken);
}

/** Notes who sent a new series, and whether its key is there with another type. */
function welcome(record: usize, key: usize, keyBytes: usize, sender: u32): void {
  store<u32>(record, sender, RECORD_SENDER);
  countAdmitted(key, keyBytes);
  if (clashing == 0) return;
  if (clashCount < CLASHES_MAX) store<u32>(clashes + (usize(clashCount) << 2), u32(record));
  clashCount += 1;
}

/** Merges an entry into a record. Returns how many of its samples were taken. */
function take(record: usize, type: u32, entry: usize, payload: usize): u32 {
  const updates = load<u32>(entry, 4);
  const held = load<u32>(record, RECORD_UPDATES);
  let weight = load<f64>(record, RECORD_WEIGHT);
  let taken: u32 = 0;
  // Sums that would not be numbers, or counts beyond their range, are refused whole.
  if (isFinite(weight + load<f64>(entry, 8)) && held <= u32.MAX_VALUE - updates) {
    // A timer has one update for each sample, so what is missing is known.
    if (type == TYPE_TIMER) taken = mergeTimer(record, payload, timerRoom(record));
    else if (mergeWhole(record, type, payload)) taken = updates;
  }
  refusedSamplesOfMerge += f64(updates - taken);
  if (taken == 0) return 0;
  mergedSamples += f64(taken);
  weight += taken == updates ? load<f64>(entry, 8) : takenWeight;
  store<u32>(record, held + taken, RECORD_UPDATES);
  store<f64>(record, weight, RECORD_WEIGHT);
  return taken;
}

/** Returns how many samples a timer may still get. */
function timerRoom(record: usize): u32 {
  if (timerSamplesMax == 0) return u32.MAX_VALUE;
  const held = load<u32>(record, RECORD_COUNT) + load<u32>(record, RECORD_WEIGHTED_COUNT);
  return held >= timerSamplesMax ? 0 : timerSamplesMax - held;
}

function lossOf(record: usize, type: u32): i32 {
  return type == TYPE_TIMER && timerRoom(record) == 0 ? REFUSED_TIMER_SAMPLES : REFUSED_MEMORY;
}

function mergeWhole(record: usize, type: u32, payload: usize): bool {
  if (type == TYPE_COUNTER) return mergeCounter(record, payload);
  if (type == TYPE_GAUGE) return mergeGauge(record, payload);
  return mergeSet(record, payload);
}

/** Series whose key was there with another type already; the first CLASHES_MAX of them are remembered. */
const CLASHES_MAX: u32 = 16;
let clashes: usize = 0;
export let clashCount: u32 = 0;

const OVERFLOW_NAME_BYTES_MAX: usize = 4096;
let overflowName: usize = 0;
let overflowNameBytes: usize = 0;

/** Reserves what merging needs. */
export function setupMerge(): void {
  clashes = reserve(usize(CLASHES_MAX) << 2);
  overflowName = reserve(OVERFLOW_NAME_BYTES_MAX);
}

/**
 * Names the series that gets what bounds refused; none where it is empty. Returns whether it is short enough.
 */
export function nameOverflow(text: usize, bytes: usize): bool {
  if (bytes > OVERFLOW_NAME_BYTES_MAX) return false;
  memory.copy(overflowName, text, bytes);
  overflowNameBytes = bytes;
  return true;
}

/** The table has been emptied. The overflow counter gets its place at once: memory may be short later. */
export function resetMerge(): void {
  clashCount = 0;
  overflowSeries(TYPE_COUNTER);
}

/** Returns the series that gets refused samples of a type, 0 where there is none: a gauge has no total. */
function overflowSeries(type: u32): usize {
  if (overflowNameBytes == 0 || type == TYPE_GAUGE) return 0;
  const hash = hashKey(overflowName, overflowNameBytes);
  const record = findSeries(overflowName, overflowNameBytes, hash, type);
  if (record != 0) return record;
  const inserted = insertSeries(overflowName, overflowNameBytes, hash, type);
  if (inserted != 0) leaveUncounted();
  return inserted;
}

/** Record of the i-th series whose key was there with another type; i below clashCount and CLASHES_MAX. */
export function clashRecord(i: u32): usize {
  return i < min<u32>(clashCount, CLASHES_MAX) ? usize(load<u32>(clashes + (usize(i) << 2))) : 0;
}
