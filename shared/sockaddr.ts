/** Addresses as text, and struct sockaddr of Linux for the families that batch sockets use. */
import { isIPv4, isIPv6, SocketAddress } from "node:net";
import { OperatorError } from "./errors.ts";
import type { ListenAddress } from "./udp.ts";

const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const UNIX_PATH_BYTES_MAX = 107;

/** Names an address as it is written in the configuration. */
export function describeAddress(address: ListenAddress): string {
  if ("path" in address) return `${address.kind}://${address.path}`;
  return `${address.kind}://${isIPv6(address.host) ? `[${address.host}]` : address.host}:${address.port}`;
}

/**
 * Writes an address literal in its one usual form: IPv6 shortened, in lower case and without its zone, and
 * an IPv4 address that is mapped into IPv6 as IPv4. Anything else is returned as it is.
 */
export function canonicalHost(host: string): string {
  if (!isIPv6(host)) return host;
  const [address = ""] = host.split("%");
  const short = new SocketAddress({ address, family: "ipv6" }).address;
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(short)?.[1] ?? short;
}

/** Writes an IPv4 address of 4 bytes, or an IPv6 address of 16, as canonicalHost does. */
export function hostOfBytes(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i]! << 8) | bytes[2 * i + 1]!).toString(16));
  return canonicalHost(groups.join(":"));
}

/** Reads the host of a struct sockaddr; empty for other families than IPv4 and IPv6. */
export function decodeHost(sockaddr: Buffer): string {
  const family = sockaddr.readUInt16LE(0);
  if (family === AF_INET) return hostOfBytes(sockaddr.subarray(4, 8));
  return family === AF_INET6 ? hostOfBytes(sockaddr.subarray(8, 24)) : "";
}

/**
 * Finds the host in a struct sockaddr at `at`: the bounds of its 4 bytes (IPv4, also one mapped into IPv6) or
 * 16; an empty span for other families.
 */
export function hostBytesAt(sockaddr: Buffer, at: number): { start: number; end: number } {
  const family = sockaddr.readUInt16LE(at);
  if (family === AF_INET) return { start: at + 4, end: at + 8 };
  if (family !== AF_INET6) return { start: at, end: at };
  const start = at + 8;
  return { start: isMapped(sockaddr, start) ? start + 12 : start, end: start + 16 };
}

/** Whether 16 bytes are ::ffff:a.b.c.d. */
function isMapped(bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < 10; i++) if (bytes[at + i] !== 0) return false;
  return bytes[at + 10] === 0xff && bytes[at + 11] === 0xff;
}

/** Bytes of an address literal, as hostBytesAt finds them; none where it is no address. */
export function hostBytes(host: string): Uint8Array {
  if (isIPv4(host)) return Uint8Array.from(host.split("."), Number);
  if (!isIPv6(host)) return new Uint8Array(0);
  const bytes = Uint8Array.from(ipv6Bytes(host));
  return isMapped(bytes, 0) ? bytes.subarray(12) : bytes;
}

function ipv6Bytes(host: string): number[] {
  const [address = ""] = host.split("%");
  const tail4 = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  const hex = (a: string, b: string) => ((Number(a) << 8) | Number(b)).toString(16);
  const text = tail4 ? `${tail4[1]}${hex(tail4[2]!, tail4[3]!)}:${hex(tail4[4]!, tail4[5]!)}` : address;
  const [left = "", right] = text.split("::");
  const groups = (part: string) =>
    part === "" ? [] : part.split(":").map((group) => Number.parseInt(group, 16));
  const head = groups(left);
  const tail = right === undefined ? [] : groups(right);
  const zeros = new Array<number>(8 - head.length - tail.length).fill(0);
  return [...head, ...zeros, ...tail].flatMap((group) => [group >> 8, group & 0xff]);
}

/**
 * Encodes a struct sockaddr of the right family, in this machine's byte order where the system wants that.
 * Throws OperatorError for a path that does not fit.
 */
export function encodeAddress(address: ListenAddress): { family: number; bytes: Buffer } {
  if ("path" in address) {
    const path = Buffer.from(address.path);
    if (path.length === 0 || path.length > UNIX_PATH_BYTES_MAX) {
      throw new OperatorError(
        `${describeAddress(address)}: the path must have 1 to ${UNIX_PATH_BYTES_MAX} bytes`,
      );
    }
    const bytes = Buffer.alloc(2 + path.length + 1);
    bytes.writeUInt16LE(AF_UNIX, 0);
    path.copy(bytes, 2);
    return { family: AF_UNIX, bytes };
  }
  if (isIPv6(address.host)) {
    const bytes = Buffer.alloc(28);
    bytes.writeUInt16LE(AF_INET6, 0);
    bytes.writeUInt16BE(address.port, 2);
    bytes.set(ipv6Bytes(address.host), 8);
    return { family: AF_INET6, bytes };
  }
  const bytes = Buffer.alloc(16);
  bytes.writeUInt16LE(AF_INET, 0);
  bytes.writeUInt16BE(address.port, 2);
  bytes.set(address.host.split(".").map(Number), 4);
  return { family: AF_INET, bytes };
}
