/** Verdicts against a model that reads the rules plainly, and caps against sets of names. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CapSet, makeCapMemory } from "../../relay/shaping/cap.ts";
import { explain } from "../../relay/shaping/describe.ts";
import { needsHost, type RouteData, type RuleData } from "../../relay/shaping/rule-data.ts";
import { RuleSet } from "../../relay/shaping/rules.ts";

/** Patterns, and what they mean. */
const MEANINGS: Readonly<Record<string, (name: string) => boolean>> = {
  "**": () => true,
  "a.**": (name) => name.startsWith("a."),
  "*": (name) => !name.includes("."),
  "*.b": (name) => /^[^.]*\.b$/.test(name),
  "?.{a,b}": (name) => ["a.a", "a.b", "b.a", "b.b"].includes(name),
  "/b/": (name) => name.includes("b"),
  "/^B/i": (name) => name.startsWith("b"),
};
/** Rules, and what they make of names that fit. */
const RENAMES: Readonly<Record<string, (name: string) => string | undefined>> = {
  "** -> x.$1": (name) => `x.${name}`,
  "a.** -> $1": (name) => (name.startsWith("a.") ? name.slice(2) : undefined),
  "/b/ -> :": (name) => (name.includes("b") ? name.replace("b", ":") : undefined),
  "*.* -> $2.$1": (name) => (name.split(".").length === 2 ? name.split(".").reverse().join(".") : undefined),
};
const SHARE_MAX = 4;

const patterns = fc.array(fc.constantFrom(...Object.keys(MEANINGS)), { maxLength: 2 });
const filter = {
  allow: patterns,
  block: fc.oneof({ arbitrary: fc.constant([]), weight: 2 }, patterns),
  rename: fc.array(fc.constantFrom(...Object.keys(RENAMES)), { maxLength: 2 }),
};
const routeData: fc.Arbitrary<RouteData> = fc.record({
  name: fc.constantFrom("x", "y"),
  mode: fc.constantFrom("copy" as const, "move" as const),
  match: patterns,
  ...filter,
});
const ruleData: fc.Arbitrary<RuleData> = fc.record({
  main: fc.record(filter),
  routes: fc.array(routeData, { maxLength: 3 }),
  caps: fc.constant([]),
  capWindowMs: fc.constant(1000),
});
const name = fc.array(fc.constantFrom("a", "b", "."), { maxLength: 5 }).map((letters) => letters.join(""));

const isAny = (list: readonly string[], text: string): boolean =>
  list.some((pattern) => MEANINGS[pattern]!(text));

/** The verdict as text: the drop reason, or `route=name` for each target. */
function model(data: RuleData, text: string, shares: ReadonlySet<number>): string {
  const targets: string[] = [];
  let isFiltered = false;
  let isGone = false;
  const main: RouteData = { ...data.main, name: "", mode: "copy", match: [] };
  for (const [index, { mode, match, allow, block, rename }] of [...data.routes, main].entries()) {
    const route = index === data.routes.length ? 0 : index + 1;
    if (isGone || (match.length > 0 && !isAny(match, text))) continue;
    if ((allow.length > 0 && !isAny(allow, text)) || isAny(block, text)) {
      isFiltered = true;
      continue;
    }
    if (!shares.has(route)) continue;
    const rule = rename.find((one) => RENAMES[one]!(text) !== undefined);
    const renamed = rule === undefined ? text : RENAMES[rule]!(text)!;
    targets.push(`${route}=${renamed === "" || renamed.includes(":") ? text : renamed}`);
    isGone = mode === "move";
  }
  if (targets.length > 0) return targets.join(" ");
  return isFiltered ? "filtered" : "no_route";
}

test("verdicts are those of a plain reading of the rules, and explained as such", () => {
  const shares = fc.uniqueArray(fc.nat(SHARE_MAX), { minLength: 2 }).map((routes) => new Set(routes));
  fc.assert(
    fc.property(ruleData, fc.array(name, { minLength: 1, maxLength: 6 }), shares, (data, names, inShare) => {
      const rules = new RuleSet(data);
      const isInShare = (route: number): boolean => inShare.has(route);
      for (const text of names) {
        const bytes = Buffer.from(text);
        const verdict = rules.judge(bytes, isInShare);
        const found =
          "drop" in verdict
            ? verdict.drop
            : verdict.targets.map(({ route, name }) => `${route}=${name ?? text}`).join(" ");
        assert.equal(found, model(data, text, inShare), text);
        const explained = explain(rules, bytes, isInShare).targets.map(({ route, name }) => ({
          route,
          name,
        }));
        assert.deepEqual(explained, "drop" in verdict ? [] : verdict.targets);
        if (!needsHost(data) && "targets" in verdict) {
          assert.ok(verdict.targets.every((target) => target.name === undefined));
        }
      }
    }),
    { numRuns: 2000 },
  );
});

type CapStep = { readonly thread: number } & ({ readonly name: number } | { readonly passMs: number });
const WINDOW_MS = 100;

test("caps admit no more names than they may in two windows, and never turn a known name away", () => {
  const step: fc.Arbitrary<CapStep> = fc.oneof(
    { arbitrary: fc.record({ thread: fc.nat(1), name: fc.nat(12) }), weight: 6 },
    { arbitrary: fc.record({ thread: fc.nat(1), passMs: fc.nat(80) }), weight: 1 },
  );
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 8 }), fc.array(step, { maxLength: 120 }), (count, steps) => {
      const caps = [{ prefix: "app", count }];
      const memory = makeCapMemory(caps);
      const threads = [0, 1].map(() => new CapSet(caps, WINDOW_MS, memory));
      let [last, current] = [new Set<number>(), new Set<number>()];
      let [nowMs, beganMs, admitted, refused] = [0, 0, 0, 0];
      for (const caps of threads) caps.rotate(nowMs);
      for (const step of steps) {
        const caps = threads[step.thread]!;
        if ("passMs" in step) {
          nowMs += step.passMs;
          const isOver = nowMs - beganMs >= WINDOW_MS;
          assert.equal(caps.rotate(nowMs), isOver);
          assert.equal(threads[1 - step.thread]!.rotate(nowMs), isOver, "the other thread learns of it");
          if (!isOver) continue;
          [last, current, beganMs] = [current, new Set(), nowMs];
        } else {
          const bytes = Buffer.from(`app.${step.name}`);
          const isKnown = last.has(step.name) || current.has(step.name);
          const isFine = isKnown || new Set([...last, ...current]).size < count;
          assert.equal(caps.hasRoomFor(bytes), isFine);
          assert.equal(caps.admit(bytes), isFine);
          if (isFine) current.add(step.name);
          if (isFine && !isKnown) admitted += 1;
          if (!isFine) refused += 1;
        }
        const [status] = caps.status();
        assert.equal(status!.current, new Set([...last, ...current]).size);
        assert.ok(status!.current <= count);
        assert.deepEqual([status!.admitted, status!.refused], [admitted, refused]);
      }
    }),
    { numRuns: 1500 },
  );
});
