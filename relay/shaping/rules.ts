/**
 * What becomes of names by the rules of the configuration. The kernel asks once for each name that it has not
 * seen lately, so nothing here runs for every line; the time for a name is linear in its length, and nothing
 * grows.
 *
 *   name -> caps -> route 1 -> route 2 -> ... -> main
 *                   copy: goes on    move: ends with the route that takes it
 */
import { decodeName, nameEncoding } from "../../shared/pattern.ts";
import { CapSet, makeCapMemory } from "./cap.ts";
import type { Renaming } from "./rename.ts";
import { type Decision, RouteRules } from "./route-rules.ts";
import type { RuleData } from "./rule-data.ts";

/**
 * Why a name's lines are dropped.
 *   cardinality   its prefix has too many names
 *   filtered      a route that was meant for it does not let it pass, and none takes it
 *   no_route      no route is meant for it
 */
export type DropRule = "filtered" | "cardinality" | "no_route";

/** One route that takes a name. */
export interface VerdictTarget {
  /** 0 for main, index + 1 for the others. */
  readonly route: number;
  /** The name as this route sends it; undefined where it stays as it is. */
  readonly name: Uint8Array | undefined;
}

/**
 * What becomes of a name: its lines are dropped, or go to at least one route, in the routes' order, main
 * last.
 */
export type Verdict = { readonly drop: DropRule } | { readonly targets: readonly VerdictTarget[] };

/**
 * Whether a name is among the share of names that a route takes. route: 0 for main, index + 1 for the others.
 */
export type ShareTest = (route: number) => boolean;

/** What one route had to say about a name. */
export interface Finding {
  /** 0 for main, index + 1 for the others. */
  readonly route: number;
  readonly decision: Decision;
  /** Whether the name is in the route's share; true where the route does not take it anyway. */
  readonly isInShare: boolean;
  /** What its rename rules did, where it takes the name. */
  readonly renaming: Renaming | undefined;
}

const MAIN_ROUTE = 0;
const CARDINALITY: Verdict = { drop: "cardinality" };
const FILTERED: Verdict = { drop: "filtered" };
const NO_ROUTE: Verdict = { drop: "no_route" };

/** The rules, ready to be used by one thread. */
export class RuleSet {
  /** How many of the names judged had a new form that cannot be a name; they kept their old one. */
  renamesRefused = 0;
  readonly caps: CapSet;
  readonly #main: RouteRules;
  readonly #routes: readonly RouteRules[];

  /**
   * capMemory: made by makeCapMemory(data.caps), where several threads are to count names together.
   * Throws OperatorError where a pattern or a rule is faulty, or memory for the caps lacks.
   */
  constructor(data: RuleData, capMemory = makeCapMemory(data.caps)) {
    this.caps = new CapSet(data.caps, data.capWindowMs, capMemory);
    this.#main = new RouteRules({ name: "", mode: "copy", match: [], ...data.main });
    this.#routes = data.routes.map((route) => new RouteRules(route));
  }

  /** Judges a name: the bytes before a line's first colon, tags included. Keeps no view of them. */
  judge(name: Uint8Array, isInShare: ShareTest = everyName): Verdict {
    if (!this.caps.hasRoomFor(name) && !this.caps.admit(name)) return CARDINALITY;
    const targets: VerdictTarget[] = [];
    let isFiltered = false;
    for (const finding of this.examine(name, isInShare)) {
      if (finding.decision.kind === "refused") isFiltered = true;
      if (!isTaken(finding)) continue;
      const { route, renaming } = finding;
      if (renaming !== undefined && "fault" in renaming) this.renamesRefused += 1;
      targets.push({ route, name: renaming !== undefined && "name" in renaming ? renaming.name : undefined });
    }
    if (targets.length === 0) return isFiltered ? FILTERED : NO_ROUTE;
    // Only now: names that are dropped anyhow shall not use up a cap.
    return this.caps.admit(name) ? { targets } : CARDINALITY;
  }

  /** Asks the routes about a name, in order, as far as it gets. Counts nothing, and asks no cap. */
  examine(name: Uint8Array, isInShare: ShareTest = everyName): Finding[] {
    const text = decodeName(name, nameEncoding(name));
    const findings: Finding[] = [];
    for (const [index, rules] of this.#routes.entries()) {
      const finding = examineRoute(index + 1, rules, name, text, isInShare);
      findings.push(finding);
      if (rules.isMoving && isTaken(finding)) return findings;
    }
    findings.push(examineRoute(MAIN_ROUTE, this.#main, name, text, isInShare));
    return findings;
  }

  /**
   * Begins a new window of the caps when the last one is over; see CapSet. Returns whether all verdicts must
   * be forgotten.
   */
  rotate(nowMs: number): boolean {
    return this.caps.rotate(nowMs);
  }

  /** Name and manner of a route. route: 1 for the first; 0, main, has no name. */
  routeOf(route: number): { readonly name: string; readonly isMoving: boolean } {
    return this.#routes[route - 1] ?? this.#main;
  }
}

/** Whether a route takes the name in the end. */
export function isTaken({ decision, isInShare }: Finding): boolean {
  return decision.kind === "taken" && isInShare;
}

function examineRoute(
  route: number,
  rules: RouteRules,
  name: Uint8Array,
  text: string,
  isInShare: ShareTest,
): Finding {
  const decision = rules.decide(text);
  if (decision.kind !== "taken") return { route, decision, isInShare: true, renaming: undefined };
  if (!isInShare(route)) return { route, decision, isInShare: false, renaming: undefined };
  return { route, decision, isInShare: true, renaming: rules.renamer.rename(name, text) };
}

function everyName(): boolean {
  return true;
}
