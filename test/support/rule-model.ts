/** A plain model of the rules about names: patterns by the regular expressions of JavaScript. */
import type { FilterData } from "../../relay/shaping/rule-data.ts";

const RENAMED_BYTES_MAX = 4096;

/** A glob or a regular expression, for names of characters. */
function patternOf(text: string): RegExp {
  if (text.startsWith("/")) return new RegExp(text.slice(1, -1), "u");
  const source = text.replace(/\*\*|[*?{},.^$|()[\]\\+]/g, (token) => {
    const meaning = { "**": "(.*)", "*": "([^.]*)", "?": "([^.])", "{": "(?:", "}": ")", ",": "|" }[token];
    return meaning ?? `\\${token}`;
  });
  return new RegExp(`^${source}$`, "su");
}

/** Reads the bytes of a name, given as latin1: as UTF-8 where they are. */
export function readName(name: string): { readonly text: string; readonly encoding: "utf8" | "latin1" } {
  try {
    const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    return { text: decoder.decode(Buffer.from(name, "latin1")), encoding: "utf8" };
  } catch {
    return { text: name, encoding: "latin1" };
  }
}

/** Whether a character cannot be in a name. */
function isMisplaced(character: string): boolean {
  return character === ":" || character < " " || character === "\x7f";
}

/** Gives a name the form that the first rule that fits makes of it; it stays where that is no name. */
export function renamed(name: string, rules: readonly string[]): string {
  const { text, encoding } = readName(name);
  for (const rule of rules) {
    const [from = "", to = ""] = rule.split(" -> ");
    const pattern = patternOf(from);
    const match = pattern.exec(text);
    if (match === null) continue;
    const put = to.replace(/\$([0-9])/g, (_, digit) => match[Number(digit)] ?? "");
    const result = text.slice(0, match.index) + put + text.slice(match.index + match[0].length);
    if (encoding === "latin1" && [...result].some((character) => character > "\xff")) return name;
    const bytes = Buffer.from(result, encoding).toString("latin1");
    const isNameLong = Math.max(bytes.length, name.length) > RENAMED_BYTES_MAX;
    return bytes === "" || isNameLong || [...bytes].some(isMisplaced) ? name : bytes;
  }
  return name;
}

/** Whether one of some patterns fits a name as it is read. */
export function fits(patterns: readonly string[], text: string): boolean {
  return patterns.some((pattern) => patternOf(pattern).test(text));
}

/** Whether a filter lets a name pass. */
export function isAllowed({ allow, block }: FilterData, text: string): boolean {
  return (allow.length === 0 || fits(allow, text)) && !fits(block, text);
}
