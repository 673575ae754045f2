/** Listening for streams of lines: TCP, TLS and unix sockets. */
import { once } from "node:events";
import { chmodSync, existsSync, lstatSync, rmSync } from "node:fs";
import { connect, createServer, type ListenOptions, type Server } from "node:net";
import { dirname } from "node:path";
import { bindFault } from "./bind-fault.ts";
import { describeAddress, encodeAddress } from "./sockaddr.ts";
import { createTlsServer } from "./tls-server.ts";
import type { ListenAddress, ReceiverOptions } from "./udp.ts";

/** Where streams come in. */
export type StreamAddress = Extract<ListenAddress, { readonly kind: "tcp" | "tls" | "unix" }>;

/** Connections that the system keeps until they are accepted; it has a bound of its own, often 4096. */
const BACKLOG = 4096;

/**
 * Opens a server that listens; connections that come before somebody asks for them wait for that.
 * Throws OperatorError naming the address that cannot be bound, or the file that TLS cannot use.
 */
export async function listenForStreams(
  address: StreamAddress,
  { inheritedFd, socketMode, tls }: Pick<ReceiverOptions, "inheritedFd" | "socketMode" | "tls">,
): Promise<Server> {
  const server =
    address.kind === "tls"
      ? createTlsServer(tls, describeAddress(address))
      : createServer({ pauseOnConnect: true });
  try {
    if (inheritedFd === undefined && "path" in address) await removeStaleSocket(address.path);
    const listening = once(server, "listening");
    server.listen(inheritedFd === undefined ? listenOptions(address) : { fd: inheritedFd, backlog: BACKLOG });
    // At once, so that hardly anybody can connect before. A path that was refused belongs to somebody else.
    if (inheritedFd === undefined && "path" in address && socketMode !== undefined && server.listening) {
      chmodSync(address.path, socketMode);
    }
    await listening;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    // libuv says EACCES of a folder that does not exist.
    const isMissing = code === "EACCES" && "path" in address && !existsSync(dirname(address.path));
    throw bindFault(address, isMissing ? "ENOENT" : code);
  }
  return server;
}

function listenOptions(address: StreamAddress): ListenOptions {
  if (address.kind !== "unix") return { host: address.host, port: address.port, backlog: BACKLOG };
  // Throws for a path that the system would cut short.
  encodeAddress(address);
  return { path: address.path, backlog: BACKLOG };
}

/** Removes a socket file that nobody listens on any more; any other file is left, so that listen refuses. */
async function removeStaleSocket(path: string): Promise<void> {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() !== true) return;
  const socket = connect(path);
  try {
    await once(socket, "connect");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ECONNREFUSED") rmSync(path, { force: true });
  } finally {
    socket.destroy();
  }
}
