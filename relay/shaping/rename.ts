/** Rules that give names a new form: `PATTERN -> REPLACEMENT`, of which the first that fits applies. */
import { OperatorError } from "../../shared/errors.ts";
import { RENAMED_BYTES_MAX } from "../../shared/kernel/relay-codes.ts";
import { compilePattern, encodeName, type Pattern } from "../../shared/pattern.ts";

const ARROW = " -> ";
const COLON = 0x3a;
const SPACE = 0x20;
const DELETE = 0x7f;

/**
 * What a rule made of a name: a new one of 1..4096 bytes, or why that was refused and the name stays. rule:
 * as configured.
 */
export type Renaming =
  | { readonly rule: string; readonly name: Uint8Array }
  | { readonly rule: string; readonly fault: string };

interface RenameRule {
  readonly text: string;
  readonly pattern: Pattern;
  readonly replacement: string;
}

/** The rename rules of one route. */
export class Renamer {
  readonly #rules: readonly RenameRule[];

  /** Throws OperatorError where a rule has no arrow or a faulty pattern. */
  constructor(rules: readonly string[]) {
    this.#rules = rules.map(readRule);
  }

  /**
   * Applies the first rule whose pattern fits. text: the name as it is read. Returns undefined where none
   * fits, or where the rule leaves the name as it is.
   */
  rename(name: Uint8Array, text: string): Renaming | undefined {
    const rule = this.#rules.find(({ pattern }) => pattern.matches(text));
    if (rule === undefined) return undefined;
    // Captures take several times as long as matching, and such a name could hardly become short enough.
    if (name.length > RENAMED_BYTES_MAX) return { rule: rule.text, fault: "the name itself is too long" };
    const renamed = rule.pattern.replace(text, rule.replacement);
    if (renamed === undefined || renamed === text) return undefined;
    const bytes = encodeName(renamed, name);
    if (bytes === undefined) return { rule: rule.text, fault: "a name that is no UTF-8 cannot take it" };
    const fault = faultOf(bytes);
    return fault === undefined ? { rule: rule.text, name: bytes } : { rule: rule.text, fault };
  }
}

function readRule(text: string): RenameRule {
  const arrow = text.lastIndexOf(ARROW);
  if (arrow < 0) {
    throw new OperatorError(`rename ${JSON.stringify(text)} has no arrow; write PATTERN -> REPLACEMENT`);
  }
  const pattern = compilePattern(text.slice(0, arrow).trim());
  return { text, pattern, replacement: text.slice(arrow + ARROW.length).trim() };
}

/** Why bytes cannot be a name. */
function faultOf(name: Uint8Array): string | undefined {
  if (name.length === 0) return "it would be empty";
  if (name.length > RENAMED_BYTES_MAX) return `it would be longer than ${RENAMED_BYTES_MAX} bytes`;
  for (const byte of name) {
    if (byte === COLON) return "it would hold a colon";
    if (byte < SPACE || byte === DELETE) return "it would hold a control character";
  }
  return undefined;
}
