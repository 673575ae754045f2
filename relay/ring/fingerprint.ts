/** The fingerprint of a ring: relays that have equal ones send every name to the same destinations. */
import { createHash } from "node:crypto";

const HEX_DIGITS = 16;
/** Hex digits that a double holds exactly. */
const NUMBER_HEX_DIGITS = 12;

/** What placement depends on. */
export interface RingIdentity {
  readonly hash: string;
  /** Key rule; never `auto`, which is not told apart from what it stands for. */
  readonly key: string;
  readonly replicas: number;
  /** The destination of each bucket, as configured, without weight. */
  readonly entries: readonly string[];
}

/** Makes a fingerprint: the first 16 hex digits of SHA-256 over all parts. */
export function ringFingerprint({ hash, key, replicas, entries }: RingIdentity): string {
  // JSON keeps the parts apart, whatever they hold.
  const text = JSON.stringify([hash, key, replicas, ...entries]);
  return createHash("sha256").update(text).digest("hex").slice(0, HEX_DIGITS);
}

/** A fingerprint as a number for gauges: its first 48 bits. */
export function fingerprintNumber(fingerprint: string): number {
  return Number.parseInt(fingerprint.slice(0, NUMBER_HEX_DIGITS), 16);
}
