/** Shows a page of JSON to people: names and values, one a line, indented by depth. */
import { showText } from "../name-text.ts";

const INDENT = "  ";
/** Deeper values are shown as JSON. */
const DEPTH_MAX = 6;
/** Of fractions; durations are measured to the nanosecond. */
const DIGITS = 6;

/** Describes any JSON value. Lists of plain values stand on one line. */
export function describeValue(value: unknown): string {
  return `${describe(value, 0).join("\n")}\n`;
}

function describe(value: unknown, depth: number): string[] {
  if (isPlain(value) || depth > DEPTH_MAX) return [INDENT.repeat(depth) + plainText(value)];
  if (Array.isArray(value)) {
    return value.flatMap((item) => {
      const [first = "", ...rest] = describe(item, depth + 1);
      return [`${INDENT.repeat(depth)}- ${first.trimStart()}`, ...rest];
    });
  }
  const entries = Object.entries(value as object);
  const width = Math.max(
    0,
    ...entries.filter(([, one]) => isShort(one)).map(([name]) => showText(name).length),
  );
  return entries.flatMap(([name, one]) => {
    const head = INDENT.repeat(depth) + showText(name);
    return isShort(one)
      ? [`${INDENT.repeat(depth)}${showText(name).padEnd(width)}  ${shortText(one)}`.trimEnd()]
      : [head, ...describe(one, depth + 1)];
  });
}

function isPlain(value: unknown): boolean {
  return typeof value !== "object" || value === null;
}

/** Whether a value fits on the line of its name. */
function isShort(value: unknown): boolean {
  if (Array.isArray(value)) return value.every(isPlain);
  return isPlain(value) || Object.keys(value as object).length === 0;
}

function shortText(value: unknown): string {
  if (Array.isArray(value)) return value.map(plainText).join(" ");
  return isPlain(value) ? plainText(value) : "";
}

function plainText(value: unknown): string {
  if (typeof value === "string") return showText(value);
  const isFraction = typeof value === "number" && !Number.isInteger(value);
  return showText(JSON.stringify(isFraction ? Number(value.toPrecision(DIGITS)) : value));
}
