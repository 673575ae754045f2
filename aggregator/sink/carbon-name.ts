/**
 * Which names carbon can take.
 *
 * Names may come from peers, so they are checked here, whatever was checked before. Carbon drops the
 * connection, with all lines behind, at invalid UTF-8 and at lines over 16,384 bytes; it splits at every
 * blank that Python's str.split() knows; and it writes a file per name, whose path must be one that the
 * system takes.
 */
import { isUtf8 } from "node:buffer";

/** Longest name, so that a line with it stays below the longest that carbon reads. */
export const CARBON_NAME_BYTES_MAX = 15_936;

/** Longest name of a directory. */
const COMPONENT_BYTES_MAX = 255;
/** The last component gets `.wsp` appended. */
const LEAF_BYTES_MAX = COMPONENT_BYTES_MAX - 4;

const SPACE = 0x20;
const DOT = 0x2e;
const SEMICOLON = 0x3b;
const DELETE = 0x7f;

/** Blanks of Python's str.split() outside ASCII. */
const UNICODE_BLANK = /[\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/u;

/**
 * Copies and checks source[start, end) in one pass. target: has room for it from the offset on. Returns the
 * offset behind, or -1 for a name to refuse.
 */
export function copyCarbonName(
  target: Buffer,
  offset: number,
  source: Buffer,
  start: number,
  end: number,
): number {
  if (end - start > CARBON_NAME_BYTES_MAX) return -1;
  let to = offset;
  let componentBytes = 0;
  let isAscii = true;
  let isTagged = false;
  for (let from = start; from < end; from++) {
    const byte = source[from]!;
    if (byte <= SPACE || byte === DELETE) return -1;
    if (byte > DELETE) isAscii = false;
    if (byte === DOT) componentBytes = 0;
    else if (byte === SEMICOLON) isTagged = true;
    else if (!isTagged && ++componentBytes > COMPONENT_BYTES_MAX) return -1;
    target[to++] = byte;
  }
  if (start === end || source[start] === SEMICOLON) return -1;
  // Tagged names become files that are named by a hash.
  if (!isTagged && componentBytes > LEAF_BYTES_MAX) return -1;
  return isAscii || isCleanUtf8(source.subarray(start, end)) ? to : -1;
}

function isCleanUtf8(name: Buffer): boolean {
  return isUtf8(name) && !UNICODE_BLANK.test(name.toString("utf8"));
}
