/** Writes the tags of a series among which an aggregate is told, in a form that carbon takes. */

const BANG = 0x21;
const SEMICOLON = 0x3b;
const EQUALS = 0x3d;
const CARET = 0x5e;
const UNDERSCORE = 0x5f;
const TILDE = 0x7e;
/** Value of a tag that has none: what others make of DogStatsD's bare tags. */
const TRUE = Buffer.from("=true");
/** Value of a tag whose value is empty. Leaving the tag out would give two series one name. */
const NONE = Buffer.from("none");
/** Tags of one series that are mended; the kernel takes no series with more. */
const MENDED_MAX = 256;
/** Bytes that mending can add to one tag: `=true`, and an underscore before it. */
const MENDED_BYTES = 6;
/** Bytes that mending can add to the tags of one series. */
export const MENDED_BYTES_MAX = MENDED_MAX * MENDED_BYTES;

/**
 * How tags are written.
 *
 *   raw          as they came
 *   graphite     so that carbon and graphite-web take them: `bare` becomes `bare=true`, `k=` becomes
 *                `k=none`; an empty key, `!` and `^` in a key, and `~` in front of a value become an
 *                underscore
 *   prometheus   the same, and keys have nothing but letters, digits and underscores, and begin with no digit
 */
export type TagSpelling = "raw" | "graphite" | "prometheus";

/** Returns what each byte of a tag's key becomes; undefined where all stay. */
function keyBytes(spelling: TagSpelling): Uint8Array | undefined {
  if (spelling === "raw") return undefined;
  return Uint8Array.from({ length: 256 }, (_, byte) => {
    if (spelling === "prometheus") return isWord(byte) ? byte : UNDERSCORE;
    return byte === BANG || byte === CARET ? UNDERSCORE : byte;
  });
}

/** Whether a byte may stand in the key of a Prometheus label. */
function isWord(byte: number): boolean {
  return /[a-zA-Z0-9_]/.test(String.fromCharCode(byte));
}

/** Whether a byte is a digit. */
export function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

export class TagWriter {
  readonly #key: Uint8Array | undefined;
  readonly #isPrometheus: boolean;

  constructor(spelling: TagSpelling) {
    this.#key = keyBytes(spelling);
    this.#isPrometheus = spelling === "prometheus";
  }

  /**
   * Writes the tags of source[semicolon, end) to target[offset..], and `own` (`;aggregate=sum`, or empty)
   * before the first part that is not byte-wise smaller than `ownKey`, in place of any part with that key.
   * Empty parts are left out. Returns the offset behind them.
   */
  write(
    target: Buffer,
    offset: number,
    source: Buffer,
    semicolon: number,
    end: number,
    own: Buffer,
    ownKey: Buffer,
  ): number {
    let to = offset;
    const hasOwn = own.length > 0;
    let isWritten = !hasOwn;
    let mendable = MENDED_MAX;
    let start = semicolon + 1;
    while (start <= end) {
      let stop = start;
      while (stop < end && source[stop] !== SEMICOLON) stop++;
      if (!isWritten && !isSmaller(source, start, stop, ownKey)) {
        // An empty part is smaller than any key, so it never gets here.
        to = append(target, to, own);
        isWritten = true;
      }
      // An empty part would leave two semicolons together, or one at the end.
      if (stop > start && !(hasOwn && hasKey(source, start, stop, ownKey))) {
        const key = mendable-- > 0 ? this.#key : undefined;
        target[to++] = SEMICOLON;
        to =
          key === undefined
            ? copy(target, to, source, start, stop)
            : this.#mend(target, to, source, start, stop, key);
      }
      start = stop + 1;
    }
    return isWritten ? to : append(target, to, own);
  }

  #mend(
    target: Buffer,
    offset: number,
    source: Buffer,
    start: number,
    stop: number,
    key: Uint8Array,
  ): number {
    let to = offset;
    let from = start;
    if (this.#isPrometheus && isDigit(source[from]!)) target[to++] = UNDERSCORE;
    while (from < stop) {
      const byte = source[from]!;
      if (byte === EQUALS) break;
      target[to++] = key[byte]!;
      from++;
    }
    if (from === start) target[to++] = UNDERSCORE;
    if (from === stop) return append(target, to, TRUE);
    target[to++] = EQUALS;
    from++;
    if (from === stop) return append(target, to, NONE);
    target[to++] = source[from] === TILDE ? UNDERSCORE : source[from]!;
    return copy(target, to, source, from + 1, stop);
  }
}

function copy(target: Buffer, offset: number, source: Buffer, start: number, stop: number): number {
  let to = offset;
  for (let from = start; from < stop; from++) target[to++] = source[from]!;
  return to;
}

/** Writes a text to target[offset..]. Returns the offset behind it. */
export function append(target: Buffer, offset: number, text: Buffer): number {
  for (let index = 0; index < text.length; index++) target[offset + index] = text[index]!;
  return offset + text.length;
}

/**
 * Whether source[start, stop) is byte-wise smaller than key; a shorter one is smaller than its
 * continuation.
 */
function isSmaller(source: Buffer, start: number, stop: number, key: Buffer): boolean {
  const length = Math.min(stop - start, key.length);
  for (let index = 0; index < length; index++) {
    const byte = source[start + index]!;
    if (byte !== key[index]) return byte < key[index]!;
  }
  return stop - start < key.length;
}

/** Whether the part source[start, stop) is `key` or `key=...`. */
function hasKey(source: Buffer, start: number, stop: number, key: Buffer): boolean {
  const length = stop - start;
  if (length < key.length) return false;
  if (length > key.length && source[start + key.length] !== EQUALS) return false;
  for (let index = 0; index < key.length; index++) if (source[start + index] !== key[index]) return false;
  return true;
}
