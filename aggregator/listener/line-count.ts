/** Counting lines. */
const LF = 10;

/** Counts the line feeds of a piece of text. */
export function countLines(bytes: Uint8Array): number {
  let count = 0;
  for (let i = 0; i < bytes.length; i++) if (bytes[i] === LF) count += 1;
  return count;
}
