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
export type Destination = HostDestination | PathDestination;

/** A destination at a port. */
export interface HostDestination {
  readonly kind: "host";
  /** Undefined when the text has no scheme: `sendproto` decides then. */
  readonly protocol: "udp" | "tcp" | "tls" | undefined;
  /** Address literal without brackets, or a name yet to be resolved. */
  readonly host: string;
  /** 1..65535, or a service name yet to be resolved. */
  readonly port: number | string;
  /** Makes equal addresses distinct and has no other meaning; empty for none. */
  readonly instance: string;
  /** Buckets of the ring that it gets, 1..WEIGHT_MAX. */
  readonly weight: number;
}

/** A unix datagram socket as destination. */
export interface PathDestination {
  readonly kind: "path";
  readonly protocol: "unixgram";
  readonly path: string;
  /** Always empty: a path has no instance. */
  readonly instance: string;
  /** Buckets of the ring that it gets, 1..WEIGHT_MAX. */
  readonly weight: number;
}

/** Buckets of a ring that one destination can have. */
export const WEIGHT_MAX = 1000;
const PORT_MAX = 65_535;
/** sun_path of Linux has 108 bytes, the closing zero included. */
const UNIX_PATH_BYTES_MAX = 107;
const HOST_NAME = /^(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_.])?$/;
const SERVICE_NAME = /^[A-Za-z0-9][A-Za-z0-9_+.-]{0,31}$/;
const URL_PARTS = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/(.*)$/s;
const DESTINATION_REMEDY = "write HOST:PORT or HOST:PORT:INSTANCE, with an IPv6 address in brackets";

/** Writes an address for people and for parseHostPort: an IPv6 literal gets its brackets. */
export function printHostPort({ host, port }: { host: string; port: number | string }): string {
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

/** HOST:PORT to take connections at; port 0 for any free one. */
export const openAddress: ValueType<HostPort> = {
  shape: "HOST:PORT",
  parse: (text) => parseHostPort(text, 0),
  print: printHostPort,
};

/** Another node of the cluster, and where it takes connections. */
export interface PeerAddress extends HostPort {
  readonly name: string;
}

/** Where nodes of a cluster take connections from each other, unless they say otherwise. */
export const PEER_PORT = 8136;
/** Names of nodes. */
export const NODE_NAME = /^[A-Za-z0-9._-]{1,63}$/;
const PEER_REMEDY = "write NAME@HOST:PORT";

/** NAME@HOST:PORT; without a port it is PEER_PORT. */
export const peerAddress: ValueType<PeerAddress> = {
  shape: "NAME@HOST:PORT",
  parse(text) {
    const [, name, address] = /^([^@]*)@([^@]+)$/.exec(text) ?? [];
    if (name === undefined || address === undefined) return { fault: `names no node; ${PEER_REMEDY}` };
    if (!NODE_NAME.test(name)) {
      return { fault: `has "${name}" for a name; write up to 63 letters, digits, dots, _ and -` };
    }
    if (isIPv6(address)) return { fault: "has an IPv6 address without brackets; write NAME@[IPV6]:PORT" };
    const hasPort = /:[^:\]]*$/.test(address);
    const parsed = parseHostPort(hasPort ? address : `${address}:${PEER_PORT}`, 1);
    return "fault" in parsed ? parsed : { value: { name, ...parsed.value } };
  },
  print: ({ name, ...address }) => `${name}@${printHostPort(address)}`,
};

/** The same; empty for none. */
export const peerOrNone: ValueType<PeerAddress | undefined> = {
  shape: "NAME@HOST:PORT, or empty for none",
  parse: (text) => (text === "" ? { value: undefined } : peerAddress.parse(text)),
  print: (value) => (value === undefined ? "" : peerAddress.print(value)),
};

