/** Names of metrics as people read and write them: any bytes, in one line of printable text. */

/** One UTF-8 sequence of a character, or one byte that belongs to none. */
const SEQUENCES =
  /[^\x80-\xff]|[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}|[\x80-\xff]/g;
/** What a terminal would act on, or not show: control, format and separator characters. */
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]/u;
const COLON = 0x3a;
const decoder = new TextDecoder("utf-8", { fatal: true });

/**
 * Writes a name as text. Bytes that are no UTF-8, and characters that a terminal would act on, become \xHH;
 * a backslash becomes two. readName is the way back.
 */
export function showName(name: Uint8Array): string {
  const latin = Buffer.from(name.buffer, name.byteOffset, name.length).toString("latin1");
  if (/^[ -[\]-~]*$/.test(latin)) return latin;
  return latin.replace(SEQUENCES, (sequence) => {
    if (sequence === "\\") return "\\\\";
    const text = decode(sequence);
    return text === undefined || UNPRINTABLE.test(text) ? escapeBytes(sequence) : text;
  });
}

function decode(sequence: string): string | undefined {
  try {
    return decoder.decode(Buffer.from(sequence, "latin1"));
  } catch {
    // Overlong forms and surrogates: shown byte by byte, like everything that is no text.
    return undefined;
  }
}

function escapeBytes(sequence: string): string {
  return [...sequence].map((byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, "0")}`).join("");
}

/** Makes any text fit for one line of a terminal; what is unprintable becomes \xHH. */
export function showText(text: string): string {
  return UNPRINTABLE.test(text) ? showName(Buffer.from(text)) : text;
}

/**
 * Reads a name that someone wrote: `\xHH`, `\t`, `\r`, `\n` and `\\` stand for bytes, all else for its UTF-8.
 * Of a whole line, such as `a:1|c`, the name is taken.
 */
export function readName(text: string): Uint8Array {
  const parts: Buffer[] = [];
  for (const [piece, hex, letter] of text.matchAll(/\\x([0-9a-fA-F]{2})|\\([trn\\])|\\|[^\\]+/g)) {
    if (hex !== undefined) parts.push(Buffer.from(hex, "hex"));
    else if (letter !== undefined)
      parts.push(Buffer.from({ t: "\t", r: "\r", n: "\n", "\\": "\\" }[letter]!));
    else parts.push(Buffer.from(piece));
  }
  return nameOf(Buffer.concat(parts));
}

/** The name of a line: what stands before its first colon, or all of it. A view of the same bytes. */
export function nameOf(line: Uint8Array): Uint8Array {
  const colon = line.indexOf(COLON);
  return colon < 0 ? line : line.subarray(0, colon);
}
