/** The rules of one route: which names it takes, and what it calls them. */
import { compilePattern, type Pattern } from "../../shared/pattern.ts";
import { Renamer } from "./rename.ts";
import type { RouteData } from "./rule-data.ts";

/**
 * Whether a route takes a name, and the patterns that decided, as configured.
 *   unmatched   it is not meant for the name
 *   refused     it is, but the name does not pass: by a pattern of block, or for want of one of allow
 *   taken       it takes the name
 */
export type Decision =
  | { readonly kind: "unmatched" }
  | { readonly kind: "refused"; readonly block: string | undefined }
  | { readonly kind: "taken"; readonly match: string | undefined; readonly allow: string | undefined };

const UNMATCHED: Decision = { kind: "unmatched" };
const NOT_ALLOWED: Decision = { kind: "refused", block: undefined };

/** One route's rules, ready to be used. */
export class RouteRules {
  /** Empty for the main route. */
  readonly name: string;
  /** Whether names that it takes end here. */
  readonly isMoving: boolean;
  readonly renamer: Renamer;
  readonly #match: readonly Pattern[];
  readonly #allow: readonly Pattern[];
  readonly #block: readonly Pattern[];

  /** Throws OperatorError where a pattern or a rule is faulty. */
  constructor({ name, mode, match, allow, block, rename }: RouteData) {
    this.name = name;
    this.isMoving = mode === "move";
    this.renamer = new Renamer(rename);
    this.#match = match.map(compilePattern);
    this.#allow = allow.map(compilePattern);
    this.#block = block.map(compilePattern);
  }

  /** Decides about a name. text: the name as it is read. */
  decide(text: string): Decision {
    const match = firstMatch(this.#match, text);
    if (match === undefined && this.#match.length > 0) return UNMATCHED;
    const allow = firstMatch(this.#allow, text);
    if (allow === undefined && this.#allow.length > 0) return NOT_ALLOWED;
    const block = firstMatch(this.#block, text);
    return block === undefined ? { kind: "taken", match, allow } : { kind: "refused", block };
  }
}

function firstMatch(patterns: readonly Pattern[], text: string): string | undefined {
  return patterns.find((pattern) => pattern.matches(text))?.text;
}
