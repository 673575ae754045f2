import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { diffRings, leastMovedShare, movedShare, NOWHERE } from "../../relay/command/diff.ts";
import { describeDiff } from "../../relay/command/diff-report.ts";
import { MADE_NAMES_MAX, makeNames, readNames } from "../../relay/command/name-source.ts";
import type { PlacedRing, Placement, Placer } from "../../relay/command/placement.ts";
import { showName } from "../../shared/name-text.ts";

/** Which destinations a ring gives a name, by its number. */
type Rule = (number: number) => readonly string[] | undefined;

/** Places names that are numbers by rules that can be checked by hand. */
class RulePlacer implements Placer {
  readonly rings: readonly PlacedRing[];
  readonly #rules: ReadonlyMap<string, Rule>;
  readonly #prefix: string;

  constructor(rules: Record<string, Rule>, destinations: readonly string[], prefix = "", replicas = 1) {
    this.#rules = new Map(Object.entries(rules));
    this.#prefix = prefix;
    this.rings = Object.keys(rules).map((name) => ({
      name,
      fingerprint: `${name}-${destinations.length}`,
      hash: "rule",
      key: "name",
      buckets: destinations.length,
      replicas,
      destinations,
    }));
  }

  place(name: Uint8Array): Placement {
    const given = showName(name);
    const targets = [...this.#rules].flatMap(([ring, rule]) => {
      const destinations = rule(Number(given));
      if (destinations === undefined) return [];
      const rest = { fingerprint: "", key: given, hash: "", buckets: 1, bucket: 0, why: [] };
      return [{ ring, destinations, sentAs: this.#prefix + given, ...rest }];
    });
    return { given, targets };
  }
}

function numbers(count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, number) => Buffer.from(String(number)));
}

function ringOf(destinations: readonly string[], replicas = 1): PlacedRing {
  const buckets = destinations.length;
  return { name: "main", fingerprint: "", hash: "", key: "", buckets, replicas, destinations };
}

test("moves are counted by destination, and so are the loads", async () => {
  const before = new RulePlacer({ main: (n) => [n % 2 === 0 ? "a" : "b"] }, ["a", "b"]);
  const after = new RulePlacer({ main: (n) => [n % 4 === 3 ? "c" : n % 2 === 0 ? "a" : "b"] }, [
    "a",
    "b",
    "c",
  ]);
  const [diff, ...others] = diffRings(before, after, numbers(100));
  assert.deepEqual(others, []);
  assert.deepEqual(diff, {
    ring: "main",
    fingerprintBefore: "main-2",
    fingerprintAfter: "main-3",
    names: 100,
    moved: 25,
    movedShare: 0.25,
    leastShare: diff!.leastShare,
    entered: 0,
    left: 0,
    renamed: 0,
    moves: [{ from: "b", to: "c", names: 25 }],
    loads: [
      { destination: "a", before: 0.5, after: 0.5 },
      { destination: "b", before: 0.5, after: 0.25 },
      { destination: "c", before: 0, after: 0.25 },
    ],
  });
  assert.ok(Math.abs(diff!.leastShare - 1 / 3) < 1e-12);
  assert.deepEqual(await movedShare(before, after, numbers(100)), { main: 0.25 });
  assert.deepEqual(await movedShare(before, before, numbers(100)), { main: 0 });
});

test("names that leave a ring have moved; those that enter one have not", async () => {
  const before = new RulePlacer({ main: () => ["a"], old: (n) => (n < 10 ? ["x"] : undefined) }, ["a"]);
  const after = new RulePlacer(
    { main: (n) => (n < 20 ? undefined : ["a"]), fresh: () => ["y"] },
    ["a"],
    "p.",
  );
  const [main, old, fresh] = diffRings(before, after, numbers(50));
  assert.deepEqual([main!.names, main!.moved, main!.left, main!.renamed], [50, 20, 20, 30]);
  assert.deepEqual(main!.moves, [{ from: "a", to: NOWHERE, names: 20 }]);
  assert.deepEqual([old!.moved, old!.movedShare, old!.leastShare], [10, 1, 1]);
  assert.equal(old!.fingerprintAfter, undefined);
  assert.deepEqual([fresh!.names, fresh!.entered, fresh!.movedShare, fresh!.leastShare], [0, 50, 0, 0]);
  assert.deepEqual(await movedShare(before, after, numbers(50)), { main: 0.4, old: 1 });
});

