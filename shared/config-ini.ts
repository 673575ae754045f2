/**
 * INI text to settings. `ini` reads the values; before it, a strict scanner looks at every line, because
 * `ini` has no line numbers, keeps the last of two equal keys, cuts values at an unquoted `#` or `;`, and
 * skips what it does not understand. Only lines that the scanner has understood, as `ini` would, reach it.
 */
import { parse } from "ini";
import { NAMED_MAX, namedSection, PARENTS, PLACEHOLDERS } from "./config-named.ts";
import { nearest } from "./config-nearest.ts";
import { optionsOf, SECTIONS } from "./config-options.ts";
import { MAIN_RING } from "./config-relay.ts";
import { type ConfigFault, FAULTS_MAX, show } from "./config-report.ts";
import { listRule } from "./config-rows.ts";
import { UNPRINTABLE } from "./config-values.ts";

/** More keys than this in one line of a report help nobody. */
const SHOWN_KEYS_MAX = 30;

/** A key and a value as a line gives them. Of a list there may be several, one for each line. */
export interface Setting {
  readonly section: string;
  readonly key: string;
  /** Counted from 1. */
  readonly line: number;
  /** Without quotes and escapes. */
  readonly value: string;
}

/** What was understood of a text, and what was not. */
export interface IniScan {
  readonly settings: readonly Setting[];
  readonly faults: readonly ConfigFault[];
  /** Line of each section's header, in the order of the file. */
  readonly sections: ReadonlyMap<string, number>;
}

/** Reads INI text. Never throws: every fault of every line is in the result, up to FAULTS_MAX. */
export function scanIni(text: string): IniScan {
  const scanner = new Scanner();
  // The same ends of lines as in `ini`, or the two would disagree about what a line is.
  const lines = text.replace(/^\uFEFF/, "").split(/\r\n|\n|\r/);
  for (const [index, line] of lines.entries()) {
    if (scanner.faults.length === FAULTS_MAX) {
      const what = "there are too many faults; what follows was not read";
      scanner.faults.push({ place: { line: index + 1 }, what });
      break;
    }
    scanner.take(line.trim(), index + 1);
  }
  return { settings: scanner.settings(), faults: scanner.faults, sections: scanner.sections };
}

/** A key that was taken, before its value is read. */
interface Taken {
  readonly section: string;
  readonly key: string;
  readonly line: number;
  readonly isBracketed: boolean;
  /** Name of the section among the lines for `ini`; it has no dots, which would nest sections. */
  readonly place: string;
  /** The value of an option whose items are taken as they stand. */
  readonly whole?: string;
}

class Scanner {
  readonly faults: ConfigFault[] = [];
  /** Lines for `ini`. */
  readonly #kept: string[] = [];
  readonly #taken: Taken[] = [];
  readonly sections = new Map<string, number>();
  /** First use of each `section.key`. */
  readonly #firstUses = new Map<string, Taken>();
  /** A known section, "unknown" after a header that is not, or undefined before the first header. */
  #section: { readonly name: string } | "unknown" | undefined;

  /** text: a line without blanks around it. */
  take(text: string, line: number): void {
    if (text === "" || text.startsWith("#") || text.startsWith(";")) return;
    let what: string | undefined;
    if (UNPRINTABLE.test(text.replaceAll("\t", " "))) {
      what = `${show(text)}: has a character that cannot be printed; remove it`;
    } else {
      what = text.startsWith("[") ? this.#takeHeader(text, line) : this.#takeKey(text, line);
    }
    if (what !== undefined) this.faults.push({ place: { line }, what });
  }

