/** What keeps a node that does not lead from writing. */

export interface WriteFence {
  /** Whether rows of an interval may leave now. Cheap: it is asked before every slice. */
  mayWrite(interval: number): boolean;
}

/** A sink whose rows may not leave looks again after this, if nobody told it to. */
export const FENCE_LOOK_MS = 250;
