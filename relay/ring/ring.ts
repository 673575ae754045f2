/**
 * The ring: which destination each bucket belongs to.
 *
 *   a:1*2 b:1       bucket   0  1  2            b:1 gets its bucket before a:1 gets another one, so that
 *                   owner    a  b  a            a:1*3 only appends
 */
import { stripWeight, WEIGHT_MAX } from "../../shared/config-addresses.ts";
import { EXIT_CONFIG, OperatorError } from "../../shared/errors.ts";
import {
  BUCKETS_MAX,
  HASH_DJB2_MOD,
  HASH_FNV1A_JUMP,
  HASH_KETAMA_ETSY,
  HASH_MURMUR3_SHARDS,
  KEY_COMMA_SORTED,
  KEY_NAME,
  KEY_SORTED,
  KEY_UNTAGGED,
  REPLICAS_MAX,
} from "../../shared/kernel/ring-codes.ts";
import { ringFingerprint } from "./fingerprint.ts";
import { ketamaPoints, type RingPoint } from "./ketama.ts";

/** How the kernel calls each hash. */
export const HASH_CODES = {
  "fnv1a-jump": HASH_FNV1A_JUMP,
  "djb2-mod": HASH_DJB2_MOD,
  "murmur3-shards": HASH_MURMUR3_SHARDS,
  "ketama-etsy": HASH_KETAMA_ETSY,
} as const;
/** How the kernel calls each key rule. */
export const KEY_CODES = {
  name: KEY_NAME,
  untagged: KEY_UNTAGGED,
  sorted: KEY_SORTED,
  "comma-sorted": KEY_COMMA_SORTED,
} as const;
/** A circle of more points would take seconds to compute. */
const KETAMA_BUCKETS_MAX = 4096;

/** How names are hashed and placed. */
export type HashName = keyof typeof HASH_CODES;
/** What of a name is hashed. */
export type KeyName = keyof typeof KEY_CODES;
/** The same as configured: `auto` is what the original of the hash does. */
export type KeyRuleName = KeyName | "auto";

/** What a ring is built from. */
export interface RingSpec {
  /** `main`, or the name of a route. */
  readonly name: string;
  readonly hash: HashName;
  readonly key: KeyRuleName;
  /** As configured, each with its weight. */
  readonly destinations: readonly string[];
  /** Virtual shards of murmur3-shards; 0 takes one for each entry. */
  readonly shards: number;
  /** Destinations that get each line, 1 or more. */
  readonly replicas: number;
}

/** Buckets and the destinations behind them; plain data that can be posted to a thread. */
export interface Ring {
  readonly name: string;
  readonly hash: HashName;
  readonly key: KeyName;
  /** For each bucket, in order, the index of its destination. */
  readonly buckets: readonly number[];
  /** Distinct destinations without their weights, in the order of their first bucket. */
  readonly destinations: readonly string[];
  readonly replicas: number;
  /** Of a ketama ring: its circle, ascending. */
  readonly points?: readonly RingPoint[];
  /** See ringFingerprint. */
  readonly fingerprint: string;
}

/**
 * Builds a ring. A bucket's number is its position in the list and nothing else, as in Go statsrelay, so
 * destinations are appended and never inserted. Equal destinations share one packet; a different instance
 * makes them distinct. Weights append too: each destination gets its first bucket, then those of weight 2 or
 * more their second one, and so on. So most buckets keep their owner when a weight is raised, and all of them
 * do if no other weight exceeds the old one.
 * Throws OperatorError naming ring and key where the parts make no ring.
 */
export function buildRing(spec: RingSpec): Ring {
  const entries = dealShards(expandWeights(spec), spec);
  const indexes = new Map<string, number>();
  const buckets = entries.map((entry) => {
    const index = indexes.get(entry) ?? indexes.size;
    indexes.set(entry, index);
    return index;
  });
  const destinations = [...indexes.keys()];
  const { name, hash, replicas } = spec;
  checkReplicas(spec, destinations.length);
  const key = spec.key === "auto" ? (hash === "djb2-mod" ? "comma-sorted" : "name") : spec.key;
  const fingerprint = ringFingerprint({ hash, key, replicas, entries });
  const ring: Ring = { name, hash, key, buckets, destinations, replicas, fingerprint };
  return hash === "ketama-etsy" ? { ...ring, points: ketamaPoints(entries) } : ring;
}

function fault({ name }: RingSpec, text: string): OperatorError {
  return new OperatorError(`ring ${name}: ${text}`, EXIT_CONFIG);
}

/** Repeats destinations by their weights, breadth first. */
function expandWeights(spec: RingSpec): string[] {
  const weighted = spec.destinations.map((text) => {
    const { entry, weight } = stripWeight(text);
    if (entry === "" || !(weight >= 1 && weight <= WEIGHT_MAX)) {
      throw fault(
        spec,
        `destinations has "${text}"; write HOST:PORT*WEIGHT with a weight of 1..${WEIGHT_MAX}`,
      );
    }
    return { entry, weight };
  });
  if (weighted.length === 0) throw fault(spec, "destinations is empty; name at least one as HOST:PORT");
  const total = weighted.reduce((sum, { weight }) => sum + weight, 0);
  const bucketsMax = spec.hash === "ketama-etsy" ? KETAMA_BUCKETS_MAX : BUCKETS_MAX;
  if (total > bucketsMax) {
    throw fault(spec, `destinations make ${total} buckets; use lower weights, for at most ${bucketsMax}`);
  }
  const entries: string[] = [];
  for (let left = weighted, round = 1; left.length > 0; round++) {
    for (const { entry } of left) entries.push(entry);
    left = left.filter(({ weight }) => weight > round);
  }
  return entries;
}

/** Deals virtual shards out to the entries in turn. */
function dealShards(entries: readonly string[], spec: RingSpec): readonly string[] {
  const { shards, hash } = spec;
  if (shards === 0) return entries;
  if (hash !== "murmur3-shards") {
    throw fault(spec, `shards is ${shards}; use it with hash = murmur3-shards, or leave it at 0`);
  }
  if (!(shards >= entries.length && shards <= BUCKETS_MAX)) {
    const range = `${entries.length}..${BUCKETS_MAX}`;
    throw fault(spec, `shards is ${shards}; choose within ${range}, so that each destination gets one`);
  }
  return Array.from({ length: shards }, (_, shard) => entries[shard % entries.length]!);
}

function checkReplicas(spec: RingSpec, destinationCount: number): void {
  const most = Math.min(REPLICAS_MAX, destinationCount);
  if (spec.replicas >= 1 && spec.replicas <= most) return;
  const reason = `of ${destinationCount} distinct destinations each line can go to ${most}`;
  throw fault(spec, `replicas is ${spec.replicas}; choose within 1..${most}: ${reason}`);
}
