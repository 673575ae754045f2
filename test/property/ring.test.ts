/** The kernel's rings against a plain model, on any bytes, and what each hash promises. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import {
  buildRing,
  HASH_CODES,
  type HashName,
  KEY_CODES,
  type KeyName,
  type Ring,
} from "../../relay/ring/ring.ts";
import { RingKernel } from "../support/ring-kernel.ts";
import { modelChoice, modelHash, modelKey } from "../support/ring-model.ts";

const HASHES = Object.keys(HASH_CODES) as HashName[];
const KEYS = Object.keys(KEY_CODES) as KeyName[];
const NAME_COUNT = 20_000;
/** Names as senders have them: any letters, no order. */
const names = Array.from({ length: NAME_COUNT }, (_, index) =>
  Buffer.from(`app.${createHash("sha1").update(String(index)).digest("base64url")}.count`),
);

function makeRing(
  hash: HashName,
  destinations: readonly string[],
  replicas = 1,
  key: KeyName = "name",
): Ring {
  return buildRing({ name: "main", hash, key, destinations, shards: 0, replicas });
}

function hosts(count: number): string[] {
  return Array.from({ length: count }, (_, host) => `10.0.0.${host}:8125`);
}

/** The first choice of each name. */
function placeAll(kernel: RingKernel, ring: number): number[] {
  return names.map((name) => kernel.choose(ring, name)[0]!);
}

/** Pieces of names that rules and decoders look at. */
const piece = fc
  .oneof(
    fc.constantFrom(...[",", ";", "=", "a", "b", "host", "host=a", "host=b", "\0", "12345678", "123456789"]),
    fc.string({ unit: "binary", maxLength: 4 }),
  )
  .map((text) => Buffer.from(text));
/** Bytes where UTF-8 changes its mind, so that most sequences are ill-formed. */
const odd = fc
  .array(
    fc.constantFrom(
      0x00,
      0x41,
      0x7f,
      0x80,
      0x8f,
      0x90,
      0x9f,
      0xa0,
      0xbf,
      0xc1,
      0xc2,
      0xdf,
      0xe0,
      0xe1,
      0xec,
      0xed,
      0xee,
      0xef,
      0xbb,
      0xf0,
      0xf1,
      0xf3,
      0xf4,
      0xf5,
      0xff,
    ),
    { maxLength: 8 },
  )
  .map((bytes) => Buffer.from(bytes));
const anyName = fc
  .array(
    fc.oneof(
      piece,
      odd,
      fc.uint8Array({ maxLength: 90 }).map((bytes) => Buffer.from(bytes)),
    ),
    { maxLength: 40 },
  )
  .map((pieces) => Buffer.concat(pieces));

const anyEntries = fc
  .array(fc.record({ host: fc.nat(12), weight: fc.integer({ min: 1, max: 4 }) }), {
    minLength: 1,
    maxLength: 40,
  })
  .map((list) => list.map(({ host, weight }) => (weight === 1 ? `h${host}:1` : `h${host}:1*${weight}`)));

for (const debug of [false, true]) {
  const build = debug ? "debug" : "release";
  for (const hash of HASHES) {
    test(`${hash} chooses as the model does, whatever the name, rule and states (${build})`, async () => {
      const sample = fc.tuple(
        anyEntries,
        fc.array(anyName, { minLength: 1, maxLength: 12 }),
        fc.array(fc.boolean(), { maxLength: 13 }),
        fc.integer({ min: 1, max: 5 }),
      );
      const isOneOfAll = async ([entries, given, isSkipped, wanted]: [
        string[],
        Buffer[],
        boolean[],
        number,
      ]) => {
        const most = makeRing(hash, entries).destinations.length;
        const rings = KEYS.flatMap((key) =>
          [1, Math.min(wanted, most)].map((replicas) => makeRing(hash, entries, replicas, key)),
        );
        const kernel = await RingKernel.load(rings, debug);
        for (const states of [[], isSkipped, new Array<boolean>(13).fill(true), isSkipped]) {
          kernel.skip(states);
          rings.forEach((ring, index) => {
            for (const name of given) {
              const key = modelKey(ring.key, name);
              assert.deepEqual(kernel.key(index, name), key, ring.key);
              assert.equal(kernel.hash(index, key), modelHash(hash, key), ring.key);
              assert.deepEqual(kernel.choose(index, name), modelChoice(ring, name, states), ring.key);
            }
          });
        }
      };
      await fc.assert(fc.asyncProperty(sample, isOneOfAll), {
        numRuns: debug ? 25 : 60,
        // Bounds the search for a smaller counterexample.
        interruptAfterTimeLimit: 30_000,
      });
    });
  }

  test(`tags are sorted however many and long they are (${build})`, async () => {
    const tagsOf = (count: number, tag: (index: number) => string): string =>
      Array.from({ length: count }, (_, index) => tag(index)).join(",");
    const giants = [
      `,${",".repeat(65_534)}`,
      `n,${tagsOf(32_700, (index) => String.fromCharCode(97 + ((index * 7) % 26)))}`,
      `n,${tagsOf(9000, (index) => String(9000 - index))}`,
      `n,${tagsOf(250, (index) => `${"same".repeat(60)}${(index * 37) % 251}`)}`,
      `n,${tagsOf(2, (index) => `${"x".repeat(30_000)}${1 - index}`)}`,
      // Equal beginnings of every length, whose ends sort before and behind the separator.
      `n,${tagsOf(60, (index) => "x".repeat(Math.floor(index / 4)) + ["z", "!", "", "\0"][index % 4])}`,
    ].map((text) => Buffer.from(text));
    const rings = HASHES.map((hash) => makeRing(hash, hosts(200), 1, "comma-sorted"));
    const kernel = await RingKernel.load(rings, debug);
    for (const name of giants) {
      assert.ok(name.length <= 65_535);
      rings.forEach((ring, index) => {
        assert.deepEqual(
          kernel.choose(index, name),
          modelChoice(ring, name),
          `${name.length} on ${ring.hash}`,
        );
      });
    }
  });
}

