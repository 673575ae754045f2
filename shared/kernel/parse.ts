/**
 * The statsd line, each by itself. A bad line yields one reason and no sample, and reading goes on behind the
 * next line feed. A line yields one sample or several: values packed in front of one type, or segments of
 * their own type behind one another.
 *
 *   name ; k=v ; k=v : value | type | @ rate | # k:v , k2  LF
 *   ^    ^           ^       ^      ^
 *   line tags        colon   pipe   sections
 *
 *   a:1:2:3|ms|@0.5          packed (DogStatsD)
 *   a:1|c:2|c|@0.1:320|ms    segments (etsy)
 */

import { ageOfTimestamp } from "./age";
import { decimalValue, parseDecimal } from "./decimal";
import {
  DROP_BAD_RATE,
  DROP_BAD_TIMESTAMP,
  DROP_BAD_TYPE,
  DROP_BAD_VALUE,
  DROP_EMPTY_NAME,
  DROP_NAME_TOO_LONG,
  DROP_NO_TYPE,
  DROP_NO_VALUE,
  DROP_NONE,
  DROP_NOT_FINITE,
  DROP_TOO_LATE,
} from "./reasons";
import { noSections, readSections, sectionsEnd, tagsEnd, tagsStart, timestamp } from "./section";
import {
  buildKey,
  key,
  keyBytes,
  restoreRewritten,
  rewrittenMark,
  setKeyRules,
  setupSeriesKey,
  takesPlainNames,
} from "./series-key";
import { AGE_SHIFT, TYPE_COUNTER, TYPE_GAUGE, TYPE_SET, TYPE_TIMER } from "./table";
import { SANITIZE_BIOYINO } from "./text";
import {
  addMemberSample,
  addValueSample,
  beginSamples,
  endSamples,
  isNamedNonFinite,
  readPacked,
  setSampleKey,
  setValueRules,
  writeQuickSample,
} from "./value";

const LF: u32 = 10;
const CR: u32 = 13;
const COLON: u32 = 58;
const SEMICOLON: u32 = 59;
const COMMA: u32 = 44;
const PIPE: u32 = 124;
const PLUS: u32 = 43;
const MINUS: u32 = 45;

/** The order of dialects in aggregator/reading.ts. */
const DIALECT_AUTO = 0;
const DIALECT_DOGSTATSD = 2;
const DIALECT_BIOYINO = 3;

/** Bits of the flags of setReading(). */
const FLAG_INFLUX_TAGS: u32 = 1;
const FLAG_UNKNOWN_IS_COUNTER: u32 = 2;
const FLAG_UNTAGGED_COPY: u32 = 4;

let nameBytesMax: usize = 0;
let dialect = DIALECT_AUTO;
let isStrict = false;
let hasInfluxTags = false;
let isUnknownCounter = false;
let isPlainKey = true;

/** `c` and `g` with a line feed behind, and `ms`, as words of two bytes. */
const QUICK_COUNTER: u32 = 0x0a63;
const QUICK_GAUGE: u32 = 0x0a67;
const QUICK_TIMER: u32 = 0x736d;
/** Whether lines of the most common kind need no closer look. */
let isQuick = true;

/** Where the line that parseLine read ends: the address of its line feed. */
export let lineEnd: usize = 0;
/** Reserves scratch memory and sets the bounds on names and tags, in bytes. */
export function setupParse(nameMax: u32, tagsMax: u32): void {
  nameBytesMax = nameMax;
  setupSeriesKey(nameMax, tagsMax);
  setReading(DIALECT_AUTO, SANITIZE_BIOYINO, 0);
}

/** Sets how lines are read: codes and flags of aggregator/reading.ts. */
export function setReading(dialectCode: i32, sanitize: i32, flags: u32): void {
  dialect = dialectCode;
  isStrict = dialectCode == DIALECT_BIOYINO;
  hasInfluxTags = (flags & FLAG_INFLUX_TAGS) != 0;
  isUnknownCounter = (flags & FLAG_UNKNOWN_IS_COUNTER) != 0;
  setValueRules((flags & FLAG_UNTAGGED_COPY) != 0, dialectCode != DIALECT_DOGSTATSD);
  setKeyRules(sanitize, hasInfluxTags);
  isPlainKey = takesPlainNames();
  isQuick = isPlainKey && dialectCode != DIALECT_DOGSTATSD;
}

/** Whether a line is an event or a service check, which are no samples. */
export function isEvent(line: usize): bool {
  if (u32(load<u8>(line)) != 95 || (dialect != DIALECT_AUTO && dialect != DIALECT_DOGSTATSD)) return false;
  // "_e{" and "_sc|"; a line feed and more memory follow, so four bytes may be read.
  const head = load<u32>(line);
  return (head & 0xff_ffff) == 0x7b655f || head == 0x7c63735f;
}

