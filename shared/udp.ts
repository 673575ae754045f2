/**
 * Batch sockets: datagrams move between the network and kernel memory in batches, without a JavaScript
 * object for any of them. Two implementations behave alike: `mmsg` (Linux, recvmmsg and sendmmsg through
 * koffi) and `dgram` (anywhere, node:dgram). Only udp-mmsg.ts knows of koffi.
 */
import { OperatorError } from "./errors.ts";

/** How datagrams are read and written. `auto` takes mmsg where it works. */
export type Io = "auto" | "mmsg" | "dgram";

/**
 * Where datagrams come in: an address literal and port (0 = any free one), or the path of a unix socket. The
 * literal `::` takes IPv4 as well.
 */
export type ListenAddress =
  | { readonly kind: "udp"; readonly host: string; readonly port: number }
  | { readonly kind: "unixgram"; readonly path: string };

/** Where packets go: an address literal and port, or the path of a unix datagram socket. */
export type RemoteAddress = ListenAddress;

/** Kernel memory that a receiver fills; drawn in kernel/layout.ts. */
export interface ReceiveBatch {
  readonly memory: WebAssembly.Memory;
  /** Offset of the first mmsghdr. */
  readonly headers: number;
  /** Offset of the first slot. */
  readonly slots: number;
}

/** What a receiver does with its datagrams. */
export interface BatchHandler {
  /**
   * Takes a batch. received: datagrams in slots 0..received-1, or 0 when none came for TICK_MS.
   * The slots are overwritten after it returns.
   */
  onBatch(received: number): void;
}

/** A receiver calls its handler at least this often, in milliseconds, also when nothing arrives. */
export const TICK_MS = 50;

/** How long a stopping receiver goes on reading what still comes in, in milliseconds. */
export const DRAIN_MS_MAX = 2_000;

/** Words of the shared control array by which a control thread stops a receiver that blocks. */
export const CONTROL_RUN = 0;
/** Stop reading at the next chance, after what the socket already holds was delivered. */
export const CONTROL_DRAIN = 1;

/** One bound socket that receives datagrams in batches. */
export interface BatchReceiver {
  readonly io: "mmsg" | "dgram";
  /** The address as bound, with the port that the system chose where 0 was asked for. */
  readonly address: ListenAddress;
  /** Receive buffer that the system granted, in bytes as it accounts for them. */
  readonly receiveBufferBytes: number;
  /**
   * Delivers batches until control[0] is CONTROL_DRAIN and the socket is empty, or DRAIN_MS_MAX have passed
   * since. The mmsg kind blocks its thread meanwhile, so it belongs on a worker; messages can be polled with
   * receiveMessageOnPort.
   */
  run(batch: ReceiveBatch, handler: BatchHandler, control: Int32Array): Promise<void>;
  /** Datagrams that the system dropped for want of buffer, since the socket was opened. */
  kernelDrops(): number;
  close(): void;
}

/** Why a packet was lost on its way out. */
export const LOSS_REASONS = [
  "refused",
  "unreachable",
  "too_long",
  "no_buffer",
  "queue_full",
  "error",
] as const;
export type LossReason = (typeof LOSS_REASONS)[number];

/** What became of the packets handed to a sender; all counts since it was opened. */
export interface SendTally {
  packetsSent: number;
  bytesSent: number;
  linesSent: number;
  /** Packets whose predecessor was answered by ICMP "port unreachable". */
  refusals: number;
  /** Lines in packets that could not be sent, by reason. */
  readonly linesLost: Record<LossReason, number>;
}

/** One connected socket that sends packets lying in kernel memory. */
export interface BatchSender {
  readonly io: "mmsg" | "dgram";
  readonly tally: SendTally;
  /**
   * Sends packets. headers: offset of the first of `count` mmsghdr, each with one iovec and its number of
   * lines at HEADER_LINES. All of them are sent, queued or counted as lost when this returns, so the memory
   * may be used again.
   */
  send(headers: number, count: number): void;
  /** Resolves when nothing is queued any more. */
  flush(): Promise<void>;
  close(): void;
}

export interface ReceiverOptions {
  /** Wished receive buffer in bytes; SO_RCVBUFFORCE is tried first, where it exists. */
  readonly receiveBufferBytes: number;
  /** Whether other sockets of this process share the port (SO_REUSEPORT; mmsg only). */
  readonly sharePort: boolean;
  /**
   * Whether this is the first of the sockets that share a port: it refuses a port that another process
   * holds, which SO_REUSEPORT alone would let it join.
   */
  readonly isFirst?: boolean;
}

export interface SenderOptions {
  /** Memory that the iovecs of send() point into. */
  readonly memory: WebAssembly.Memory;
  /** Bytes that may wait in a sender of the dgram kind. */
  readonly queueBytesMax: number;
}

/** Makes an empty tally. */
export function newTally(): SendTally {
  const linesLost = Object.fromEntries(LOSS_REASONS.map((reason) => [reason, 0])) as Record<
    LossReason,
    number
  >;
  return { packetsSent: 0, bytesSent: 0, linesSent: 0, refusals: 0, linesLost };
}

/** Returns the system address of a kernel memory for setupBatch, or 0n where only dgram is used. */
export async function memoryAddress(io: "mmsg" | "dgram", memory: WebAssembly.Memory): Promise<bigint> {
  if (io === "dgram") return 0n;
  return (await import("./udp-mmsg.ts")).memoryAddress(memory);
}

/** Decides which implementation serves. Throws OperatorError when mmsg is demanded and cannot work here. */
export async function chooseIo(io: Io): Promise<"mmsg" | "dgram"> {
  if (io === "dgram") return "dgram";
  const fault =
    process.platform === "linux" ? await mmsgFault() : `the platform is ${process.platform}, not linux`;
  if (fault === undefined) return "mmsg";
  if (io === "auto") return "dgram";
  throw new OperatorError(`io is mmsg, but ${fault}; use io=dgram, or io=auto`);
}

async function mmsgFault(): Promise<string | undefined> {
  try {
    (await import("./udp-mmsg.ts")).checkSupport();
    return undefined;
  } catch (error) {
    return `koffi does not work here (${error instanceof Error ? error.message : String(error)})`;
  }
}

/**
 * Opens and binds a receiver.
 * Throws OperatorError naming the address when it cannot be bound.
 */
export async function openReceiver(
  io: "mmsg" | "dgram",
  address: ListenAddress,
  options: ReceiverOptions,
): Promise<BatchReceiver> {
  if (io === "mmsg") return (await import("./udp-mmsg.ts")).openReceiver(address, options);
  return (await import("./udp-dgram.ts")).openReceiver(address, options);
}

/** Opens a sender connected to one destination. Throws OperatorError when no socket can be had. */
export async function openSender(
  io: "mmsg" | "dgram",
  remote: RemoteAddress,
  options: SenderOptions,
): Promise<BatchSender> {
  if (io === "mmsg") return (await import("./udp-mmsg.ts")).openSender(remote, options);
  return (await import("./udp-dgram.ts")).openSender(remote, options);
}
