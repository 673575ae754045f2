/** What a listener counts beside its kernel: connections, refused datagrams, what was repeated. */
import type { Counters } from "../../shared/counters.ts";
import { type BatchReceiver, LOSS_REASONS, type LossReason } from "../../shared/udp.ts";
import type { Repeater } from "./repeater.ts";
import { SIGNATURE_FAULTS, type SignatureFault, type SignatureGate } from "./signature-gate.ts";

/** Among the counters of each intake; those of connections stay 0 for datagrams. */
export const LISTENER_COUNTERS = [
  "connections",
  "connectionsAccepted",
  "connectionsRefused",
  "connectionsIdle",
  "handshakesFailed",
  ...SIGNATURE_FAULTS.map((fault): `refusedDatagrams.${SignatureFault}` => `refusedDatagrams.${fault}`),
  "repeatedDatagrams",
  ...LOSS_REASONS.map((reason): `repeatLost.${LossReason}` => `repeatLost.${reason}`),
  "repeatLostLines",
  "repeatBytesTaken",
] as const;
type ListenerCounter = (typeof LISTENER_COUNTERS)[number];

/** Counters of the kernel that lines count in as well which never reach it. */
type SharedCounter = "received" | "dropped.line_too_long" | "dropped.cut_off";

/** What is open of a listener. */
export interface ListenerParts {
  readonly receiver: BatchReceiver;
  readonly gate: SignatureGate | undefined;
  readonly repeater: Repeater | undefined;
}

/** Publishes all of it; to be called behind the kernel's own counts and seen together with them. */
export function publishListener(
  { receiver, gate, repeater }: ListenerParts,
  counters: Pick<Counters<ListenerCounter | SharedCounter>, "add" | "set">,
): void {
  const stream = receiver.streamTally;
  if (stream !== undefined) {
    // The lines were received, and dropped.
    counters.add("received", stream.linesTooLong + stream.linesCut);
    counters.add("dropped.line_too_long", stream.linesTooLong);
    counters.add("dropped.cut_off", stream.linesCut);
    counters.set("connections", stream.connections);
    counters.set("connectionsAccepted", stream.accepted);
    counters.set("connectionsRefused", stream.refused);
    counters.set("connectionsIdle", stream.idleClosed);
    counters.set("handshakesFailed", stream.handshakesFailed);
  }
  if (gate !== undefined) {
    for (const fault of SIGNATURE_FAULTS) counters.set(`refusedDatagrams.${fault}`, gate.refused[fault]);
  }
  if (repeater !== undefined) {
    const { datagrams, datagramsLost, linesLost } = repeater.tally;
    counters.set("repeatedDatagrams", datagrams);
    for (const reason of LOSS_REASONS) counters.set(`repeatLost.${reason}`, datagramsLost[reason]);
    counters.set("repeatLostLines", linesLost);
  }
}
