/**
 * One attempt to deliver one chunk to carbon in UDP datagrams of whole lines.
 *
 * Nobody acknowledges a datagram. What can be learned is that nothing listens there: the system tells a
 * connected socket of the ICMP message, and then the chunk has to be sent again. So after the last datagram
 * the socket stays open a little. Datagrams leave some at a time, with a pause, since a receiver's buffer
 * holds less than a flush.
 */
import { createSocket, type Socket } from "node:dgram";
import { lookup } from "node:dns";
import { isIP } from "node:net";
import type { Clock, TimerHandle } from "../../shared/clock.ts";
import { type CarbonDelivery, type CarbonTimeouts, FENCED } from "./carbon-delivery.ts";
import type { CarbonEncoder } from "./carbon-rows.ts";
import type { CarbonRemote } from "./carbon-tls.ts";

const LF = 0x0a;
/** Bytes that are sent without a pause: a receive buffer that was never enlarged takes some of these. */
const BURST_BYTES = 24 * 1024;
const PAUSE_MS = 1;
/** Wait for the word that nothing listens. */
const LINGER_MS = 20;

/** Sends lines and reports once: undefined for all that UDP can know, otherwise what went wrong. */
export class CarbonDatagrams implements CarbonDelivery {
  readonly #timeouts: CarbonTimeouts;
  readonly #encoder: CarbonEncoder;
  readonly #packetBytes: number;
  readonly #slice: Buffer;
  readonly #clock: Clock;
  readonly #report: (fault: string | undefined) => void;
  readonly #mayWrite: () => boolean;
  #socket: Socket | undefined;
  #timer: TimerHandle | undefined;
  /** What is left of the slice. */
  #start = 0;
  #end = 0;
  #isOver = false;

  /** packetBytes: size of a datagram; a longer line goes alone. Otherwise as CarbonAttempt. */
  constructor(
    remote: CarbonRemote,
    packetBytes: number,
    timeouts: CarbonTimeouts,
    encoder: CarbonEncoder,
    slice: Buffer,
    clock: Clock,
    report: (fault: string | undefined) => void,
    mayWrite: () => boolean,
  ) {
    this.#timeouts = timeouts;
    this.#encoder = encoder;
    this.#packetBytes = packetBytes;
    this.#slice = slice;
    this.#clock = clock;
    this.#report = report;
    this.#mayWrite = mayWrite;
    this.#limit(timeouts.connectTimeoutMs, "connect timeout");
    const { host, bindAddress } = remote;
    lookup(
      host,
      { family: bindAddress === undefined ? 0 : isIP(bindAddress.host) },
      (error, address, family) => {
        if (this.#isOver) return;
        if (error === null) this.#connect(remote, address, family);
        else this.#finish(error.code ?? error.message);
      },
    );
  }

  abort(): void {
    this.#isOver = true;
    this.#timer?.cancel();
    this.#socket?.close();
    this.#socket = undefined;
  }

  revoke(): void {
    this.abort();
  }

  #connect({ port, bindAddress }: CarbonRemote, address: string, family: number): void {
    const socket = createSocket(family === 6 ? "udp6" : "udp4");
    this.#socket = socket;
    socket.on("error", (error: NodeJS.ErrnoException) => this.#finish(error.code ?? error.message));
    socket.on("connect", () => this.#burst(socket));
    const connect = () => {
      if (!this.#isOver) socket.connect(port, address);
    };
    if (bindAddress === undefined) connect();
    else socket.bind(bindAddress.port, bindAddress.host, connect);
  }

  /** Sends some datagrams, and goes on when the system has taken them. */
  #burst(socket: Socket): void {
    if (this.#isOver) return;
    if (!this.#mayWrite()) {
      this.#finish(FENCED);
      return;
    }
    let underWay = 0;
    let bytes = 0;
    while (bytes < BURST_BYTES && (underWay === 0 || this.#start < this.#end)) {
      const packet = this.#packet();
      if (packet === undefined) break;
      bytes += packet.length;
      underWay++;
      socket.send(packet, (error: NodeJS.ErrnoException | null) => {
        if (this.#isOver) return;
        if (error !== null) this.#finish(error.code ?? error.message);
        else if (--underWay === 0) this.#pause(socket);
      });
    }
    if (underWay > 0) this.#limit(this.#timeouts.writeTimeoutMs, "write timeout");
    else this.#wait(LINGER_MS, () => this.#finish(undefined));
  }

  #pause(socket: Socket): void {
    this.#wait(PAUSE_MS, () => this.#burst(socket));
  }

  /**
   * Cuts the next datagram off the slice. A slice is filled again only between two bursts, when nothing that
   * was cut off it is still to be sent.
   */
  #packet(): Buffer | undefined {
    if (this.#start === this.#end) {
      this.#start = 0;
      this.#end = this.#encoder.fill(this.#slice);
      if (this.#end === 0) return undefined;
    }
    const start = this.#start;
    this.#start = packetEnd(this.#slice, start, this.#end, this.#packetBytes);
    return this.#slice.subarray(start, this.#start);
  }

  #wait(delayMs: number, act: () => void): void {
    this.#timer?.cancel();
    this.#timer = this.#clock.setTimer(delayMs, act);
  }

  #limit(delayMs: number, fault: string): void {
    this.#wait(delayMs, () => this.#finish(fault));
  }

  #finish(fault: string | undefined): void {
    if (this.#isOver) return;
    this.abort();
    this.#report(fault);
  }
}

/** Where the datagram ends that begins at an offset: behind the last line that it has room for. */
function packetEnd(slice: Buffer, start: number, end: number, packetBytes: number): number {
  if (end - start <= packetBytes) return end;
  const last = slice.subarray(start, start + packetBytes).lastIndexOf(LF);
  return (last < 0 ? slice.indexOf(LF, start + packetBytes) : start + last) + 1;
}
