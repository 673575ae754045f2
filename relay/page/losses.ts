/** Why lines that were routed to a destination are not sent: in a receiver thread, or in the outlet. */
import { OUTPUT_LOSSES, type OutputLoss } from "../counters.ts";
import { OUTLET_LOSS_REASONS, type OutletLossReason } from "../outlet/ledger.ts";

export type DestinationLoss = OutputLoss | OutletLossReason;

/** Every reason, and what it means. */
export const LOSS_HELP: Readonly<Record<DestinationLoss, string>> = {
  refused: "Nothing listens there, said twice in a row.",
  unreachable: "No way there.",
  too_long: "The packet is larger than the network takes.",
  no_buffer: "The send buffer stayed full.",
  queue_full: "The queue of a connection, or the way to the outlet, was full.",
  error: "Anything else, such as a batch that failed again over a fresh connection.",
  down: "The destination was down, with `on-dead = drop`; with `next` what was on its way to it.",
  too_old: "Waited longer than `queue-age` or `hold-age`.",
  spool_full: "Pushed out of a full spool by newer lines.",
  gauge_superseded: "A held value of a gauge that a newer one makes meaningless.",
  shutdown: "Still waiting at the end, and no spool took it.",
  damaged: "In a spool record that could not be read back.",
};

/** The same reasons, in order. */
export const DESTINATION_LOSSES = [
  ...new Set<DestinationLoss>([...OUTPUT_LOSSES, ...OUTLET_LOSS_REASONS]),
] as const;
