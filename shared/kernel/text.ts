/**
 * Cleaning of names and tags that hold more than printable ASCII. White space of any script would split a
 * carbon line, so each such character becomes one underscore; control characters and bytes that are not
 * UTF-8 are refused.
 */
import { DROP_BAD_UTF8, DROP_CONTROL_CHARACTER, DROP_NONE } from "./reasons";

/** White space becomes an underscore, control characters and bad UTF-8 are refused. */
export const SANITIZE_BIOYINO = 0;
/** As etsy's statsd does; see cleanAsEtsy(). */
export const SANITIZE_ETSY = 1;
/** Nothing changes; only bad UTF-8 is refused. */
export const SANITIZE_OFF = 2;

const UNDERSCORE: u32 = 95;
const MINUS: u32 = 45;
const SLASH: u32 = 47;

/** Why clean() refused a text, or DROP_NONE. */
export let cleanFault: i32 = 0;

/**
 * Copies a text, cleaned. Returns the bytes written at target, never more than were read; sets cleanFault.
 */
export function clean(target: usize, start: usize, end: usize): usize {
  cleanFault = DROP_NONE;
  let out = target;
  let at = start;
  while (at < end) {
    const byte = u32(load<u8>(at));
    if (byte < 0x80) {
      at += 1;
      if (byte == 0x20 || byte == 0x09) {
        store<u8>(out, UNDERSCORE);
      } else if (byte < 0x20 || byte == 0x7f) {
        cleanFault = DROP_CONTROL_CHARACTER;
        return 0;
      } else {
        store<u8>(out, byte);
      }
      out += 1;
      continue;
    }
    const bytes = sequenceBytes(at, end);
    if (bytes == 0) {
      cleanFault = DROP_BAD_UTF8;
      return 0;
    }
    const point = codePoint(at, bytes);
    if (isBlank(point)) {
      store<u8>(out, UNDERSCORE);
      out += 1;
    } else if (point < 0xa0) {
      cleanFault = DROP_CONTROL_CHARACTER;
      return 0;
    } else {
      for (let i: usize = 0; i < bytes; i++) store<u8>(out + i, load<u8>(at + i));
      out += bytes;
    }
    at += bytes;
  }
  return out - target;
}

/**
 * Copies a text as etsy's statsd writes names: each run of white space becomes one underscore, a slash a
 * minus, and what is not a letter of ASCII, a digit or one of _-.;= is left out. Returns the bytes written.
 */
export function cleanAsEtsy(target: usize, start: usize, end: usize): usize {
  let out = target;
  let wasBlank = false;
  for (let at = start; at < end; at++) {
    const byte = u32(load<u8>(at));
    const isSpace = byte == 0x20 || (byte >= 9 && byte <= 13);
    if (isSpace) {
      if (!wasBlank) store<u8>(out++, UNDERSCORE);
    } else if (byte == SLASH) {
      store<u8>(out++, MINUS);
    } else if (isEtsyByte(byte)) {
      store<u8>(out++, byte);
    }
    wasBlank = isSpace;
  }
  return out - target;
}

function isEtsyByte(byte: u32): bool {
  const letter = byte | 0x20;
  if (letter >= 97 && letter <= 122) return true;
  // - and . before the digits, ; and = behind them.
  return (
    (byte >= 48 && byte <= 57) ||
    byte == UNDERSCORE ||
    byte == MINUS ||
    byte == 46 ||
    byte == 59 ||
    byte == 61
  );
}

/** Returns DROP_NONE, or DROP_BAD_UTF8 for a text that is not UTF-8. */
export function verify(start: usize, end: usize): i32 {
  let at = start;
  while (at < end) {
    const bytes: usize = load<u8>(at) < 0x80 ? 1 : sequenceBytes(at, end);
    if (bytes == 0) return DROP_BAD_UTF8;
    at += bytes;
  }
  return DROP_NONE;
}

/** Returns the bytes of the well-formed UTF-8 sequence at `at` (Unicode 15, table 3-7), 0 for any other. */
function sequenceBytes(at: usize, end: usize): usize {
  const lead = u32(load<u8>(at));
  let bytes: usize = 0;
  let low: u32 = 0x80;
  let high: u32 = 0xbf;
  if (lead >= 0xc2 && lead <= 0xdf) {
    bytes = 2;
  } else if (lead >= 0xe0 && lead <= 0xef) {
    bytes = 3;
    if (lead == 0xe0) low = 0xa0;
    if (lead == 0xed) high = 0x9f;
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    bytes = 4;
    if (lead == 0xf0) low = 0x90;
    if (lead == 0xf4) high = 0x8f;
  } else {
    return 0;
  }
  if (at + bytes > end) return 0;
  const second = u32(load<u8>(at + 1));
  if (second < low || second > high) return 0;
  for (let i: usize = 2; i < bytes; i++) if ((load<u8>(at + i) & 0xc0) != 0x80) return 0;
  return bytes;
}

function codePoint(at: usize, bytes: usize): u32 {
  let point = u32(load<u8>(at)) & (0xff >> (u32(bytes) + 1));
  for (let i: usize = 1; i < bytes; i++) point = (point << 6) | (u32(load<u8>(at + i)) & 0x3f);
  return point;
}

/**
 * Whether a character beyond ASCII is white space to Python's str.split(), with which carbon reads lines.
 */
function isBlank(point: u32): bool {
  if (point == 0x85 || point == 0xa0 || point == 0x1680) return true;
  if (point >= 0x2000 && point <= 0x200a) return true;
  return point == 0x2028 || point == 0x2029 || point == 0x202f || point == 0x205f || point == 0x3000;
}
