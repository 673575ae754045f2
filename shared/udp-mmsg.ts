/**
 * Batch sockets over recvmmsg(2) and sendmmsg(2), called through koffi. 64-bit Linux only. The structures
 * that the system reads and writes lie in kernel (WebAssembly) memory, whose address does not change while
 * the memory is referenced; koffi's own buffers only serve calls that return at once.
 */
import { lstatSync, rmSync } from "node:fs";
import koffi from "koffi";
import { bindFault } from "./bind-fault.ts";
import { assert, OperatorError } from "./errors.ts";
import { HEADER_BYTES, HEADER_LINES, HEADER_PAYLOAD_BYTES, SLOT_COUNT } from "./kernel/layout.ts";
import { describeAddress, encodeAddress } from "./sockaddr.ts";
import {
  type BatchHandler,
  type BatchReceiver,
  type BatchSender,
  CONTROL_RUN,
  DRAIN_MS_MAX,
  type ListenAddress,
  type LossReason,
  newTally,
  type ReceiveBatch,
  type ReceiverOptions,
  type RemoteAddress,
  type SenderOptions,
  type SendTally,
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

const { EINTR, EAGAIN, ECONNREFUSED, EMSGSIZE, ENOBUFS, ENETUNREACH, EHOSTUNREACH } = koffi.os
  .errno as Record<string, number>;

const libc = koffi.load(null);
const socket = libc.func("int socket(int domain, int type, int protocol)");
const bind = libc.func("int bind(int fd, void *address, unsigned int bytes)");
const connect = libc.func("int connect(int fd, void *address, unsigned int bytes)");
const getsockname = libc.func("int getsockname(int fd, void *address, void *bytes)");
const setsockopt = libc.func("int setsockopt(int fd, int level, int name, void *value, unsigned int bytes)");
const getsockopt = libc.func("int getsockopt(int fd, int level, int name, void *value, void *bytes)");
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

/** See udp.ts. */
export function openReceiver(address: ListenAddress, options: ReceiverOptions): BatchReceiver {
  removeStaleSocket(address);
  const isSharing = options.sharePort && address.kind === "udp";
  if (isSharing && options.isFirst && address.port !== 0) assertPortFree(address);
  const { fd, bytes } = openUnbound(address);
  if (isSharing) setInt(fd, SO_REUSEPORT, 1);
  if (!setInt(fd, SO_RCVBUFFORCE, options.receiveBufferBytes))
    setInt(fd, SO_RCVBUF, options.receiveBufferBytes);
  setTimeoutMs(fd, SO_RCVTIMEO, TICK_MS);
  if (bind(fd, bytes, bytes.length) !== 0) {
    const code = koffi.errno();
    closeFd(fd);
    throw bindFault(address, errnoName(code));
  }
  return new MmsgReceiver(fd, boundAddress(fd, address));
}

function boundAddress(fd: number, asked: ListenAddress): ListenAddress {
  if (asked.kind === "unixgram") return asked;
  const bytes = Buffer.alloc(SOCKADDR_BYTES_MAX);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(bytes.length);
  assert(getsockname(fd, bytes, length) === 0, "a bound socket has a name");
  return { ...asked, port: bytes.readUInt16BE(2) };
}

class MmsgReceiver implements BatchReceiver {
  readonly io = "mmsg";
  readonly address: ListenAddress;
  readonly receiveBufferBytes: number;
  readonly #fd: number;
  #isOpen = true;

  constructor(fd: number, address: ListenAddress) {
    this.#fd = fd;
    this.address = address;
    this.receiveBufferBytes = getWords(fd, SO_RCVBUF, 1).readUInt32LE(0);
  }

  async run(batch: ReceiveBatch, handler: BatchHandler, control: Int32Array): Promise<void> {
    const headers = Number(memoryAddress(batch.memory)) + batch.headers;
    while (Atomics.load(control, 0) === CONTROL_RUN) {
      handler.onBatch(this.#receive(headers, MSG_WAITFORONE));
    }
    const endMs = performance.now() + DRAIN_MS_MAX;
    while (performance.now() < endMs) {
      const received = this.#receive(headers, MSG_DONTWAIT);
      if (received === 0) break;
      handler.onBatch(received);
    }
  }

  /** Returns the number of datagrams received, 0 where none came in time. */
  #receive(headers: number, flags: number): number {
    const received = recvmmsg(this.#fd, headers, SLOT_COUNT, flags, 0) as number;
    if (received >= 0) return received;
    const code = koffi.errno();
    assert(
      code === EAGAIN || code === EINTR || code === ECONNREFUSED,
      `recvmmsg failed (${errnoName(code)})`,
    );
    return 0;
  }

  kernelDrops(): number {
    return this.#isOpen
      ? getWords(this.#fd, SO_MEMINFO, MEMINFO_DROPS + 1).readUInt32LE(MEMINFO_DROPS * 4)
      : 0;
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    closeFd(this.#fd);
    // Somebody may have removed the file before.
    if (this.address.kind === "unixgram") rmSync(this.address.path, { force: true });
  }
}

/** See udp.ts. */
export function openSender(remote: RemoteAddress, options: SenderOptions): BatchSender {
  const { family, bytes } = encodeAddress(remote);
  const fd = openSocket(family, describeAddress(remote));
  if (!setInt(fd, SO_SNDBUFFORCE, SEND_BUFFER_BYTES)) setInt(fd, SO_SNDBUF, SEND_BUFFER_BYTES);
  setTimeoutMs(fd, SO_SNDTIMEO, SEND_TIMEOUT_MS);
  if (connect(fd, bytes, bytes.length) !== 0) {
    const code = koffi.errno();
    closeFd(fd);
    throw new OperatorError(
      `destination ${describeAddress(remote)}: cannot connect a socket (${errnoName(code)})`,
    );
  }
  return new MmsgSender(fd, options.memory);
}

/** What an errno of sendmmsg means for the packet it was about. */
function lossReason(code: number): LossReason {
  if (code === ECONNREFUSED) return "refused";
  if (code === EMSGSIZE) return "too_long";
  if (code === EAGAIN || code === ENOBUFS) return "no_buffer";
  if (code === ENETUNREACH || code === EHOSTUNREACH) return "unreachable";
  return "error";
}

class MmsgSender implements BatchSender {
  readonly io = "mmsg";
  readonly tally: SendTally = newTally();
  readonly #fd: number;
  readonly #memory: WebAssembly.Memory;
  readonly #base: number;
  #view: DataView;

  constructor(fd: number, memory: WebAssembly.Memory) {
    this.#fd = fd;
    this.#memory = memory;
    this.#base = Number(memoryAddress(memory));
    this.#view = new DataView(memory.buffer);
  }

  send(headers: number, count: number): void {
    if (this.#view.buffer !== this.#memory.buffer) this.#view = new DataView(this.#memory.buffer);
    let done = 0;
    let isRetry = false;
    while (done < count) {
      const from = headers + done * HEADER_BYTES;
      const sent = sendmmsg(this.#fd, this.#base + from, count - done, 0) as number;
      if (sent > 0) {
        this.#countSent(from, sent);
        done += sent;
        isRetry = false;
        continue;
      }
      const code = koffi.errno();
      if (code === EINTR) continue;
      if (code === ECONNREFUSED) {
        // The error belongs to an earlier packet and is cleared by telling of it; this one was not tried
        // yet.
        this.tally.refusals += 1;
        if (!isRetry) {
          isRetry = true;
          continue;
        }
      }
      this.tally.linesLost[lossReason(code)] += this.#view.getUint32(from + HEADER_LINES, true);
      done += 1;
      isRetry = false;
    }
  }

  /** sendmmsg has left the size of each packet that it took in its header. */
  #countSent(headers: number, count: number): void {
    const view = this.#view;
    let bytes = 0;
    let lines = 0;
    for (let header = headers; header < headers + count * HEADER_BYTES; header += HEADER_BYTES) {
      bytes += view.getUint32(header + HEADER_PAYLOAD_BYTES, true);
      lines += view.getUint32(header + HEADER_LINES, true);
    }
    this.tally.packetsSent += count;
    this.tally.bytesSent += bytes;
    this.tally.linesSent += lines;
  }

  async flush(): Promise<void> {}

  close(): void {
    closeFd(this.#fd);
  }
}