test("of replicas only the copies that change place move, and order is no move", () => {
  const before = new RulePlacer({ main: (n) => (n === 0 ? ["a", "b"] : ["b", "c"]) }, ["a", "b", "c"], "", 2);
  const after = new RulePlacer({ main: (n) => (n === 0 ? ["b", "a"] : ["c", "d"]) }, ["b", "c", "d"], "", 2);
  const [diff] = diffRings(before, after, numbers(2));
  assert.equal(diff!.moved, 1);
  assert.deepEqual(diff!.moves, [{ from: "b", to: "d", names: 1 }]);
});

test("the least share is what the weights ask for", () => {
  const least = (from: string, to: string, replicas = 1): number =>
    Number(leastMovedShare(ringOf(from.split(""), replicas), ringOf(to.split(""), replicas)).toFixed(6));
  assert.equal(least("abcd", "abcd"), 0);
  assert.equal(least("abcd", "dcba"), 0);
  assert.equal(least("abcd", "abcde"), 0.2);
  assert.equal(least("abcd", "abc"), 0.25);
  assert.equal(least("ab", "aaab"), 0.25);
  assert.equal(least("ab", "cd"), 1);
  // Each of four names has one of its two copies on a destination that is replaced, at the least half.
  assert.equal(least("abcd", "abce", 2), 0.5);
  assert.equal(least("abcdefgh", "abcdefij", 2), 0.25);
  assert.equal(leastMovedShare(undefined, ringOf(["a"])), 0);
  assert.equal(leastMovedShare(ringOf(["a"]), undefined), 1);
});

test("the report shows rings that change, come and go, and cuts long lists", () => {
  const many = Array.from({ length: 40 }, (_, i) => `10.0.0.${i}:8125`);
  const before = new RulePlacer({ main: (n) => [many[n % 40]!], old: () => ["x"] }, many);
  const after = new RulePlacer({ main: (n) => [many[(n + 1) % 40]!], fresh: () => ["y"] }, many.slice(1));
  const text = describeDiff(diffRings(before, after, numbers(4000)));
  assert.match(text, /^ring main \(main-40 -> main-39\)$/m);
  assert.match(text, /^ {2}4,000 of 4,000 names move$/m);
  assert.match(text, /^ {2}moves +100\.0% {2}#{40}$/m);
  assert.match(text, /^ {2}10\.0\.0\.0:8125 +10\.0\.0\.1:8125 +100 +2\.5%$/m);
  assert.match(text, /and 16 more, see --json/);
  assert.match(text, /^ring old \(old-40, is gone\)$/m);
  assert.match(text, /^ring fresh is new \(fresh-39\): takes 4,000 names$/m);
  assert.match(describeDiff(diffRings(before, before, numbers(3))), /main-40, unchanged/);
});

test("made-up names are distinct, repeatable and well mixed", () => {
  const list = [...makeNames(50_000)].map((name) => Buffer.from(name).toString());
  assert.equal(new Set(list).size, 50_000);
  assert.deepEqual(
    [...makeNames(100)].map((name) => Buffer.from(name).toString()),
    list.slice(0, 100),
  );
  assert.match(list[777]!, /^prod\.[a-z]+\.host-\d{4}\.[a-z.]+\.[a-z0-9]+$/);
  assert.ok(new Set(list.slice(0, 200).map((name) => name.split(".")[1])).size > 20);
  assert.equal([...makeNames(0)].length, 0);
  assert.ok(MADE_NAMES_MAX >= 1_000_000);
});

test("names of a file are bytes before the first colon, across chunks, without blank lines", () => {
  const folder = mkdtempSync(join(tmpdir(), "names-"));
  try {
    const file = join(folder, "names");
    writeFileSync(
      file,
      Buffer.concat([Buffer.from([0xff, 0x0a]), Buffer.from("a:1|c\r\n\n\r\nb\\x41\nlast")]),
    );
    assert.deepEqual(
      [...readNames(file)].map((name) => Buffer.from(name).toString("latin1")),
      ["\xff", "a", "b\\x41", "last"],
    );
    const long = Array.from({ length: 20_000 }, (_, i) => `name.number.${i}`);
    writeFileSync(file, long.join("\n"));
    assert.deepEqual(
      [...readNames(file)].map((name) => Buffer.from(name).toString()),
      long,
    );
    writeFileSync(file, "x".repeat(200_000));
    assert.throws(() => [...readNames(file)], /a line of more than 64 KiB/);
    assert.throws(() => [...readNames(join(folder, "none"))], /cannot be read \(ENOENT\)/);
    assert.throws(() => [...readNames(folder)], /cannot be read \(EISDIR\)/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
