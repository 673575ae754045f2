/** Says in plain words what the rules make of a name, for the operator who asks why. */
import { showName } from "../../shared/name-text.ts";
import { type Finding, isTaken, type RuleSet, type ShareTest, type VerdictTarget } from "./rules.ts";

/** What becomes of a name, and why, a sentence without full stop each. */
export interface Explanation {
  /** Routes that take it, each with what led there. */
  readonly targets: readonly (VerdictTarget & { readonly why: readonly string[] })[];
  /** Routes that do not take it, and the cap that counts it. */
  readonly others: readonly string[];
}

/**
 * Explains what the rules make of a name, all in lines. Counts nothing, and so cannot say whether a cap would
 * still have room for it in a relay that runs.
 */
export function explainVerdict(rules: RuleSet, name: Uint8Array, isInShare?: ShareTest): readonly string[] {
  const { targets, others } = explain(rules, name, isInShare);
  return [...targets.flatMap(({ why }) => why), ...others];
}

/** Explains what the rules make of a name, sorted by route. Counts nothing. */
export function explain(rules: RuleSet, name: Uint8Array, isInShare?: ShareTest): Explanation {
  const findings = rules.examine(name, isInShare);
  const targets = findings.filter(isTaken).map((finding) => {
    const { route, renaming } = finding;
    const renamed = renaming !== undefined && "name" in renaming ? renaming.name : undefined;
    return { route, name: renamed, why: [describeFinding(rules, finding), ...describeRenaming(finding)] };
  });
  const others = [
    ...findings.filter((finding) => !isTaken(finding)).map((finding) => describeFinding(rules, finding)),
    ...describeEnd(rules, findings),
    ...describeCap(rules, name),
  ];
  return { targets, others };
}

function describeFinding(rules: RuleSet, finding: Finding): string {
  const { route, decision, isInShare } = finding;
  const who = routeName(rules, route);
  if (decision.kind === "unmatched") return `${who} is not meant for it: no pattern of match fits`;
  if (decision.kind === "refused") {
    const { block } = decision;
    return `${who} refuses it: ${block === undefined ? "no pattern of allow fits" : `block has ${block}`}`;
  }
  if (!isInShare) return `${who} leaves it out: it is not in the route's share of names`;
  const patterns = [
    ...(decision.match === undefined ? [] : [`match has ${decision.match}`]),
    ...(decision.allow === undefined ? [] : [`allow has ${decision.allow}`]),
  ];
  const how = rules.routeOf(route).isMoving ? "takes it away" : route === 0 ? "takes it" : "takes a copy";
  return `${who} ${how}: ${patterns.length === 0 ? "every name may pass" : patterns.join(" and ")}`;
}

function describeRenaming({ renaming }: Finding): string[] {
  if (renaming === undefined) return [];
  if ("name" in renaming) return [`renamed to ${showName(renaming.name)} by ${renaming.rule}`];
  return [`keeps its name, though ${renaming.rule} fits: ${renaming.fault}`];
}

/** That the routes behind one that moves were not asked. */
function describeEnd(rules: RuleSet, findings: readonly Finding[]): string[] {
  const last = findings.at(-1);
  if (last === undefined || last.route === 0) return [];
  return [`main and later routes do not get it: ${routeName(rules, last.route)} took it away`];
}

function describeCap(rules: RuleSet, name: Uint8Array): string[] {
  const cap = rules.caps.capOf(name);
  if (cap === undefined) return [];
  return [`cap ${cap.prefix}=${cap.count} counts it: dropped if it comes after that many other names`];
}

function routeName(rules: RuleSet, route: number): string {
  return route === 0 ? "main" : `route ${rules.routeOf(route).name}`;
}
