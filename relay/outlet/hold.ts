/**
 * What waits for a destination that is down, and how it comes back.
 *
 *   gauges          memory, newest values only; a copy on disk      replayed first
 *   everything else disk spool; memory without one, or while the disk fails
 */
import type { Clock } from "../../shared/clock.ts";
import { GaugeTable, splitGauges } from "./gauges.ts";
import type { Packet } from "./handoff.ts";
import type { Ledger } from "./ledger.ts";
import { type PacketBounds, PacketQueue } from "./queue.ts";
import type { Spool } from "./spool.ts";

/** The copy of the gauges on disk is at most about so old... */
const COPY_MS = 5_000;
/** ... but no more than so many bytes a second are written for it. */
const COPY_BYTES_PER_MS = 4_000;
/** Size of the packets that gauges are copied in. */
const COPY_PACKET_BYTES = 32 << 10;

export class Hold {
  readonly #clock: Clock;
  readonly #ledger: Ledger;
  readonly #spool: Spool | undefined;
  readonly #gauges = new GaugeTable();
  readonly #packets: PacketQueue;
  /** Gauges changed since they were copied. */
  #isCopyDue = false;
  #nextCopyMs = 0;
  /** Lines on disk that were given up for the next process. */
  #leftLines = 0;

  /** bounds: of the memory. Without a spool nothing goes to disk. */
  constructor(bounds: PacketBounds, clock: Clock, ledger: Ledger, spool: Spool | undefined) {
    this.#clock = clock;
    this.#ledger = ledger;
    this.#spool = spool;
    this.#packets = new PacketQueue(bounds, clock, (reason, lines) => ledger.lose(reason, lines));
    this.restore();
  }

  set bounds(bounds: PacketBounds) {
    this.#packets.bounds = bounds;
  }

  /** Lines in memory. */
  get lines(): number {
    return this.#gauges.lines + this.#packets.lines;
  }

  get spooledLines(): number {
    return this.#leftLines + (this.#spool?.lines ?? 0);
  }

  get isEmpty(): boolean {
    return this.lines === 0 && this.spooledLines === 0;
  }

  get hasGauges(): boolean {
    return this.#gauges.lines > 0;
  }

  get hasSpool(): boolean {
    return this.#spool !== undefined;
  }

  /** Age of what waits longest, in milliseconds; 0 when nothing does. */
  get oldestMs(): number {
    const nowMs = this.#clock.monotonicMs();
    const takenMs = Math.min(this.#gauges.oldestTakenMs ?? nowMs, this.#packets.oldestTakenMs ?? nowMs);
    return Math.max(0, nowMs - takenMs, this.#spool?.oldestMs ?? 0);
  }

  /** Takes what another process has left on disk meanwhile. */
  restore(): void {
    const gauges = this.#spool?.restore() ?? [];
    if (gauges.length > 0) this.putBack(gauges);
  }

  /** Holds packets that are newer than everything held. */
  put(packets: readonly Packet[]): void {
    const rests: Packet[] = [];
    for (const packet of packets) {
      const rest = this.takeGauges(packet);
      if (rest !== undefined) rests.push(rest);
    }
    const kept = rests.length === 0 || this.#spool === undefined ? rests : this.#spool.append(rests);
    // A copy, so that a small rest does not keep the memory of a whole handoff.
    for (const { bytes, lines, takenMs } of kept) {
      this.#packets.push({ bytes: new Uint8Array(bytes), lines, takenMs });
    }
    this.#bound();
  }

  /** Holds packets that are older than everything held, such as those that could not be sent. */
  putBack(packets: readonly Packet[]): void {
    const newer = this.#gauges.copy(COPY_PACKET_BYTES);
    while (this.#gauges.lines > 0) this.#gauges.dropOldest();
    this.put(packets);
    for (const packet of newer) this.takeGauges(packet);
  }

  /** Holds the gauges of a packet, newer than those held. Returns what else is in it. */
  takeGauges(packet: Packet): Packet | undefined {
    const { gauges, rest } = splitGauges(packet);
    for (const { gauge, line } of gauges) {
      this.#ledger.lose("gauge_superseded", this.#gauges.put(gauge, line, packet.takenMs));
    }
    if (gauges.length > 0) {
      this.#isCopyDue = true;
      this.#bound();
    }
    return rest;
  }

  /**
   * Removes and returns the packet to be replayed next: gauges first, then the disk, then memory. bytesMax
   * and linesMax: of a packet of gauges; the others are as they came. Undefined when nothing is held.
   */
  next(bytesMax: number, linesMax: number): Packet | undefined {
    const gauges = this.#gauges.take(bytesMax, linesMax);
    if (gauges === undefined) return this.#spool?.next() ?? this.#packets.take(0, 1)[0];
    this.#isCopyDue = true;
    return gauges;
  }

  /** Loses what is too old, and copies gauges to disk when it is time. */
  tick(): void {
    this.#packets.expire();
    this.#spool?.expire();
    const bornAfterMs = this.#clock.monotonicMs() - this.#packets.bounds.ageMs;
    while ((this.#gauges.oldestTakenMs ?? Number.POSITIVE_INFINITY) < bornAfterMs) {
      this.#ledger.lose("too_old", this.#gauges.dropOldest());
      this.#isCopyDue = true;
    }
    // Replayed gauges are stale soon: their copy must not outlive them.
    const isOver = this.#gauges.lines === 0 && this.#spool?.hasGauges;
    if (isOver || (this.#isCopyDue && this.#clock.monotonicMs() >= this.#nextCopyMs)) this.#copyGauges();
  }

  /**
   * Puts by what can be put by, for the next process, and counts the rest as lost. Nothing is held in memory
   * afterwards, and spooledLines stays what it was in the end.
   */
  end(): void {
    const packets = this.#packets.takeAll();
    for (const { lines } of this.#spool?.append(packets) ?? packets) this.#ledger.lose("shutdown", lines);
    const gaugeLines = this.#gauges.lines;
    const isSaved = this.#spool?.saveGauges(this.#gauges.copy(COPY_PACKET_BYTES)) ?? false;
    if (!isSaved) this.#ledger.lose("shutdown", gaugeLines);
    while (this.#gauges.lines > 0) this.#gauges.dropOldest();
    this.#leftLines = (this.#spool?.lines ?? 0) + (isSaved ? gaugeLines : 0);
    this.#spool?.release();
  }

  #copyGauges(): void {
    this.#isCopyDue = false;
    this.#nextCopyMs = this.#clock.monotonicMs() + Math.max(COPY_MS, this.#gauges.bytes / COPY_BYTES_PER_MS);
    if (this.#spool === undefined || (this.#gauges.lines === 0 && !this.#spool.hasGauges)) return;
    if (!this.#spool.saveGauges(this.#gauges.copy(COPY_PACKET_BYTES))) this.#isCopyDue = true;
  }

  /** Memory is for gauges and packets together; packets go first, as no newer one replaces them. */
  #bound(): void {
    const { bytesMax } = this.#packets.bounds;
    while (this.#gauges.bytes + this.#packets.bytes > bytesMax) {
      const [oldest] = this.#packets.take(0, 1);
      const lines = oldest?.lines ?? this.#gauges.dropOldest();
      if (lines === 0) return;
      this.#ledger.lose("queue_full", lines);
    }
  }
}
