/** Where a name goes, and why: the answer of a configuration to one name, for people and for comparison. */

/** One ring that a name goes to. */
export interface PlacementTarget {
  /** Name of the ring: `main`, or that of a route. */
  readonly ring: string;
  /** Fingerprint of the ring. */
  readonly fingerprint: string;
  /** The bytes that were hashed, as text; see showName in name-text.ts. */
  readonly key: string;
  /** The hash, in hexadecimal digits. */
  readonly hash: string;
  /** How many buckets the ring has. */
  readonly buckets: number;
  /** 0..buckets-1. */
  readonly bucket: number;
  /** First choice, then replicas; each as configured, without its weight. */
  readonly destinations: readonly string[];
  /** The name as it leaves, as text. */
  readonly sentAs: string;
  /** What led here, a sentence each: rules, routes, key. */
  readonly why: readonly string[];
}

/** Everything that becomes of one name. */
export interface Placement {
  /** The name as text; see showName in name-text.ts. */
  readonly given: string;
  /** Present where its lines are dropped: the drop reason, and what led to it. */
  readonly drop?: { readonly reason: string; readonly why: readonly string[] };
  /** One for each ring that takes the name; none where it is dropped. */
  readonly targets: readonly PlacementTarget[];
}

/** One ring of a configuration. */
export interface PlacedRing {
  /** `main`, or the name of a route. */
  readonly name: string;
  readonly fingerprint: string;
  /** Its hash, such as `fnv1a-jump`. */
  readonly hash: string;
  /** Its key rule, such as `name`. */
  readonly key: string;
  readonly buckets: number;
  /** Destinations that get each line, at least 1. */
  readonly replicas: number;
  /** In order; each as configured without its weight, and as often as its weight says. */
  readonly destinations: readonly string[];
}

/** Answers for a configuration. */
export interface Placer {
  /** name: the bytes before a line's first colon. */
  place(name: Uint8Array): Placement;
  readonly rings: readonly PlacedRing[];
}
