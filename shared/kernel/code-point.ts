/**
 * Reads UTF-8 as programs do that decode before they hash: each maximal part of an ill-formed sequence counts
 * as one U+FFFD. Source: Unicode 15, table 3-7 and "U+FFFD substitution of maximal subparts", which Rust's
 * from_utf8_lossy, TextDecoder and Buffer.toString() follow.
 */

/** What stands for bytes that are no UTF-8. */
export const REPLACEMENT: u32 = 0xfffd;

/** Bytes that the last readCodePoint() took; 1 or more. */
export let codePointBytes: usize = 1;
/** Whether they were no UTF-8. */
export let isIllFormed: bool = false;

/** Returns the code point at `at`, which lies before `end`, or REPLACEMENT. Never reads at `end`. */
export function readCodePoint(at: usize, end: usize): u32 {
  const lead = u32(load<u8>(at));
  codePointBytes = 1;
  isIllFormed = false;
  if (lead < 0x80) return lead;
  let following: u32 = 0;
  let low: u32 = 0x80;
  let high: u32 = 0xbf;
  let point: u32 = 0;
  if (lead >= 0xc2 && lead <= 0xdf) {
    following = 1;
    point = lead & 0x1f;
  } else if (lead >= 0xe0 && lead <= 0xef) {
    following = 2;
    point = lead & 0x0f;
    if (lead == 0xe0) low = 0xa0;
    if (lead == 0xed) high = 0x9f;
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    following = 3;
    point = lead & 0x07;
    if (lead == 0xf0) low = 0x90;
    if (lead == 0xf4) high = 0x8f;
  } else {
    isIllFormed = true;
    return REPLACEMENT;
  }
  for (at += 1; following > 0; at++, following--) {
    const byte = at < end ? u32(load<u8>(at)) : 0;
    if (byte < low || byte > high) {
      isIllFormed = true;
      return REPLACEMENT;
    }
    codePointBytes += 1;
    point = (point << 6) | (byte & 0x3f);
    low = 0x80;
    high = 0xbf;
  }
  return point;
}
