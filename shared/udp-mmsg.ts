/**
 * Batch sockets over recvmmsg(2) and sendmmsg(2), called through koffi. 64-bit Linux only. The structures
 * that the system reads and writes lie in kernel (WebAssembly) memory, whose address does not change while
 * the memory is referenced; koffi's own buffers only serve calls that return at once.
 */
import { chmodSync, fchmodSync, lstatSync, rmSync } from "node:fs";
import koffi from "koffi";
import { bindFault } from "./bind-fault.ts";
import { assert, OperatorError } from "./errors.ts";
import { SLOT_COUNT } from "./kernel/layout.ts";
import { isPeerGone, MmsgSender, type SendCalls } from "./mmsg-sender.ts";
import { SenderNames } from "./sender-names.ts";
import { describeAddress, encodeAddress } from "./sockaddr.ts";
import {
  type BatchHandler,
  type BatchReceiver,
  type BatchSender,
  CONTROL_DRAIN,
  CONTROL_RUN,
  DRAIN_MS_MAX,
  type ListenAddress,
  type ReceiveBatch,
  type ReceiverOptions,
  type RemoteAddress,
  type SenderOptions,
  TICK_MS,
} from "./udp.ts";

const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0x80000;
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_REUSEPORT = 15;
const SO_RCVTIMEO = 20;
const SO_SNDTIMEO = 21;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
const SO_MEMINFO = 55;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;
/** Index of the drop counter in what SO_MEMINFO returns. */
const MEMINFO_DROPS = 8;
const MSG_DONTWAIT = 0x40;
const MSG_WAITFORONE = 0x10000;
const SOCKADDR_BYTES_MAX = 128;
/** How long a full send buffer may hold a thread up, in milliseconds. */
const SEND_TIMEOUT_MS = 100;
const SEND_BUFFER_BYTES = 4 << 20;
const F_SETFL = 4;
const F_DUPFD_CLOEXEC = 1030;

const { EINTR, EAGAIN, ECONNREFUSED } = koffi.os.errno as Record<string, number>;

const libc = koffi.load(null);
const socket = libc.func("int socket(int domain, int type, int protocol)");
const bind = libc.func("int bind(int fd, void *address, unsigned int bytes)");
const connect = libc.func("int connect(int fd, void *address, unsigned int bytes)");
const getsockname = libc.func("int getsockname(int fd, void *address, void *bytes)");
const setsockopt = libc.func("int setsockopt(int fd, int level, int name, void *value, unsigned int bytes)");
const getsockopt = libc.func("int getsockopt(int fd, int level, int name, void *value, void *bytes)");
// Both commands take an int, which Linux passes alike to functions with and without an ellipsis.
const fcntl = libc.func("int fcntl(int fd, int command, int value)");
const closeFd = libc.func("int close(int fd)");
const recvmmsg = libc.func(
  "int recvmmsg(int fd, uintptr_t headers, unsigned int count, int flags, uintptr_t timeout)",
);
const sendmmsg = libc.func("int sendmmsg(int fd, uintptr_t headers, unsigned int count, int flags)");

/** Throws where the structures assumed here would not fit the system. */
export function checkSupport(): void {
  assert(koffi.sizeof("void *") === 8, "mmsg needs 64-bit pointers");
}

/** Returns the address of a memory's first byte. */
export function memoryAddress(memory: WebAssembly.Memory): bigint {
  return BigInt(koffi.address(memory.buffer));
}

function errnoName(code: number): string {
  for (const [name, value] of Object.entries(koffi.os.errno)) if (value === code) return name;
  return `errno ${code}`;
}

function setInt(fd: number, name: number, value: number): boolean {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return setsockopt(fd, SOL_SOCKET, name, bytes, 4) === 0;
}

function setTimeoutMs(fd: number, name: number, milliseconds: number): void {
  const bytes = Buffer.alloc(16);
  bytes.writeBigInt64LE(BigInt(Math.floor(milliseconds / 1000)), 0);
  bytes.writeBigInt64LE(BigInt((milliseconds % 1000) * 1000), 8);
  assert(setsockopt(fd, SOL_SOCKET, name, bytes, 16) === 0, "a socket takes a timeout");
}

function getWords(fd: number, name: number, count: number): Buffer {
  const value = Buffer.alloc(count * 4);
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value.length);
  getsockopt(fd, SOL_SOCKET, name, value, bytes);
  return value;
}

function openSocket(family: number, what: string): number {
  const fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0) as number;
  if (fd < 0) throw new OperatorError(`${what}: no socket (${errnoName(koffi.errno())})`);
  return fd;
}

