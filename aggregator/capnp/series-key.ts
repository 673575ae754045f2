/**
 * From a peer's name to the key of its series, by the rules that the kernel has for lines
 * (shared/kernel/series-key.ts and text.ts), so that both make the same series. A test holds the two
 * together.
 */
import { isUtf8 } from "node:buffer";
import {
  DROP_BAD_TAGS,
  DROP_BAD_UTF8,
  DROP_CONTROL_CHARACTER,
  DROP_EMPTY_NAME,
  DROP_NAME_TOO_LONG,
  DROP_NONE,
  DROP_TAGS_TOO_LONG,
} from "../../shared/kernel/reasons.ts";
import type { ReadingOptions } from "../reading.ts";

/** Rules for names; those of `[aggregator]`. */
export interface NameRules extends Pick<ReadingOptions, "sanitize" | "influxTags"> {
  readonly nameBytesMax: number;
  readonly tagsBytesMax: number;
}

/** As in shared/kernel/tags.ts. */
const TAGS_MAX = 256;

const LF = 10;
const SPACE = 0x20;
const COMMA = 44;
const MINUS = 45;
const SLASH = 47;
const SEMICOLON = 59;
const UNDERSCORE = 95;
const DEL = 0x7f;
/** `-.;=_`, which etsy's statsd leaves in names beside letters and digits. */
const ETSY_MARKS = new Set([MINUS, 46, SEMICOLON, 61, UNDERSCORE]);
/** White space beyond ASCII, as carbon splits its lines there; U+2000 to U+200A besides. */
const BLANKS = new Set([0x85, 0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000]);

/** Makes one key after the other in the same memory. */
export class SeriesKey {
  readonly #rules: NameRules;
  /** The key that make() made: the first `length` bytes. */
  readonly bytes: Buffer;
  length = 0;

  constructor(rules: NameRules) {
    this.#rules = rules;
    this.bytes = Buffer.alloc(rules.nameBytesMax + rules.tagsBytesMax + 64);
  }

  /** Makes the key of the name at start..end. Returns DROP_NONE or why the metric is dropped. */
  make(source: Buffer, start: number, end: number): number {
    const { influxTags, nameBytesMax, tagsBytesMax, sanitize } = this.#rules;
    // A name that is longer than any may be is not looked at as a whole.
    const last = Math.min(end, start + nameBytesMax + tagsBytesMax + 2);
    let tags = find(source, SEMICOLON, start, last);
    const isInflux = influxTags && tags === last;
    if (isInflux) tags = find(source, COMMA, start, last);
    if (tags === start) return DROP_EMPTY_NAME;
    if (tags - start > nameBytesMax) return DROP_NAME_TOO_LONG;
    if (end - tags - 1 > tagsBytesMax) return DROP_TAGS_TOO_LONG;
    // A semicolon alone is what the sender made of tags that were all empty, and so do we; of commas not.
    if (isInflux && tags === end - 1) return DROP_BAD_TAGS;
    source.copy(this.bytes, 0, start, end);
    this.length = end - start;
    if (isInflux) this.#replaceCommas(tags - start);
    const reason = this.#clean(sanitize);
    return reason === DROP_NONE ? this.#sortTags() : reason;
  }

  #replaceCommas(from: number): void {
    for (let at = from; at < this.length; at++) if (this.bytes[at] === COMMA) this.bytes[at] = SEMICOLON;
  }

  #clean(sanitize: NameRules["sanitize"]): number {
    if (sanitize === "etsy") return this.#cleanAsEtsy();
    const { bytes, length } = this;
    let isPlain = true;
    for (let at = 0; at < length; at++) {
      const byte = bytes[at]!;
      if (byte > SPACE && byte < DEL) continue;
      isPlain = false;
      // No line can have one, and it would end a line of carbon's.
      if (byte === LF) return DROP_CONTROL_CHARACTER;
    }
    if (isPlain) return DROP_NONE;
    const whole = bytes.subarray(0, length);
    if (!isUtf8(whole)) return DROP_BAD_UTF8;
    return sanitize === "off" ? DROP_NONE : this.#cleanText(whole.toString());
  }

  /** White space becomes underscores, control characters are refused. Never makes a text longer. */
  #cleanText(text: string): number {
    let cleaned = "";
    for (let at = 0; at < text.length; at++) {
      const unit = text.charCodeAt(at);
      if (isBlank(unit)) cleaned += "_";
      else if (unit < SPACE || (unit >= DEL && unit < 0xa0)) return DROP_CONTROL_CHARACTER;
      else cleaned += text[at];
    }
    this.length = this.bytes.write(cleaned);
    return DROP_NONE;
  }

  #cleanAsEtsy(): number {
    const { bytes } = this;
    let out = 0;
    let wasBlank = false;
    for (let at = 0; at < this.length; at++) {
      const byte = bytes[at]!;
      const isSpace = byte === SPACE || (byte >= 9 && byte <= 13);
      if (isSpace) {
        if (!wasBlank) bytes[out++] = UNDERSCORE;
      } else if (byte === SLASH) bytes[out++] = MINUS;
      else if (isEtsyByte(byte)) bytes[out++] = byte;
      wasBlank = isSpace;
    }
    this.length = out;
    return out === 0 || bytes[0] === SEMICOLON ? DROP_EMPTY_NAME : DROP_NONE;
  }

  /** Brings the tags in the order of their bytes, without empty ones. */
  #sortTags(): number {
    const { bytes, length } = this;
    const first = bytes.subarray(0, length).indexOf(SEMICOLON);
    if (first < 0 || this.#isInOrder(first + 1)) return DROP_NONE;
    const tags: Buffer[] = [];
    for (let at = first + 1; at < length; ) {
      let end = at;
      while (end < length && bytes[end] !== SEMICOLON) end += 1;
      if (end > at) {
        if (tags.length === TAGS_MAX) return DROP_TAGS_TOO_LONG;
        tags.push(Buffer.from(bytes.subarray(at, end)));
      }
      at = end + 1;
    }
    tags.sort(Buffer.compare);
    let out = first;
    for (const tag of tags) {
      bytes[out] = SEMICOLON;
      out += 1 + tag.copy(bytes, out + 1);
    }
    // Where all are empty, a semicolon keeps the key marked as tagged.
    this.length = tags.length === 0 ? first + 1 : out;
    return DROP_NONE;
  }

  /** Whether the tags from there on are as they should be: the usual case, since senders sort them. */
  #isInOrder(start: number): boolean {
    const { bytes, length } = this;
    let before = -1;
    let at = start;
    for (let count = 1; count <= TAGS_MAX; count++) {
      const tag = at;
      while (at < length && bytes[at] !== SEMICOLON) at += 1;
      if (at === tag) return false;
      // The one before ends at the semicolon in front of this one.
      if (before >= 0 && bytes.compare(bytes, tag, at, before, tag - 1) > 0) return false;
      if (at === length) return true;
      before = tag;
      at += 1;
    }
    return false;
  }
}

/** Where a byte comes first, `end` where it does not. */
function find(source: Buffer, byte: number, start: number, end: number): number {
  let at = start;
  while (at < end && source[at] !== byte) at += 1;
  return at;
}

function isBlank(unit: number): boolean {
  return unit === 9 || unit === SPACE || BLANKS.has(unit) || (unit >= 0x2000 && unit <= 0x200a);
}

function isEtsyByte(byte: number): boolean {
  const letter = byte | 0x20;
  return (letter >= 97 && letter <= 122) || (byte >= 48 && byte <= 57) || ETSY_MARKS.has(byte);
}
