/**
 * From the name and tags of a line to the key of its series: `name;tag;tag`, tags sorted by their bytes, so
 * that neither their order nor the way in which they were written makes another series.
 *
 *   graphite    name;k=v;k2=v2:1|c
 *   DogStatsD   name:1|c|#k:v,k2:v2      the first colon of a tag becomes the equal sign
 *   Influx      name,k=v,k2=v2:1|c       where the listener asks for it
 */
import { reserve } from "./arena";
import { DROP_BAD_TAGS, DROP_EMPTY_NAME, DROP_NONE, DROP_TAGS_TOO_LONG } from "./reasons";
import { areTagsInOrder, setupTags, writeSortedTags } from "./tags";
import { clean, cleanAsEtsy, cleanFault, SANITIZE_ETSY, SANITIZE_OFF, verify } from "./text";

const COLON: u32 = 58;
const SEMICOLON: u32 = 59;
const COMMA: u32 = 44;
const EQUALS: u32 = 61;
const UNDERSCORE: u32 = 95;

/** Keys of the samples at hand that are not in their line as they stand. */
const REWRITTEN_BYTES = 512 * 1024;

let tagsBytesMax: usize = 0;
let keyBytesMax: usize = 0;
let rewritten: usize = 0;
let rewrittenTop: usize = 0;
/** A key put together, and the same cleaned; each as long as the longest key. */
let raw: usize = 0;
let cleaned: usize = 0;
let sanitize = 0;
let hasInfluxTags = false;

/** The key that buildKey() made. */
export let key: usize = 0;
export let keyBytes: usize = 0;

/** Reserves scratch memory and sets the bounds on names and tags, in bytes. */
export function setupSeriesKey(nameMax: u32, tagsMax: u32): void {
  tagsBytesMax = tagsMax;
  keyBytesMax = nameMax + tagsMax + 64;
  rewritten = reserve(REWRITTEN_BYTES + 64);
  raw = reserve(keyBytesMax);
  cleaned = reserve(keyBytesMax);
  setupTags();
  forgetRewritten();
}

/** Sets how keys are cleaned (text.ts), and whether commas in names begin tags. */
export function setKeyRules(mode: i32, influxTags: bool): void {
  sanitize = mode;
  hasInfluxTags = influxTags;
}

/** Whether a name of printable ASCII alone may be taken as it stands. */
export function takesPlainNames(): bool {
  return sanitize != SANITIZE_ETSY && !hasInfluxTags;
}

/** Gives the memory of rewritten keys back, once their samples are accumulated. */
export function forgetRewritten(): void {
  rewrittenTop = rewritten;
}

/** The place of the next rewritten key; restoreRewritten() gives back what was written behind it. */
export function rewrittenMark(): usize {
  return rewrittenTop;
}

export function restoreRewritten(mark: usize): void {
  rewrittenTop = mark;
}

/** Whether samples must be accumulated before another line is read: one line may bring several keys. */
export function isRewrittenFull(): bool {
  return rewrittenTop > rewritten + REWRITTEN_BYTES / 2;
}

/**
 * Makes the key of name..tags..end, and the DogStatsD tags dogTags..dogEnd. tags: first semicolon, or 0.
 * dogTags: 0 where there are none. isPlain: whether name..end is printable ASCII. Sets key and keyBytes.
 * Returns DROP_NONE or why the line is dropped.
 */
export function buildKey(
  name: usize,
  tags: usize,
  end: usize,
  isPlain: bool,
  dogTags: usize,
  dogEnd: usize,
): i32 {
  const isInflux = hasInfluxTags && tags == 0;
  if (isInflux) tags = firstComma(name, end);
  let tagBytes: usize = 0;
  if (tags != 0) {
    tagBytes = end - tags - 1;
    if (tagBytes == 0) return DROP_BAD_TAGS;
  }
  // Before anything is copied: the line may be longer than the scratch memory is.
  if (tagBytes + (dogEnd - dogTags) > tagsBytesMax) return DROP_TAGS_TOO_LONG;
  if (isInflux && tags != 0) {
    copyInflux(name, end);
    tags = raw + (tags - name);
    end = raw + (end - name);
    name = raw;
  }
  if (dogTags != 0) {
    const bytes = end - name;
    if (name != raw) memory.copy(raw, name, bytes);
    if (tags != 0) tags = raw + (tags - name);
    name = raw;
    const start = raw + bytes;
    end = appendDogTags(start, dogTags, dogEnd);
    isPlain = isPlain && areDogTagsPlain;
    if (tags == 0 && end > start) tags = start;
  }
  if (sanitize == SANITIZE_ETSY) {
    end = cleaned + cleanAsEtsy(cleaned, name, end);
  } else if (!isPlain) {
    if (sanitize == SANITIZE_OFF) {
      const fault = verify(name, end);
      if (fault != DROP_NONE) return fault;
      return finish(name, tags, end, dogTags != 0);
    }
    end = cleaned + clean(cleaned, name, end);
    if (cleanFault != DROP_NONE) return cleanFault;
  } else {
    return finish(name, tags, end, dogTags != 0);
  }
  if (tags != 0) {
    tags = cleaned;
    while (tags < end && load<u8>(tags) != SEMICOLON) tags += 1;
  }
  if (end == cleaned || tags == cleaned) return DROP_EMPTY_NAME;
  return finish(cleaned, tags == end ? 0 : tags, end, dogTags != 0);
}

