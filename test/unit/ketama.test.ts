/** The circle of points of ketama rings. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ketamaPoints, pointsOfBucket } from "../../relay/ring/ketama.ts";

test("hashring's rounding takes a point from each node of some rings", () => {
  const sizes = Array.from({ length: 100 }, (_, index) => index + 1);
  assert.deepEqual(
    sizes.filter((size) => pointsOfBucket(size) !== 40),
    [7, 14, 28, 49, 56, 98],
  );
  assert.equal(pointsOfBucket(7), 39);
});

test("points ascend, and each bucket has its number of them", () => {
  for (const size of [1, 3, 7, 8]) {
    const points = ketamaPoints(Array.from({ length: size }, (_, host) => `10.0.0.${host}:8125`));
    assert.equal(points.length, size * pointsOfBucket(size));
    assert.ok(points.every(({ hash }, index) => index === 0 || points[index - 1]!.hash <= hash));
    for (let bucket = 0; bucket < size; bucket++) {
      assert.equal(points.filter((point) => point.bucket === bucket).length, pointsOfBucket(size));
    }
  }
});

test("a point is the first four bytes of MD5(node-index), little-endian", () => {
  // printf %s 127.0.0.1:8127-0 | md5sum
  const first = Buffer.from("58fe364f", "hex").readUInt32LE(0);
  const points = ketamaPoints(["127.0.0.1:8127"]);
  assert.ok(points.some(({ hash }) => hash === first));
});

test("a scheme moves no points", () => {
  const plain = ketamaPoints(["10.0.0.1:8125", "10.0.0.2:8125"]);
  assert.deepEqual(ketamaPoints(["udp://10.0.0.1:8125", "tls://10.0.0.2:8125"]), plain);
  assert.notDeepEqual(ketamaPoints(["10.0.0.1:8125:a", "10.0.0.2:8125"]), plain);
});

test("a node's second bucket has points of its own behind those of the first", () => {
  const once = ketamaPoints(["a:1", "b:1"]);
  const twice = ketamaPoints(["a:1", "b:1", "a:1"]);
  assert.deepEqual(
    twice.filter(({ bucket }) => bucket < 2),
    once,
  );
  assert.equal(new Set(twice.map(({ hash }) => hash)).size, 120);
  // The same node over two protocols is two destinations that share nothing.
  assert.equal(new Set(ketamaPoints(["udp://a:1", "tcp://a:1"]).map(({ hash }) => hash)).size, 80);
});
