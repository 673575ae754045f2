/**
 * Patterns of names, as rules in the configuration have them.
 *
 *   glob      app.*.requests    the whole name: `*` within one dotted part, `**` anything, `?` one character
 *                               but a dot, `{a,b}` one of several, `[a-z]` `[!a-z]` one of some characters
 *   /regex/   /^app\.(\w+)/i    anywhere in the name, in the syntax of RE2; `i` ignores case
 *
 * Everything else in a glob stands for itself; `[*]` is a star. Both become programs of RE2 (package re2js),
 * whose time is linear in the length of a name whatever the pattern is: there is no backtracking, and hence
 * no backreference and no lookaround.
 *
 * Names are bytes, patterns are text. Names that are valid UTF-8 are read as such, all others as Latin-1, a
 * character for each byte; what a rule makes of a name is written as the name was read.
 */
import { isAscii, isUtf8 } from "node:buffer";
import { createRequire } from "node:module";
import type { RE2JS } from "re2js";
import { UNPRINTABLE } from "./config-values.ts";
import { OperatorError } from "./errors.ts";

type Engine = typeof import("re2js");

let engine: Engine | undefined;

/** Loads RE2 with the first pattern: most relays have none, and it takes 3 MiB in each thread. */
function loadEngine(): Engine {
  engine ??= createRequire(import.meta.url)("re2js") as Engine;
  return engine;
}

/** Longest pattern, in UTF-16 units. */
const PATTERN_LENGTH_MAX = 1024;
/**
 * Most steps of a compiled program, by which its time for each character is bounded. Plain text and
 * wildcards of the greatest length stay below.
 */
const PROGRAM_STEPS_MAX = 1200;
/** Most groups of a regular expression; each costs time and memory at every step of a search for them. */
const GROUPS_MAX = 32;
/** $1..$9: further wildcards of a glob match, and are not captured, which would cost time. */
const CAPTURES_MAX = 9;
/** Replacements stop growing here; longer than any name that may come of a rename. */
const REPLACED_LENGTH_MAX = 4097;

/** How the bytes of a name are read. */
export type NameEncoding = "utf8" | "latin1";

/** A pattern ready to be used. Holds memory for what it has seen, up to 8 MiB each. */
export interface Pattern {
  /** As configured. */
  readonly text: string;
  /** How many of $1..$9 it captures. */
  readonly captureCount: number;
  /** Whether a name fits. */
  matches(name: string): boolean;
  /**
   * Puts the replacement in the place of what is matched: the whole name for a glob, the first match for a
   * regular expression. `$0` in it stands for what is matched, `$1`..`$9` for what was captured, `$$` for a
   * dollar. Returns undefined where the name does not fit. A result of more than 4096 characters may be cut
   * short at any length above that.
   */
  replace(name: string, replacement: string): string | undefined;
}

/** Returns how the bytes of a name are to be read. */
export function nameEncoding(name: Uint8Array): NameEncoding {
  // Latin-1 is the quicker reading of ASCII, and the same.
  return isAscii(name) || !isUtf8(name) ? "latin1" : "utf8";
}

/** Reads the bytes of a name. */
export function decodeName(name: Uint8Array, encoding: NameEncoding): string {
  return Buffer.from(name.buffer, name.byteOffset, name.length).toString(encoding);
}

/**
 * Writes a text that was made of a name. before: the name's encoding. Returns undefined where that has no
 * byte for some character; a name of nothing but ASCII may become any text.
 */
export function encodeName(text: string, before: Uint8Array): Uint8Array | undefined {
  if (isUtf8(before)) return Buffer.from(text, "utf8");
  for (let index = 0; index < text.length; index++) if (text.charCodeAt(index) > 0xff) return undefined;
  return Buffer.from(text, "latin1");
}

/** Says what is wrong with a pattern and how to mend it; undefined where it is fine. */
export function patternFault(text: string): string | undefined {
  const program = compile(text);
  return "fault" in program ? program.fault : undefined;
}

/**
 * Says what is wrong with a replacement for a pattern, and how to mend it: it asks for a capture that the
 * pattern does not make. Returns undefined where it is fine, or where the pattern is not.
 */
