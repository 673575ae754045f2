/**
 * The intake: datagrams become lines, lines become samples, and samples are added up in the table. What is
 * met is counted here.
 */
import { reserve } from "./arena";
import { dropCutLine, slotBytes, slotStart } from "./batch";
import { addToCounter } from "./counter";
import { changeGauge, isChangeFinite, setGauge } from "./gauge";
import { SLOT_COUNT } from "./layout";
import { findLineEnd, isEvent, lineEnd, parseLine } from "./parse";
import { DROP_CUT_OFF, DROP_EVENT_LIMIT, DROP_NONE, DROP_NOT_FINITE, DROP_REASON_COUNT } from "./reasons";
import {
  SAMPLE_BYTES,
  SAMPLE_ENDS_LINE,
  SAMPLE_HASH,
  SAMPLE_IS_RELATIVE,
  SAMPLE_KEY,
  SAMPLE_KEY_BYTES,
  SAMPLE_MEMBER,
  SAMPLE_MEMBER_BYTES,
  SAMPLE_RECORD,
  SAMPLE_SENDER,
  SAMPLE_TYPE,
  SAMPLE_VALUE,
  SAMPLE_WEIGHT,
  SAMPLES_ENOUGH,
  samples,
} from "./sample";
import { skippedSections } from "./section";
import { forgetRewritten, isRewrittenFull } from "./series-key";
import {
  AGE_SHIFT,
  addMember,
  findOrInsertSeries,
  hashKey,
  RECORD_SENDER,
  RECORD_UPDATES,
  RECORD_WEIGHT,
  TYPE_COUNTER,
  TYPE_GAUGE,
  TYPE_TIMER,
  touch,
} from "./table";
import { addToTimer } from "./timer";
import { nextSample, setSender } from "./value";

const LF: u8 = 10;
const CR: u32 = 13;
const UNDERSCORE: u32 = 95;

/** Everything in the batch was taken. */
const CONSUMED = 0;
/** The table is full: cut a snapshot and call consume again. */
const FULL = 1;

/** Events that one batch may bring; each entry is an address and a number of bytes, u32. */
const EVENTS_MAX: u32 = 256;

/** DROP_REASON_COUNT doubles; the first counts accepted lines. */
let lineCounts: usize = 0;
let samplesAccepted: f64 = 0;
let linesReceived: f64 = 0;
let datagrams: f64 = 0;
let bytesReceived: f64 = 0;

let origin: u32 = 0;
let stamp: f64 = 0;

/** Where consume() goes on: slot and address of the next line, and the samples not yet accumulated. */
let nextSlot = 0;
let nextLine: usize = 0;
let firstSample: usize = 0;
let samplesEnd: usize = 0;
/** Why a sample of the line being accumulated was dropped. */
let lineReason = DROP_NONE;

/** Hash of the sender of each slot, 0 where it is unknown. */
let senders: usize = 0;
let events: usize = 0;
let eventsGathered: u32 = 0;

/**
 * Starts reading. originId: tells intakes apart where stamps are equal.
 */
export function startIntake(originId: u32): void {
  origin = originId;
  lineCounts = reserve(DROP_REASON_COUNT * 8);
  senders = reserve(SLOT_COUNT * 4);
  events = reserve(EVENTS_MAX * 8);
  firstSample = samples;
  samplesEnd = samples;
}

/**
 * Takes the datagrams in slots 0..received-1. nowMs: wall clock.
 * Returns CONSUMED, or FULL: then the host cuts a snapshot and calls again with the same arguments.
 */
export function consume(received: i32, nowMs: f64): i32 {
  // Later calls must win over earlier ones also within a millisecond, and when the clock steps back.
  stamp = nowMs > stamp ? nowMs : stamp + 1.0 / 1024;
  if (nextSlot == 0 && nextLine == 0) eventsGathered = 0;
  if (!accumulate()) return FULL;
  while (nextSlot < received) {
    if (nextLine == 0) openDatagram(nextSlot);
    if (!consumeDatagram(slotStart(nextSlot) + slotBytes(nextSlot))) return FULL;
    nextSlot += 1;
    nextLine = 0;
  }
  if (!accumulate()) return FULL;
  nextSlot = 0;
  return CONSUMED;
}

/** Stamps begin anew: the clock was ahead, and what was stamped with its time has been sent. */
export function restartStamps(): void {
  stamp = 0;
}

