/**
 * Looks at lines before they are routed, where the configuration asks for it: carriage returns at their ends,
 * lines that are no statsd lines, tags that belong into the name. What is written anew lies in a scratch
 * region until the next lines.
 *
 *   app.requests:12|c|#b:2,a:1   ->   app.requests;a=1;b=2:12|c   or   app.requests.__a=1.__b=2:12|c
 */
import { reserve } from "./arena";
import { SLOT_PAYLOAD_BYTES_MAX } from "./layout";
import { LINE_BYTES, LINE_ENTRY_BYTES, LINE_NAME_BYTES, LINE_START, LINES_MAX, lineEntry } from "./lines";
import { countDrop } from "./lines-dropped";
import {
  DROP_INVALID,
  DROP_TOO_LONG,
  FEATURE_TAGS_GRAPHITE,
  FEATURE_TAGS_NAME,
  FEATURE_TRIM_CR,
  FEATURE_VALIDATE,
} from "./relay-codes";
import { copyWide, findTagMark } from "./rewrite";

const CR: u8 = 13;
const COMMA: u8 = 44;
const DOT: u8 = 46;
const COLON: u8 = 58;
const SEMICOLON: u8 = 59;
const EQUALS: u8 = 61;
const UNDERSCORE: u8 = 95;
const PIPE: u8 = 124;

/** Tags of a line that can be converted. */
const TAGS_MAX: i32 = 256;
/** What a tag without a value gets. */
const TRUE_TEXT: u32 = 0x65757274;
const SLACK_BYTES: usize = 256;
/** Room for each line of the table, twice: its tags, and its rate. */
const SCRATCH_BYTES: usize = usize(LINES_MAX) * 2 * (usize(SLOT_PAYLOAD_BYTES_MAX) + SLACK_BYTES);

let features: u32 = 0;
let scratch: usize = 0;
let scratchTop: usize = 0;
/** Tags of the line at hand: address and bytes, 32 bits each. */
let tagList: usize = 0;

/** chosen: FEATURE flags. isScratchNeeded: whether anything is written anew, here or elsewhere. */
export function setupClean(chosen: u32, isScratchNeeded: bool): void {
  features = chosen;
  tagList = reserve(usize(TAGS_MAX) * 8);
  if (isScratchNeeded) scratch = reserve(SCRATCH_BYTES);
}

/** Gives the scratch region back, for the lines to come. */
export function resetScratch(): void {
  scratchTop = scratch;
}

/** Address of room for one line, with slack behind it. */
export function scratchRoom(): usize {
  return scratchTop;
}

/** Takes scratch up to its end. */
export function takeScratch(end: usize): void {
  scratchTop = (end + 64 + 15) & ~15;
}

/** Cleans the lines of the table. Returns how many are left; they have moved together. */
export function cleanLines(count: i32): i32 {
  let kept = 0;
  for (let line = 0; line < count; line++) {
    const entry = lineEntry(line);
    const reason = cleanLine(entry);
    if (reason >= 0) {
      countDrop(reason);
      continue;
    }
    if (kept != line) memory.copy(lineEntry(kept), entry, LINE_ENTRY_BYTES);
    kept += 1;
  }
  return kept;
}

/** Returns a DROP code, or -1 for a line that is left. */
function cleanLine(entry: usize): i32 {
  if ((features & u32(FEATURE_TRIM_CR)) != 0) {
    const start = usize(load<u32>(entry, LINE_START));
    const nameBytes = usize(load<u32>(entry, LINE_NAME_BYTES));
    let bytes = usize(load<u32>(entry, LINE_BYTES));
    while (bytes > nameBytes + 1 && load<u8>(start + bytes - 1) == CR) bytes -= 1;
    store<u32>(entry, u32(bytes), LINE_BYTES);
  }
  if ((features & u32(FEATURE_VALIDATE)) != 0 && !isValid(entry)) return DROP_INVALID;
  if ((features & u32(FEATURE_TAGS_GRAPHITE | FEATURE_TAGS_NAME)) != 0) return moveTags(entry);
  return -1;
}

/** Whether a line is an event (`_e{...}`) or a service check (`_sc|`), which have neither value nor type. */
function isEvent(line: usize, bytes: usize): bool {
  if (bytes < 4 || load<u8>(line) != UNDERSCORE) return false;
  const second = load<u8>(line, 1);
  if (second == 101) return load<u8>(line, 2) == 123;
  return second == 115 && load<u8>(line, 2) == 99 && load<u8>(line, 3) == PIPE;
}

/** Whether a line has a name, a value, and a type that statsd knows. */
function isValid(entry: usize): bool {
  const start = usize(load<u32>(entry, LINE_START));
  const nameBytes = usize(load<u32>(entry, LINE_NAME_BYTES));
  const end = start + usize(load<u32>(entry, LINE_BYTES));
  if (isEvent(start, end - start)) return true;
  if (nameBytes == 0) return false;
  const value = start + nameBytes + 1;
  const type = findType(value, end);
  return type > value + 1 && typeBytes(type, end) != 0;
}