export function replacementFault(pattern: string, replacement: string): string | undefined {
  const program = compile(pattern);
  if ("fault" in program) return undefined;
  for (const [, digit] of replacement.matchAll(/\$\$|\$([1-9])/g)) {
    if (digit === undefined || Number(digit) <= program.captureCount) continue;
    const captures = program.captureCount === 0 ? "nothing" : `only $1..$${program.captureCount}`;
    return `asks for $${digit}, but its pattern captures ${captures}; use those, or write $$ for a dollar`;
  }
  return undefined;
}

/** Compiles a pattern. Throws OperatorError where patternFault finds one. */
export function compilePattern(text: string): Pattern {
  const program = compile(text);
  if ("fault" in program) throw new OperatorError(`pattern ${JSON.stringify(text)} ${program.fault}`);
  return program;
}

function compile(text: string): Pattern | { readonly fault: string } {
  if (text === "") return { fault: "is empty; write a glob such as app.**, or /REGEX/" };
  if (text.length > PATTERN_LENGTH_MAX) return { fault: `is longer than ${PATTERN_LENGTH_MAX}; shorten it` };
  if (UNPRINTABLE.test(text)) return { fault: "contains a character that cannot be printed; remove it" };
  return text.startsWith("/") ? compileRegex(text) : compileGlob(text);
}

function compileRegex(text: string): Pattern | { readonly fault: string } {
  const end = text.lastIndexOf("/");
  const flags = text.slice(end + 1);
  if (end === 0) return { fault: "has no slash at its end; write /REGEX/, or [/] for a glob's slash" };
  if (flags !== "" && flags !== "i") {
    return {
      fault: `has "${flags}" behind its last slash; write /REGEX/ or /REGEX/i, or [/] for a glob's slash`,
    };
  }
  if (end === 1) return { fault: "is empty; write something between the slashes" };
  const program = compileProgram(text.slice(1, end), flags === "i" ? loadEngine().RE2JS.CASE_INSENSITIVE : 0);
  return "fault" in program ? program : new ProgramPattern(text, program, "");
}

function compileGlob(text: string): Pattern | { readonly fault: string } {
  const glob = readGlob(text);
  if ("fault" in glob) return glob;
  const { prefix, rest } = glob;
  const program = compileProgram(`^(?s:${glob.source})$`, 0);
  if ("fault" in program) return program;
  if (rest === "") return new LiteralPattern(text, program, prefix, (name) => name === prefix);
  // Most rules are of this form, and need no more than a comparison.
  if (rest === "**") return new LiteralPattern(text, program, prefix, (name) => name.startsWith(prefix));
  return new ProgramPattern(text, program, prefix);
}

function compileProgram(source: string, flags: number): RE2JS | { readonly fault: string } {
  const tooLarge = { fault: "is too complex; lower the numbers in its {}, or split it in two" };
  try {
    const program = loadEngine().RE2JS.compile(source, flags);
    if (program.groupCount() > GROUPS_MAX) {
      return { fault: `has more than ${GROUPS_MAX} groups; write (?: for those that capture nothing` };
    }
    return program.programSize() > PROGRAM_STEPS_MAX ? tooLarge : program;
  } catch (error) {
    if (!(error instanceof loadEngine().RE2JSException)) throw error;
    const why = error.message.replace(/^error parsing regexp: /, "");
    if (/repeat count|too large|nests too deeply/.test(why)) return tooLarge;
    return {
      fault: `is no regular expression (${why}); mend it in the syntax of RE2, without lookaround and \\1`,
    };
  }
}

/** A pattern by its program. prefix: what all names that fit begin with. */
class ProgramPattern implements Pattern {
  readonly text: string;
  readonly captureCount: number;
  readonly #program: RE2JS;
  readonly #prefix: string;

  constructor(text: string, program: RE2JS, prefix: string) {
    this.text = text;
    this.captureCount = Math.min(program.groupCount(), CAPTURES_MAX);
    this.#program = program;
    this.#prefix = prefix;
  }

