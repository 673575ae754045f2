/** The listen host that stands for all interfaces, and the address that does so on this machine. */
import { createSocket } from "node:dgram";
import { once } from "node:events";

/** Host of a listen address that means all interfaces: IPv6 and IPv4 together where the system has IPv6. */
export const EVERY_HOST = "*";

/**
 * Finds the address literal to bind for EVERY_HOST: `::`, whose sockets take IPv4 as well, or `0.0.0.0` where
 * it cannot be bound. canBind: whether a UDP socket can have an address; asks the system by default.
 */
export async function everyHostLiteral(
  canBind: (literal: string) => Promise<boolean> = canBindIpv6,
): Promise<string> {
  return (await canBind("::")) ? "::" : "0.0.0.0";
}

async function canBindIpv6(literal: string): Promise<boolean> {
  const socket = createSocket("udp6");
  try {
    socket.bind(0, literal);
    await once(socket, "listening");
    return true;
  } catch {
    // Whatever the reason, IPv6 cannot be listened on; what IPv4 says to it is told when that is bound.
    return false;
  } finally {
    socket.close();
  }
}
