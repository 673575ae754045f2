/**
 * The body of a snapshot: one entry for each series. The frame around it is shared/wire.ts.
 *
 *   entry   0 u16 key bytes   2 u8 type   3 u8 0   4 u32 updates   8 f64 weight
 *          16 u32 payload bytes   20 key   payload
 */
import { COUNTER_PAYLOAD_BYTES, counterIsValid, mergeCounter, writeCounter } from "./counter";
import {
  GAUGE_BASE_PAYLOAD_BYTES,
  gaugeIsValid,
  gaugePayloadBytes,
  mergeGauge,
  resolveGauge,
  writeGauge,
  writeGaugeBase,
} from "./gauge";
import { mergeSet, setIsValid, setPayloadBytes, writeSet } from "./set";
import {
  findOrInsertSeries,
  findSeries,
  firstSeries,
  hashKey,
  RECORD_KEY,
  RECORD_KEY_BYTES,
  RECORD_NEXT,
  RECORD_TYPE,
  RECORD_UPDATES,
  RECORD_WEIGHT,
  TYPE_COUNTER,
  TYPE_GAUGE,
  TYPE_SET,
  TYPE_TIMER,
} from "./table";
import { mergeTimer, timerIsValid, timerPayloadBytes, writeTimer } from "./timer";

const ENTRY_BYTES: usize = 20;

/** Entries of the last snapshot written. */
export let entryCount: u32 = 0;
/** Lines whose entries, or parts of entries, the last merge refused for want of room. */
export let refusedLines: u32 = 0;
/** Lines that the last merge took. */
export let mergedLines: u32 = 0;

function payloadBytes(record: usize): usize {
  const type = u32(load<u8>(record, RECORD_TYPE));
  if (type == TYPE_COUNTER) return COUNTER_PAYLOAD_BYTES;
  if (type == TYPE_GAUGE) return gaugePayloadBytes(record);
  return type == TYPE_TIMER ? timerPayloadBytes(record) : setPayloadBytes(record);
}

/** Returns the bytes that writeSnapshot() will need. */
export function snapshotBytes(): usize {
  let bytes: usize = 0;
  for (let record = firstSeries; record != 0; record = usize(load<u32>(record, RECORD_NEXT))) {
    if (load<u32>(record, RECORD_UPDATES) == 0) continue;
    bytes += ENTRY_BYTES + usize(load<u16>(record, RECORD_KEY_BYTES)) + payloadBytes(record);
  }
  return bytes;
}

/** Writes an entry up to its payload, whose address it returns. */
function writeEntry(at: usize, record: usize, payload: usize): usize {
  const keyBytes = load<u16>(record, RECORD_KEY_BYTES);
  store<u16>(at, keyBytes);
  store<u16>(at, load<u8>(record, RECORD_TYPE), 2);
  store<u32>(at, load<u32>(record, RECORD_UPDATES), 4);
  store<f64>(at, load<f64>(record, RECORD_WEIGHT), 8);
  store<u32>(at, u32(payload), 16);
  memory.copy(at + ENTRY_BYTES, record + RECORD_KEY, keyBytes);
  return at + ENTRY_BYTES + keyBytes;
}

/** Writes all series that have updates. Returns the address behind the last entry; sets entryCount. */
export function writeSnapshot(target: usize): usize {
  let at = target;
  entryCount = 0;
  for (let record = firstSeries; record != 0; record = usize(load<u32>(record, RECORD_NEXT))) {
    if (load<u32>(record, RECORD_UPDATES) == 0) continue;
    const bytes = payloadBytes(record);
    at = writeEntry(at, record, bytes);
    const type = u32(load<u8>(record, RECORD_TYPE));
    if (type == TYPE_COUNTER) writeCounter(record, at);
    else if (type == TYPE_GAUGE) writeGauge(record, at);
    else if (type == TYPE_TIMER) writeTimer(record, at);
    else writeSet(record, at);
    at += bytes;
    entryCount += 1;
  }
  return at;
}

/** Where the last writeGaugeBases() stopped for want of room, 0 when it wrote all there were. */
export let nextBase: usize = 0;

/**
 * Writes gauges, each with its level as absolute value of this stamp, from a record on (0 for the first) and
 * as far as there is room before `end`. A level that is no number is left out: it would spoil the others.
 * Returns the address behind the last entry; sets entryCount and nextBase.
 */
