/**
 * Batch sockets over node:dgram: slower, but everywhere. Datagrams are copied into the slots of the batch,
 * which is handed over when it is full or when the event loop has no more of them.
 */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { isIPv6 } from "node:net";
import { bindFault } from "./bind-fault.ts";
import { OperatorError } from "./errors.ts";
import { HEADER_BYTES, HEADER_IOV, HEADER_LINES, IOVEC_LENGTH } from "./kernel/layout.ts";
import { SlotFiller, type SlotSource } from "./slot-filler.ts";
import { canonicalHost, describeAddress } from "./sockaddr.ts";
import {
  type BatchHandler,
  type BatchReceiver,
  type BatchSender,
  CONTROL_LEAVE,
  type ListenAddress,
  newTally,
  type ReceiveBatch,
  type ReceiverOptions,
  type RemoteAddress,
  type SenderOptions,
  type SendTally,
} from "./udp.ts";

type UdpAddress = Extract<ListenAddress, { kind: "udp" }>;

function assertUdp(address: ListenAddress): asserts address is UdpAddress {
  if (address.kind === "udp") return;
  throw new OperatorError(
    `${describeAddress(address)}: unix datagram sockets need io=mmsg (Linux with koffi)`,
  );
}

function newSocket(address: UdpAddress): Socket {
  return createSocket({ type: isIPv6(address.host) ? "udp6" : "udp4" });
}

/** See udp.ts. */
export async function openReceiver(address: ListenAddress, options: ReceiverOptions): Promise<BatchReceiver> {
  assertUdp(address);
  const { inheritedFd } = options;
  const socket = newSocket(address);
  try {
    // A descriptor listens before bind() returns.
    const listening = once(socket, "listening");
    if (inheritedFd === undefined) socket.bind(address.port, address.host);
    else socket.bind({ fd: inheritedFd });
    await listening;
  } catch (error) {
    throw bindFault(address, (error as NodeJS.ErrnoException).code ?? String(error));
  }
  try {
    socket.setRecvBufferSize(options.receiveBufferBytes);
  } catch {
    // The system's limit is below the wish: the granted size is reported, so nothing is hidden here.
  }
  return new DgramReceiver(socket, { ...address, port: socket.address().port });
}

const NOTHING = Buffer.alloc(0);

class DgramReceiver implements BatchReceiver, SlotSource {
  readonly io = "dgram";
  /** The event loop reads its sockets between timers, so a tick without news means that this one is empty. */
  readonly quietTicks = 1;
  readonly address: UdpAddress;
  readonly receiveBufferBytes: number;
  readonly #socket: Socket;
  /** node:dgram reads from the moment a socket is bound: what comes between two runs waits in the filler. */
  readonly #filler = new SlotFiller(this);
  #isOpen = true;
  /** Drops of the system, as last known before the socket was closed. */
  #lastDrops = 0;

  constructor(socket: Socket, address: UdpAddress) {
    this.#socket = socket;
    this.address = address;
    this.receiveBufferBytes = socket.getRecvBufferSize();
    socket.on("message", (message, { address: sender }) => {
      this.#filler.put(NOTHING, message, 0, message.length, sender);
    });
    // A read that fails concerns one datagram; without a listener it would end the process.
    socket.on("error", () => {});
  }

  run(batch: ReceiveBatch, handler: BatchHandler, control: Int32Array): Promise<void> {
    return this.#filler.run(batch, handler, control);
  }

  resume(): void {}

  pause(): void {}

  tick(): void {}

  /** To leave datagrams in the socket it has to be closed: an open one is read by every turn of the loop. */
  stop(word: number): boolean {
    if (word === CONTROL_LEAVE) this.close();
    return this.#isOpen;
  }

  finish(): void {}