/** Counts a datagram and gives it the line feed at its end that it may lack. */
function openDatagram(slot: i32): void {
  datagrams += 1;
  bytesReceived += f64(slotBytes(slot));
  if (dropCutLine(slot)) {
    linesReceived += 1;
    countLine(DROP_CUT_OFF);
  }
  setSender(load<u32>(senders + (usize(slot) << 2)));
  nextLine = slotStart(slot);
  store<u8>(nextLine + slotBytes(slot), LF);
}

/** Reads lines from nextLine to end. Returns false when the table is full. */
function consumeDatagram(end: usize): bool {
  let line = nextLine;
  while (line < end) {
    const byte = u32(load<u8>(line));
    if (byte == LF || (byte == CR && load<u8>(line + 1) == LF)) {
      line += 1;
      continue;
    }
    linesReceived += 1;
    if (byte == UNDERSCORE && isEvent(line)) {
      line = gatherEvent(line) + 1;
      continue;
    }
    const reason = parseLine(line, samplesEnd);
    samplesEnd = nextSample();
    line = lineEnd + 1;
    if (reason != DROP_NONE) {
      countLine(reason);
      continue;
    }
    if (samplesEnd - samples >= usize(SAMPLES_ENOUGH * SAMPLE_BYTES) || isRewrittenFull()) {
      nextLine = line;
      if (!accumulate()) return false;
    }
  }
  nextLine = line;
  return true;
}

/** Notes an event or service check for the host, which counts it. Returns where its line ends. */
function gatherEvent(line: usize): usize {
  const end = findLineEnd(line);
  if (eventsGathered == EVENTS_MAX) {
    countLine(DROP_EVENT_LIMIT);
    return end;
  }
  const entry = events + (usize(eventsGathered) << 3);
  store<u32>(entry, u32(line));
  store<u32>(entry, u32(end - line - usize(end > line && load<u8>(end - 1) == CR)), 4);
  eventsGathered += 1;
  return end;
}

/** Events and service checks that the last consume() met; they lie in the slots until the next. */
export function eventCount(): u32 {
  return eventsGathered;
}

export function eventAddress(i: u32): usize {
  return load<u32>(events + (usize(i) << 3));
}

/** Bytes without line end. */
export function eventBytes(i: u32): u32 {
  return load<u32>(events + (usize(i) << 3), 4);
}

/** Counts an event's line: as accepted (DROP_NONE), or dropped for a reason. */
export function countEvent(reason: i32): void {
  assert(reason >= 0 && reason < DROP_REASON_COUNT);
  countLine(reason);
}

/** Address of SLOT_COUNT words: hashes of the senders of the slots, which the host may fill in. */
export function batchSenders(): usize {
  return senders;
}

function countLine(reason: i32): void {
  const counter = lineCounts + (usize(reason) << 3);
  store<f64>(counter, load<f64>(counter) + 1);
}

/** Puts the gathered samples into the table. Returns false, keeping the rest, when it is full. */
function accumulate(): bool {
  if (firstSample == samples) {
    // Three rounds: what one sample loads does not wait for what the one before it loaded.
    let before: u32 = 0;
    for (let sample = samples; sample < samplesEnd; sample += SAMPLE_BYTES) {
      const key = load<u32>(sample, SAMPLE_KEY);
      if (key == before && takeHash(sample)) continue;
      before = key;
      const hash = hashKey(key, load<u32>(sample, SAMPLE_KEY_BYTES));
      store<u32>(sample, hash, SAMPLE_HASH);
      store<u32>(sample, touch(hash), SAMPLE_RECORD);
    }
    for (let sample = samples; sample < samplesEnd; sample += SAMPLE_BYTES) {
      const record = usize(load<u32>(sample, SAMPLE_RECORD));
      touched |= load<u32>(record) | load<u32>(record, RECORD_SENDER);
    }
  }
  freshFrom = firstSample;
  let isFurther = false;
  while (firstSample < samplesEnd) {
    const reason = accumulateSample(firstSample, isFurther);
    if (reason < 0) return false;
    if (reason == DROP_NONE) samplesAccepted += 1;
    else lineReason = reason;
    isFurther = load<u32>(firstSample, SAMPLE_ENDS_LINE) == 0;
    if (!isFurther) {
      countLine(lineReason);
      lineReason = DROP_NONE;
    }
    firstSample += SAMPLE_BYTES;
  }
  firstSample = samples;
  samplesEnd = samples;
  forgetRewritten();
  return true;
}

/**
 * Takes the hash over from the sample of the same line before, or the one before that, where copies without
 * tags come by turns: a key may be long, and a line may have thousands of values. Returns whether one had the
 * same key.
 */
