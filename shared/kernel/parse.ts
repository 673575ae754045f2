/**
 * The statsd line in bioyino's dialect, each datagram by itself. A bad line yields one reason and no
 * sample, and reading goes on behind the next line feed.
 *
 *   name ; k=v ; k=v : value | type | @ rate  LF
 *   ^    ^           ^       ^      ^
 *   line tags        colon   pipe   section
 */
import { reserve } from "./arena";
import { decimalValue, parseDecimal } from "./decimal";
import {
  DROP_BAD_RATE,
  DROP_BAD_TAGS,
  DROP_BAD_TYPE,
  DROP_BAD_VALUE,
  DROP_EMPTY_NAME,
  DROP_MEMBER_TOO_LONG,
  DROP_NAME_TOO_LONG,
  DROP_NO_TYPE,
  DROP_NO_VALUE,
  DROP_NONE,
  DROP_NOT_FINITE,
  DROP_TAGS_TOO_LONG,
  DROP_UNKNOWN_SECTION,
} from "./reasons";
import {
  SAMPLE_IS_RELATIVE,
  SAMPLE_KEY,
  SAMPLE_KEY_BYTES,
  SAMPLE_MEMBER,
  SAMPLE_MEMBER_BYTES,
  SAMPLE_TYPE,
  SAMPLE_VALUE,
  SAMPLE_WEIGHT,
} from "./sample";
import { TYPE_COUNTER, TYPE_GAUGE, TYPE_SET, TYPE_TIMER } from "./table";
import { areTagsInOrder, setupTags, writeSortedTags } from "./tags";
import { clean, cleanFault } from "./text";

const LF: u32 = 10;
const CR: u32 = 13;
const COLON: u32 = 58;
const SEMICOLON: u32 = 59;
const PIPE: u32 = 124;
const AT: u32 = 64;
const PLUS: u32 = 43;
const MINUS: u32 = 45;
const ZERO: u32 = 48;

/** Longest set member in bytes. */
export const MEMBER_BYTES_MAX: u32 = 1024;
/** Rewritten keys of the samples at hand; the longest key must fit several times. */
const REWRITTEN_BYTES = 256 * 1024;

let nameBytesMax: usize = 0;
let tagsBytesMax: usize = 0;
let rewritten: usize = 0;
let rewrittenTop: usize = 0;
let cleaned: usize = 0;

/** Reserves scratch memory and sets the bounds on names and tags, in bytes. */
export function setupParse(nameMax: u32, tagsMax: u32): void {
  nameBytesMax = nameMax;
  tagsBytesMax = tagsMax;
  rewritten = reserve(REWRITTEN_BYTES + 64);
  cleaned = reserve(nameMax + tagsMax + 64);
  setupTags();
  forgetRewritten();
}

/** Gives the memory of rewritten keys back, once their samples are accumulated. */
export function forgetRewritten(): void {
  rewrittenTop = rewritten;
}

/** Whether one more line could need more memory for its key than is left. */
export function isRewrittenFull(): bool {
  return rewrittenTop + nameBytesMax + tagsBytesMax + 64 > rewritten + REWRITTEN_BYTES;
}

/** Where the line that parseLine read ends: the address of its line feed. */
export let lineEnd: usize = 0;