/** Opens a socket that an address can be bound to. `::` takes IPv4 too, whatever bindv6only says. */
function openUnbound(address: ListenAddress): { fd: number; bytes: Buffer } {
  const { family, bytes } = encodeAddress(address);
  const fd = openSocket(family, `listen ${describeAddress(address)}`);
  if (address.kind === "udp" && address.host === "::") {
    assert(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, Buffer.alloc(4), 4) === 0, "an IPv6 socket takes IPv4");
  }
  return { fd, bytes };
}

/**
 * Removes a socket file that nobody listens on any more. A living one is left, so that bind refuses it, and
 * so is any other file: to connect to one is refused as well.
 */
function removeStaleSocket(address: ListenAddress): void {
  if (address.kind !== "unixgram") return;
  if (lstatSync(address.path, { throwIfNoEntry: false })?.isSocket() !== true) return;
  const { family, bytes } = encodeAddress(address);
  const fd = openSocket(family, describeAddress(address));
  const refused = connect(fd, bytes, bytes.length) !== 0 && koffi.errno() === ECONNREFUSED;
  closeFd(fd);
  if (refused) rmSync(address.path, { force: true });
}

/**
 * With SO_REUSEPORT a port that another process shares binds as well, so it is asked for without it first.
 */
function assertPortFree(address: ListenAddress): void {
  const { fd, bytes } = openUnbound(address);
  const code = bind(fd, bytes, bytes.length) === 0 ? 0 : koffi.errno();
  closeFd(fd);
  if (code !== 0) throw bindFault(address, errnoName(code));
}

/**
 * Takes a socket that the process was started with. Other receivers may read it too, so this one gets a
 * descriptor of its own; what shall block must not have been set otherwise by whoever had it before.
 */
function adoptSocket(inheritedFd: number, what: string): number {
  const fd = fcntl(inheritedFd, F_DUPFD_CLOEXEC, 0) as number;
  if (fd < 0 || fcntl(fd, F_SETFL, 0) !== 0) {
    throw new OperatorError(
      `listen ${what}: the inherited socket ${inheritedFd} cannot be used (${errnoName(koffi.errno())}); ` +
        "start the service through its socket unit, or without one",
    );
  }
  return fd;
}

/** See udp.ts. */
export function openReceiver(address: ListenAddress, options: ReceiverOptions): BatchReceiver {
  const { inheritedFd } = options;
  if (inheritedFd === undefined) return new MmsgReceiver(openBound(address, options), address, options);
  return new MmsgReceiver(adoptSocket(inheritedFd, describeAddress(address)), address, options);
}

/** bind() makes a file with the permissions of its socket, less the umask: nobody can connect too early. */
function presetMode(fd: number, mode: number): void {
  try {
    fchmodSync(fd, mode);
  } catch {
    // Sandboxes may not have this; the file gets its permissions afterwards in any case.
  }
}

function openBound(address: ListenAddress, options: ReceiverOptions): number {
  removeStaleSocket(address);
  const mode = "path" in address ? options.socketMode : undefined;
  const isSharing = options.sharePort && address.kind === "udp";
  if (isSharing && options.isFirst && address.port !== 0) assertPortFree(address);
  const { fd, bytes } = openUnbound(address);
  if (isSharing) setInt(fd, SO_REUSEPORT, 1);
  if (mode !== undefined) presetMode(fd, mode);
  if (bind(fd, bytes, bytes.length) !== 0) {
    const code = koffi.errno();
    closeFd(fd);
    throw bindFault(address, errnoName(code));
  }
  if ("path" in address && mode !== undefined) chmodSync(address.path, mode);
  return fd;
}

function boundAddress(fd: number, asked: ListenAddress): ListenAddress {
  if ("path" in asked) return asked;
  const bytes = Buffer.alloc(SOCKADDR_BYTES_MAX);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(bytes.length);
  assert(getsockname(fd, bytes, length) === 0, "a bound socket has a name");
  return { ...asked, port: bytes.readUInt16BE(2) };
}

/** Inode of the file at an address that is a path; undefined where there is none. */
function inodeOf(address: ListenAddress): bigint | undefined {
  if (!("path" in address)) return undefined;
  return lstatSync(address.path, { bigint: true, throwIfNoEntry: false })?.ino;
}

class MmsgReceiver implements BatchReceiver {
  readonly io = "mmsg";
  readonly address: ListenAddress;
  readonly receiveBufferBytes: number;
  readonly #fd: number;
  readonly #isInherited: boolean;
  /** Inode of the file that a unix socket was bound to; undefined where it has none, or it is not ours. */
  readonly #inode: bigint | undefined;
  /** Whether another receiver tells the drops of the same socket. */
  readonly #isSecond: boolean;
  #isOpen = true;
  /** The batch of the run that goes on. */
  #batch: ReceiveBatch | undefined;
  /** Present while senders are watched. */
  #names: SenderNames | undefined;

