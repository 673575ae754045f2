/** Kinds of configuration values that say where: hosts and ports, listen URLs, relay destinations. */
import { isIPv4, isIPv6 } from "node:net";
import type { Parsed, ValueType } from "./config-values.ts";
import { EVERY_HOST } from "./every-host.ts";
import { describeAddress } from "./sockaddr.ts";
import type { ListenAddress } from "./udp.ts";

/** A host and its port; the host is an address literal without brackets, or a name yet to be resolved. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** A relay destination, taken apart. */
export interface Destination {
  /** Address literal without brackets, or a name yet to be resolved. */
  readonly host: string;
  /** 1..65535, or a service name yet to be resolved. */
  readonly port: number | string;
  /** Makes equal addresses distinct and has no other meaning; empty for none. */
  readonly instance: string;
}

const PORT_MAX = 65_535;
/** sun_path of Linux has 108 bytes, the closing zero included. */
const UNIX_PATH_BYTES_MAX = 107;
const HOST_NAME = /^(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_.])?$/;
const SERVICE_NAME = /^[A-Za-z0-9][A-Za-z0-9_+.-]{0,31}$/;
const DESTINATION_REMEDY = "write HOST:PORT or HOST:PORT:INSTANCE, with an IPv6 address in brackets";

/** Writes an address for people and for parseHostPort: an IPv6 literal gets its brackets. */
export function printHostPort({ host, port }: HostPort): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** Reads HOST:PORT or [v6]:PORT. leastPort: 0 where the system may choose the port, otherwise 1. */
export function parseHostPort(text: string, leastPort: 0 | 1): Parsed<HostPort> {
  const [, bracketed, plain, port = ""] = /^(?:\[([^\]]*)\]|([^:]*)):([^:]*)$/.exec(text) ?? [];
  const literal = bracketed ?? plain;
  if (literal === undefined) return { fault: "is no address; write HOST:PORT or [IPV6]:PORT" };
  const host = parseHost(literal, bracketed !== undefined);
  if ("fault" in host) return host;
  const number = /^\d+$/.test(port) ? Number(port) : Number.NaN;
  if (!(number >= leastPort && number <= PORT_MAX)) {
    return { fault: `has the port "${port}"; choose within ${leastPort}..${PORT_MAX}` };
  }
  return { value: { host: host.value, port: number } };
}

function parseHost(host: string, isBracketed: boolean): Parsed<string> {
  if (isBracketed) {
    if (host.includes("%")) return { fault: "has a zone; write the address without it" };
    return isIPv6(host) ? { value: host } : { fault: "has no IPv6 address in its brackets; correct it" };
  }
  if (isIPv4(host)) return { value: host };
  // Digits and dots that are no address would only fail later, as a name that cannot be found.
  if (/^[\d.]+$/.test(host)) return { fault: `has "${host}" for an IPv4 address; write four numbers 0..255` };
  if (HOST_NAME.test(host)) return { value: host };
  return { fault: `has "${host}" for a host; write a name, an IPv4 address or [IPV6]` };
}

/** HOST:PORT to connect to. */
export const remoteAddress: ValueType<HostPort> = {
  shape: "HOST:PORT",
  parse: (text) => parseHostPort(text, 1),
  print: printHostPort,
};

/** HOST:PORT to serve pages at; empty for none, port 0 for any free one. */
export const pageAddress: ValueType<HostPort | undefined> = {
  shape: "HOST:PORT, or empty for off",
  parse: (text) => (text === "" ? { value: undefined } : parseHostPort(text, 0)),
  print: (value) => (value === undefined ? "" : printHostPort(value)),
};

/** Where datagrams come in, as a URL. The host `*` means all interfaces; see every-host.ts. */
export const listenAddress: ValueType<ListenAddress> = {
  shape: "udp://HOST:PORT, where HOST may be *, or unixgram:///PATH",
  parse(text) {
    const [, scheme, rest = ""] = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/(.*)$/s.exec(text) ?? [];
    if (scheme === "unixgram") return parseSocketPath(rest);
    if (scheme === "udp") {
      const isEverywhere = rest.startsWith(`${EVERY_HOST}:`);
      const address = parseHostPort(isEverywhere ? rest.replace(EVERY_HOST, "0.0.0.0") : rest, 0);
      if ("fault" in address) return address;
      const { host, port } = address.value;
      return { value: { kind: "udp", host: isEverywhere ? EVERY_HOST : host, port } };
    }
    if (scheme !== undefined) {
      return { fault: `has the scheme "${scheme}"; this version listens on udp and unixgram` };
    }
    return "fault" in parseHostPort(text, 0)
      ? { fault: "is no listen URL; write udp://HOST:PORT or unixgram:///PATH" }
      : { fault: `has no scheme; write udp://${text}` };
  },
  print: describeAddress,
};

function parseSocketPath(path: string): Parsed<ListenAddress> {
  if (!path.startsWith("/")) return { fault: "needs an absolute path; write unixgram:///PATH" };
  // The list syntax would take such a path for two.
  if (/[\s,\p{C}]/u.test(path)) return { fault: "has a blank or comma in its path; choose another path" };
  if (Buffer.byteLength(path) > UNIX_PATH_BYTES_MAX) {
    return { fault: `has a path of more than ${UNIX_PATH_BYTES_MAX} bytes; choose a shorter one` };
  }
  return { value: { kind: "unixgram", path } };
}

/**
 * Takes a relay destination apart: HOST:PORT[:INSTANCE] or [v6]:PORT[:INSTANCE]. An empty host is this
 * machine, as in Go statsrelay.
 */
export function parseDestination(text: string): Parsed<Destination> {
  const bracketed = /^\[([^\]]*)\]:(.*)$/s.exec(text);
  const parts = bracketed === null ? text.split(":") : [bracketed[1]!, ...bracketed[2]!.split(":")];
  if (isIPv6(text)) return { fault: `is an IPv6 address alone; ${DESTINATION_REMEDY}` };
  if (parts.length < 2) return { fault: `has no port; ${DESTINATION_REMEDY}` };
  if (parts.length > 3) return { fault: `has too many colons; ${DESTINATION_REMEDY}` };
  const [literal = "", port = "", instance = ""] = parts;
  const isLocal = literal === "" && bracketed === null;
  const host = isLocal ? { value: "127.0.0.1" } : parseHost(literal, bracketed !== null);
  if ("fault" in host) return host;
  if (/[\s,\p{C}]/u.test(instance)) return { fault: "has a blank or comma in its instance; remove it" };
  if (/^\d+$/.test(port)) {
    const number = Number(port);
    if (number >= 1 && number <= PORT_MAX) return { value: { host: host.value, port: number, instance } };
  } else if (SERVICE_NAME.test(port)) {
    return { value: { host: host.value, port, instance } };
  }
  return { fault: `has the port "${port}"; choose within 1..${PORT_MAX}, or a service name` };
}

/** A destination that is checked and kept as written, because the ring hashes what it was given. */
export const destination: ValueType<string> = {
  shape: "HOST:PORT[:INSTANCE]",
  parse(text) {
    const parsed = parseDestination(text);
    return "fault" in parsed ? parsed : { value: text };
  },
  print: (value) => value,
};
