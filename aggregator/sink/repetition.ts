/**
 * What sinks do with a second value for the same name and timestamp, and so which orders a sink may get.
 *
 *   class       first   takeover          amend   settle
 *   overwrite   yes     yes               yes     yes      keeps the last
 *   first-wins  yes     yes               no      no       keeps the first
 *   journal     yes     yes               yes     no       keeps all, each marked with its revision
 *   additive    yes     as `on-doubt`     no      no       adds them up
 */
import type { TicketOrder } from "./delivery-ticket.ts";

/**
 * `overwrite` keeps the last value, `first-wins` the first, `additive` adds them up. `journal` keeps both one
 * after the other, in a place that belongs to this node alone: what another leader wrote is not there.
 */
export type SinkClass = "overwrite" | "first-wins" | "journal" | "additive";

/** Whether a sink that adds up gets rows that it may have already. */
export type DoubtPolicy = "skip" | "resend";

/** `write`, or why the rows are withheld. */
export type Ruling = "write" | "not_amended" | "in_doubt";

/** Decides whether a sink gets the rows of an order. */
export function rulingOf(
  sinkClass: SinkClass,
  onDoubt: DoubtPolicy,
  { cause, isInDoubt }: Pick<TicketOrder, "cause" | "isInDoubt">,
): Ruling {
  if (sinkClass === "overwrite") return "write";
  if (cause === "settle") return "not_amended";
  if (sinkClass === "journal") return "write";
  if (cause === "amend") return "not_amended";
  if (sinkClass === "first-wins") return "write";
  return (cause === "takeover" || isInDoubt) && onDoubt === "skip" ? "in_doubt" : "write";
}
