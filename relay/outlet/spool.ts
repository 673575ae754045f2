/** What one channel has on disk: packets that are replayed later, and a copy of its held gauges. */
import { existsSync } from "node:fs";
import type { Clock } from "../../shared/clock.ts";
import type { Log } from "../../shared/log.ts";
import type { Packet } from "./handoff.ts";
import type { Ledger, OutletLossReason } from "./ledger.ts";
import { RECORD_HEAD_BYTES, type SpoolRecord } from "./record.ts";
import { type Segment, segmentHeadBytes } from "./segment.ts";
import type { SpoolFolder, SpoolOwner } from "./spool-folder.ts";

/** A disk that failed is left alone for so long. */
const FAULT_PAUSE_MS = 1_000;

/** A channel's segments. A fault of the disk is counted and logged, and told by what a method returns. */
export class Spool implements SpoolOwner {
  readonly #folder: SpoolFolder;
  readonly #key: string;
  readonly #ageMs: () => number;
  readonly #clock: Clock;
  readonly #ledger: Ledger;
  readonly #log: Log;
  /** Oldest first; only the last may still be written to. */
  #packets: Segment[] = [];
  /** The newest whole copy of the held gauges. */
  #gauges: Segment[] = [];
  #nextTryMs = 0;

  /** ageMs: longest time that a line may have waited. log: rate limited. */
  constructor(folder: SpoolFolder, key: string, ageMs: () => number, clock: Clock, ledger: Ledger, log: Log) {
    this.#folder = folder;
    this.#key = key;
    this.#ageMs = ageMs;
    this.#clock = clock;
    this.#ledger = ledger;
    this.#log = log;
  }

  /** Lines on disk that wait for their replay. */
  get lines(): number {
    return this.#packets.reduce((sum, { lines }) => sum + lines, 0);
  }

  /** Milliseconds since the oldest segment was begun; 0 when there is none. */
  get oldestMs(): number {
    const oldest = this.#packets[0];
    return oldest === undefined ? 0 : Math.max(0, this.#clock.nowMs() - oldest.createdMs);
  }

  get hasGauges(): boolean {
    return this.#gauges.length > 0;
  }

  /**
   * Takes over what an earlier process left. Returns the gauge lines in it, as packets; the others stay on
   * disk until they are replayed. All are counted as restored.
   */
  restore(): Packet[] {
    const gauges: Packet[] = [];
    this.#try(() => {
      for (const segment of this.#folder.claim(this, this.#key)) {
        if (segment.kind === "packets") {
          this.#packets.push(segment);
          this.#ledger.add("linesRestored", segment.lines);
          continue;
        }
        this.#gauges.push(segment);
        for (let record = this.#read(segment); record !== undefined; record = this.#read(segment)) {
          this.#ledger.add("linesRestored", record.lines);
          gauges.push(this.#packet(record));
        }
      }
      // A claimed segment is never written to again, so the oldest may stand anywhere.
      this.#packets.sort((left, right) => left.createdMs - right.createdMs);
      return true;
    });
    return gauges;
  }

