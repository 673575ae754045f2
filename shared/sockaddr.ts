/** struct sockaddr of Linux for the address families that batch sockets use. */
import { isIPv6 } from "node:net";
import { OperatorError } from "./errors.ts";
import type { ListenAddress } from "./udp.ts";

const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const UNIX_PATH_BYTES_MAX = 107;

/** Names an address as it is written in the configuration. */
export function describeAddress(address: ListenAddress): string {
  if (address.kind === "unixgram") return `unixgram://${address.path}`;
  return `udp://${isIPv6(address.host) ? `[${address.host}]` : address.host}:${address.port}`;
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
  if (address.kind === "unixgram") {
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