  matches(name: string): boolean {
    return name.startsWith(this.#prefix) && this.#program.test(name);
  }

  replace(name: string, replacement: string): string | undefined {
    // Finding captures is the slower way through the program, and most names do not fit.
    if (!this.matches(name)) return undefined;
    const match = this.#program.matcher(name);
    if (!match.find()) return undefined;
    const captures: string[] = [];
    for (let group = 0; group <= this.captureCount; group++) captures.push(match.group(group) ?? "");
    return name.slice(0, match.start()) + expand(replacement, captures) + name.slice(match.end());
  }
}

/** A glob that a comparison decides. */
class LiteralPattern extends ProgramPattern {
  readonly #isMatch: (name: string) => boolean;

  constructor(text: string, program: RE2JS, prefix: string, isMatch: (name: string) => boolean) {
    super(text, program, prefix);
    this.#isMatch = isMatch;
  }

  override matches(name: string): boolean {
    return this.#isMatch(name);
  }
}

/** Puts captures into a replacement. Bounded, as few characters could ask for a long capture many times. */
function expand(replacement: string, captures: readonly string[]): string {
  let text = "";
  for (let index = 0; index < replacement.length && text.length < REPLACED_LENGTH_MAX; index++) {
    const next = replacement[index] === "$" ? replacement[index + 1] : undefined;
    if (next !== undefined && /[0-9$]/.test(next)) {
      text += next === "$" ? "$" : (captures[Number(next)] ?? "");
      index += 1;
    } else text += replacement[index];
  }
  return text;
}

/** A glob in the syntax of RE2. prefix: its literal beginning; rest: what follows that, as written. */
interface Glob {
  readonly source: string;
  readonly prefix: string;
  readonly rest: string;
}

/** Reads a glob token by token: a wildcard, a class, a brace or comma, or a character for itself. */
function readGlob(text: string): Glob | { readonly fault: string } {
  let source = "";
  let captures = 0;
  let depth = 0;
  const capture = (inner: string): string => (++captures > CAPTURES_MAX ? inner : `(${inner})`);
  const tokens = [...text.matchAll(/\*\*|\[[!^]?\]?[^\]]*\]|./gsu)].map(([token]) => token);
  for (const token of tokens) {
    if (token === "*") source += capture("[^.]*");
    else if (token === "**") source += capture(".*");
    else if (token === "?") source += capture("[^.]");
    else if (token === "[")
      return { fault: "has a [ without its ]; close it, or write [[] for the character" };
    else if (token.length > 1 && token.startsWith("[")) {
      const members = readClass(token);
      if (members === undefined) {
        return { fault: `has ${token}, which names no characters; write such as [a-z], [!0-9] or [_-]` };
      }
      source += members;
    } else if (token === "{") {
      depth += 1;
      source += "(?:";
    } else if (token === "}" && depth > 0) {
      depth -= 1;
      source += ")";
    } else if (token === "," && depth > 0) source += "|";
    else source += loadEngine().RE2JS.quote(token);
  }
  if (depth > 0) return { fault: "has a { without its }; close it, or write [{] for the character" };
  const prefix = /^[^*?[{]*/.exec(text)![0];
  return { source, prefix, rest: text.slice(prefix.length) };
}

/** Writes a class of a glob as one of RE2. Returns undefined where it is empty or a range runs backwards. */
function readClass(token: string): string | undefined {
  const [, negation = "", inner = ""] = /^\[([!^]?)(.*)\]$/su.exec(token) ?? [];
  let members = "";
  for (const [, first, last] of inner.matchAll(/(.)(?:-(.))?/gsu)) {
    if (last !== undefined && last.codePointAt(0)! < first!.codePointAt(0)!) return undefined;
    members += last === undefined ? hex(first!) : `${hex(first!)}-${hex(last)}`;
  }
  if (members === "") return undefined;
  // Like `?`, a class of all but some characters stays within its dotted part.
  return negation === "" ? `[${members}]` : `[^.${members}]`;
}

function hex(character: string): string {
  return `\\x{${character.codePointAt(0)!.toString(16)}}`;
}
