/**
 * What follows the type of a value: the sampling rate, and DogStatsD's sections up to protocol 1.6. Those
 * that say nothing about the number, such as the container, are passed over.
 *
 *   |@0.1   |#k:v,k2   |c:ID   |T1700000000   |e:EXTERNAL   |card:LEVEL   |anything else
 */
import { decimalValue, parseDecimal } from "./decimal";
import {
  DROP_BAD_RATE,
  DROP_BAD_TIMESTAMP,
  DROP_NONE,
  DROP_NOT_FINITE,
  DROP_REPEATED_SECTION,
  DROP_UNKNOWN_SECTION,
} from "./reasons";

const LF: u32 = 10;
const CR: u32 = 13;
const PLUS: u32 = 43;
const ZERO: u32 = 48;
const COLON: u32 = 58;
const PIPE: u32 = 124;
const AT: u32 = 64;
const HASH: u32 = 35;
const CONTAINER: u32 = 99;
const TIMESTAMP: u32 = 84;
const EXTERNAL: u32 = 101;

/** Greatest timestamp: ten digits of seconds are enough until the year 2286. */
const TIMESTAMP_DIGITS_MAX: usize = 10;

/** What readSections() found. The weight is 1 / rate, the timestamp 0 where there is none, in seconds. */
export let rate: f64 = 1;
export let weight: f64 = 1;
export let timestamp: f64 = 0;
/** The tags, behind their sign; 0 where there are none. */
export let tagsStart: usize = 0;
export let tagsEnd: usize = 0;
/** The byte that ends the sections: a line feed, the carriage return before one, or a colon. */
export let sectionsEnd: usize = 0;

/** Sections passed over that no version of the protocol knows, or that are empty. */
export let skippedSections: f64 = 0;

/** The section is that of a line without any. end: where the type ends. */
export function noSections(end: usize): void {
  rate = 1;
  weight = 1;
  timestamp = 0;
  tagsStart = 0;
  tagsEnd = 0;
  sectionsEnd = end;
}

/**
 * Reads sections from the bar at `start` on. isStrict: bioyino's dialect, which knows the rate alone.
 * Returns DROP_NONE or why the line is dropped.
 */
export function readSections(start: usize, isStrict: bool): i32 {
  noSections(start);
  let hasRate = false;
  let at = start;
  while (u32(load<u8>(at)) == PIPE) {
    const first = u32(load<u8>(at + 1));
    if (first == AT) {
      if (hasRate) return isStrict ? DROP_UNKNOWN_SECTION : DROP_REPEATED_SECTION;
      hasRate = true;
      at = isStrict ? readStrictRate(at + 2) : readRate(at + 2);
      if (at == 0) return DROP_BAD_RATE;
      rate = decimalValue;
      // Written so that nothing but a number in (0, 1] passes.
      if (!(rate > 0 && rate <= 1)) return DROP_BAD_RATE;
      weight = 1 / rate;
      if (!isFinite(weight)) return DROP_NOT_FINITE;
      if (!endsSection(at)) return DROP_BAD_RATE;
    } else if (isStrict) {
      return DROP_UNKNOWN_SECTION;
    } else if (first == HASH) {
      if (tagsStart != 0) return DROP_REPEATED_SECTION;
      tagsStart = at + 2;
      at = sectionEnd(tagsStart);
      tagsEnd = at;
    } else if (first == TIMESTAMP) {
      at = readTimestamp(at + 2);
      if (at == 0) return DROP_BAD_TIMESTAMP;
    } else {
      if (!isKnown(at + 1, first)) skippedSections += 1;
      at = sectionEnd(at + 1);
    }
  }
  sectionsEnd = at;
  return DROP_NONE;
}

/** Whether a section's first bytes are those of a container, external data or a cardinality. */
function isKnown(at: usize, first: u32): bool {
  if (first == CONTAINER && u32(load<u8>(at + 1)) == COLON) return true;
  if (first == EXTERNAL && u32(load<u8>(at + 1)) == COLON) return true;
  // "card:"; a line feed and more memory follow, so the four bytes may be read.
  return load<u32>(at) == 0x64726163 && u32(load<u8>(at + 4)) == COLON;
}

/**
 * Returns where a section ends that may have colons: at a bar, a line feed or the carriage return before one.
 */
function sectionEnd(at: usize): usize {
  while (true) {
    const byte = u32(load<u8>(at));
    if (byte == PIPE || byte == LF) return at;
    if (byte == CR && u32(load<u8>(at + 1)) == LF) return at;
    at += 1;
  }
}

function endsSection(at: usize): bool {
  const byte = u32(load<u8>(at));
  return byte == PIPE || byte == LF || byte == COLON || (byte == CR && u32(load<u8>(at + 1)) == LF);
}

/** Reads seconds since 1970. Returns the end, 0 for anything that is none. */
function readTimestamp(start: usize): usize {
  let at = start;
  let seconds: f64 = 0;
  for (let digit = u32(load<u8>(at)) - ZERO; digit <= 9; digit = u32(load<u8>(at)) - ZERO) {
    seconds = seconds * 10 + f64(digit);
    at += 1;
  }
  timestamp = seconds;
  return at == start || at - start > TIMESTAMP_DIGITS_MAX || seconds == 0 || !endsSection(at) ? 0 : at;
}

/** Reads a number that may have a plus. Returns the end, 0 for anything else. */
function readRate(start: usize): usize {
  return parseDecimal(u32(load<u8>(start)) == PLUS ? start + 1 : start);
}

/** Reads digits, optionally a dot with digits and a small e with digits, as bioyino does. */
function readStrictRate(start: usize): usize {
  let at = start;
  while (u32(load<u8>(at)) - ZERO <= 9) at += 1;
  if (at == start) return 0;
  if (load<u8>(at) == 46) {
    const fraction = at + 1;
    at = fraction;
    while (u32(load<u8>(at)) - ZERO <= 9) at += 1;
    if (at == fraction) return 0;
  }
  if (load<u8>(at) == 69) return 0;
  return parseDecimal(start);
}
