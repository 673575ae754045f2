/** From configured names to addresses: destinations and listen addresses are resolved once, at start. */
import { lookup } from "node:dns/promises";
import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { parseDestination } from "../shared/config-addresses.ts";
import { OperatorError } from "../shared/errors.ts";
import { EVERY_HOST, everyHostLiteral } from "../shared/every-host.ts";
import { describeAddress } from "../shared/sockaddr.ts";
import type { ListenAddress, RemoteAddress } from "../shared/udp.ts";

/** Where Unix systems keep the names of ports. */
const SERVICES_FILE = "/etc/services";

/**
 * Finds where a destination argument points to. Its instance only makes equal addresses distinct.
 * Throws OperatorError naming the destination when its name has no address or its service no port.
 */
export async function resolveDestination(text: string): Promise<RemoteAddress> {
  const parsed = parseDestination(text);
  if ("fault" in parsed) throw new OperatorError(`destination ${text} ${parsed.fault}`);
  const { host, port } = parsed.value;
  return {
    kind: "udp",
    host: await resolveHost(host, `destination ${text}`),
    port: typeof port === "number" ? port : await servicePort(port, text),
  };
}

/** Finds the address literal of a listen address. Throws OperatorError naming it when there is none. */
export async function resolveListen(address: ListenAddress): Promise<ListenAddress> {
  if (address.kind !== "udp") return address;
  if (address.host === EVERY_HOST) return { ...address, host: await everyHostLiteral() };
  return { ...address, host: await resolveHost(address.host, `listen ${describeAddress(address)}`) };
}

/** Prefers IPv4 where a name has both, as Go does. */
async function resolveHost(host: string, what: string): Promise<string> {
  if (isIP(host) !== 0) return host;
  try {
    const addresses = await lookup(host, { all: true });
    const chosen = addresses.find(({ family }) => family === 4) ?? addresses[0]!;
    return chosen.address;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new OperatorError(
      `${what}: the name ${host} cannot be resolved (${code}); correct it, or name an address`,
    );
  }
}

/** Looks a service's UDP port up by its name or one of its aliases. */
async function servicePort(service: string, text: string): Promise<number> {
  let table = "";
  try {
    table = await readFile(SERVICES_FILE, "latin1");
  } catch {
    // A system without the table knows no service, which is what is reported below.
  }
  for (const line of table.split("\n")) {
    const [name, port = "", ...aliases] = line.replace(/#.*/, "").trim().split(/\s+/);
    if (port.endsWith("/udp") && (name === service || aliases.includes(service))) {
      return Number.parseInt(port, 10);
    }
  }
  throw new OperatorError(
    `destination ${text}: the service ${service} is not in ${SERVICES_FILE}; write the port as a number`,
  );
}
