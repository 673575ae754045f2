/**
 * Sockets that a process was started with, as systemd hands them down (sd_listen_fds(3)): bound already, from
 * file descriptor 3 on. A restart through them loses nothing, since they and what they hold outlive the
 * process. Their addresses are found in /proc, by inode.
 */
import { readFileSync, readlinkSync } from "node:fs";
import { OperatorError } from "./errors.ts";
import { EVERY_HOST } from "./every-host.ts";
import { canonicalHost, describeAddress, hostOfBytes } from "./sockaddr.ts";
import type { ListenAddress } from "./udp.ts";

/** A bound socket of this process. */
export interface InheritedSocket {
  readonly fd: number;
  readonly address: ListenAddress;
}

/** The first descriptor that is handed down. */
const FIRST_FD = 3;
const FDS_MAX = 1024;
/** Hosts of sockets that take datagrams for every address. */
const WILDCARDS: readonly string[] = ["::", "0.0.0.0"];
/** Types in /proc/net/unix. */
const UNIX_STREAM = "0001";
const UNIX_DGRAM = "0002";
/** State of a listening socket in /proc/net/tcp. */
const TCP_LISTEN = "0A";

/**
 * Lists the sockets handed down to the process `pid`, by its environment: LISTEN_PID and LISTEN_FDS. Empty
 * where there are none, and where the platform is not Linux.
 * Throws OperatorError for one that is of no kind that can be listened on.
 */
export function inheritedSockets(
  env: Readonly<Record<string, string | undefined>>,
  pid: number,
): InheritedSocket[] {
  if (process.platform !== "linux" || env.LISTEN_PID !== String(pid)) return [];
  const text = env.LISTEN_FDS ?? "0";
  if (!/^\d{1,4}$/.test(text) || Number(text) > FDS_MAX) {
    throw new OperatorError(`LISTEN_FDS is "${text}"; expected a count of 0..${FDS_MAX}`);
  }
  const count = Number(text);
  if (count === 0) return [];
  const addresses = listeningSockets();
  return Array.from({ length: count }, (_, index) => {
    const fd = FIRST_FD + index;
    const address = addresses.get(inodeOf(fd));
    if (address !== undefined) return { fd, address };
    throw new OperatorError(
      `inherited descriptor ${fd}: it is no listening socket that is known here; in the socket unit use ` +
        "ListenDatagram= or ListenStream= with a port or a path, and the network of the service",
    );
  });
}

/**
 * Finds the descriptor for each listen address, undefined where a socket has to be opened. Hosts must be
 * literals, or EVERY_HOST. A wildcard host is served by a socket of the same wildcard alone: whether IPv6
 * comes in as well is for the operator to say.
 * Throws OperatorError naming a socket that serves no listen address, since what it takes would be lost.
 */
export function matchInherited(
  listen: readonly ListenAddress[],
  inherited: readonly InheritedSocket[],
): (number | undefined)[] {
  const fds: (number | undefined)[] = listen.map(() => undefined);
  for (const { fd, address } of inherited) {
    const index = listen.findIndex((wanted, i) => fds[i] === undefined && isServedBy(wanted, address));
    if (index < 0) throw unmatched(fd, address, listen);
    fds[index] = fd;
  }
  return fds;
}

function isServedBy(wanted: ListenAddress, address: ListenAddress): boolean {
  // The system knows nothing of TLS.
  const kind = wanted.kind === "tls" ? "tcp" : wanted.kind;
  if (kind !== address.kind) return false;
  if ("path" in wanted) return "path" in address && wanted.path === address.path;
  if ("path" in address || wanted.port !== address.port) return false;
  if (wanted.host === EVERY_HOST) return WILDCARDS.includes(address.host);
  return canonicalHost(wanted.host) === canonicalHost(address.host);
}

function unmatched(fd: number, address: ListenAddress, listen: readonly ListenAddress[]): OperatorError {
  const isEverywhere = "host" in address && address.host === "::";
  const shown = describeAddress(isEverywhere ? { ...address, host: EVERY_HOST } : address);
  const known = listen.map(describeAddress).join(", ");
  return new OperatorError(
    `inherited socket ${fd} is bound to ${describeAddress(address)}, which serves no listen address ` +
      `(${known === "" ? "there is none" : known}), or one that has a socket already; ` +
      `add listen[] = ${shown}, or correct the socket unit`,
  );
}

/** Returns the inode of a descriptor's socket, or an empty text where it is none. */
function inodeOf(fd: number): string {
  try {
    return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1] ?? "";
  } catch {
    // No such descriptor: it is told of like one that is no socket.
    return "";
  }
}

/** Addresses of all sockets of this machine that can be listened on, by inode. */
function listeningSockets(): Map<string, ListenAddress> {
  const found = new Map<string, ListenAddress>();
  for (const kind of ["udp", "tcp"] as const) {
    for (const table of [kind, `${kind}6`]) {
      for (const row of readTable(table)) {
        const columns = row.trim().split(/\s+/);
        const [host = "", port = ""] = (columns[1] ?? "").split(":");
        const inode = columns[9];
        if (inode === undefined || (kind === "tcp" && columns[3] !== TCP_LISTEN)) continue;
        found.set(inode, { kind, host: hostOfHex(host), port: Number.parseInt(port, 16) });
      }
    }
  }
  for (const row of readTable("unix")) {
    // Num RefCount Protocol Flags Type St Inode Path, where the path may hold blanks.
    const [, type, inode = "", path] = /^\S+ \S+ \S+ \S+ (\S+) \S+ +(\d+) (\/.*)$/.exec(row) ?? [];
    if (path === undefined || (type !== UNIX_STREAM && type !== UNIX_DGRAM)) continue;
    found.set(inode, { kind: type === UNIX_STREAM ? "unix" : "unixgram", path });
  }
  return found;
}

function readTable(name: string): string[] {
  try {
    return readFileSync(`/proc/net/${name}`, "utf8").split("\n").slice(1);
  } catch {
    // A system without IPv6 has no table of it.
    return [];
  }
}

/** Reads an address of /proc/net: words of 32 bits as they lie in memory, each written as a number. */
function hostOfHex(hex: string): string {
  const bytes = Buffer.from(hex, "hex");
  return hostOfBytes(bytes.length % 4 === 0 ? bytes.swap32() : bytes);
}
