/** Rings against what the originals of each hash did: placement and replicas. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { buildRing, type HashName, type KeyName } from "../../relay/ring/ring.ts";
import { RingKernel } from "../support/ring-kernel.ts";
import { modelHash, modelKey, modelStir } from "../support/ring-model.ts";
import { readTsvVectors, unescapeField, type VectorRow } from "../support/vectors.ts";

const djb2 = readTsvVectors("djb2.tsv");
const murmur3 = readTsvVectors("murmur3-shard.tsv");
const ketama = readTsvVectors("ketama-etsy-proxy.tsv");
const replicas = readTsvVectors("routing-replicas.tsv");

const MOD_SIZES = [1, 2, 3, 4, 5, 8, 10, 16, 32, 100, 1000];
const ETSY_RINGS: Readonly<Record<string, readonly string[]>> = {
  ring3: [8127, 8129, 8131].map((port) => `127.0.0.1:${port}`),
  ring5: [1, 2, 3, 4, 5].map((host) => `10.0.0.${host}:8125`),
  ring7: [0, 1, 2, 3, 4, 5, 6].map((host) => `statsd-${host}.example.net:8125`),
};

function nameOf(row: VectorRow): Buffer {
  const name = Buffer.from(row.name_hex!, "hex");
  assert.deepEqual(unescapeField(row.name!), name);
  return name;
}

/** A ring of so many destinations, one bucket each. */
function plainRing(hash: HashName, key: KeyName, count: number, copies = 1) {
  return { hash, key, buckets: Array.from({ length: count }, (_, bucket) => bucket), replicas: copies };
}

function hex(hash: bigint, digits: number): string {
  return hash.toString(16).padStart(digits, "0");
}

test("the model hashes as the originals do", () => {
  for (const row of djb2) {
    const key = modelKey("comma-sorted", nameOf(row));
    assert.deepEqual(key, unescapeField(row.shard_key!), row.name);
    assert.equal(hex(modelHash("djb2-mod", key), 16), row.h64, row.name);
  }
  for (const row of murmur3) {
    assert.equal(hex(modelHash("murmur3-shards", nameOf(row)), 8), row.murmur3_32, row.name);
  }
  for (const row of replicas) {
    let hash = modelHash("fnv1a-jump", nameOf(row));
    for (const expected of row.hashes!.split(",")) {
      assert.equal(hex(hash, 16), expected, row.name);
      hash = modelStir(hash);
    }
  }
});

for (const debug of [false, true]) {
  const build = debug ? "debug" : "release";

  test(`djb2-mod places names as the Rust proxy does (${build})`, async () => {
    assert.ok(djb2.length > 300);
    const rings = MOD_SIZES.map((size) => plainRing("djb2-mod", "comma-sorted", size));
    const kernel = await RingKernel.load(rings, debug);
    for (const row of djb2) {
      const key = kernel.key(0, nameOf(row));
      assert.deepEqual(key, unescapeField(row.shard_key!), row.name);
      assert.equal(hex(kernel.hash(0, key), 16), row.h64, row.name);
      MOD_SIZES.forEach((size, ring) => {
        assert.deepEqual(
          kernel.choose(ring, nameOf(row)),
          [Number(row[`m${size}`])],
          `${row.name} of ${size}`,
        );
      });
    }
  });

  test(`murmur3-shards places names as the Uber and Lyft relays do (${build})`, async () => {
    assert.ok(murmur3.length >= 300);
    const sizes = [...MOD_SIZES, 4096];
    const kernel = await RingKernel.load(
      sizes.map((size) => plainRing("murmur3-shards", "name", size)),
      debug,
    );
    for (const row of murmur3) {
      assert.equal(hex(kernel.hash(0, nameOf(row)), 8), row.murmur3_32, row.name);
      sizes.forEach((size, ring) => {
        assert.deepEqual(
          kernel.choose(ring, nameOf(row)),
          [Number(row[`n${size}`])],
          `${row.name} of ${size}`,
        );
      });
    }
  });

  test(`ketama-etsy places names as Etsy's proxy does (${build})`, async () => {
    assert.ok(ketama.length > 290);
    const rings = Object.entries(ETSY_RINGS).map(([name, destinations]) =>
      buildRing({ name, hash: "ketama-etsy", key: "auto", destinations, shards: 0, replicas: 1 }),
    );
    const kernel = await RingKernel.load(rings, debug);
    for (const row of ketama) {
      rings.forEach(({ name }, ring) => {
        assert.deepEqual(kernel.choose(ring, nameOf(row)), [Number(row[name])], `${row.name} on ${name}`);
      });
    }
  });

  test(`replicas are chosen by the corrected rule of Go statsrelay (${build})`, async () => {
    assert.ok(replicas.length > 1000);
    const kinds = [...new Set(replicas.map((row) => `${row.ring_size} ${row.replicas}`))];
    const rings = kinds.map((kind) => {
      const [size, copies] = kind.split(" ").map(Number);
      return plainRing("fnv1a-jump", "name", size!, copies!);
    });
    const kernel = await RingKernel.load(rings, debug);
    for (const row of replicas) {
      const ring = kinds.indexOf(`${row.ring_size} ${row.replicas}`);
      assert.deepEqual(kernel.choose(ring, nameOf(row)), row.selection!.split(",").map(Number), row.name);
    }
  });
}
