/** The socket side of a channel: takes packets from its queue and sends them. */
import type { Backoff } from "../../shared/backoff.ts";
import type { Clock } from "../../shared/clock.ts";
import type { Log } from "../../shared/log.ts";
import type { Packet } from "./handoff.ts";
import type { Ledger } from "./ledger.ts";
import type { ChannelOrder, OutletOptions } from "./order.ts";
import type { PacketQueue } from "./queue.ts";

/** What a link works with. */
export interface LinkContext {
  readonly order: ChannelOrder;
  /** As they are now: a reload changes them. */
  options(): OutletOptions;
  readonly queue: PacketQueue;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly backoff: Backoff;
  /** Rate limited. */
  readonly log: Log;
  /** A lasting connection was made or lost; of stream protocols only. */
  onConnection(isUp: boolean): void;
}

/**
 * Keeps itself connected from its making on. Every packet it takes is counted as sent or lost, or given back.
 */
export interface Link {
  readonly isConnected: boolean;
  /** Packets taken from the queue that are neither sent nor lost yet. */
  readonly pending: readonly Packet[];
  /** Sends what is queued, as far as that is possible now. */
  pump(): void;
  /** Gives back what is not on its way at this moment, to be taken again or held. */
  recall(): Packet[];
  /** Gives back everything that is not known to be sent, and stops for good. */
  abandon(): Packet[];
  /** Stops for good when nothing is pending; resolves when what was sent is the system's to deliver. */
  finish(): Promise<void>;
}

/** Lines in packets. */
export function countLines(packets: readonly Packet[]): number {
  return packets.reduce((sum, { lines }) => sum + lines, 0);
}