/** Returns the address of the next line feed; the datagram ends with one. */
export function findLineEnd(at: usize): usize {
  const lf = i8x16.splat(10);
  while (true) {
    const hits = i8x16.bitmask(i8x16.eq(v128.load(at), lf));
    if (hits != 0) return at + usize(ctz(hits));
    at += 16;
  }
}

/**
 * Returns the address of the first byte that is a colon, a semicolon, DEL, below 0x21 or above 0x7e.
 * Names are printable ASCII nearly always, so this is the end of the name.
 */
function findNameStop(at: usize): usize {
  const colon = i8x16.splat(58);
  const semicolon = i8x16.splat(59);
  const del = i8x16.splat(0x7f);
  const printable = i8x16.splat(0x21);
  while (true) {
    const bytes = v128.load(at);
    // As signed bytes, everything above 0x7f is below 0x21 as well.
    const stops = v128.or(
      v128.or(i8x16.eq(bytes, colon), i8x16.eq(bytes, semicolon)),
      v128.or(i8x16.lt_s(bytes, printable), i8x16.eq(bytes, del)),
    );
    const hits = i8x16.bitmask(stops);
    if (hits != 0) return at + usize(ctz(hits));
    at += 16;
  }
}

/**
 * The line's name: where it begins and ends, where its own tags do (0: none), and what to look at closely.
 */
let nameStart: usize = 0;
let nameTags: usize = 0;
let nameEnd: usize = 0;
let isPlain = true;
/** Whether key and keyBytes are those of the name without DogStatsD tags. */
let hasNameKey = false;

/**
 * Reads one line into samples, from `first` on. line: its first byte; a line feed follows somewhere.
 * Returns DROP_NONE or why the line is dropped; sets lineEnd. nextSample() is then behind the last.
 */
export function parseLine(line: usize, first: usize): i32 {
  if (isQuick && readQuick(line, first)) return DROP_NONE;
  const mark = rewrittenMark();
  beginSamples(first);
  hasNameKey = false;
  const reason = readLine(line);
  if (reason == DROP_NONE) {
    endSamples();
    return DROP_NONE;
  }
  // No sample refers to the keys of a dropped line, and any number of them may follow one another.
  restoreRewritten(mark);
  beginSamples(first);
  lineEnd = findLineEnd(line);
  return reason;
}

/**
 * Reads a line of the most common kind: a plain name, one number, a type, and nothing else. Returns false,
 * having done nothing, for any other.
 */
function readQuick(line: usize, sample: usize): bool {
  const colon = findNameStop(line);
  const bytes = colon - line;
  if (u32(load<u8>(colon)) != COLON || bytes == 0 || bytes > nameBytesMax) return false;
  const first = u32(load<u8>(colon, 1));
  const hasSign = first == PLUS || first == MINUS;
  const pipe = parseDecimal(colon + 1 + usize(hasSign));
  if (pipe == 0 || u32(load<u8>(pipe)) != PIPE || !isFinite(decimalValue)) return false;
  // The letter and what follows it; a line feed and more memory are behind.
  const word = u32(load<u16>(pipe, 1));
  let end = pipe + 2;
  let code: u32 = TYPE_COUNTER;
  if (word == QUICK_TIMER) {
    end += 1;
    code = TYPE_TIMER;
    if (u32(load<u8>(end)) != LF) return false;
  } else if (word == QUICK_GAUGE) {
    code = TYPE_GAUGE;
  } else if (word != QUICK_COUNTER) {
    return false;
  }
  lineEnd = end;
  writeQuickSample(sample, line, bytes, code, first == MINUS ? -decimalValue : decimalValue, hasSign);
  return true;
}

function readLine(line: usize): i32 {
  let colon = findNameStop(line);
  nameStart = line;
  nameTags = 0;
  isPlain = true;
  let byte = u32(load<u8>(colon));
  // Anything but a colon here is rare: tags, or bytes that need a closer look.
  while (byte != COLON) {
    if (byte == LF) return DROP_NO_VALUE;
    if (byte != SEMICOLON) isPlain = false;
    else if (nameTags == 0) nameTags = colon;
    colon = findNameStop(colon + 1);
    byte = u32(load<u8>(colon));
  }
  nameEnd = colon;
  const bareEnd = bareNameEnd();
  if (bareEnd == line) return DROP_EMPTY_NAME;
  if (bareEnd - line > nameBytesMax) return DROP_NAME_TOO_LONG;
  if (dialect == DIALECT_DOGSTATSD && hasPipe(line, colon)) return DROP_NO_VALUE;
  let at = colon + 1;
  while (true) {
    const reason = readSegment(at);
    if (reason != DROP_NONE) return reason;
    at = sectionsEnd;
    const end = u32(load<u8>(at));
    if (end == COLON) {
      if (isStrict || dialect == DIALECT_DOGSTATSD) return timestamp > 0 ? DROP_BAD_TIMESTAMP : DROP_BAD_RATE;
      at += 1;
      continue;
    }
    if (end == CR) at += 1;
    lineEnd = at;
    return DROP_NONE;
  }
}

