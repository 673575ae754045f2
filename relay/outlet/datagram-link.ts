/** A connected UDP socket, for destinations whose lines are held while they are down. */
import { createSocket, type Socket } from "node:dgram";
import { isIPv6 } from "node:net";
import type { TimerHandle } from "../../shared/clock.ts";
import type { LossReason } from "../../shared/udp.ts";
import type { Packet } from "./handoff.ts";
import type { Link, LinkContext } from "./link.ts";

/** Packets handed to the system at a time. */
const BATCH_PACKETS_MAX = 64;

const REASONS: Readonly<Record<string, LossReason>> = {
  ECONNREFUSED: "refused",
  EMSGSIZE: "too_long",
  ENETUNREACH: "unreachable",
  EHOSTUNREACH: "unreachable",
  EAGAIN: "no_buffer",
  ENOBUFS: "no_buffer",
};

export class DatagramLink implements Link {
  readonly #context: LinkContext;
  #socket: Socket | undefined;
  #isConnected = false;
  #isOver = false;
  #timer: TimerHandle | undefined;
  /** Handed to the system, which has not answered yet. */
  readonly #pending = new Set<Packet>();

  /** Connects at once. */
  constructor(context: LinkContext) {
    this.#context = context;
    this.#connect();
  }

  get isConnected(): boolean {
    return this.#isConnected;
  }

  get pending(): readonly Packet[] {
    return [...this.#pending];
  }

  pump(): void {
    if (!this.#isConnected || this.#pending.size > 0) return;
    const packets = this.#context.queue.take(Number.POSITIVE_INFINITY, BATCH_PACKETS_MAX);
    for (const packet of packets) this.#pending.add(packet);
    for (const packet of packets) this.#send(packet, false);
  }

  recall(): Packet[] {
    return [];
  }

  abandon(): Packet[] {
    const packets = [...this.#pending];
    this.#pending.clear();
    this.#stop();
    return packets;
  }

  async finish(): Promise<void> {
    this.#stop();
  }

  #stop(): void {
    this.#isOver = true;
    this.#timer?.cancel();
    this.#isConnected = false;
    this.#socket?.close();
    this.#socket = undefined;
  }

  #connect(): void {
    const { backoff, clock, ledger, log, order } = this.#context;
    const socket = createSocket({ type: isIPv6(order.host!) ? "udp6" : "udp4" });
    this.#socket = socket;
    // ICMP refusals that no send was told of arrive here, and a bind that failed before the connect.
    socket.on("error", (error) => {
      if (this.#isConnected) ledger.add("refusals", 1);
      else fail(error);
    });
    const fail = (error: unknown) => {
      if (this.#isOver || socket !== this.#socket) return;
      // A socket must not be closed once more when the link ends.
      this.#socket = undefined;
      ledger.add("connectFailures", 1);
      log.warn("relay.connect_failed", { destination: order.text, error });
      socket.close();
      this.#timer = clock.setTimer(backoff.next(), () => this.#connect());
    };
    const settle = ((error?: Error) => {
      if (this.#isOver) return;
      if (error) return fail(error);
      backoff.reset();
      ledger.add("connects", 1);
      this.#isConnected = true;
      this.pump();
    }) as () => void;
    try {
      socket.connect(order.port!, order.host!, settle);
    } catch (error) {
      fail(error);
    }
  }

  #send(packet: Packet, isRetry: boolean): void {
    const { ledger } = this.#context;
    this.#socket!.send(packet.bytes, (error) => {
      // Given back meanwhile.
      if (!this.#pending.has(packet)) return;
      const code = (error as NodeJS.ErrnoException | null)?.code;
      if (code === "ECONNREFUSED") ledger.add("refusals", 1);
      // A refusal tells of an earlier packet; this one was not tried yet.
      if (code === "ECONNREFUSED" && !isRetry && !this.#isOver) {
        this.#send(packet, true);
        return;
      }
      this.#pending.delete(packet);
      if (error) ledger.lose(REASONS[code ?? ""] ?? "error", packet.lines);
      else {
        ledger.add("linesSent", packet.lines);
        ledger.add("packetsSent", 1);
        ledger.add("bytesSent", packet.bytes.length);
      }
      if (this.#pending.size === 0) this.pump();
    });
  }
}
