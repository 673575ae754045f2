/** What rings are built of: weights, shards, replicas, fingerprints, and what makes no ring. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fingerprintNumber, ringFingerprint } from "../../relay/ring/fingerprint.ts";
import { buildRing, type Ring, type RingSpec } from "../../relay/ring/ring.ts";
import { EXIT_CONFIG, OperatorError } from "../../shared/errors.ts";

function build(destinations: readonly string[], spec: Partial<RingSpec> = {}): Ring {
  const plain = { name: "main", hash: "fnv1a-jump", key: "auto", shards: 0, replicas: 1 } as const;
  return buildRing({ ...plain, ...spec, destinations });
}

/** The destination of each bucket. */
function entriesOf({ buckets, destinations }: Ring): string[] {
  return buckets.map((index) => destinations[index]!);
}

test("buckets are in the order of the list, and equal destinations are one", () => {
  const ring = build(["c:1", "a:1", "c:1", "b:1", "a:1:x"]);
  assert.deepEqual(ring.buckets, [0, 1, 0, 2, 3]);
  assert.deepEqual(ring.destinations, ["c:1", "a:1", "b:1", "a:1:x"]);
  assert.equal(ring.points, undefined);
});

test("weights append buckets, round by round", () => {
  assert.deepEqual(entriesOf(build(["a:1*3", "b:1", "c:1*2"])), ["a:1", "b:1", "c:1", "a:1", "c:1", "a:1"]);
  assert.deepEqual(entriesOf(build(["a:1*1"])), ["a:1"]);
  assert.deepEqual(build(["[::1]:1:x*2", "unixgram:///tmp/s*2"]).destinations, [
    "[::1]:1:x",
    "unixgram:///tmp/s",
  ]);
  // An equal one written out and a weight are the same thing.
  assert.equal(build(["a:1*2"]).fingerprint, build(["a:1", "a:1"]).fingerprint);
  const [low, high] = [entriesOf(build(["a:1", "b:1", "c:1"])), entriesOf(build(["a:1*4", "b:1", "c:1"]))];
  assert.deepEqual(high.slice(0, low.length), low);
});

test("shards are dealt out to the entries in turn", () => {
  const ring = build(["a:1*2", "b:1"], { hash: "murmur3-shards", shards: 8 });
  assert.deepEqual(entriesOf(ring), ["a:1", "b:1", "a:1", "a:1", "b:1", "a:1", "a:1", "b:1"]);
  assert.equal(build(["a:1", "b:1"], { hash: "murmur3-shards" }).buckets.length, 2);
});

test("the key rule is never auto", () => {
  assert.equal(build(["a:1"]).key, "name");
  assert.equal(build(["a:1"], { hash: "djb2-mod" }).key, "comma-sorted");
  assert.equal(build(["a:1"], { hash: "murmur3-shards" }).key, "name");
  assert.equal(build(["a:1"], { hash: "ketama-etsy" }).key, "name");
  assert.equal(build(["a:1"], { hash: "djb2-mod", key: "untagged" }).key, "untagged");
});

test("only a ketama ring has points", () => {
  assert.equal(build(["a:1", "b:1*2"], { hash: "ketama-etsy" }).points?.length, 120);
});

test("what makes no ring is refused, with the ring and the key", () => {
  const refused: readonly (readonly [readonly string[], Partial<RingSpec>, RegExp])[] = [
    [[], {}, /^ring main: destinations is empty/],
    [[], { name: "copy" }, /^ring copy: /],
    [["a:1*0"], {}, /destinations has "a:1\*0"; write .* 1\.\.1000/],
    [["a:1*1001"], {}, /destinations has "a:1\*1001"/],
    [["*2"], {}, /destinations has "\*2"/],
    [Array.from({ length: 66 }, (_, host) => `h${host}:1*1000`), {}, /make 66000 buckets.* at most 65536/],
    [["a:1*1000", "b:1*1000", "c:1*1000", "d:1*1000", "e:1*1000"], { hash: "ketama-etsy" }, /at most 4096/],
    [["a:1"], { shards: 4 }, /shards is 4; use it with hash = murmur3-shards/],
    [["a:1", "b:1*3"], { shards: 3, hash: "murmur3-shards" }, /shards is 3; choose within 4\.\.65536/],
    [["a:1"], { shards: 65_537, hash: "murmur3-shards" }, /shards is 65537/],
    [["a:1", "b:1*3"], { replicas: 3 }, /replicas is 3; choose within 1\.\.2: of 2 distinct destinations/],
    [["a:1"], { replicas: 0 }, /replicas is 0/],
    [Array.from({ length: 20 }, (_, host) => `h${host}:1`), { replicas: 17 }, /choose within 1\.\.16/],
  ];
  for (const [destinations, spec, message] of refused) {
    assert.throws(
      () => build(destinations, spec),
      (error) =>
        error instanceof OperatorError && error.exitCode === EXIT_CONFIG && message.test(error.message),
      String(message),
    );
  }
});

test("a fingerprint tells of all that placement depends on, and of nothing else", () => {
  const base = build(["a:1", "b:1", "c:1"], { replicas: 2 });
  assert.match(base.fingerprint, /^[0-9a-f]{16}$/);
  const other = [
    build(["a:1", "c:1", "b:1"], { replicas: 2 }),
    build(["a:1", "b:1", "c:1", "d:1"], { replicas: 2 }),
    build(["a:1", "b:1", "c:1:x"], { replicas: 2 }),
    build(["a:1", "b:1", "c:1*2"], { replicas: 2 }),
    build(["a:1", "b:1", "c:1"], { replicas: 1 }),
    build(["a:1", "b:1", "c:1"], { replicas: 2, key: "sorted" }),
    build(["a:1", "b:1", "c:1"], { replicas: 2, hash: "murmur3-shards" }),
    build(["a:1", "b:1", "c:1"], { replicas: 2, hash: "murmur3-shards", shards: 6 }),
  ].map(({ fingerprint }) => fingerprint);
  assert.equal(new Set([base.fingerprint, ...other]).size, other.length + 1);
  for (const same of [{ name: "copy" }, { key: "name" }] as const) {
    assert.equal(build(["a:1", "b:1", "c:1"], { replicas: 2, ...same }).fingerprint, base.fingerprint);
  }
});

test("a fingerprint stays what it was in earlier versions", () => {
  const identity = { hash: "fnv1a-jump", key: "name", replicas: 1, entries: ["a:1", "b:1"] };
  assert.equal(ringFingerprint(identity), "42b10b91bc9ac68c");
  assert.equal(build(["a:1", "b:1"]).fingerprint, "42b10b91bc9ac68c");
});

test("a fingerprint is a number of 48 bits for gauges", () => {
  assert.equal(fingerprintNumber("0000000000010000"), 1);
  assert.equal(fingerprintNumber("ffffffffffffffff"), 2 ** 48 - 1);
});