  constructor(fd: number, address: ListenAddress, options: ReceiverOptions) {
    this.#fd = fd;
    this.#isInherited = options.inheritedFd !== undefined;
    this.#isSecond = this.#isInherited && options.isFirst === false;
    if (!setInt(fd, SO_RCVBUFFORCE, options.receiveBufferBytes)) {
      setInt(fd, SO_RCVBUF, options.receiveBufferBytes);
    }
    setTimeoutMs(fd, SO_RCVTIMEO, TICK_MS);
    this.address = boundAddress(fd, address);
    this.#inode = this.#isInherited ? undefined : inodeOf(address);
    this.receiveBufferBytes = getWords(fd, SO_RCVBUF, 1).readUInt32LE(0);
  }

  async run(batch: ReceiveBatch, handler: BatchHandler, control: Int32Array): Promise<void> {
    this.#batch = batch;
    this.#receiveAll(batch, handler, control);
    this.#names?.detach(batch);
    this.#batch = undefined;
  }

  #receiveAll(batch: ReceiveBatch, handler: BatchHandler, control: Int32Array): void {
    const headers = Number(memoryAddress(batch.memory)) + batch.headers;
    while (Atomics.load(control, 0) === CONTROL_RUN) {
      if (!handler.onBatch(this.#receive(headers, MSG_WAITFORONE))) return;
    }
    const endMs = performance.now() + DRAIN_MS_MAX;
    while (Atomics.load(control, 0) === CONTROL_DRAIN && performance.now() < endMs) {
      const received = this.#receive(headers, MSG_DONTWAIT);
      if (received === 0 || !handler.onBatch(received)) return;
    }
  }

  /** Returns the number of datagrams received, 0 where none came in time. */
  #receive(headers: number, flags: number): number {
    const names = this.#names;
    if (names !== undefined && this.#batch !== undefined) names.attach(this.#batch);
    const received = recvmmsg(this.#fd, headers, SLOT_COUNT, flags, 0) as number;
    if (received >= 0) {
      names?.noteReceived(received);
      return received;
    }
    const code = koffi.errno();
    assert(
      code === EAGAIN || code === EINTR || code === ECONNREFUSED,
      `recvmmsg failed (${errnoName(code)})`,
    );
    return 0;
  }

  kernelDrops(): number {
    if (!this.#isOpen || this.#isSecond) return 0;
    return getWords(this.#fd, SO_MEMINFO, MEMINFO_DROPS + 1).readUInt32LE(MEMINFO_DROPS * 4);
  }

  watchSenders(isOn: boolean): void {
    if (isOn === (this.#names !== undefined)) return;
    if (this.#batch !== undefined) this.#names?.detach(this.#batch);
    this.#names = isOn ? new SenderNames(koffi.address) : undefined;
  }

  senderOf(slot: number): string {
    return this.#names?.nameOf(slot) ?? "";
  }

  senderHashOf(slot: number): number {
    return this.#names?.hashOf(slot) ?? 0;
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    // Somebody may have removed the file, or put one of their own in its place. While the socket is open,
    // nobody takes the file for stale.
    if ("path" in this.address && this.#inode !== undefined && this.#inode === inodeOf(this.address)) {
      rmSync(this.address.path, { force: true });
    }
    closeFd(this.#fd);
  }
}

/** See udp.ts. */
export function openSender(remote: RemoteAddress, options: SenderOptions): BatchSender {
  const { family, bytes } = encodeAddress(remote);
  const fd = openSocket(family, describeAddress(remote));
  if (!setInt(fd, SO_SNDBUFFORCE, SEND_BUFFER_BYTES)) setInt(fd, SO_SNDBUF, SEND_BUFFER_BYTES);
  setTimeoutMs(fd, SO_SNDTIMEO, SEND_TIMEOUT_MS);
  const code = connect(fd, bytes, bytes.length) === 0 ? 0 : koffi.errno();
  const isPath = remote.kind === "unixgram";
  // A unix socket that is not there yet is looked for again with each packet.
  if (code !== 0 && !(isPath && isPeerGone(code))) {
    closeFd(fd);
    throw new OperatorError(
      `destination ${describeAddress(remote)}: cannot connect a socket (${errnoName(code)})`,
    );
  }
  const calls: SendCalls = {
    send(headers, count, flags) {
      const sent = sendmmsg(fd, headers, count, flags) as number;
      return sent < 0 ? -koffi.errno() : sent;
    },
    ...(isPath && { reconnect: () => connect(fd, bytes, bytes.length) === 0 }),
    close: () => closeFd(fd),
  };
  return new MmsgSender(calls, options.memory, Number(memoryAddress(options.memory)), options.mayWait);
}
