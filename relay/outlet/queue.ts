/** Packets that wait for their turn on one channel, bounded in bytes and in age. */
import type { Clock } from "../../shared/clock.ts";
import type { Packet } from "./handoff.ts";

/** Memory that a packet takes beside its bytes, roughly, so that many tiny ones are bounded as well. */
export const PACKET_OVERHEAD_BYTES = 128;
/** Emptied places at the front are given back once there are so many. */
const GAPS_MAX = 1024;

/** Bounds of a queue. */
export interface PacketBounds {
  readonly bytesMax: number;
  readonly ageMs: number;
}

/** What a packet counts for in a queue. */
export function packetBytes(packet: Packet): number {
  return packet.bytes.length + PACKET_OVERHEAD_BYTES;
}

/** First in, first out; the oldest make room for the newest. */
export class PacketQueue {
  bounds: PacketBounds;
  readonly #clock: Clock;
  readonly #onLoss: (reason: "queue_full" | "too_old", lines: number) => void;
  #packets: (Packet | undefined)[] = [];
  /** Index of the oldest; those before it are gone. */
  #head = 0;
  #bytes = 0;
  #lines = 0;

  /** onLoss: told of every packet that is pushed out, grown too old, or too large to be taken. */
  constructor(
    bounds: PacketBounds,
    clock: Clock,
    onLoss: (reason: "queue_full" | "too_old", lines: number) => void,
  ) {
    this.bounds = bounds;
    this.#clock = clock;
    this.#onLoss = onLoss;
  }

  /** Memory held, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  get lines(): number {
    return this.#lines;
  }

  get isEmpty(): boolean {
    return this.#head === this.#packets.length;
  }

  /** Moment at which the oldest packet was taken by the outlet; undefined when there is none. */
  get oldestTakenMs(): number | undefined {
    return this.#packets[this.#head]?.takenMs;
  }

  /** Whether a packet fits without pushing another out. */
  hasRoom(packet: Packet): boolean {
    return this.#bytes + packetBytes(packet) <= this.bounds.bytesMax;
  }

  /** Appends a packet; the oldest ones make room. One larger than the whole queue is lost itself. */
  push(packet: Packet): void {
    const bytes = packetBytes(packet);
    if (bytes > this.bounds.bytesMax) {
      this.#onLoss("queue_full", packet.lines);
      return;
    }
    this.#packets.push(packet);
    this.#bytes += bytes;
    this.#lines += packet.lines;
    while (this.#bytes > this.bounds.bytesMax) this.#onLoss("queue_full", this.#shift()!.lines);
  }

  /** Puts packets before all others; they were taken from here. The newest make room for them, if need be. */
  putFront(packets: readonly Packet[]): void {
    const behind = this.takeAll();
    for (const packet of [...packets, ...behind]) {
      if (this.hasRoom(packet)) this.push(packet);
      else this.#onLoss("queue_full", packet.lines);
    }
  }

  /** Loses what is older than allowed. */
  expire(): void {
    const bornAfterMs = this.#clock.monotonicMs() - this.bounds.ageMs;
    for (;;) {
      const oldest = this.#packets[this.#head];
      if (oldest === undefined || oldest.takenMs >= bornAfterMs) return;
      this.#onLoss("too_old", this.#shift()!.lines);
    }
  }

  /**
   * Removes and returns packets from the front: at most countMax, together at most bytesMax bytes of
   * payload, but at least one if there is any.
   */
  take(bytesMax: number, countMax: number): Packet[] {
    const taken: Packet[] = [];
    let bytes = 0;
    while (taken.length < countMax) {
      const packet = this.#packets[this.#head];
      if (packet === undefined) break;
      bytes += packet.bytes.length;
      if (taken.length > 0 && bytes > bytesMax) break;
      taken.push(this.#shift()!);
    }
    return taken;
  }

  /** Removes and returns everything. */
  takeAll(): Packet[] {
    return this.take(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY);
  }

  #shift(): Packet | undefined {
    const packet = this.#packets[this.#head];
    if (packet === undefined) return undefined;
    this.#packets[this.#head++] = undefined;
    // At least half are gaps then, so that a long queue is not copied at every step.
    if (this.#head >= GAPS_MAX && this.#head * 2 >= this.#packets.length) {
      this.#packets = this.#packets.slice(this.#head);
      this.#head = 0;
    }
    this.#bytes -= packetBytes(packet);
    this.#lines -= packet.lines;
    return packet;
  }
}
