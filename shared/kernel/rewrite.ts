/**
 * What a route puts around the lines that it takes: a prefix before the name, a suffix behind it, tags.
 *
 *   prefix app.requests suffix ;host=a :12|c |#env:prod,tags
 *
 * The suffix goes before tags that are part of the name.
 */
import { reserve } from "./arena";
import { ROUTES_MAX } from "./relay-codes";

const CR: u8 = 13;
const COMMA: u8 = 44;
const SEMICOLON: u8 = 59;
const PIPE: u8 = 124;
/** `|#`, little endian. */
const TAG_MARK: u16 = 0x237c;
/** What copies may write behind the end. */
const SLACK_BYTES: usize = 128;
const NAME_BYTES_MAX: usize = 65_536;

// A route's texts, each with its length; one record each.
const REWRITE_BYTES: usize = 32;
const PREFIX: usize = 0;
const PREFIX_BYTES: usize = 4;
const SUFFIX: usize = 8;
const SUFFIX_BYTES: usize = 12;
const TAGS: usize = 16;
const TAGS_BYTES: usize = 20;

let rewrites: usize = 0;
let rewriteCount: u32 = 0;
let areTagsInSection: bool = false;
/** Most bytes that a route adds to a line. */
let additionsMax: usize = 0;
/** The name as it leaves, for hashes that need it in one piece. */
let leaving: usize = 0;
let leavingBytesMax: usize = 0;
let leavingBytes: usize = 0;

/** Reserves the records. isInSection: tags go into the section that a line has, not to its end. */
export function setupRewrite(isInSection: bool): void {
  rewrites = reserve(usize(ROUTES_MAX) * REWRITE_BYTES);
  areTagsInSection = isInSection;
}

/** Adds a route's texts, which the host writes afterwards. */
export function addRewrite(prefixBytes: u32, suffixBytes: u32, tagsBytes: u32): void {
  const rewrite = rewriteOf(rewriteCount);
  rewriteCount += 1;
  store<u32>(rewrite, u32(reserve(usize(prefixBytes) + SLACK_BYTES)), PREFIX);
  store<u32>(rewrite, prefixBytes, PREFIX_BYTES);
  store<u32>(rewrite, u32(reserve(usize(suffixBytes) + SLACK_BYTES)), SUFFIX);
  store<u32>(rewrite, suffixBytes, SUFFIX_BYTES);
  store<u32>(rewrite, u32(reserve(usize(tagsBytes) + SLACK_BYTES)), TAGS);
  store<u32>(rewrite, tagsBytes, TAGS_BYTES);
  // A comma or `|#` before the tags.
  additionsMax = max(additionsMax, usize(prefixBytes) + usize(suffixBytes) + usize(tagsBytes) + 2);
  if (prefixBytes + suffixBytes != 0) {
    const needed = usize(prefixBytes) + usize(suffixBytes) + NAME_BYTES_MAX + SLACK_BYTES;
    if (needed > leavingBytesMax) {
      leaving = reserve(needed);
      leavingBytesMax = needed;
    }
  }
}

function rewriteOf(route: u32): usize {
  return rewrites + usize(route) * REWRITE_BYTES;
}

/** Most bytes that any route adds to a line. */
export function rewriteBytesMax(): usize {
  return additionsMax;
}

/** Address of the text put before names. */
export function prefixText(route: u32): usize {
  return load<u32>(rewriteOf(route), PREFIX);
}

/** Bytes of it. */
export function prefixTextBytes(route: u32): usize {
  return load<u32>(rewriteOf(route), PREFIX_BYTES);
}

/** Address of the text put behind names. */
export function suffixText(route: u32): usize {
  return load<u32>(rewriteOf(route), SUFFIX);
}

/** Address of the tags added to lines. */
export function tagsText(route: u32): usize {
  return load<u32>(rewriteOf(route), TAGS);
}

/** Whether names leave other than they came. */
export function isRewritten(route: u32): bool {
  const rewrite = rewriteOf(route);
  return (load<u32>(rewrite, PREFIX_BYTES) | load<u32>(rewrite, SUFFIX_BYTES)) != 0;
}

/** Whether the name, and hence the key of the hash, gets a suffix. */
export function hasSuffix(route: u32): bool {
  return load<u32>(rewriteOf(route), SUFFIX_BYTES) != 0;
}

/** Whether lines leave other than they came. */
export function isChangingLines(route: u32): bool {
  return isRewritten(route) || load<u32>(rewriteOf(route), TAGS_BYTES) != 0;
}

/** Copies in strides of 64 bytes; reads and writes up to 64 bytes too many. */
export function copyWide(to: usize, from: usize, bytes: usize): void {
  const end = from + bytes;
  do {
    v128.store(to, v128.load(from));
    v128.store(to, v128.load(from, 16), 16);
    v128.store(to, v128.load(from, 32), 32);
    v128.store(to, v128.load(from, 48), 48);
    from += 64;
    to += 64;
  } while (from < end);
}

