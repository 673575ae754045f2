/** From a configured destination to an address that can be sent to. */
import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { parseDestination } from "../../shared/config-addresses.ts";
import { OperatorError } from "../../shared/errors.ts";
import { type HostLookup, lookupFault, preferredAddress, systemLookup } from "../../shared/host-lookup.ts";

/** Where Unix systems keep the names of ports. */
const SERVICES_FILE = "/etc/services";

/** How destinations without a scheme are sent to; `test` sends nothing, whatever the scheme says. */
export type DefaultProtocol = "udp" | "tcp" | "tls" | "test";

/** A destination that is a host and a port. */
export interface ResolvedHost {
  readonly kind: "host";
  /** As configured. */
  readonly text: string;
  readonly protocol: DefaultProtocol;
  /** Address literal without brackets. */
  readonly host: string;
  readonly port: number;
  /** The host as configured, a name or a literal: what a TLS certificate has to be for. */
  readonly name: string;
  readonly path?: never;
}

/** A destination that is a unix datagram socket. */
export interface ResolvedPath {
  readonly kind: "path";
  /** As configured. */
  readonly text: string;
  readonly protocol: "unixgram" | "test";
  readonly path: string;
  readonly host?: never;
  readonly port?: never;
  readonly name?: never;
}

/** A destination that can be sent to. Its instance and weight have no effect on where it is. */
export type ResolvedDestination = ResolvedHost | ResolvedPath;

/**
 * Finds where a destination points to. text: as configured, with or without its weight. lookup: asked for
 * host names.
 * Throws OperatorError naming the destination when its name has no address or its service no port.
 */
export async function resolveDestination(
  text: string,
  defaultProtocol: DefaultProtocol,
  lookup: HostLookup = systemLookup,
): Promise<ResolvedDestination> {
  const parsed = parseDestination(text);
  if ("fault" in parsed) throw new OperatorError(`destination ${text} ${parsed.fault}`);
  const destination = parsed.value;
  const isTest = defaultProtocol === "test";
  if (destination.kind === "path") {
    return { kind: "path", text, protocol: isTest ? "test" : "unixgram", path: destination.path };
  }
  const { host: name, port } = destination;
  const protocol = isTest ? "test" : (destination.protocol ?? defaultProtocol);
  return {
    kind: "host",
    text,
    protocol,
    host: await resolveHost(name, text, lookup),
    port: typeof port === "number" ? port : await servicePort(port, protocol, text),
    name,
  };
}

/** Prefers IPv4 where a name has both, as Go does. */
async function resolveHost(host: string, text: string, lookup: HostLookup): Promise<string> {
  if (isIP(host) !== 0) return host;
  let fault = "no address";
  try {
    const address = preferredAddress(await lookup(host));
    if (address !== undefined) return address;
  } catch (error) {
    fault = lookupFault(error);
  }
  throw new OperatorError(
    `destination ${text}: the name ${host} cannot be resolved (${fault}); correct it, or name an address`,
  );
}

/** Looks a service's port up by its name or one of its aliases. */
async function servicePort(service: string, protocol: DefaultProtocol, text: string): Promise<number> {
  const ending = protocol === "tcp" || protocol === "tls" ? "/tcp" : "/udp";
  let table = "";
  try {
    table = await readFile(SERVICES_FILE, "latin1");
  } catch {
    // A system without the table knows no service, which is what is reported below.
  }
  for (const line of table.split("\n")) {
    const [name, port = "", ...aliases] = line.replace(/#.*/, "").trim().split(/\s+/);
    if (port.endsWith(ending) && (name === service || aliases.includes(service))) {
      return Number.parseInt(port, 10);
    }
  }
  throw new OperatorError(
    `destination ${text}: the service ${service}${ending} is not in ${SERVICES_FILE}; ` +
      "write the port as a number",
  );
}
