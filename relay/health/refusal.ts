/**
 * Health by ICMP: a connected UDP socket sends one line feed, which every statsd server skips. A host without
 * a listener answers by "port unreachable", which the socket reports; a listener says nothing.
 *
 * Never an empty datagram: it would end a reader of the Rust bioyino.
 */
import { createSocket, type Socket } from "node:dgram";
import { isIPv6 } from "node:net";
import type { TimerHandle } from "../../shared/clock.ts";
import { GOOD, type HealthTarget, type Probe, type ProbeContext, type Verdict, verdictOf } from "./probe.ts";

const LINE_FEED = Buffer.from("\n");

/** Silence until the timeout is good, a refusal or an unreachable host is bad. */
export class RefusalProbe implements Probe {
  readonly #host: string;
  readonly #port: number;
  readonly #context: ProbeContext;
  #socket: Socket | undefined;
  #isConnected = false;
  #timer: TimerHandle | undefined;
  #report: ((verdict: Verdict) => void) | undefined;
  /** An answer that came between two checks belongs to the one before; it is told by the next. */
  #late: Verdict | undefined;

  constructor(target: HealthTarget, context: ProbeContext) {
    this.#host = target.host ?? "127.0.0.1";
    this.#port = target.port ?? 0;
    this.#context = context;
  }

  check(report: (verdict: Verdict) => void): void {
    this.#report = report;
    this.#timer = this.#context.clock.setTimer(this.#context.timeoutMs, () => this.#end(GOOD));
    if (this.#late !== undefined) this.#end(this.#late);
    else if (this.#socket === undefined) this.#open();
    else if (this.#isConnected) this.#send(this.#socket);
  }

  close(): void {
    this.#report = undefined;
    this.#timer?.cancel();
    this.#socket?.close();
    this.#socket = undefined;
  }

  #open(): void {
    const socket = createSocket(isIPv6(this.#host) ? "udp6" : "udp4");
    this.#socket = socket;
    this.#isConnected = false;
    socket.on("error", (error) => this.#fail(socket, error));
    // What a destination sends back is of no interest.
    socket.on("message", () => {});
    socket.on("connect", () => {
      if (this.#socket !== socket) return;
      socket.unref();
      this.#isConnected = true;
      // The check that opened it may be over by now.
      if (this.#report !== undefined) this.#send(socket);
    });
    socket.connect(this.#port, this.#host);
  }

  #send(socket: Socket): void {
    socket.send(LINE_FEED, (error) => {
      if (error !== null) this.#fail(socket, error);
    });
  }

  #fail(socket: Socket, error: Error): void {
    if (this.#socket !== socket) return;
    // Refused, the socket goes on as before; anything else is answered by a fresh one.
    if ((error as NodeJS.ErrnoException).code !== "ECONNREFUSED") {
      this.#socket = undefined;
      socket.close();
    }
    const verdict = verdictOf(error);
    if (this.#report === undefined) this.#late = verdict;
    else this.#end(verdict);
  }

  #end(verdict: Verdict): void {
    this.#timer?.cancel();
    this.#late = undefined;
    const report = this.#report;
    this.#report = undefined;
    report?.(verdict);
  }
}