function takeHash(sample: usize): bool {
  for (let before: usize = 1; before <= 2; before++) {
    const twin = sample - usize(SAMPLE_BYTES) * before;
    if (twin < samples) return false;
    // Key and key bytes are one word.
    if (load<u64>(twin, SAMPLE_KEY) != load<u64>(sample, SAMPLE_KEY)) continue;
    store<u32>(sample, load<u32>(twin, SAMPLE_HASH), SAMPLE_HASH);
    store<u32>(sample, load<u32>(twin, SAMPLE_RECORD), SAMPLE_RECORD);
    return true;
  }
  return false;
}

/**
 * The first sample whose record has been found since the table was emptied last, or keys were written over.
 */
let freshFrom: usize = 0;

/** Returns the record of a sample behind others of its line, 0 where it has to be looked for. */
function knownRecord(sample: usize): usize {
  for (let before: usize = 1; before <= 2; before++) {
    const twin = sample - usize(SAMPLE_BYTES) * before;
    if (twin < freshFrom) return 0;
    // Key and key bytes are one word.
    const isSameKey = load<u64>(twin, SAMPLE_KEY) == load<u64>(sample, SAMPLE_KEY);
    if (isSameKey && load<u32>(twin, SAMPLE_TYPE) == load<u32>(sample, SAMPLE_TYPE)) {
      return load<u32>(twin, SAMPLE_RECORD);
    }
  }
  return 0;
}

/** Keeps the loads of touch() from being optimised away. */
export let touched: u32 = 0;

/**
 * isFurther: whether a sample of the same line came before. Returns DROP_NONE, a reason to drop the line, or
 * -1 when the table is full.
 */
function accumulateSample(sample: usize, isFurther: bool): i32 {
  const type = load<u32>(sample, SAMPLE_TYPE) & ((1 << AGE_SHIFT) - 1);
  let record = isFurther ? knownRecord(sample) : 0;
  if (record == 0) {
    record = findOrInsertSeries(
      load<u32>(sample, SAMPLE_KEY),
      load<u32>(sample, SAMPLE_KEY_BYTES),
      load<u32>(sample, SAMPLE_HASH),
      load<u32>(sample, SAMPLE_TYPE),
    );
    if (record == 0) return -1;
  }
  store<u32>(sample, u32(record), SAMPLE_RECORD);
  const value = load<f64>(sample, SAMPLE_VALUE);
  const weight = load<f64>(sample, SAMPLE_WEIGHT);
  const weightSum = load<f64>(record, RECORD_WEIGHT) + weight;
  if (!isFinite(weightSum)) return DROP_NOT_FINITE;
  if (type == TYPE_COUNTER) {
    if (!addToCounter(record, value)) return DROP_NOT_FINITE;
  } else if (type == TYPE_GAUGE) {
    if (load<u32>(sample, SAMPLE_IS_RELATIVE) == 0) setGauge(record, value, stamp, origin);
    else if (!isChangeFinite(record, value)) return DROP_NOT_FINITE;
    else if (!changeGauge(record, value, stamp)) return -1;
  } else if (type == TYPE_TIMER) {
    if (!addToTimer(record, value, weight, stamp, origin)) return -1;
  } else if (!addMember(record, load<u32>(sample, SAMPLE_MEMBER), load<u32>(sample, SAMPLE_MEMBER_BYTES))) {
    return -1;
  }
  const updates = load<u32>(record, RECORD_UPDATES);
  if (updates == 0) store<u32>(record, load<u32>(sample, SAMPLE_SENDER), RECORD_SENDER);
  store<u32>(record, updates + 1, RECORD_UPDATES);
  store<f64>(record, weightSum, RECORD_WEIGHT);
  return DROP_NONE;
}

/** Address of DROP_REASON_COUNT doubles: lines accepted, then lines dropped by reason. */
export function lineCountsAddress(): usize {
  return lineCounts;
}

/** Lines met, blank ones apart; each ends up accepted or dropped. */
export function receivedCount(): f64 {
  return linesReceived;
}

/** Samples accumulated. A line brings one, or several. */
export function sampleCount(): f64 {
  return samplesAccepted;
}

/** Sections of lines that were passed over because nobody knows them. */
export function skippedSectionCount(): f64 {
  return skippedSections;
}

export function datagramCount(): f64 {
  return datagrams;
}

export function byteCount(): f64 {
  return bytesReceived;
}
