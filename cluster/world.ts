/**
 * All that the protocol may use of the world. It owns no socket, timer, file or clock, so that what runs in
 * production runs in the simulator as well.
 */
import type { Random } from "../shared/random.ts";
import type { Delta } from "./delta.ts";
import type { Message } from "./message.ts";
import type { Register } from "./register.ts";

export interface World {
  readonly clock: WorldClock;
  readonly random: Random;
  readonly net: Net;
  readonly disk: Disk;
  readonly writer: Writer;
  readonly log: WorldLog;
}

export interface WorldClock {
  /** Milliseconds that never go back; in production the same for all threads. */
  monotonicMs(): number;
  /** Wall clock of this machine, which may jump. */
  wallMs(): number;
}

/** Ways to the other members, by their names. What is sent may be lost, repeated, reordered and late. */
export interface Net {
  send(to: string, message: Message): void;
  /** Bytes that wait to be sent there; while there are many, nothing bulky should be added. */
  pendingBytes(to: string): number;
}

/** The vote, as raft has to remember it. */
export interface Vote {
  readonly term: number;
  readonly votedFor: string | undefined;
}

/** What a node finds on its disk when it begins. */
export interface SavedState {
  readonly vote: Vote;
  readonly registers: readonly (readonly [interval: number, register: Register])[];
  /** Whether there was anything: a node without must learn the state from others before it may lead. */
  readonly isEmpty: boolean;
}

/** What must outlive the process. `done` tells whether it is on disk; it comes later, and in order. */
export interface Disk {
  saveVote(vote: Vote, done: (isSaved: boolean) => void): void;
  saveRegister(interval: number, register: Register, done: (isSaved: boolean) => void): void;
  dropRegisters(belowInterval: number): void;
  /** One that is above those that are still wanted is not; it may be there once more at the next start. */
  forgetRegister?(interval: number): void;
}

/** Why something is written: a sink that adds up must not take most of these. */
export type WriteCause =
  /** The first writing of the interval, as far as anybody knows. */
  | "first"
  /** More deltas came: only the names that these touch. */
  | "amend"
  /** An earlier leader may have written the same, or a part of it. */
  | "takeover"
  /** Once more after amendments, when all is quiet: a cut-off leader's late bytes are buried. */
  | "settle";

export interface WriteOrder {
  readonly interval: number;
  readonly revision: number;
  readonly term: number;
  readonly cause: WriteCause;
  /** With `amend`: the deltas whose names are written, and no others. */
  readonly added?: readonly Delta[];
  /** Sinks that have all of it already. */
  readonly deliveredTo: readonly string[];
  /** Whether what was written before may have had more, which is lost. */
  readonly isInDoubt: boolean;
  /** Whether only one node holds some of it. */
  readonly isDegraded: boolean;
}

/** Told for each sink once, when it has acknowledged the order's rows, or when they are given up, counted. */
export type WriteProgress = (sink: string, isDelivered: boolean) => void;

/**
 * Folds deltas and writes rows. For each interval it has a table, or none. Orders are carried out one after
 * the other. Nothing is written for an order once the lease is over.
 */
export interface Writer {
  /** Names of the sinks that there are now. */
  sinks(): readonly string[];
  /** Adds a delta to its interval's table, which is begun where there is none. */
  fold(delta: Delta): void;
  /** Whether so much waits to be folded that what can be folded later should be. */
  isCrowded?(): boolean;
  /** Drops an interval's table. */
  drop(interval: number): void;
  /**
   * Answers with one more delta, that has to be folded last: what earlier intervals say of series that this
   * one changes but does not set. Undefined where there are none. All intervals below must be closed.
   */
  prepare(interval: number, done: (levels: Delta | undefined) => void): void;
  /** Writes the rows of an interval's table. */
  write(order: WriteOrder, progress: WriteProgress): void;
  /**
   * The table is what was decided: keeps of it what outlives the interval, and drops it. A second time for an
   * interval keeps what has changed.
   */
  close(interval: number): void;
  /** Until when, on the monotonic clock, rows may be handed to sinks; 0 for not at all. */
  setLease(untilMs: number): void;
  /**
   * Somebody else leads, who writes intervals from `floor` on: rows of these that wait are dropped. Those
   * below may be handed to sinks until `untilMs` on the monotonic clock. Called at each word of the leader.
   */
  yieldFrom(floor: number, untilMs: number): void;
  /** What outlives intervals, for a node that has just begun. */
  exportKept(done: (kept: Uint8Array | undefined) => void): void;
  importKept(kept: Uint8Array): void;
}

export interface WorldLog {
  error(event: string, fields: Record<string, unknown>): void;
  warn(event: string, fields: Record<string, unknown>): void;
  info(event: string, fields: Record<string, unknown>): void;
  debug(event: string, fields: Record<string, unknown>): void;
}
