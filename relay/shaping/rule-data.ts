/** The rules of a configuration as plain data, without what it takes to use them. */
import type { CardinalityCap } from "../../shared/config-shaping.ts";

/** Rules that the main route has too, as configured. */
export interface FilterData {
  /** Patterns; names that fit none do not pass. None at all lets every name pass. */
  readonly allow: readonly string[];
  /** Patterns; names that fit one do not pass. */
  readonly block: readonly string[];
  /** `PATTERN -> REPLACEMENT`; the first that fits applies. */
  readonly rename: readonly string[];
}

/** Rules of a route, as configured. */
export interface RouteData extends FilterData {
  readonly name: string;
  /** Whether names that it takes go on to the routes behind it and to main, or not. */
  readonly mode: "copy" | "move";
  /** Patterns of the names that it is meant for. None at all means every name. */
  readonly match: readonly string[];
}

/** All rules, as configured; plain data that can be posted to a thread. */
export interface RuleData {
  readonly main: FilterData;
  /** In the order of the configuration. */
  readonly routes: readonly RouteData[];
  readonly caps: readonly CardinalityCap[];
  readonly capWindowMs: number;
}

/** Whether rules make a difference between names at all; otherwise nobody needs to be asked. */
export function needsHost({ main, routes, caps }: RuleData): boolean {
  return caps.length > 0 || hasRules({ match: [], ...main }) || routes.some(hasRules);
}

/** Whether a route's rules make a difference between names. */
function hasRules({ match, allow, block, rename }: Omit<RouteData, "name" | "mode">): boolean {
  return [match, allow, block, rename].some((rules) => rules.length > 0);
}
