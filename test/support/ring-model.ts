/**
 * A plain model of the rings: big integers and arrays, nothing of the kernel's ways. Names are bytes, and
 * keys are handled as latin1 strings, one character for each byte.
 */
import { createHash } from "node:crypto";
import type { HashName, KeyName } from "../../relay/ring/ring.ts";

/** A ring as the model sees it. */
export interface ModelRing {
  readonly hash: HashName;
  readonly key: KeyName;
  /** For each bucket the index of its destination. */
  readonly buckets: readonly number[];
  readonly destinations: readonly string[];
  readonly replicas: number;
}

const WORD = 64;
const word = (value: bigint): bigint => BigInt.asUintN(WORD, value);

/** Makes a name's key. */
export function modelKey(rule: KeyName, name: Buffer): Buffer {
  const text = name.toString("latin1");
  const separator = rule === "comma-sorted" ? "," : (/[;,]/.exec(text)?.[0] ?? ",");
  const [head = "", ...tags] = text.split(separator);
  if (rule === "name") return name;
  if (rule === "untagged") return Buffer.from(text.split(/[;,]/)[0]!, "latin1");
  return Buffer.from([head, ...tags.sort()].join(separator), "latin1");
}

function fnv1a(key: Buffer): bigint {
  return key.reduce((hash, byte) => word((hash ^ BigInt(byte)) * 0x100000001b3n), 0xcbf29ce484222325n);
}

function decode(key: Buffer): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(key);
}

function djb2(key: Buffer): bigint {
  return [...decode(key)].reduce((hash, letter) => word(hash * 33n + BigInt(letter.codePointAt(0)!)), 5381n);
}

function murmur3(key: Buffer): bigint {
  const half = (value: bigint): bigint => BigInt.asUintN(32, value);
  const rotate = (value: bigint, bits: bigint): bigint => half((value << bits) | (value >> (32n - bits)));
  const mix = (block: bigint): bigint => half(rotate(half(block * 0xcc9e2d51n), 15n) * 0x1b873593n);
  let hash = 0xaccd3d34n;
  for (let at = 0; at < key.length; at += 4) {
    const bytes = [...key.subarray(at, at + 4)];
    const block = bytes.reduceRight((sum, byte) => sum * 256n + BigInt(byte), 0n);
    hash ^= mix(block);
    if (bytes.length === 4) hash = half(rotate(hash, 13n) * 5n + 0xe6546b64n);
  }
  hash ^= BigInt(key.length);
  hash = half((hash ^ (hash >> 16n)) * 0x85ebca6bn);
  hash = half((hash ^ (hash >> 13n)) * 0xc2b2ae35n);
  return hash ^ (hash >> 16n);
}

function md5First(text: string): bigint {
  return BigInt(createHash("md5").update(text).digest().readUInt32LE(0));
}

/** Hashes a key; those of 32 bits have zeros above. */
export function modelHash(hash: HashName, key: Buffer): bigint {
  if (hash === "fnv1a-jump") return fnv1a(key);
  if (hash === "djb2-mod") return djb2(key);
  return hash === "murmur3-shards" ? murmur3(key) : md5First(decode(key));
}

function jump(hash: bigint, count: number): number {
  let [key, bucket, next] = [hash, -1, 0];
  while (next < count) {
    bucket = next;
    key = word(key * 0x27bb2ee687b0b0fdn + 1n);
    next = Math.trunc((bucket + 1) * (2 ** 31 / Number((key >> 33n) + 1n)));
  }
  return bucket;
}

/** The next hash of a chain. */
export function modelStir(hash: bigint): bigint {
  let stirred = hash ^ (hash >> 12n);
  stirred = word(stirred ^ (stirred << 25n));
  return word((stirred ^ (stirred >> 27n)) * 0x2545f4914f6cdd1dn);
}

/** All buckets in the order of the chain. */
function* chain(ring: ModelRing, hash: bigint): Generator<number> {
  const list = ring.buckets.map((_, bucket) => bucket);
  for (let key = hash; list.length > 0; key = modelStir(key)) {
    const place = ring.hash === "fnv1a-jump" ? jump(key, list.length) : Number(key % BigInt(list.length));
    yield list[place]!;
    const last = list.pop()!;
    if (place < list.length) list[place] = last;
  }
}

interface ModelPoint {
  readonly hash: bigint;
  readonly bucket: number;
}

const circles = new WeakMap<ModelRing, readonly ModelPoint[]>();

function makeCircle(ring: ModelRing): ModelPoint[] {
  const nodes = ring.buckets.map((index) => ring.destinations[index]!.replace(/^(?:udp|tcp|tls):\/\//, ""));
  const nodeCount = new Set(nodes).size;
  const each = Math.floor((100 / (100 * nodeCount)) * 40 * nodeCount);
  const points = nodes.flatMap((node, bucket) => {
    const first = nodes.slice(0, bucket).filter((other) => other === node).length * each;
    return Array.from({ length: each }, (_, i) => ({ hash: md5First(`${node}-${first + i}`), bucket }));
  });
  return points.sort((a, b) => Number(a.hash - b.hash));
}

/** All buckets in the order of the circle's points. */
function* circle(ring: ModelRing, hash: bigint): Generator<number> {
  const points = circles.get(ring) ?? makeCircle(ring);
  circles.set(ring, points);
  const from = points.findIndex((point) => point.hash >= hash);
  const start = from < 0 ? 0 : from;
  for (const { bucket } of [...points.slice(start), ...points.slice(0, start)]) yield bucket;
}

/** Chooses the destinations of a name. isSkipped: by index of the destination. */
export function modelChoice(ring: ModelRing, name: Buffer, isSkipped: readonly boolean[] = []): number[] {
  const hash = modelHash(ring.hash, modelKey(ring.key, name));
  const buckets = ring.hash === "ketama-etsy" ? circle(ring, hash) : chain(ring, hash);
  const order = [...new Set([...buckets].map((bucket) => ring.buckets[bucket]!))];
  const up = order.filter((destination) => isSkipped[destination] !== true);
  return up.length === 0 ? order.slice(0, 1) : up.slice(0, ring.replicas);
}