/** Bytes of a name before the tags in it. */
function baseBytes(name: usize, bytes: usize): usize {
  for (let i: usize = 0; i < bytes; i++) {
    const byte = load<u8>(name + i);
    if (byte == SEMICOLON || byte == COMMA) return i;
  }
  return bytes;
}

/** Puts prefix and suffix around a name. Returns the address behind it. */
function writeName(to: usize, rewrite: usize, name: usize, bytes: usize): usize {
  const prefixBytes = usize(load<u32>(rewrite, PREFIX_BYTES));
  if (prefixBytes != 0) {
    copyWide(to, load<u32>(rewrite, PREFIX), prefixBytes);
    to += prefixBytes;
  }
  const suffixBytes = usize(load<u32>(rewrite, SUFFIX_BYTES));
  if (suffixBytes != 0) {
    const base = baseBytes(name, bytes);
    copyWide(to, name, base);
    copyWide(to + base, load<u32>(rewrite, SUFFIX), suffixBytes);
    to += base + suffixBytes;
    name += base;
    bytes -= base;
  }
  copyWide(to, name, bytes);
  return to + bytes;
}

/** Makes a name as it leaves along a route. Returns its address; it holds until the next one. */
export function leavingName(route: u32, name: usize, bytes: usize): usize {
  leavingBytes = writeName(leaving, rewriteOf(route), name, bytes) - leaving;
  return leaving;
}

/** Bytes of the name that leavingName() made. */
export function leavingNameBytes(): usize {
  return leavingBytes;
}

/**
 * Writes a line as it leaves along a route, without a line feed. line, nameBytes, bytes: as it came.
 * name, newBytes: the name in the place of its own. Returns the address behind it.
 */
export function writeLine(
  to: usize,
  route: u32,
  line: usize,
  nameBytes: usize,
  bytes: usize,
  name: usize,
  newBytes: usize,
): usize {
  const rewrite = rewriteOf(route);
  to = writeName(to, rewrite, name, newBytes);
  const value = line + nameBytes;
  const valueBytes = bytes - nameBytes;
  copyWide(to, value, valueBytes);
  const tagsBytes = usize(load<u32>(rewrite, TAGS_BYTES));
  if (tagsBytes == 0) return to + valueBytes;
  const tags = usize(load<u32>(rewrite, TAGS));
  if (areTagsInSection) return insertTags(to, valueBytes, tags, tagsBytes);
  // Go statsrelay looks for the mark in the whole line, the name included.
  const isTagged =
    findTagMark(value, valueBytes) < line + bytes || findTagMark(name, newBytes) < name + newBytes;
  return appendTags(to + valueBytes, isTagged, tags, tagsBytes);
}

function appendTags(to: usize, isTagged: bool, tags: usize, tagsBytes: usize): usize {
  if (isTagged) {
    store<u8>(to, COMMA);
    to += 1;
  } else {
    store<u16>(to, TAG_MARK);
    to += 2;
  }
  copyWide(to, tags, tagsBytes);
  return to + tagsBytes;
}

/** Adds tags to the section of the value just written, or before the carriage returns at its end. */
function insertTags(value: usize, bytes: usize, tags: usize, tagsBytes: usize): usize {
  const end = value + bytes;
  const mark = findTagMark(value, bytes);
  let at = mark < end ? mark + 2 : end;
  if (mark < end) while (at < end && load<u8>(at) != PIPE && load<u8>(at) != CR) at += 1;
  else while (at > value && load<u8>(at - 1) == CR) at -= 1;
  const separatorBytes: usize = mark == end ? 2 : at == mark + 2 ? 0 : 1;
  memory.copy(at + separatorBytes + tagsBytes, at, end - at);
  if (separatorBytes == 1) store<u8>(at, COMMA);
  if (separatorBytes == 2) store<u16>(at, TAG_MARK);
  memory.copy(at + separatorBytes, tags, tagsBytes);
  return end + separatorBytes + tagsBytes;
}

/** Returns the address of the first `|#`, or of the end. */
export function findTagMark(line: usize, bytes: usize): usize {
  const end = line + bytes;
  const pipes = i8x16.splat(i8(PIPE));
  const hashes = i8x16.splat(35);
  for (let at = line; at + 1 < end; at += 16) {
    const found = v128.and(i8x16.eq(v128.load(at), pipes), i8x16.eq(v128.load(at, 1), hashes));
    const hits = i8x16.bitmask(found);
    if (hits != 0) {
      const mark = at + usize(ctz(hits));
      return mark + 1 < end ? mark : end;
    }
  }
  return end;
}
