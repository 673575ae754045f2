/** Host names to address literals. */
import { lookup } from "node:dns/promises";

/** One address of a host. */
export interface HostAddress {
  readonly address: string;
  /** 4 or 6. */
  readonly family: number;
}

/** Asks for all addresses of a name. Rejects with an error whose code says why there are none. */
export type HostLookup = (host: string) => Promise<readonly HostAddress[]>;

/** Asks this machine's resolver: its hosts file, its name servers. */
export const systemLookup: HostLookup = (host) => lookup(host, { all: true });

/** Prefers IPv4 where a name has both, as Go does. Returns undefined when there is no address. */
export function preferredAddress(addresses: readonly HostAddress[]): string | undefined {
  return (addresses.find(({ family }) => family === 4) ?? addresses[0])?.address;
}

/** Says in a word why a lookup failed, such as ENOTFOUND. */
export function lookupFault(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? (error instanceof Error ? error.message : String(error));
}
