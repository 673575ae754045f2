/** From a configured listen address to one that can be bound. */
import { isIP } from "node:net";
import { OperatorError } from "./errors.ts";
import { EVERY_HOST, everyHostLiteral } from "./every-host.ts";
import { lookupFault, preferredAddress, systemLookup } from "./host-lookup.ts";
import { describeAddress } from "./sockaddr.ts";
import type { ListenAddress } from "./udp.ts";

/**
 * Finds the address literal of a listen address, whatever its protocol; a path is returned as it is.
 * Throws OperatorError naming the address when its host has none.
 */
export async function resolveListen(address: ListenAddress): Promise<ListenAddress> {
  if (!("host" in address) || isIP(address.host) !== 0) return address;
  if (address.host === EVERY_HOST) return { ...address, host: await everyHostLiteral() };
  let fault = "no address";
  try {
    const host = preferredAddress(await systemLookup(address.host));
    if (host !== undefined) return { ...address, host };
  } catch (error) {
    fault = lookupFault(error);
  }
  throw new OperatorError(
    `listen ${describeAddress(address)}: the name ${address.host} cannot be resolved (${fault}); ` +
      "correct it, or name an address of this machine",
  );
}
