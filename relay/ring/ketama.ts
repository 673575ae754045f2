/** The circle of points that Etsy's proxy places names on. */
import { createHash } from "node:crypto";

/** Points of each bucket on a ring of 1 to 6 nodes; see pointsOfBucket. */
const POINTS_WANTED = 40;
/** The weight that Etsy's proxy gives to each node. */
const NODE_WEIGHT = 100;

/** A point of the circle: names that hash to it, or behind the point before it, belong to the bucket. */
export interface RingPoint {
  /** 0..2^32-1. */
  readonly hash: number;
  readonly bucket: number;
}

/**
 * Returns how many points each bucket gets on a ring of so many nodes: 40, or 39 where hashring's arithmetic
 * falls short of that by rounding (7, 14, 28, 49, 56, 98 nodes and some beyond).
 */
export function pointsOfBucket(nodeCount: number): number {
  // The order of these roundings is part of the result.
  const share = NODE_WEIGHT / (NODE_WEIGHT * nodeCount);
  return Math.floor(share * POINTS_WANTED * nodeCount);
}

/** How Etsy's proxy writes a destination: a port on a host has no scheme there. */
function nodeOf(destination: string): string {
  return destination.replace(/^(?:udp|tcp|tls):\/\//, "");
}

/**
 * Makes the points of a ring, ascending; equal hashes are in the order of the buckets.
 * entries: the destination of each bucket, repeated by its weight. A node's second bucket goes on where its
 * first one ends, so a greater weight takes names for the node and moves no others.
 * Source: hashring 3.2.0 with `replicas: 0`, of which a point is the first four bytes of MD5("node-index").
 */
export function ketamaPoints(entries: readonly string[]): RingPoint[] {
  const nodes = entries.map(nodeOf);
  const count = pointsOfBucket(new Set(nodes).size);
  const used = new Map<string, number>();
  const points = nodes.flatMap((node, bucket) => {
    const first = used.get(node) ?? 0;
    used.set(node, first + count);
    return Array.from({ length: count }, (_, index) => ({ hash: hashNode(node, first + index), bucket }));
  });
  return points.sort((a, b) => a.hash - b.hash);
}

function hashNode(node: string, index: number): number {
  return createHash("md5").update(`${node}-${index}`).digest().readUInt32LE(0);
}
