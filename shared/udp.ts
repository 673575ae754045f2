/**
 * Batch sockets: datagrams move between the network and kernel memory in batches, without a JavaScript
 * object for any of them. Two implementations behave alike: `mmsg` (Linux, recvmmsg and sendmmsg through
 * koffi) and `dgram` (anywhere, node:dgram). Only udp-mmsg.ts knows of koffi. Streams of lines fill the same
 * batches: stream.ts.
 */
import { OperatorError } from "./errors.ts";

/** How datagrams are read and written. `auto` takes mmsg where it works. */
export type Io = "auto" | "mmsg" | "dgram";

/**
 * Where datagrams (udp, unixgram) or streams of lines (tcp, tls, unix) come in: an address literal and port
 * (0 = any free one), or the path of a unix socket. The literal `::` takes IPv4 as well.
 */
export type ListenAddress =
  | RemoteAddress
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "tls"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

/** Where packets go: an address literal and port, or the path of a unix datagram socket. */
export type RemoteAddress =
  | { readonly kind: "udp"; readonly host: string; readonly port: number }
  | { readonly kind: "unixgram"; readonly path: string };

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
   * The slots are overwritten after it returns. Returns whether to go on: after false, run() ends at once.
   */
  onBatch(received: number): boolean;
}

/** A receiver calls its handler at least this often, in milliseconds, also when nothing arrives. */
export const TICK_MS = 50;

/** How long a stopping receiver goes on reading what still comes in, in milliseconds. */
export const DRAIN_MS_MAX = 2_000;

/** Words of the shared control array by which a control thread stops a receiver that blocks. */
export const CONTROL_RUN = 0;
/** Stop reading at the next chance, after what the socket already holds was delivered. */
export const CONTROL_DRAIN = 1;
/** Stop reading at the next chance and leave what the socket holds to the next process that reads it. */
export const CONTROL_LEAVE = 2;

/** Bounds of a stream's lines and connections. */
export interface StreamLimits {
  /** Longest line in bytes, without its line feed; longer ones are skipped and counted. */
  readonly lineBytesMax: number;
  /** A connection that sends nothing for so long is closed, in milliseconds; 0 for never. */
  readonly idleTimeoutMs: number;
  /** Connections at one time; others are closed at once. */
  readonly connectionsMax: number;
  /** `lines` end with line feeds, and are the default; for `length` see length-framer.ts. */
  readonly framing?: "lines" | "length";
}

/** What a TLS listener shows its clients, and what it wants of them: files in PEM. */
export interface TlsFiles {
  readonly certPath: string;
  readonly keyPath: string;
  /** Certificates of which clients must show one that they signed; empty where none is asked for. */
  readonly clientCaPath: string;
  /** A connection that has not finished its handshake by then is closed, in milliseconds; 10 s by default. */
  readonly handshakeTimeoutMs?: number;
}

/** What became of the connections of a stream receiver; counts since it was opened. */
export interface StreamTally {
  /** Open at this moment. */
  connections: number;
  accepted: number;
  /** Closed at once, because connectionsMax were open. */
  refused: number;
  /** Closed because nothing came for idleTimeoutMs. */
  idleClosed: number;
  /** TLS: connections that ended before they could be trusted. They are not among the accepted ones. */
  handshakesFailed: number;
  /** Lines, and with framing `length` frames; these end their connections. */
  linesTooLong: number;
  /** Bytes of those lines, without line feeds; not of frames. */
  bytesTooLong: number;
  /**
   * Unfinished lines of connections that were reset: they may have lost their ends, so they are dropped.
   * Unfinished frames are, however their connections end.
   */
  linesCut: number;
}

/** One bound socket that receives datagrams, or parts of streams that hold whole lines, in batches. */
export interface BatchReceiver {
  readonly io: "mmsg" | "dgram" | "stream";
  /** The address as bound, with the port that the system chose where 0 was asked for. */
  readonly address: ListenAddress;
  /** Receive buffer that the system granted, in bytes as it accounts for them; 0 for streams. */
  readonly receiveBufferBytes: number;
  /** Present for streams. */
  readonly streamTally?: Readonly<StreamTally>;
  /**
   * Delivers batches until one of these:
   * the handler returns false: nothing more is delivered, and what comes from then on waits for the next
   * run(), which may bring another batch;
   * control[0] is CONTROL_DRAIN, and the socket is empty or DRAIN_MS_MAX have passed since;
   * control[0] is CONTROL_LEAVE: the socket is not read any more. Connections of a stream are drained even
   * so, since no other process can read them.
   * The mmsg kind blocks its thread meanwhile, so it belongs on a worker; messages can be polled with
   * receiveMessageOnPort.
   */
  run(batch: ReceiveBatch, handler: BatchHandler, control: Int32Array): Promise<void>;
  /**
   * Datagrams dropped for want of buffer since the socket was opened, by the system or between two runs. Of
   * several receivers of one inherited socket the first tells it; an inherited socket's count goes on from
   * before.
   */
  kernelDrops(): number;
  /** Whether to note who sent each slot; off at first. */
  watchSenders(isOn: boolean): void;
  /**
   * Address literal of the sender of a slot of the last batch, without a port; empty when it is unknown, has
   * none (unix sockets) or is not noted.
   */
  senderOf(slot: number): string;
  /**
   * A number for the sender of a slot of the last batch, see sender-hash.ts; 0 where senderOf() is empty.
   */
  senderHashOf(slot: number): number;
  /** Closes the socket. The file of a unix socket is removed, unless the socket was inherited. */
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
  /**
   * A bound socket of the process, to be used in the place of a new one; see inherited-sockets.ts. Several
   * receivers of the mmsg kind may read it. The other kinds close it in the end.
   */
  readonly inheritedFd?: number;
  /** Bounds for kinds tcp, tls and unix; STREAM_LIMITS by default. */
  readonly stream?: StreamLimits;
  /** Kind tls needs it. */
  readonly tls?: TlsFiles | undefined;
  /** Permissions of the file of a unix socket that is made, such as 0o660; absent for the system's. */
  readonly socketMode?: number | undefined;
}

/** Bounds of a stream where none are given. */
export const STREAM_LIMITS: StreamLimits = {
  lineBytesMax: 8192,
  idleTimeoutMs: 300_000,
  connectionsMax: 1024,
};

export interface SenderOptions {
  /** Memory that the iovecs of send() point into. */
  readonly memory: WebAssembly.Memory;
  /** Bytes that may wait in a sender of the dgram kind. */
  readonly queueBytesMax: number;
  /** Whether a full send buffer may hold the thread up for a moment, the default; else packets are lost. */
  readonly mayWait?: boolean;
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
 * Opens and binds a receiver; for tcp, tls and unix one of streams, whatever io is.
 * Throws OperatorError naming the address when it cannot be bound, or the file that TLS cannot use.
 */
export async function openReceiver(
  io: "mmsg" | "dgram",
  address: ListenAddress,
  options: ReceiverOptions,
): Promise<BatchReceiver> {
  if (address.kind === "tcp" || address.kind === "tls" || address.kind === "unix") {
    return (await import("./stream.ts")).openStreamReceiver(address, options);
  }
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