/** Leaves the key where it stands when it can stay there, and otherwise copies it with its tags in order. */
function finish(name: usize, tags: usize, end: usize, isUnique: bool): i32 {
  const isInOrder = tags == 0 || areTagsInOrder(tags + 1, end, isUnique);
  if (isInOrder && name != raw && name != cleaned) {
    key = name;
    keyBytes = end - name;
    return DROP_NONE;
  }
  if (rewrittenTop + keyBytesMax > rewritten + REWRITTEN_BYTES) return DROP_TAGS_TOO_LONG;
  const nameEnd = isInOrder ? end : tags;
  let bytes = nameEnd - name;
  memory.copy(rewrittenTop, name, bytes);
  if (!isInOrder) {
    const tagBytes = writeSortedTags(rewrittenTop + bytes, tags + 1, end, isUnique);
    if (tagBytes == 0) return DROP_TAGS_TOO_LONG;
    bytes += tagBytes;
  }
  key = rewrittenTop;
  keyBytes = bytes;
  rewrittenTop += bytes;
  return DROP_NONE;
}

/** Returns where the tags of an Influx name begin: at its first comma; 0 where there is none. */
function firstComma(name: usize, end: usize): usize {
  for (let at = name; at < end; at++) if (u32(load<u8>(at)) == COMMA) return at;
  return 0;
}

/** Copies a name with its commas as semicolons. */
function copyInflux(name: usize, end: usize): void {
  for (let at = name; at < end; at++) {
    const isComma = u32(load<u8>(at)) == COMMA;
    store<u8>(raw + (at - name), isComma ? u8(SEMICOLON) : load<u8>(at));
  }
}

let areDogTagsPlain = true;

/** Appends each tag behind a semicolon, without empty ones and those that only say where to aggregate. */
function appendDogTags(target: usize, start: usize, end: usize): usize {
  areDogTagsPlain = true;
  let out = target;
  let at = start;
  while (at < end) {
    const tag = out;
    store<u8>(out++, SEMICOLON);
    let hasKey = false;
    let hasSemicolon = false;
    let byte: u32 = 0;
    while (at < end) {
      byte = u32(load<u8>(at++));
      if (byte == COMMA) break;
      if (byte == COLON && !hasKey) {
        hasKey = true;
        byte = EQUALS;
      } else if (byte == EQUALS) {
        hasKey = true;
      } else if (byte == SEMICOLON && !hasSemicolon) {
        byte = UNDERSCORE;
        // Etsy's statsd replaces the first one of a tag, so there the next begins another tag.
        hasSemicolon = sanitize == SANITIZE_ETSY;
      } else if (byte < 0x21 || byte > 0x7e) {
        areDogTagsPlain = false;
      }
      store<u8>(out++, byte);
    }
    if (out == tag + 1 || isMagic(tag + 1, out)) out = tag;
  }
  return out;
}

/** Whether a tag is veneurlocalonly or veneurglobalonly, with a value or without. */
function isMagic(tag: usize, end: usize): bool {
  const bytes = end - tag;
  // "veneur", then "loca" or "glob".
  if (bytes < 15 || load<u32>(tag) != 0x656e6576 || load<u16>(tag, 4) != 0x7275) return false;
  const isLocal = load<u64>(tag, 6) == 0x6c6e6f6c61636f6c && load<u8>(tag, 14) == 121;
  const isGlobal = bytes > 15 && load<u64>(tag, 6) == 0x6e6f6c61626f6c67 && load<u16>(tag, 14) == 0x796c;
  if (!isLocal && !isGlobal) return false;
  const wordEnd = tag + (isLocal ? 15 : 16);
  return wordEnd == end || u32(load<u8>(wordEnd)) == EQUALS;
}
