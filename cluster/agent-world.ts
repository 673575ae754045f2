/** What an agent is told at its start, and all that it may use of the world: see world.ts. */
import type { Delta } from "./delta.ts";
import type { Message } from "./message.ts";
import type { WorldClock, WorldLog } from "./world.ts";

export interface AgentOptions {
  /** Tells this run of the process from its others. */
  readonly incarnation: string;
  /** Bytes of deltas that are held in memory. */
  readonly holdBytesMax: number;
}

export interface AgentWorld {
  readonly clock: WorldClock;
  readonly way: AgentWay;
  /** Where deltas go that no member takes; undefined where they stay in memory. */
  readonly spool: AgentSpool | undefined;
  readonly log: WorldLog;
}

/** The way to one member at a time. */
export interface AgentWay {
  /** Returns false for a message that is not sent, since no member is there or too much waits. */
  send(message: Message): boolean;
  /** Bytes that wait, or that the member has perhaps not read. */
  pendingBytes(): number;
  /** Leaves this member for the next one. lost() and connected() tell how that goes. reason: for people. */
  goOn(reason: string): void;
}

/** A delta that lies on disk. */
export interface SpooledDelta {
  readonly delta: Delta;
  /** A member holds it safely: it need not be read again. */
  release(): void;
}

/**
 * Deltas on disk, in the order in which they were appended; the oldest are given up where they are too many.
 */
export interface AgentSpool {
  /** Bytes on disk. */
  readonly bytes: number;
  /** Samples of deltas that were given up, or were damaged. */
  readonly lostSamples: number;
  /** Whether it takes anything now; not for a while after a fault of the disk. */
  readonly isUsable: boolean;
  /** Whether there are deltas that were not read since the start. */
  readonly hasUnread: boolean;
  /** done: told once whether they are on disk, all or none. */
  append(deltas: readonly Delta[], done: (isSaved: boolean) => void): void;
  /** Reads those that come next, at most so many bytes but at least one; none where that fails. */
  read(bytesMax: number, done: (deltas: readonly SpooledDelta[]) => void): void;
}