  /** Writes packets to disk. Returns those, from the first on, that the disk cannot take now. */
  append(packets: readonly Packet[]): readonly Packet[] {
    if (this.#clock.monotonicMs() < this.#nextTryMs) return packets;
    for (let from = 0; from < packets.length; ) {
      const group = this.#group(packets, from);
      const isWritten = this.#try(() => {
        const segment = this.#writable(bytesOf(group));
        if (segment === undefined) return false;
        this.#write(segment, group);
        return true;
      });
      if (!isWritten) return packets.slice(from);
      from += group.length;
    }
    return [];
  }

  /** Replaces the copy of the held gauges; none removes it. Returns false where the disk failed. */
  saveGauges(packets: readonly Packet[]): boolean {
    if (packets.length > 0 && this.#clock.monotonicMs() < this.#nextTryMs) return false;
    const older = this.#gauges;
    let copy: Segment | undefined;
    const isSaved = this.#try(() => {
      if (packets.length === 0) return true;
      // A copy that pushes lines out which are nowhere else would be a poor bargain.
      if (this.#folder.bytes + bytesOf(packets) + segmentHeadBytes(this.#key) > this.#folder.bytesMax) {
        return false;
      }
      copy = this.#folder.create(this, this.#key, "gauges", this.#clock.nowMs());
      this.#write(copy, packets);
      copy.finish();
      return true;
    });
    if (isSaved) this.#gauges = copy === undefined ? [] : [copy];
    for (const segment of isSaved ? older : [copy]) {
      if (segment !== undefined) this.#folder.remove(segment);
    }
    return isSaved;
  }

  /** Takes the next packet off the disk, or undefined when there is none. */
  next(): Packet | undefined {
    if (this.#clock.monotonicMs() < this.#nextTryMs) return undefined;
    for (let segment = this.#packets[0]; segment !== undefined; segment = this.#packets[0]) {
      const current = segment;
      let record: SpoolRecord | undefined;
      const isRead = this.#try(() => {
        record = this.#read(current);
        return true;
      });
      if (record !== undefined) return this.#packet(record);
      if (!isRead && existsSync(segment.path)) {
        // Tried again later, behind the others; in the end it grows too old.
        this.#packets.push(this.#packets.shift()!);
        return undefined;
      }
      this.#drop(segment, "damaged");
    }
    return undefined;
  }

  /** Drops segments in which even the newest line is too old. */
  expire(): void {
    const bornAfterMs = this.#clock.nowMs() - this.#ageMs();
    for (const segment of this.#packets.filter(({ lastMs }) => lastMs < bornAfterMs)) {
      this.#drop(segment, "too_old");
    }
  }

  /** Gives everything up for the next process. */
  release(): void {
    for (const segment of [...this.#packets, ...this.#gauges]) this.#folder.release(segment);
    this.#packets = [];
    this.#gauges = [];
  }

  onEvict(segment: Segment): void {
    if (segment.kind === "packets") this.#ledger.lose("spool_full", segment.lines);
    this.#packets = this.#packets.filter((other) => other !== segment);
    this.#gauges = this.#gauges.filter((other) => other !== segment);
  }

  /** Packets from an index on that go into one segment together; at least one. */
  #group(packets: readonly Packet[], from: number): readonly Packet[] {
    let end = from;
    for (let bytes = 0; end < packets.length; end++) {
      bytes += packets[end]!.bytes.length + RECORD_HEAD_BYTES;
      if (end > from && bytes > this.#folder.segmentBytesMax) break;
    }
    return packets.slice(from, end);
  }

  /** The segment to append to, or undefined where the folder has no room. */
  #writable(bytes: number): Segment | undefined {
    if (!this.#folder.makeRoom(bytes + segmentHeadBytes(this.#key))) return undefined;
    const last = this.#packets.at(-1);
    if (last?.isWriting && last.bytes < this.#folder.segmentBytesMax) return last;
    last?.finish();
    const segment = this.#folder.create(this, this.#key, "packets", this.#clock.nowMs());
    this.#packets.push(segment);
    return segment;
  }

  #write(segment: Segment, packets: readonly Packet[]): void {
    const nowMs = this.#clock.nowMs();
    const monotonicMs = this.#clock.monotonicMs();
    const bytesBefore = segment.bytes;
    segment.append(
      packets.map(({ bytes, lines, takenMs }) => ({ bytes, lines, wallMs: nowMs - (monotonicMs - takenMs) })),
    );
    this.#folder.addBytes(segment.bytes - bytesBefore);
  }

  #read(segment: Segment): SpoolRecord | undefined {
    return segment.read(() => this.#ledger.add("recordsDamaged", 1));
  }

  /** A clock that was set back must not make a line younger than new. */
  #packet({ bytes, lines, wallMs }: SpoolRecord): Packet {
    const ageMs = Math.max(0, this.#clock.nowMs() - wallMs);
    return { bytes, lines, takenMs: this.#clock.monotonicMs() - ageMs };
  }

  #drop(segment: Segment, reason: OutletLossReason): void {
    this.#ledger.lose(reason, segment.lines);
    this.#packets = this.#packets.filter((other) => other !== segment);
    this.#folder.remove(segment);
  }

  /** Runs something that the disk may refuse. Returns what it says, false when it threw. */
  #try(act: () => boolean): boolean {
    try {
      return act();
    } catch (error) {
      this.#nextTryMs = this.#clock.monotonicMs() + FAULT_PAUSE_MS;
      this.#ledger.add("spoolFaults", 1);
      this.#log.error("relay.spool_failed", { key: this.#key, error });
      return false;
    }
  }
}

function bytesOf(packets: readonly Packet[]): number {
  return packets.reduce((sum, { bytes }) => sum + bytes.length + RECORD_HEAD_BYTES, 0);
}