  /** Returns what is wrong with a header, or undefined. */
  #takeHeader(text: string, line: number): string | undefined {
    this.#section = "unknown";
    const [, inner] = /^\[([^\]]*)\]$/.exec(text) ?? [];
    if (inner === undefined) {
      return `${show(text)}: is no section header; write [NAME] and nothing else on the line`;
    }
    const name = inner.trim();
    if (optionsOf(name) === undefined) return `[${show(name)}]: ${unknownSection(name)}`;
    this.#section = { name };
    const before = this.sections.get(name);
    if (before !== undefined) return `[${name}]: is there already, in line ${before}; put its keys together`;
    this.sections.set(name, line);
    const kind = namedSection(name)?.kind;
    const others = [...this.sections.keys()].filter((known) => namedSection(known)?.kind === kind);
    if (kind !== undefined && others.length > NAMED_MAX) {
      return `[${name}]: is one ${kind} too many; have at most ${NAMED_MAX}`;
    }
    return undefined;
  }

  /** Returns what is wrong with a line that should have a key and a value, or undefined. */
  #takeKey(text: string, line: number): string | undefined {
    const equals = text.indexOf("=");
    const written = (equals < 0 ? text : text.slice(0, equals)).trim();
    const raw = equals < 0 ? "" : text.slice(equals + 1).trim();
    const shown = raw === "" ? show(written) : `${show(written)} = ${show(raw)}`;
    if (written === "") return `${show(text)}: has no key before its =; write KEY = VALUE`;
    if (this.#section === undefined) return `${shown}: ${beforeSections(written)}`;
    // The header was a fault; what its keys mean cannot be known.
    if (this.#section === "unknown") return undefined;
    const section = this.#section.name;
    const isBracketed = written.endsWith("[]");
    const key = isBracketed ? written.slice(0, -2) : written;
    const option = optionsOf(section)!.get(key);
    const full = `${section}.${shown}`;
    if (option === undefined) return `${full}: ${unknownKey(section, key, equals < 0)}`;
    if (equals < 0) return `${full}: has no value; write ${written} = VALUE`;
    const rule = listRule(option);
    if (isBracketed && rule === undefined) return `${full}: is no list; write ${key} = VALUE`;
    const isRaw = rule?.isRaw === true;
    const problem = quotingFault(raw, isRaw);
    if (problem !== undefined) return `${full}: ${problem}`;
    if (isRaw && !isBracketed && /[\s,]/.test(raw)) {
      return `${full}: has blanks or commas, which do not part these items; write ${key}[] = ITEM for each`;
    }
    const first = this.#firstUses.get(`${section}.${key}`);
    if (first !== undefined && !(isBracketed && first.isBracketed)) {
      const remedy = rule !== undefined ? `write ${key}[] in both, or one list` : "keep one of them";
      return `${full}: is set already, in line ${first.line}; ${remedy}`;
    }
    const place = `section${[...this.sections.keys()].indexOf(section)}`;
    const taken = { section, key, line, isBracketed, place, ...(isRaw ? { whole: unquote(raw) } : {}) };
    this.#firstUses.set(`${section}.${key}`, first ?? taken);
    this.#taken.push(taken);
    if (!isRaw) this.#kept.push(`[${place}]`, `${written} = ${raw}`);
    return undefined;
  }

  /** Reads the values of the lines that were kept. */
  settings(): Setting[] {
    const tree: unknown = parse(this.#kept.join("\n"));
    const uses = new Map<string, number>();
    return this.#taken.map(({ section, key, line, isBracketed, place, whole }) => {
      if (whole !== undefined) return { section, key, line, value: whole };
      const value = member(member(tree, place), key);
      if (!isBracketed) return { section, key, line, value: String(value) };
      const index = uses.get(`${section}.${key}`) ?? 0;
      uses.set(`${section}.${key}`, index + 1);
      return { section, key, line, value: String(member(value, String(index))) };
    });
  }
}

/** Names come from the option table, so that they cannot reach into a prototype. */
function member(tree: unknown, name: string): unknown {
  return (tree as Record<string, unknown>)[name];
}

function unknownSection(name: string): string {
  const [, kind] = /^(route|listener|carbon)s?(?:\W|$)/i.exec(name) ?? [];
  if (kind !== undefined) {
    const what =
      name === `route.${MAIN_RING}` ? "is how the ring of [relay] is called" : `is no name of a ${kind}`;
    const placeholder = `${kind.toLowerCase()}.NAME`;
    return `${what}; write [${placeholder}], with up to 32 letters, digits, _ and - for NAME`;
  }
  const known = [...SECTIONS.keys()].flatMap((one) => [
    one,
    ...PLACEHOLDERS.filter((placeholder) => PARENTS[kindOf(placeholder)] === one),
  ]);
  const close = nearest(name, known);
  const remedy = close === undefined ? `choose from ${known.join(", ")}` : `did you mean [${close}]?`;
  return `is an unknown section; ${remedy}`;
}

function kindOf(placeholder: (typeof PLACEHOLDERS)[number]): keyof typeof PARENTS {
  return placeholder.split(".")[0] as keyof typeof PARENTS;
}

function beforeSections(key: string): string {
  if (SECTIONS.has(key)) return `is a section; write [${key}] on a line of its own`;
  const owners = [...SECTIONS].filter(([, options]) => options.has(key.replace(/\[\]$/, "")));
  const owner = owners.length === 1 ? owners[0]![0] : "SECTION";
  return `stands before any section; write [${owner}] above it`;
}

function unknownKey(section: string, key: string, isLone: boolean): string {
  if (isLone && key.includes(" ")) return "is neither a key nor a comment; begin comments with #";
  const options = optionsOf(section)!;
  const close = nearest(key, options.keys());
  if (close !== undefined) return `is an unknown key; did you mean ${close}?`;
  const owner = [...SECTIONS].find(([, others]) => others.has(key))?.[0];
  if (owner !== undefined) return `is an unknown key; it belongs into [${owner}]`;
  if (options.size > SHOWN_KEYS_MAX) return `is an unknown key; config/suite.ini has all of [${section}]`;
  return `is an unknown key; choose from ${[...options.keys()].join(", ")}`;
}

/** Says what `ini` would misread in a value, or undefined. isRaw: a backslash hides nothing. */
function quotingFault(raw: string, isRaw: boolean): string | undefined {
  if (raw.startsWith("'")) return "has single quotes, which do not quote here; use double quotes";
  if (raw.startsWith('"')) {
    return isQuoted(raw)
      ? undefined
      : "is no quoted text; close the quotes at its end, and put a backslash before any quote within";
  }
  for (let index = 0; index < raw.length; index++) {
    const char = raw[index]!;
    if (char === "#" || char === ";") {
      return `has ${char} in it; put the value in double quotes, or a comment on a line of its own`;
    }
    // `ini` takes the character behind a backslash as it is.
    if (char === "\\" && !isRaw) index++;
  }
  return undefined;
}

/** raw: a value that quotingFault has found well quoted, or not quoted. */
function unquote(raw: string): string {
  return raw.startsWith('"') ? String(JSON.parse(raw)) : raw;
}

function isQuoted(raw: string): boolean {
  try {
    return typeof JSON.parse(raw) === "string";
  } catch {
    // That is the answer: `ini` would leave the quotes in the value.
    return false;
  }
}