test("a destination that is passed over gives its names away, and no other name moves", async () => {
  const kernel = await RingKernel.load(
    HASHES.map((hash) => makeRing(hash, hosts(8))),
    false,
  );
  for (const [ring, hash] of HASHES.entries()) {
    const before = placeAll(kernel, ring);
    for (const dead of [0, 3, 7]) {
      kernel.skip(hosts(8).map((_, destination) => destination === dead));
      const during = placeAll(kernel, ring);
      const heirs = new Set<number>();
      before.forEach((destination, index) => {
        if (destination === dead) heirs.add(during[index]!);
        else assert.equal(during[index], destination, `${hash}: a name of ${destination} moved`);
      });
      assert.ok(!heirs.has(dead), hash);
      assert.equal(heirs.size, 7, `${hash}: all others share the names of ${dead}`);
      kernel.skip([]);
      assert.deepEqual(placeAll(kernel, ring), before, `${hash}: names come back`);
    }
  }
});

test("with replicas, a destination that is passed over only loses its own copies", async () => {
  const kernel = await RingKernel.load(
    HASHES.map((hash) => makeRing(hash, hosts(8), 3)),
    false,
  );
  for (const [ring, hash] of HASHES.entries()) {
    for (const name of names.slice(0, 2000)) {
      kernel.skip([]);
      const before = kernel.choose(ring, name);
      kernel.skip([false, false, true]);
      const during = kernel.choose(ring, name);
      assert.equal(new Set(during).size, 3, hash);
      const kept = before.filter((destination) => destination !== 2);
      assert.deepEqual(during.slice(0, kept.length), kept, hash);
    }
  }
});

test("where all destinations are passed over, names stay, on the largest rings too", async () => {
  const buckets = Array.from({ length: 65_536 }, (_, bucket) => bucket % 1000);
  const plain = { key: "name", buckets, replicas: 1 } as const;
  const kernel = await RingKernel.load(
    [
      { ...plain, hash: "fnv1a-jump" },
      { ...plain, hash: "murmur3-shards" },
    ],
    false,
  );
  const first = [0, 1].map((ring) => names.slice(0, 500).map((name) => kernel.choose(ring, name)));
  kernel.skip(new Array<boolean>(1000).fill(true));
  const down = [0, 1].map((ring) => names.slice(0, 500).map((name) => kernel.choose(ring, name)));
  assert.deepEqual(down, first);
});

/** How far the fullest or emptiest of 8 destinations is from its fair share. */
const SPREAD_MAX: Readonly<Record<HashName, number>> = {
  "fnv1a-jump": 0.15,
  "djb2-mod": 0.15,
  "murmur3-shards": 0.15,
  // 40 points a node do not make it evener than this; Etsy's proxy has the same.
  "ketama-etsy": 0.35,
};

test("names are spread evenly", async () => {
  const kernel = await RingKernel.load(
    HASHES.map((hash) => makeRing(hash, hosts(8))),
    false,
  );
  for (const [ring, hash] of HASHES.entries()) {
    const counts = new Array<number>(8).fill(0);
    for (const destination of placeAll(kernel, ring)) counts[destination]! += 1;
    const off = Math.max(...counts.map((count) => Math.abs(count / (NAME_COUNT / 8) - 1)));
    assert.ok(off <= SPREAD_MAX[hash], `${hash} is off by ${off.toFixed(3)}: ${counts.join(" ")}`);
  }
});

test("an appended bucket takes its share, and no name moves between old ones", async () => {
  for (const hash of ["fnv1a-jump", "ketama-etsy"] as const) {
    const sizes = [1, 2, 4, 5];
    const rings = sizes.flatMap((size) => [makeRing(hash, hosts(size)), makeRing(hash, hosts(size + 1))]);
    const kernel = await RingKernel.load(rings, false);
    sizes.forEach((size, index) => {
      const before = placeAll(kernel, index * 2);
      const after = placeAll(kernel, index * 2 + 1);
      const moved = after.filter((destination, name) => destination !== before[name]);
      assert.ok(
        moved.every((destination) => destination === size),
        `${hash}: only to the new one`,
      );
      const share = moved.length / NAME_COUNT;
      const fair = 1 / (size + 1);
      const tolerance = hash === "fnv1a-jump" ? 0.1 : 0.5;
      assert.ok(Math.abs(share / fair - 1) < tolerance, `${hash} of ${size}: ${share}`);
    });
  }
});

test("a raised weight takes names for its destination, and no other name moves", async () => {
  for (const hash of ["fnv1a-jump", "ketama-etsy"] as const) {
    const rings = ["h0:1", "h0:1*2", "h0:1*3"].map((first) => makeRing(hash, [first, "h1:1", "h2:1"]));
    const kernel = await RingKernel.load(rings, false);
    const [one, two, three] = [placeAll(kernel, 0), placeAll(kernel, 1), placeAll(kernel, 2)];
    for (const [before, after] of [
      [one, two],
      [two, three],
    ] as const) {
      const moved = after.filter((destination, name) => destination !== before[name]);
      assert.ok(moved.length > NAME_COUNT / 20 && moved.every((destination) => destination === 0), hash);
    }
  }
});
