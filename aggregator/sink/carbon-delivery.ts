/** One attempt to deliver a chunk, whatever it travels by. */

/** How long each step may take, in milliseconds. */
export interface CarbonTimeouts {
  /** Looking the name up included. */
  readonly connectTimeoutMs: number;
  /** Longest time without the system taking a slice. */
  readonly writeTimeoutMs: number;
  /** Longest wait for the remote's FIN after this end was closed. */
  readonly ackTimeoutMs: number;
}

/** What a delivery reports that was not allowed to go on. */
export const FENCED = "fenced";

/** Reports once: undefined for delivered, otherwise what went wrong. */
export interface CarbonDelivery {
  /** Gives the attempt up; nothing is reported any more. */
  abort(): void;
  /** As abort, at a moment when nothing more may arrive: what the system has not sent yet is dropped too. */
  revoke(): void;
}
