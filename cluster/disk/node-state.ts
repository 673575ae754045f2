/** What the rest of a node sees of its disk. */
import type { Disk, SavedState } from "../world.ts";

/** What a node has on disk, or in memory only. */
export interface NodeState extends Disk {
  readonly saved: SavedState;
  /** Number of the node, for its snapshots: 64 bits, the same at each start. */
  readonly node: bigint;
  /** Number of this run, in 64 bits: higher than those of earlier ones, and never the same again. */
  readonly incarnation: bigint;
  status(): DiskStatus;
  /** Ends what is under way, and gives the folder back. Nothing may be saved any more. */
  close(): Promise<void>;
}

export interface DiskStatus {
  /** Whether it is on disk at all. */
  readonly isLasting: boolean;
  /** Writes that failed since the start. */
  readonly failedWrites: number;
  /** Whether registers are in memory that the disk has no room for. */
  readonly isBehind: boolean;
  /** Whether something that had been saved was missing at the start. */
  readonly isDamaged: boolean;
}
