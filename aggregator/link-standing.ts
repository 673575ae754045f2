/** Connections to peers as pages show them. */
import type { PeerState } from "../cluster/transport/peer-hub.ts";
import type { LinkState } from "../cluster/transport/peer-link.ts";
import type { LinkStanding } from "./cluster-messages.ts";

/** Of a member. */
export function linkOf({ name, outgoing, incoming }: PeerState): LinkStanding {
  const refusal = outgoing.refusal ?? incoming.refusal;
  const isUp = outgoing.isConnected && incoming.isConnected;
  return {
    name,
    isOutgoingUp: outgoing.isConnected,
    isIncomingUp: incoming.isConnected,
    bytesSent: outgoing.counts.sentBytes,
    bytesReceived: incoming.counts.receivedBytes,
    reconnects: outgoing.reconnects,
    fault: isUp ? undefined : (refusal ?? outgoing.lastError),
    refusal: isUp ? undefined : refusal,
    warning: outgoing.warning,
  };
}

/** The one connection of an agent, to whichever member. */
export function agentLinkOf({ server, isConnected, counts, reconnects, ...said }: LinkState): LinkStanding {
  return {
    name: server ?? "any",
    isOutgoingUp: isConnected,
    isIncomingUp: isConnected,
    bytesSent: counts.sentBytes,
    bytesReceived: counts.receivedBytes,
    reconnects,
    fault: isConnected ? undefined : (said.refusal ?? said.lastError),
    refusal: isConnected ? undefined : said.refusal,
    warning: said.warning,
  };
}