/** Returns the address of the next line feed; the datagram ends with one. */
function findLineEnd(at: usize): usize {
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
 * Reads one line into a sample. line: its first byte; a line feed follows somewhere.
 * Returns DROP_NONE or why the line is dropped; sets lineEnd.
 */
export function parseLine(line: usize, sample: usize): i32 {
  const rewrittenBefore = rewrittenTop;
  const reason = readLine(line, sample);
  if (reason != DROP_NONE) {
    // No sample refers to the key of a dropped line, and any number of them may follow one another.
    rewrittenTop = rewrittenBefore;
    lineEnd = findLineEnd(line);
  }
  return reason;
}

function readLine(line: usize, sample: usize): i32 {
  let colon = findNameStop(line);
  let tags: usize = 0;
  let isPlain = true;
  let byte = u32(load<u8>(colon));
  // Anything but a colon here is rare: tags, or bytes that need a closer look.
  while (byte != COLON) {
    if (byte == LF) return DROP_NO_VALUE;
    if (byte != SEMICOLON) isPlain = false;
    else if (tags == 0) tags = colon;
    colon = findNameStop(colon + 1);
    byte = u32(load<u8>(colon));
  }
  const nameBytes = (tags == 0 ? colon : tags) - line;
  if (nameBytes == 0) return DROP_EMPTY_NAME;
  if (nameBytes > nameBytesMax) return DROP_NAME_TOO_LONG;
  if (tags == 0 && isPlain) {
    store<u32>(sample, u32(line), SAMPLE_KEY);
    store<u32>(sample, u32(nameBytes), SAMPLE_KEY_BYTES);
  } else {
    const reason = readKey(line, tags, colon, isPlain, sample);
    if (reason != DROP_NONE) return reason;
  }
  return readValue(colon + 1, sample);
}

/**
 * Brings a key with tags or unusual bytes into its one spelling. tags: address of the first semicolon, or
 * 0.
 */
function readKey(line: usize, tags: usize, colon: usize, isPlain: bool, sample: usize): i32 {
  if (tags != 0) {
    const tagsBytes = colon - tags - 1;
    if (tagsBytes == 0) return DROP_BAD_TAGS;
    if (tagsBytes > tagsBytesMax) return DROP_TAGS_TOO_LONG;
  }
  let start = line;
  let end = colon;
  if (!isPlain) {
    const bytes = clean(cleaned, line, colon);
    if (cleanFault != DROP_NONE) return cleanFault;
    start = cleaned;
    end = cleaned + bytes;
    if (tags != 0) {
      tags = start;
      while (load<u8>(tags) != SEMICOLON) tags += 1;
    }
  }
  const isInOrder = tags == 0 || areTagsInOrder(tags + 1, end);
  if (isPlain && isInOrder) {
    store<u32>(sample, u32(line), SAMPLE_KEY);
    store<u32>(sample, u32(end - line), SAMPLE_KEY_BYTES);
    return DROP_NONE;
  }
  const nameEnd = isInOrder ? end : tags;
  let bytes = nameEnd - start;
  memory.copy(rewrittenTop, start, bytes);
  if (!isInOrder) {
    const tagBytes = writeSortedTags(rewrittenTop + bytes, tags + 1, end);
    if (tagBytes == 0) return DROP_TAGS_TOO_LONG;
    bytes += tagBytes;
  }
  store<u32>(sample, u32(rewrittenTop), SAMPLE_KEY);
  store<u32>(sample, u32(bytes), SAMPLE_KEY_BYTES);
  rewrittenTop += bytes;
  return DROP_NONE;
}

/** Reads `value|type...`. A value that is no number may still be a set's member. */
function readValue(start: usize, sample: usize): i32 {
  const first = u32(load<u8>(start));
  const hasSign = first == PLUS || first == MINUS;
  let end = parseDecimal(start + usize(hasSign));
  let value = first == MINUS ? -decimalValue : decimalValue;
  let isNumber = end != 0;
  if (!isNumber || load<u8>(end) != PIPE) {
    end = start;
    for (let byte = first; byte != PIPE; byte = u32(load<u8>(end))) {
      if (byte == LF) return end == start ? DROP_BAD_VALUE : DROP_NO_TYPE;
      end += 1;
    }
    isNumber = false;
    value = 0;
  }
  if (end == start) return DROP_BAD_VALUE;
  store<u32>(sample, u32(start), SAMPLE_MEMBER);
  store<u32>(sample, u32(end - start), SAMPLE_MEMBER_BYTES);
  store<u32>(sample, u32(hasSign), SAMPLE_IS_RELATIVE);
  return readType(end + 1, value, isNumber, sample);
}

function readType(start: usize, value: f64, isNumber: bool, sample: usize): i32 {
  const letter = u32(load<u8>(start));
  let end = start + 1;
  let type: u32 = TYPE_TIMER;
  if (letter == 99) {
    type = TYPE_COUNTER;
  } else if (letter == 103) {
    type = TYPE_GAUGE;
  } else if (letter == 115) {
    type = TYPE_SET;
  } else if (letter == 109) {
    if (load<u8>(end) != 115) return DROP_BAD_TYPE;
    end += 1;
  } else if (letter != 104) {
    return DROP_BAD_TYPE;
  }
  let weight: f64 = 1;
  let rate: f64 = 1;
  if (load<u8>(end) == PIPE) {
    if (load<u8>(end + 1) != AT) return DROP_UNKNOWN_SECTION;
    end = readRate(end + 2);
    if (end == 0) return DROP_BAD_RATE;
    rate = decimalValue;
    // Written so that nothing but a number in (0, 1] passes.
    if (!(rate > 0 && rate <= 1)) return DROP_BAD_RATE;
    weight = 1 / rate;
    if (!isFinite(weight)) return DROP_NOT_FINITE;
    if (load<u8>(end) == PIPE) return DROP_UNKNOWN_SECTION;
  }
  if (load<u8>(end) == CR) end += 1;
  if (load<u8>(end) != LF) return rate == 1 && weight == 1 ? DROP_BAD_TYPE : DROP_BAD_RATE;
  if (type == TYPE_SET) {
    if (load<u32>(sample, SAMPLE_MEMBER_BYTES) > MEMBER_BYTES_MAX) return DROP_MEMBER_TOO_LONG;
  } else if (!isNumber) {
    return isNamedNonFinite(load<u32>(sample, SAMPLE_MEMBER)) ? DROP_NOT_FINITE : DROP_BAD_VALUE;
  } else {
    if (type == TYPE_COUNTER) value /= rate;
    // A timer's sum holds value times weight, so that must be a number too.
    if (!isFinite(type == TYPE_TIMER ? value * weight : value)) return DROP_NOT_FINITE;
  }
  store<u32>(sample, type, SAMPLE_TYPE);
  store<f64>(sample, value, SAMPLE_VALUE);
  store<f64>(sample, weight, SAMPLE_WEIGHT);
  lineEnd = end;
  return DROP_NONE;
}

/**
 * Reads digits, optionally a dot with digits and a small e with digits. Returns the end, 0 for anything
 * else.
 */
function readRate(start: usize): usize {
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

/** Whether a value starts like NaN or an infinity, after any sign: they get a reason of their own. */
function isNamedNonFinite(at: usize): bool {
  const first = u32(load<u8>(at));
  if (first == PLUS || first == MINUS) at += 1;
  const word = (u32(load<u8>(at)) << 16) | (u32(load<u8>(at + 1)) << 8) | u32(load<u8>(at + 2));
  const lower = word | 0x202020;
  return lower == 0x6e616e || lower == 0x696e66;
}
