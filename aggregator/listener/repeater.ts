/**
 * The repeater's part in an intake thread: what comes in goes on as it came, to UDP addresses at once, and
 * for connections to the control thread, which has them (repeat-link.ts). Nothing is waited for.
 */
import { HEADER_BYTES, HEADER_PAYLOAD_BYTES, SLOT_BYTES } from "../../shared/kernel/layout.ts";
import {
  type BatchSender,
  LOSS_REASONS,
  type LossReason,
  openSender,
  type ReceiveBatch,
  type RemoteAddress,
  TICK_MS,
} from "../../shared/udp.ts";
import { countLines } from "./line-count.ts";
import { RepeatPackets } from "./repeat-packets.ts";

/** Where to, as plain data. */
export interface RepeaterSettings {
  readonly datagrams: readonly RemoteAddress[];
  /** Whether lines go over connections as well. */
  readonly hasLinks: boolean;
  /** Bytes that may be on their way to the control thread. */
  readonly queueBytesMax: number;
}

/** What became of what a thread repeated; counts since the start. */
export interface RepeatTally {
  /** Datagrams sent, over all addresses. */
  readonly datagrams: number;
  /** Datagrams that could not be sent, by reason. */
  readonly datagramsLost: Readonly<Record<LossReason, number>>;
  /** Lines lost on the way to the control thread, for want of room. */
  readonly linesLost: number;
}

/** How the control thread gets lines. */
export interface RepeatPort {
  /** Takes whole lines, each with its line feed. */
  post(lines: Uint8Array<ArrayBuffer>): void;
  /** Bytes that the control thread has taken so far. */
  takenBytes(): number;
}

/** Lines of streams are packed into datagrams of at most so many bytes, as over an Ethernet. */
const DATAGRAM_BYTES_MAX = 1432;
/** Lines are posted when they are so many bytes, and at the latest after TICK_MS. */
const POST_BYTES = 65_536;
const QUEUE_BYTES_MAX = 4 << 20;
const LF = 10;

export class Repeater {
  readonly #packets: RepeatPackets | undefined;
  readonly #senders: readonly BatchSender[];
  readonly #port: RepeatPort | undefined;
  readonly #queueBytesMax: number;
  /** Lines that are not posted yet, in the first #linesBytes bytes. */
  #lines = Buffer.from(new ArrayBuffer(2 * POST_BYTES));
  #linesBytes = 0;
  #postedBytes = 0;
  #linesLost = 0;
  #nextPostMs = 0;

  private constructor(
    settings: RepeaterSettings,
    packets: RepeatPackets | undefined,
    senders: readonly BatchSender[],
    port: RepeatPort,
  ) {
    this.#packets = packets;
    this.#senders = senders;
    this.#port = settings.hasLinks ? port : undefined;
    this.#queueBytesMax = settings.queueBytesMax;
  }

  /** io: how datagrams are sent. Throws OperatorError naming an address that cannot be had. */
  static async open(settings: RepeaterSettings, io: "mmsg" | "dgram", port: RepeatPort): Promise<Repeater> {
    const { datagrams } = settings;
    if (datagrams.length === 0) return new Repeater(settings, undefined, [], port);
    const packets = await RepeatPackets.create(io);
    const options = { memory: packets.memory, queueBytesMax: QUEUE_BYTES_MAX, mayWait: false };
    const senders: BatchSender[] = [];
    try {
      for (const remote of datagrams) senders.push(await openSender(io, remote, options));
    } catch (error) {
      for (const sender of senders) sender.close();
      throw error;
    }
    return new Repeater(settings, packets, senders, port);
  }

  /**
   * Takes what lies in the first `received` slots, also none. isStream: slots hold lines of a stream, which
   * may be too many for a datagram. nowMs: performance.now().
   */
  take(batch: ReceiveBatch, received: number, isStream: boolean, nowMs: number): void {
    const bytes = received === 0 ? this.#lines : Buffer.from(batch.memory.buffer);
    for (let slot = 0; slot < received; slot++) {
      const from = batch.slots + slot * SLOT_BYTES;
      const to = from + bytes.readUInt32LE(batch.headers + slot * HEADER_BYTES + HEADER_PAYLOAD_BYTES);
      if (from === to) continue;
      if (this.#packets !== undefined) {
        if (isStream) this.#addLines(this.#packets, bytes, from, to);
        else this.#addPacket(this.#packets, bytes, from, to);
      }
      if (this.#port !== undefined) this.#gather(this.#port, bytes, from, to);
    }
    this.#packets?.send(this.#senders);
    if (this.#port !== undefined && nowMs >= this.#nextPostMs) this.#post(this.#port, nowMs);
  }

  #addPacket(packets: RepeatPackets, bytes: Buffer, from: number, to: number): void {
    if (packets.add(bytes, from, to)) return;
    packets.send(this.#senders);
    packets.add(bytes, from, to);
  }

  /** A line that is longer than a datagram should be goes alone. */
  #addLines(packets: RepeatPackets, bytes: Buffer, from: number, to: number): void {
    let start = from;
    while (start < to) {
      let end = to;
      if (to - start > DATAGRAM_BYTES_MAX) {
        const inReach = bytes.lastIndexOf(LF, start + DATAGRAM_BYTES_MAX - 1);
        const feed = inReach >= start ? inReach : bytes.indexOf(LF, start);
        if (feed >= start && feed < to) end = feed + 1;
      }
      this.#addPacket(packets, bytes, start, end);
      start = end;
    }
  }

  #gather(port: RepeatPort, bytes: Buffer, from: number, to: number): void {
    const isEnded = bytes[to - 1] === LF;
    // A slot and a line feed fit in behind less than POST_BYTES.
    bytes.copy(this.#lines, this.#linesBytes, from, to);
    this.#linesBytes += to - from;
    if (!isEnded) {
      this.#lines[this.#linesBytes] = LF;
      this.#linesBytes += 1;
    }
    if (this.#linesBytes >= POST_BYTES) this.#post(port, this.#nextPostMs);
  }

  #post(port: RepeatPort, nowMs: number): void {
    this.#nextPostMs = nowMs + TICK_MS;
    const count = this.#linesBytes;
    if (count === 0) return;
    this.#linesBytes = 0;
    const waiting = this.#postedBytes - port.takenBytes();
    if (waiting > 0 && waiting + count > this.#queueBytesMax) {
      this.#linesLost += countLines(this.#lines.subarray(0, count));
      return;
    }
    this.#postedBytes += count;
    port.post(new Uint8Array(this.#lines.buffer.slice(0, count)));
  }

  get tally(): RepeatTally {
    const datagramsLost = Object.fromEntries(
      LOSS_REASONS.map((reason) => [reason, sum(this.#senders.map(({ tally }) => tally.linesLost[reason]))]),
    ) as Record<LossReason, number>;
    return {
      datagrams: sum(this.#senders.map(({ tally }) => tally.packetsSent)),
      datagramsLost,
      linesLost: this.#linesLost,
    };
  }

  /** Posts what is left, waits for what the system has not taken yet, and closes. */
  async close(): Promise<void> {
    if (this.#port !== undefined) this.#post(this.#port, 0);
    await Promise.all(this.#senders.map((sender) => sender.flush()));
    for (const sender of this.#senders) sender.close();
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