/** The root of an HTTP service, http:// or https://HOST[:PORT], without a slash at its end. */
export const endpoint: ValueType<string> = {
  shape: "http:// or https://HOST:PORT",
  parse(text) {
    const [, scheme, rest = ""] = URL_PARTS.exec(text) ?? [];
    if (scheme !== "http" && scheme !== "https") {
      return { fault: "needs a scheme; write http:// or https://HOST:PORT" };
    }
    const authority = rest.replace(/\/$/, "");
    if (authority.includes("@")) return { fault: "has a user in it; use the keys of this section for that" };
    if (/[/?#]/.test(authority)) return { fault: "has a path; write http:// or https://HOST:PORT" };
    const hasPort = /:[^:\]]*$/.test(authority);
    const parsed = parseHostPort(hasPort ? authority : `${authority}:${scheme === "http" ? 80 : 443}`, 1);
    return "fault" in parsed ? parsed : { value: `${scheme}://${authority}` };
  },
  print: (value) => value,
};

/** Where datagrams and streams of lines come in, as a URL. The host `*` means all interfaces. */
export const listenAddress: ValueType<ListenAddress> = listenUrl(["udp", "tcp"]);

/** The same, and TLS. */
export const intakeAddress: ValueType<ListenAddress> = listenUrl(["udp", "tcp", "tls"]);

/** schemes: those that stand before a host and port. */
function listenUrl(schemes: readonly ("udp" | "tcp" | "tls")[]): ValueType<ListenAddress> {
  const urls = schemes.map((scheme) => `${scheme}://HOST:PORT`).join(", ");
  const starts = schemes.map((scheme) => `${scheme}://`).join(" or ");
  return {
    shape: `${starts}HOST:PORT, where HOST may be *, unixgram:// or unix:///PATH`,
    parse(text) {
      const [, scheme, rest = ""] = URL_PARTS.exec(text) ?? [];
      if (scheme === "unixgram" || scheme === "unix") return parseSocketPath(scheme, rest);
      const known = schemes.find((one) => one === scheme);
      if (known !== undefined) return parseListenPort(known, rest);
      if (scheme !== undefined) {
        return { fault: `has the scheme "${scheme}"; choose one of ${schemes.join(", ")}, unixgram, unix` };
      }
      return "fault" in parseHostPort(text, 0)
        ? { fault: `is no listen URL; write ${urls}, unixgram:///PATH or unix:///PATH` }
        : { fault: `has no scheme; write udp://${text}` };
    },
    print: describeAddress,
  };
}

/** Address literal that connections come from, with a port or without; empty for any. */
export const bindAddress: ValueType<HostPort | undefined> = {
  shape: "IP or IP:PORT, or empty for any",
  parse(text) {
    if (text === "") return { value: undefined };
    if (isIPv4(text) || isIPv6(text)) return { value: { host: text, port: 0 } };
    const parsed = parseHostPort(text, 0);
    if ("fault" in parsed) return { fault: "is no address; write IP, IP:PORT or [IPV6]:PORT" };
    const { host } = parsed.value;
    return isIPv4(host) || isIPv6(host) ? parsed : { fault: "is a name; write an address of this machine" };
  },
  print: (value) => (value === undefined ? "" : value.port === 0 ? value.host : printHostPort(value)),
};

/** Where datagrams or lines are sent on. */
export interface RepeaterAddress extends HostPort {
  readonly protocol: "udp" | "tcp";
}

/** udp://HOST:PORT or tcp://HOST:PORT. */
export const repeaterAddress: ValueType<RepeaterAddress> = {
  shape: "udp:// or tcp://HOST:PORT",
  parse(text) {
    const [, protocol, rest = ""] = URL_PARTS.exec(text) ?? [];
    if (protocol !== "udp" && protocol !== "tcp")
      return { fault: "needs a scheme; write udp:// or tcp://HOST:PORT" };
    const parsed = parseHostPort(rest, 1);
    return "fault" in parsed ? parsed : { value: { protocol, ...parsed.value } };
  },
  print: (value) => `${value.protocol}://${printHostPort(value)}`,
};

function parseListenPort<Kind extends "udp" | "tcp" | "tls">(
  kind: Kind,
  text: string,
): Parsed<{ readonly kind: Kind; readonly host: string; readonly port: number }> {
  const isEverywhere = text.startsWith(`${EVERY_HOST}:`);
  const address = parseHostPort(isEverywhere ? text.replace(EVERY_HOST, "0.0.0.0") : text, 0);
  if ("fault" in address) return address;
  const { host, port } = address.value;
  return { value: { kind, host: isEverywhere ? EVERY_HOST : host, port } };
}

function parseSocketPath<Kind extends "unixgram" | "unix">(
  kind: Kind,
  path: string,
): Parsed<{ readonly kind: Kind; readonly path: string }> {
  if (!path.startsWith("/")) return { fault: `needs an absolute path; write ${kind}:///PATH` };
  // The list syntax would take such a path for two.
  if (/[\s,\p{C}]/u.test(path)) return { fault: "has a blank or comma in its path; choose another path" };
  if (Buffer.byteLength(path) > UNIX_PATH_BYTES_MAX) {
    return { fault: `has a path of more than ${UNIX_PATH_BYTES_MAX} bytes; choose a shorter one` };
  }
  return { value: { kind, path } };
}

/**
 * Takes the weight off a destination: `a:1*3` is the entry `a:1` with weight 3. Without one the weight is 1.
 * The weight is not checked here; parseDestination does that.
 */
export function stripWeight(text: string): { readonly entry: string; readonly weight: number } {
  const [, entry, digits] = /^(.*)\*(\d+)$/s.exec(text) ?? [];
  return entry === undefined ? { entry: text, weight: 1 } : { entry, weight: Number(digits) };
}

/**
 * Takes a relay destination apart: [SCHEME://]HOST:PORT[:INSTANCE][*WEIGHT], where HOST is [v6] for IPv6, or
 * unixgram:///PATH[*WEIGHT]. An empty host is this machine, as in Go statsrelay.
 */
export function parseDestination(text: string): Parsed<Destination> {
  const { entry, weight } = stripWeight(text);
  if (!(weight >= 1 && weight <= WEIGHT_MAX)) {
    return { fault: `has the weight "${weight}"; choose within 1..${WEIGHT_MAX}` };
  }
  const [, scheme, rest = ""] = URL_PARTS.exec(entry) ?? [];
  if (scheme === "unixgram") {
    const socket = parseSocketPath(scheme, rest);
    if ("fault" in socket) return socket;
    const { path } = socket.value;
    return { value: { kind: "path", protocol: "unixgram", path, instance: "", weight } };
  }
  if (scheme === undefined) return parseHostDestination(entry, undefined, weight);
  if (scheme === "udp" || scheme === "tcp" || scheme === "tls")
    return parseHostDestination(rest, scheme, weight);
  return { fault: `has the scheme "${scheme}"; choose one of udp, tcp, tls, unixgram` };
}

function parseHostDestination(
  text: string,
  protocol: HostDestination["protocol"],
  weight: number,
): Parsed<Destination> {
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
  const common = { kind: "host", protocol, host: host.value, instance, weight } as const;
  if (/^\d+$/.test(port)) {
    const number = Number(port);
    if (number >= 1 && number <= PORT_MAX) return { value: { ...common, port: number } };
  } else if (SERVICE_NAME.test(port)) {
    return { value: { ...common, port } };
  }
  return { fault: `has the port "${port}"; choose within 1..${PORT_MAX}, or a service name` };
}

/** A destination that is checked and kept as written, because the ring hashes what it was given. */
export const destination: ValueType<string> = {
  shape: "[udp://|tcp://|tls://]HOST:PORT[:INSTANCE][*WEIGHT], or unixgram:///PATH[*WEIGHT]",
  parse(text) {
    const parsed = parseDestination(text);
    return "fault" in parsed ? parsed : { value: text };
  },
  print: (value) => value,
};