export function writeGaugeBases(target: usize, end: usize, from: usize, stamp: f64): usize {
  let at = target;
  entryCount = 0;
  nextBase = from == 0 ? firstSeries : from;
  for (; nextBase != 0; nextBase = usize(load<u32>(nextBase, RECORD_NEXT))) {
    if (load<u8>(nextBase, RECORD_TYPE) != TYPE_GAUGE || !isFinite(resolveGauge(nextBase))) continue;
    const keyBytes = usize(load<u16>(nextBase, RECORD_KEY_BYTES));
    if (at + ENTRY_BYTES + keyBytes + GAUGE_BASE_PAYLOAD_BYTES > end) break;
    const entry = at;
    at = writeEntry(entry, nextBase, GAUGE_BASE_PAYLOAD_BYTES);
    // Lines and weights are the interval's, and stay there; one of each makes a valid entry.
    store<u32>(entry, 1, 4);
    store<f64>(entry, 1, 8);
    writeGaugeBase(nextBase, at, stamp);
    at += GAUGE_BASE_PAYLOAD_BYTES;
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

/** Whether start..end holds exactly `count` whole entries with finite numbers. Safe on any bytes. */
export function isValidSnapshot(start: usize, end: usize, count: u32): bool {
  let at = start;
  for (; count > 0; count--) {
    if (end - at < ENTRY_BYTES) return false;
    const keyBytes = usize(load<u16>(at));
    const payload = usize(load<u32>(at, 16));
    const left = end - at - ENTRY_BYTES;
    if (keyBytes == 0 || keyBytes > left || payload > left - keyBytes) return false;
    if (load<u8>(at, 3) != 0 || !isFinite(load<f64>(at, 8))) return false;
    at += ENTRY_BYTES + keyBytes;
    if (!isValidPayload(load<u8>(at - keyBytes - ENTRY_BYTES, 2), at, payload)) return false;
    at += payload;
  }
  return at == end;
}

/**
 * Merges the entries start..end, which must be valid. onlyKnown: entries of unknown series are skipped and
 * known ones get no updates: for bases. Sets mergedLines and refusedLines.
 */
export function mergeSnapshot(start: usize, end: usize, onlyKnown: bool): void {
  mergedLines = 0;
  refusedLines = 0;
  for (let at = start; at < end; ) {
    const keyBytes = usize(load<u16>(at));
    const bytes = usize(load<u32>(at, 16));
    mergeEntry(at, keyBytes, at + ENTRY_BYTES + keyBytes, onlyKnown);
    at += ENTRY_BYTES + keyBytes + bytes;
  }
}

function mergeEntry(entry: usize, keyBytes: usize, payload: usize, onlyKnown: bool): void {
  const key = entry + ENTRY_BYTES;
  const type = u32(load<u8>(entry, 2));
  const hash = hashKey(key, keyBytes);
  if (onlyKnown) {
    const known = findSeries(key, keyBytes, hash, type);
    if (known != 0 && type == TYPE_GAUGE) mergeGauge(known, payload);
    return;
  }
  const updates = load<u32>(entry, 4);
  let taken = updates;
  const record = findOrInsertSeries(key, keyBytes, hash, type);
  if (record == 0) {
    taken = 0;
  } else if (type == TYPE_TIMER) {
    const samples = load<u32>(payload, 20) + load<u32>(payload, 24);
    const done = mergeTimer(record, payload);
    // A timer has one line for each sample, so what is missing is known.
    taken = updates - min<u32>(updates, samples - done);
  } else if (!mergeWhole(record, type, payload)) {
    taken = 0;
  }
  refusedLines += updates - taken;
  if (taken == 0) return;
  mergedLines += taken;
  store<u32>(record, load<u32>(record, RECORD_UPDATES) + taken, RECORD_UPDATES);
  const weight = load<f64>(entry, 8) * (taken == updates ? 1 : f64(taken) / f64(updates));
  store<f64>(record, load<f64>(record, RECORD_WEIGHT) + weight, RECORD_WEIGHT);
}

function mergeWhole(record: usize, type: u32, payload: usize): bool {
  if (type == TYPE_COUNTER) return mergeCounter(record, payload);
  if (type == TYPE_GAUGE) return mergeGauge(record, payload);
  return mergeSet(record, payload);
}
