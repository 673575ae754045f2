/** Destination arguments: HOST:PORT or HOST:PORT:INSTANCE, with brackets around an IPv6 literal. */
import { lookup } from "node:dns/promises";
import { isIP, isIPv6 } from "node:net";
import { OperatorError } from "../shared/errors.ts";
import type { RemoteAddress } from "../shared/udp.ts";

/** One destination argument, taken apart. */
export interface Destination {
  /** The argument as written: what the ring and the metrics know it by. */
  readonly text: string;
  readonly host: string;
  readonly port: number;
}

const PORT_MAX = 65_535;

function fault(text: string, why: string): OperatorError {
  return new OperatorError(
    `destination ${JSON.stringify(text)}: ${why}; expected HOST:PORT or HOST:PORT:INSTANCE`,
  );
}

/**
 * Takes a destination argument apart. The instance only makes equal addresses distinct, so it is not returned.
 * An empty host is this machine, as in Go statsrelay.
 * Throws OperatorError naming the argument and what is wrong with it.
 */
export function parseDestination(text: string): Destination {
  const bracketed = /^\[([^\]]*)\]:([^:]*)(?::[^:]*)?$/.exec(text);
  if (bracketed !== null) {
    const [, host = "", port = ""] = bracketed;
    if (!isIPv6(host)) throw fault(text, `${JSON.stringify(host)} is no IPv6 address`);
    return { text, host, port: parsePort(text, port) };
  }
  const parts = text.split(":");
  if (parts.length < 2) throw fault(text, "the port is missing");
  if (parts.length > 3)
    throw fault(text, "too many colons; an IPv6 address goes in brackets, such as [::1]:8125");
  const [host = "", port = ""] = parts;
  return { text, host: host === "" ? "127.0.0.1" : host, port: parsePort(text, port) };
}

function parsePort(text: string, port: string): number {
  if (!/^\d+$/.test(port)) throw fault(text, `the port ${JSON.stringify(port)} is no number`);
  const number = Number(port);
  if (number < 1 || number > PORT_MAX) throw fault(text, `the port must be 1 to ${PORT_MAX}`);
  return number;
}

/**
 * Finds a destination's address, once: an IPv4 address where the name has one, as Go statsrelay does.
 * Throws OperatorError naming the destination when its name has no address.
 */
export async function resolveDestination({ text, host, port }: Destination): Promise<RemoteAddress> {
  if (isIP(host) !== 0) return { kind: "udp", host, port };
  try {
    const addresses = await lookup(host, { all: true });
    const chosen = addresses.find(({ family }) => family === 4) ?? addresses[0];
    if (chosen === undefined) throw new Error("no address");
    return { kind: "udp", host: chosen.address, port };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new OperatorError(`destination ${text}: the name ${host} cannot be resolved (${code})`);
  }
}
