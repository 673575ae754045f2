/**
 * What members say to each other. Messages may be lost, repeated and reordered, and each is understood by
 * itself; deltas travel as they are. How they are written on the wire is transport/codec.ts.
 */
import type { Delta } from "./delta.ts";
import type { ElectionMessage } from "./election/election.ts";
import type { Manifest } from "./manifest.ts";
import type { Register } from "./register.ts";

/** The leader's word to all, several times a second. */
export interface Beat {
  readonly kind: "beat";
  readonly term: number;
  /** Lowest interval that this leader may still write; those below are with whoever wrote them before. */
  readonly floor: number;
}

/** Somebody with a higher term answers a leader, or a candidate, of a lower one. */
export interface Stale {
  readonly kind: "stale";
  readonly term: number;
}

/** Asks for the cluster clock; the answer carries the question's moment back. */
export interface ClockRequest {
  readonly kind: "clock-request";
  /** Monotonic clock of who asks. */
  readonly askedMs: number;
}
export interface ClockAnswer {
  readonly kind: "clock-answer";
  readonly askedMs: number;
  /** Cluster clock of who answers. */
  readonly clockMs: number;
  /** Wall clock of who answers. Without it, it is taken to show the same. */
  readonly wallMs?: number;
}

/** New deltas of a member, or of those that it speaks for; also the answer to a pull. */
export interface Deltas {
  readonly kind: "deltas";
  readonly deltas: readonly Delta[];
  /** Intervals below it are closed at the sender: it has no more of its own for them. Absent in answers. */
  readonly closedBelow?: number;
  /** Incarnation of the sender, for closedBelow. */
  readonly incarnation: string;
  /** Whether the receiver shall acknowledge. */
  readonly wantsAck: boolean;
}
export interface DeltasAck {
  readonly kind: "deltas-ack";
  /** What the receiver holds, or held, of a `deltas`. */
  readonly held: Manifest;
}

/** A new leader asks for what a member knows. Asked again until it has answered in this term. */
export interface Query {
  readonly kind: "query";
  readonly term: number;
}
export interface QueryAnswer {
  readonly kind: "query-answer";
  readonly term: number;
  readonly registers: readonly (readonly [interval: number, register: Register])[];
  /** What it holds, by interval. */
  readonly held: readonly (readonly [interval: number, held: Manifest])[];
  /** First interval that it was there for from its beginning. */
  readonly presentSince: number;
  /** Intervals below it that are not named were delivered, and are forgotten. 0 where it is absent. */
  readonly forgottenBelow?: number;
}

/** The leader is about to write this. */
export interface Intent {
  readonly kind: "intent";
  readonly term: number;
  readonly interval: number;
  readonly revision: number;
  readonly manifest: Manifest;
  /** Whether something may have been written before that is lost. */
  readonly isInDoubt?: boolean;
}
export interface IntentAck {
  readonly kind: "intent-ack";
  readonly term: number;
  readonly interval: number;
  readonly revision: number;
  /** Whether it holds every delta of the manifest; a witness holds none. */
  readonly holdsAll: boolean;
  /** What it holds besides. */
  readonly besides: Manifest;
}

/** The sinks named have acknowledged this. */
export interface Done {
  readonly kind: "done";
  readonly term: number;
  readonly interval: number;
  readonly revision: number;
  readonly manifest: Manifest;
  readonly sinks: readonly string[];
  /** Whether those are all sinks that there are. */
  readonly isComplete: boolean;
}

/** Asks for deltas of an interval. */
export interface Pull {
  readonly kind: "pull";
  readonly interval: number;
  readonly wanted: Manifest;
}

/** A follower tells the leader what it holds and nobody has delivered. */
export interface Digest {
  readonly kind: "digest";
  readonly undelivered: readonly (readonly [interval: number, held: Manifest])[];
}

/** A node that has just begun asks for everything. */
export interface StateRequest {
  readonly kind: "state-request";
  readonly incarnation: string;
}
export interface State {
  readonly kind: "state";
  readonly incarnation: string;
  readonly registers: readonly (readonly [interval: number, register: Register])[];
  readonly held: readonly (readonly [interval: number, held: Manifest])[];
  /** What outlives intervals, as of the end of interval `keptThrough`; undefined where there is none. */
  readonly kept?: Uint8Array;
  readonly keptThrough: number;
  /** Intervals below it that are not named were delivered, and are forgotten. 0 where it is absent. */
  readonly forgottenBelow?: number;
}

/** A node that is about to stop has nothing more of its own. */
export interface Leaving {
  readonly kind: "leaving";
  readonly incarnation: string;
}

/** The leader asks a member to take its place at once. */
export interface TakeOver {
  readonly kind: "take-over";
  readonly term: number;
}

export type Message =
  | ElectionMessage
  | Beat
  | Stale
  | ClockRequest
  | ClockAnswer
  | Deltas
  | DeltasAck
  | Query
  | QueryAnswer
  | Intent
  | IntentAck
  | Done
  | Pull
  | Digest
  | StateRequest
  | State
  | Leaving
  | TakeOver;
