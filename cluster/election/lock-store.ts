/** A lock in a store outside, and what each such store is told. */
import type { Clock } from "../../shared/clock.ts";
import type { Random } from "../../shared/random.ts";
import type { WorldLog } from "../world.ts";
import type { EndpointOptions } from "./http-endpoints.ts";

/** What all stores need to be told. */
export interface ExternalOptions extends EndpointOptions {
  /** This node's name. */
  readonly name: string;
  /** How long a leader that is not heard any more keeps the lock; at least TTL_MIN_MS. */
  readonly ttlMs: number;
}

export interface ExternalContext {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: WorldLog;
}

/** Least time to live: the margin and two renewals have to fit. */
export const TTL_MIN_MS = 2000;

/** This node has the lock in this term, until then on the monotonic clock, counted from the request. */
export interface HeldLock {
  readonly isHeld: true;
  readonly term: number;
  readonly expiresMs: number;
}

/** Somebody else has it, or nobody. */
export interface OtherLock {
  readonly isHeld: false;
  /** Term of the last who had it, as the store says. */
  readonly term: number;
  readonly leader: string | undefined;
  /** When it could be free, where that is known. */
  readonly retryMs?: number;
}

export type Standing = HeldLock | OtherLock;

/** A lock in a store. Its calls reject with EndpointFault; only one of the first four runs at a time. */
export interface LockStore {
  readonly kind: string;
  /** Shortest time to live that the store has. */
  readonly ttlMinMs: number;
  /** Who has the lock; never this node. */
  look(): Promise<OtherLock>;
  /** Takes the lock where it is free, or is this node's already, in a term above `floor`. */
  acquire(floor: number): Promise<Standing>;
  /** Keeps the lock. */
  renew(): Promise<Standing>;
  /** Frees the lock where this node has it, or may have it. */
  release(): Promise<void>;
  /** Resolves to whether the lock has changed; absent where the store is only asked again and again. */
  change?(): Promise<boolean>;
}

const NAME_CHARS_MAX = 253;

/** Returns a leader's name as a store has it, or undefined for what can be none. */
export function leaderName(value: unknown): string | undefined {
  const isName = typeof value === "string" && value !== "" && value.length <= NAME_CHARS_MAX;
  return isName && !/\p{C}/u.test(value) ? value : undefined;
}