  kernelDrops(): number {
    if (this.#isOpen) this.#lastDrops = dropsFromProc(this.address);
    return this.#lastDrops + this.#filler.lost;
  }

  watchSenders(isOn: boolean): void {
    this.#filler.watchSenders(isOn);
  }

  senderOf(slot: number): string {
    return canonicalHost(this.#filler.senderOf(slot));
  }

  senderHashOf(slot: number): number {
    return this.#filler.senderHashOf(slot);
  }

  close(): void {
    if (!this.#isOpen) return;
    this.kernelDrops();
    this.#isOpen = false;
    this.#socket.close();
  }
}

/**
 * Sums the drop column of /proc/net/udp and udp6 for the local address; 0 where that table does not exist.
 */
function dropsFromProc(address: UdpAddress): number {
  const file = isIPv6(address.host) ? "/proc/net/udp6" : "/proc/net/udp";
  const port = address.port.toString(16).toUpperCase().padStart(4, "0");
  const host = isIPv6(address.host)
    ? undefined
    : Buffer.from(address.host.split(".").map(Number))
        .readUInt32LE(0)
        .toString(16)
        .toUpperCase()
        .padStart(8, "0");
  let table: string;
  try {
    table = readFileSync(file, "latin1");
  } catch {
    return 0;
  }
  let drops = 0;
  for (const line of table.split("\n").slice(1)) {
    const columns = line.trim().split(/\s+/);
    const [localHost, localPort] = (columns[1] ?? "").split(":");
    if (localPort === port && (host === undefined || localHost === host)) drops += Number(columns.at(-1));
  }
  return drops;
}

/** See udp.ts. */
export async function openSender(remote: RemoteAddress, options: SenderOptions): Promise<BatchSender> {
  assertUdp(remote);
  const socket = newSocket(remote);
  const sender = new DgramSender(socket, options);
  try {
    socket.connect(remote.port, remote.host);
    await once(socket, "connect");
  } catch (error) {
    socket.close();
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new OperatorError(`destination ${describeAddress(remote)}: cannot connect a socket (${code})`);
  }
  return sender;
}

class DgramSender implements BatchSender {
  readonly io = "dgram";
  readonly tally: SendTally = newTally();
  readonly #socket: Socket;
  readonly #memory: WebAssembly.Memory;
  readonly #queueBytesMax: number;
  #queuedBytes = 0;
  #waiting: (() => void)[] = [];

  constructor(socket: Socket, options: SenderOptions) {
    this.#socket = socket;
    this.#memory = options.memory;
    this.#queueBytesMax = options.queueBytesMax;
    // ICMP refusals that no send() was told of arrive here.
    socket.on("error", () => {
      this.tally.refusals += 1;
    });
  }

  send(headers: number, count: number): void {
    const view = new DataView(this.#memory.buffer);
    for (let i = 0; i < count; i++) {
      const header = headers + i * HEADER_BYTES;
      const iovec = Number(view.getBigUint64(header + HEADER_IOV, true));
      // Without mmsg the memory base is 0, so addresses are offsets.
      const iovecPayload = Number(view.getBigUint64(iovec, true));
      const payloadBytes = view.getUint32(iovec + IOVEC_LENGTH, true);
      const lines = view.getUint32(header + HEADER_LINES, true);
      if (this.#queuedBytes + payloadBytes > this.#queueBytesMax) {
        this.tally.linesLost.queue_full += lines;
        continue;
      }
      // node:dgram sends later, when the memory holds the next packet: it gets a copy.
      this.#sendCopy(
        Buffer.from(new Uint8Array(this.#memory.buffer, iovecPayload, payloadBytes)),
        lines,
        false,
      );
    }
  }

  #sendCopy(payload: Buffer, lines: number, isRetry: boolean): void {
    this.#queuedBytes += payload.length;
    this.#socket.send(payload, (error) => {
      this.#queuedBytes -= payload.length;
      const code = (error as NodeJS.ErrnoException | null)?.code;
      if (code === undefined) {
        this.tally.packetsSent += 1;
        this.tally.bytesSent += payload.length;
        this.tally.linesSent += lines;
      } else {
        if (code === "ECONNREFUSED") this.tally.refusals += 1;
        // A refusal tells of an earlier packet; this one was not tried yet.
        if (code === "ECONNREFUSED" && !isRetry) this.#sendCopy(payload, lines, true);
        else if (code === "ECONNREFUSED") this.tally.linesLost.refused += lines;
        else if (code === "EMSGSIZE") this.tally.linesLost.too_long += lines;
        else if (code === "ENETUNREACH" || code === "EHOSTUNREACH") this.tally.linesLost.unreachable += lines;
        else if (code === "EAGAIN" || code === "ENOBUFS") this.tally.linesLost.no_buffer += lines;
        else this.tally.linesLost.error += lines;
      }
      if (this.#queuedBytes === 0) for (const wake of this.#waiting.splice(0)) wake();
    });
  }

  async flush(): Promise<void> {
    if (this.#queuedBytes > 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  close(): void {
    this.#socket.close();
  }
}
