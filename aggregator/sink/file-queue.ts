/** What a file sink has yet to write: rows and events in the order in which they came, bounded in bytes. */
import type { Clock } from "../../shared/clock.ts";
import type { RowBatch } from "../row.ts";
import type { SinkLossReason } from "./queue.ts";

/** Memory that an entry takes beside its bytes, roughly. */
const ENTRY_BYTES = 256;
/** Events are written together until there are so many bytes of them. */
const EVENTS_BYTES = 32 << 10;

interface Entry {
  bytes: number;
  /** Rows, or events, that are not written yet. */
  rows: number;
  events: number;
  readonly acceptedMs: number;
}

export interface RowsEntry extends Entry {
  readonly kind: "rows";
  readonly batch: RowBatch;
  /** Whether what is left of it is somebody else's to write. */
  isHandedOver: boolean;
}

export interface EventsEntry extends Entry {
  readonly kind: "events";
  readonly lines: Buffer[];
}

export type FileEntry = RowsEntry | EventsEntry;

/** Rows and events of an entry that are lost. */
export type OnFileLoss = (reason: SinkLossReason, rows: number, events: number) => void;

export class FileQueue {
  /** Bound of `bytes`; may change. */
  bytesMax: number;
  readonly #clock: Clock;
  readonly #onLoss: OnFileLoss;
  readonly #entries: FileEntry[] = [];
  #bytes = 0;
  #rows = 0;
  #events = 0;
  /** Whether the first entry is being written: it is not pushed out then. */
  #isHeld = false;

  constructor(bytesMax: number, clock: Clock, onLoss: OnFileLoss) {
    this.bytesMax = bytesMax;
    this.#clock = clock;
    this.#onLoss = onLoss;
  }

  /** Memory held, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  get rows(): number {
    return this.#rows;
  }

  get events(): number {
    return this.#events;
  }

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  /** Age of the oldest entry in milliseconds, 0 when there is none. */
  oldestMs(): number {
    const oldest = this.#entries[0];
    return oldest === undefined ? 0 : Math.max(0, this.#clock.monotonicMs() - oldest.acceptedMs);
  }

  /** Timestamp of the oldest rows, in seconds since 1970; undefined when there are none. */
  oldestSec(): number | undefined {
    const oldest = this.#entries.find((entry) => entry.kind === "rows");
    return oldest?.batch.timestampSec;
  }

  pushRows(batch: RowBatch): void {
    const bytes = batch.bytes.byteLength + ENTRY_BYTES;
    if (!this.#makeRoom(bytes, batch.rowCount, 0)) {
      batch.receipt?.settle(false);
      return;
    }
    const acceptedMs = this.#clock.monotonicMs();
    this.#append({
      kind: "rows",
      batch,
      bytes,
      rows: batch.rowCount,
      events: 0,
      acceptedMs,
      isHandedOver: false,
    });
  }

  /** line: whole, with its line feed. */
  pushEvent(line: Buffer): void {
    const bytes = line.length + ENTRY_BYTES;
    if (!this.#makeRoom(bytes, 0, 1)) return;
    const last = this.#entries.at(-1);
    const isOpen = last?.kind === "events" && last.bytes < EVENTS_BYTES;
    if (isOpen && !(this.#isHeld && this.#entries.length === 1)) {
      last.lines.push(line);
      last.bytes += bytes;
      last.events++;
      this.#bytes += bytes;
      this.#events++;
      return;
    }
    const acceptedMs = this.#clock.monotonicMs();
    this.#append({ kind: "events", lines: [line], bytes, rows: 0, events: 1, acceptedMs });
  }

  /** Takes the first entry to be written; it stays first until `shift`. */
  hold(): FileEntry | undefined {
    const first = this.#entries[0];
    this.#isHeld = first !== undefined;
    return first;
  }

  /** Some rows or events of the entry that is held are settled. */
  settle(rows: number, events: number): void {
    const entry = this.#entries[0]!;
    entry.rows -= rows;
    entry.events -= events;
    this.#rows -= rows;
    this.#events -= events;
  }

  /** Removes the entry that is held; all of it is written, or somebody else's. */
  shift(): void {
    this.#isHeld = false;
    const entry = this.#entries.shift();
    this.#forget(entry);
    if (entry?.kind === "rows" && !entry.isHandedOver) entry.batch.receipt?.settle(true);
  }

  /**
   * Drops a cluster's rows of intervals that somebody else writes. sliceRows: how many of the entry that is
   * held are on their way into the file, and stay. Returns the rows.
   */
  handOver(isTheirs: (interval: number) => boolean, sliceRows: number): number {
    let rows = 0;
    const held = this.#isHeld ? this.#entries[0] : undefined;
    const theirs = this.#entries.filter(
      (entry) => entry.kind === "rows" && entry.batch.isOrdered === true && isTheirs(entry.batch.interval),
    ) as RowsEntry[];
    for (const entry of theirs) {
      const dropped = entry === held ? entry.rows - sliceRows : entry.rows;
      rows += dropped;
      entry.isHandedOver = true;
      entry.rows -= dropped;
      this.#rows -= dropped;
      if (entry === held) continue;
      this.#entries.splice(this.#entries.indexOf(entry), 1);
      this.#forget(entry);
    }
    return rows;
  }

  /** Loses everything, what is held too. */
  clear(reason: SinkLossReason): void {
    this.#isHeld = false;
    for (const entry of this.#entries.splice(0)) this.#lose(reason, entry);
  }

  /** Loses the oldest until there is room. Returns false when there is none to be had. */
  #makeRoom(bytes: number, rows: number, events: number): boolean {
    if (bytes > this.bytesMax) {
      this.#onLoss("too_large", rows, events);
      return false;
    }
    const first = this.#isHeld ? 1 : 0;
    while (this.#bytes + bytes > this.bytesMax && this.#entries.length > first)
      this.#lose("queue_full", this.#entries.splice(first, 1)[0]!);
    if (this.#bytes + bytes <= this.bytesMax) return true;
    this.#onLoss("queue_full", rows, events);
    return false;
  }

  #append(entry: FileEntry): void {
    this.#entries.push(entry);
    this.#bytes += entry.bytes;
    this.#rows += entry.rows;
    this.#events += entry.events;
  }

  #lose(reason: SinkLossReason, entry: FileEntry): void {
    this.#forget(entry);
    this.#onLoss(reason, entry.rows, entry.events);
    if (entry.kind === "rows" && !entry.isHandedOver) entry.batch.receipt?.settle(false);
  }

  #forget(entry: FileEntry | undefined): void {
    this.#bytes -= entry?.bytes ?? 0;
    this.#rows -= entry?.rows ?? 0;
    this.#events -= entry?.events ?? 0;
  }
}