/** Address behind the first bar, or 0 without one. */
export function findType(value: usize, end: usize): usize {
  for (let at = value; at < end; at++) if (load<u8>(at) == PIPE) return at + 1;
  return 0;
}

/** Bytes of the type that stands there, 0 where none does: c, g, h, d, s, m or ms, and nothing behind it. */
export function typeBytes(type: usize, end: usize): usize {
  if (type >= end) return 0;
  const first = load<u8>(type);
  const isMs = first == 109 && type + 1 < end && load<u8>(type, 1) == 115;
  const bytes: usize = isMs ? 2 : 1;
  const isKnown = first == 99 || first == 103 || first == 104 || first == 100 || first == 115 || first == 109;
  if (!isKnown) return 0;
  if (type + bytes == end) return bytes;
  const next = load<u8>(type + bytes);
  // A colon begins another sample of an etsy line.
  return next == PIPE || next == CR || next == COLON ? bytes : 0;
}

/** Moves the tags of a line's section into its name. Returns a DROP code, or -1. */
function moveTags(entry: usize): i32 {
  const line = usize(load<u32>(entry, LINE_START));
  const nameBytes = usize(load<u32>(entry, LINE_NAME_BYTES));
  const bytes = usize(load<u32>(entry, LINE_BYTES));
  const end = line + bytes;
  if (isEvent(line, bytes)) return -1;
  const mark = findTagMark(line + nameBytes, bytes - nameBytes);
  if (mark == end) return -1;
  let sectionEnd = mark + 2;
  while (sectionEnd < end && load<u8>(sectionEnd) != PIPE && load<u8>(sectionEnd) != CR) sectionEnd += 1;
  const tags = listTags(mark + 2, sectionEnd);
  // Each tag may grow by `.__` and `=true`.
  if (tags < 0 || bytes + usize(tags) * 8 > usize(SLOT_PAYLOAD_BYTES_MAX)) return DROP_TOO_LONG;
  const start = scratchRoom();
  copyWide(start, line, nameBytes);
  let to = start + nameBytes;
  for (let i = 0; i < tags; i++) to = writeTag(to, tagList + usize(i) * 8);
  store<u32>(entry, u32(start), LINE_START);
  store<u32>(entry, u32(to - start), LINE_NAME_BYTES);
  copyWide(to, line + nameBytes, mark - line - nameBytes);
  to += mark - line - nameBytes;
  copyWide(to, sectionEnd, end - sectionEnd);
  to += end - sectionEnd;
  store<u32>(entry, u32(to - start), LINE_BYTES);
  takeScratch(to);
  return -1;
}

/** Lists the tags of a section, sorted by their bytes. Returns how many, or -1 for too many. */
function listTags(at: usize, end: usize): i32 {
  let count = 0;
  while (at < end) {
    let tagEnd = at;
    while (tagEnd < end && load<u8>(tagEnd) != COMMA) tagEnd += 1;
    if (tagEnd > at) {
      if (count == TAGS_MAX) return -1;
      insertTag(count, at, tagEnd - at);
      count += 1;
    }
    at = tagEnd + 1;
  }
  return count;
}

/** Puts a tag in its place among the first `count`. */
function insertTag(count: i32, tag: usize, bytes: usize): void {
  let place = tagList + usize(count) * 8;
  while (place > tagList && isBefore(tag, bytes, place - 8)) {
    store<u64>(place, load<u64>(place - 8));
    place -= 8;
  }
  store<u32>(place, u32(tag));
  store<u32>(place, u32(bytes), 4);
}

function isBefore(tag: usize, bytes: usize, listed: usize): bool {
  const other = usize(load<u32>(listed));
  const otherBytes = usize(load<u32>(listed, 4));
  const order = memory.compare(tag, other, min(bytes, otherBytes));
  return order < 0 || (order == 0 && bytes < otherBytes);
}

/** Writes a tag as part of a name; what would end or split the name there becomes an underscore. */
function writeTag(to: usize, listed: usize): usize {
  const isGraphite = (features & u32(FEATURE_TAGS_GRAPHITE)) != 0;
  const tag = usize(load<u32>(listed));
  const bytes = usize(load<u32>(listed, 4));
  if (isGraphite) {
    store<u8>(to, SEMICOLON);
    to += 1;
  } else {
    store<u8>(to, DOT);
    store<u8>(to, UNDERSCORE, 1);
    store<u8>(to, UNDERSCORE, 2);
    to += 3;
  }
  let hasValue = false;
  for (let i: usize = 0; i < bytes; i++) {
    let byte = load<u8>(tag + i);
    if (byte == COLON && !hasValue) {
      byte = EQUALS;
      hasValue = i + 1 < bytes;
      if (!hasValue) break;
    } else if (byte == COLON || byte == SEMICOLON || byte == EQUALS || (byte == DOT && !isGraphite)) {
      byte = UNDERSCORE;
    }
    store<u8>(to, byte);
    to += 1;
  }
  if (hasValue) return to;
  store<u8>(to, EQUALS);
  store<u32>(to, TRUE_TEXT, 1);
  return to + 5;
}