function bareNameEnd(): usize {
  if (nameTags != 0) return nameTags;
  if (!hasInfluxTags) return nameEnd;
  let at = nameStart;
  while (at < nameEnd && u32(load<u8>(at)) != COMMA) at += 1;
  return at;
}

function hasPipe(start: usize, end: usize): bool {
  for (let at = start; at < end; at++) if (u32(load<u8>(at)) == PIPE) return true;
  return false;
}

/** The type that readType() found, and where its word ends. */
let type: u32 = 0;
let typeEnd: usize = 0;

/** Reads `value|type|sections` and makes samples of it; sectionsEnd tells where it ends. */
function readSegment(start: usize): i32 {
  const first = u32(load<u8>(start));
  const hasSign = first == PLUS || first == MINUS;
  let pipe = parseDecimal(start + usize(hasSign));
  const isSingle = pipe != 0 && u32(load<u8>(pipe)) == PIPE;
  const value = first == MINUS ? -decimalValue : decimalValue;
  if (!isSingle) {
    pipe = start;
    for (let byte = first; byte != PIPE; byte = u32(load<u8>(pipe))) {
      if (byte == LF) return pipe == start ? DROP_BAD_VALUE : DROP_NO_TYPE;
      pipe += 1;
    }
    if (pipe == start) return DROP_BAD_VALUE;
  }
  let reason = readType(pipe + 1);
  if (reason != DROP_NONE) return reason;
  const next = u32(load<u8>(typeEnd));
  if (next == PIPE) reason = readSections(typeEnd, isStrict);
  else noSections(typeEnd);
  if (reason != DROP_NONE) return reason;
  let age: u32 = 0;
  if (timestamp > 0 && (type == TYPE_COUNTER || type == TYPE_GAUGE)) {
    age = ageOfTimestamp(timestamp);
    if (age == u32.MAX_VALUE) return DROP_TOO_LATE;
  }
  reason = takeKey();
  if (reason != DROP_NONE) return reason;
  const code = type | (age << AGE_SHIFT);
  if (type == TYPE_SET) return addMemberSample(code, start, pipe - start);
  if (isSingle) return addValueSample(code, value, hasSign);
  if (isStrict) return isNamedNonFinite(start) ? DROP_NOT_FINITE : DROP_BAD_VALUE;
  return readPacked(code, start, pipe);
}

/** Reads the word behind the bar. */
function readType(start: usize): i32 {
  const letter = u32(load<u8>(start));
  let end = start + 1;
  type = TYPE_TIMER;
  let isKnown = true;
  if (letter == 99) type = TYPE_COUNTER;
  else if (letter == 103) type = TYPE_GAUGE;
  else if (letter == 115) type = TYPE_SET;
  else if (letter == 109) {
    if (u32(load<u8>(end)) == 115) end += 1;
    else type = TYPE_COUNTER;
    // brubeck's meter: a counter.
    isKnown = type == TYPE_TIMER || (!isStrict && dialect != DIALECT_DOGSTATSD);
  } else isKnown = letter == 104 || (letter == 100 && !isStrict);
  typeEnd = end;
  if (isKnown && endsType(end)) return DROP_NONE;
  if (!isStrict && endsType(start)) return DROP_NO_TYPE;
  if (!isUnknownCounter || isStrict) return DROP_BAD_TYPE;
  end = start;
  while (!endsType(end)) end += 1;
  type = TYPE_COUNTER;
  typeEnd = end;
  return DROP_NONE;
}

/** Whether a type's word is over: at a section, the line's end, or another segment. */
function endsType(at: usize): bool {
  const byte = u32(load<u8>(at));
  if (byte == PIPE || byte == LF) return true;
  if (byte == CR) return u32(load<u8>(at + 1)) == LF;
  return byte == COLON && !isStrict && dialect != DIALECT_DOGSTATSD;
}

/** Makes the key of the segment at hand. Most lines have one whose name is their key. */
function takeKey(): i32 {
  if (tagsStart == 0) {
    if (hasNameKey) return DROP_NONE;
    if (isPlain && nameTags == 0 && isPlainKey) {
      setSampleKey(nameStart, nameEnd - nameStart);
      hasNameKey = true;
      return DROP_NONE;
    }
  }
  const reason = buildKey(nameStart, nameTags, nameEnd, isPlain, tagsStart, tagsEnd);
  setSampleKey(key, keyBytes);
  hasNameKey = tagsStart == 0;
  return reason;
}
