/** How many columns of a terminal a text takes, and texts made to take a given number. */

const ELLIPSIS = "..";
/** Characters that most terminals draw two columns wide. */
const WIDE = new RegExp(
  "[\\u1100-\\u115f\\u2e80-\\ua4cf\\uac00-\\ud7a3\\uf900-\\ufaff\\ufe30-\\ufe6f\\uff00-\\uff60" +
    "\\uffe0-\\uffe6\\u{1f300}-\\u{1faff}\\u{20000}-\\u{3fffd}]",
  "u",
);
const COMBINING = /\p{M}/u;

/** Columns of a text without control characters. */
export function textWidth(text: string): number {
  if (/^[ -~]*$/.test(text)) return text.length;
  let columns = 0;
  for (const char of text) columns += charWidth(char);
  return columns;
}

function charWidth(char: string): number {
  if (COMBINING.test(char)) return 0;
  return WIDE.test(char) ? 2 : 1;
}

/** Cuts a text at its end, or adds blanks, so that it takes exactly `columns`. */
export function fitEnd(text: string, columns: number): string {
  const width = textWidth(text);
  if (width <= columns) return text + " ".repeat(columns - width);
  if (columns < ELLIPSIS.length) return " ".repeat(Math.max(0, columns));
  const head = takeColumns([...text], columns - ELLIPSIS.length);
  return pad(`${head.join("")}${ELLIPSIS}`, columns);
}

/** Does as fitEnd, but leaves a middle part out: names differ at both ends. */
export function fitMiddle(text: string, columns: number): string {
  const width = textWidth(text);
  if (width <= columns || columns < ELLIPSIS.length + 2) return fitEnd(text, columns);
  const room = columns - ELLIPSIS.length;
  const chars = [...text];
  const tail = takeColumns(chars.toReversed(), Math.ceil(room / 2)).reverse();
  const head = takeColumns(chars, Math.floor(room / 2));
  return pad(`${head.join("")}${ELLIPSIS}${tail.join("")}`, columns);
}

/** The first characters that fit. */
function takeColumns(chars: readonly string[], columns: number): string[] {
  let used = 0;
  const taken: string[] = [];
  for (const char of chars) {
    used += charWidth(char);
    if (used > columns) break;
    taken.push(char);
  }
  return taken;
}

function pad(text: string, columns: number): string {
  return text + " ".repeat(Math.max(0, columns - textWidth(text)));
}
