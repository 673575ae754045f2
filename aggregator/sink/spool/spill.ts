/**
 * The traffic between a sink's queue and its disk spool: what goes to disk and when, and what comes back.
 *
 * Batches go to disk when memory is half full, and all of them when nothing was delivered for some seconds,
 * so that a crash costs no more than that. They go from the front of the queue, and come back there.
 */

import { join, resolve } from "node:path";
import type { Clock } from "../../../shared/clock.ts";
import type { HostPort } from "../../../shared/config-addresses.ts";
import { OperatorError } from "../../../shared/errors.ts";
import { type CarbonSettings, spoolBytesOf, spoolFolderName } from "../carbon-settings.ts";
import type { BatchQueue, SinkLossReason } from "../queue.ts";
import type { QueuedBatch } from "../queued-batch.ts";
import type { SinkConfig, SinkContext, SinkLog } from "../sink.ts";
import type { FolderHolder } from "./lock.ts";
import type { SpoolBatch } from "./record.ts";
import type { ReadBatch } from "./segment.ts";
import { Spool } from "./spool.ts";

/** Rows that wait for longer without any delivery are written to disk. */
const STALL_MS = 3000;
/** A full spool that makes room takes out of memory what was loaded; then loading begins anew so often. */
const LOAD_TRIES = 3;

export class Spill {
  readonly spool: Spool;
  readonly #name: string;
  readonly #log: SinkLog;
  readonly #queue: BatchQueue;
  readonly #clock: Clock;
  #queueBytesMax: number;
  /** When something was delivered, or began to wait; on the monotonic clock. */
  #progressMs: number;
  #isSpilling = false;
  #isClosed = false;

  private constructor(
    name: string,
    spool: Spool,
    queue: BatchQueue,
    queueBytesMax: number,
    { clock, log }: SinkContext,
  ) {
    this.spool = spool;
    this.#name = name;
    this.#log = log;
    this.#queue = queue;
    this.#queueBytesMax = queueBytesMax;
    this.#clock = clock;
    this.#progressMs = clock.monotonicMs();
  }

  /**
   * Opens the folder of one sink. Where another sink of this process still has it, that is done later.
   * Throws OperatorError where another process has it, or the system refuses it.
   */
  static open(
    name: string,
    sinkName: string,
    address: HostPort,
    settings: CarbonSettings,
    context: SinkContext,
    queue: BatchQueue,
    lose: (reason: SinkLossReason, rowCount: number) => void,
  ): Spill {
    const { config, clock, log } = context;
    const folder = join(resolve(settings.spoolDir), spoolFolderName(sinkName, address));
    const bounds = { bytesMax: spoolBytesOf(config, settings), ageMs: settings.queueAgeMs };
    const spool = new Spool(folder, bounds, name, log, clock, lose, () => queue.unload());
    const what = `${sinkName}.spool-dir is ${settings.spoolDir}`;
    let holder: FolderHolder | undefined;
    try {
      holder = spool.open();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new OperatorError(`${what}, which cannot be used (${reason}); name a folder to write to`);
    }
    if (holder !== undefined && !holder.isSelf) {
      const who = `process ${holder.pid} on ${holder.host}`;
      throw new OperatorError(`${what}, which ${who} uses; name another folder, or end that process`);
    }
    return new Spill(name, spool, queue, settings.queueBytesMax, context);
  }

  /** Something was delivered, or begins to wait. */
  progress(): void {
    this.#progressMs = this.#clock.monotonicMs();
  }

  /** Goes on within other bounds. */
  resize(config: SinkConfig, settings: CarbonSettings): void {
    this.#queueBytesMax = settings.queueBytesMax;
    this.spool.resize({ bytesMax: spoolBytesOf(config, settings), ageMs: settings.queueAgeMs });
  }

  /** Does what is due every second. */
  tick(): void {
    if (!this.spool.isOpen) this.#openLater();
    this.spool.tick();
    this.spillSome();
  }

  /** Writes to disk what has to go there, a group of batches after the other. */
  spillSome(): void {
    if (this.#isSpilling || this.#isClosed || !this.spool.isOpen || !this.#isDue()) return;
    const batches = this.#queue.spill(this.spool.groupBytesMax);
    if (batches.length === 0) return;
    this.#isSpilling = true;
    const written = this.spool.append(this.#records(batches), (copies) =>
      this.#queue.spilled(batches, copies),
    );
    void written.then((isWritten) => {
      this.#isSpilling = false;
      if (isWritten) this.spillSome();
      else this.#queue.keep(batches);
    });
  }

  /** Brings up to about so many bytes back into the queue. Resolves to whether it brought any. */
  async load(bytesMax: number): Promise<boolean> {
    for (let tries = 0; tries < LOAD_TRIES; tries++) {
      const { unloadCount } = this.#queue;
      const batches = await this.spool.load(bytesMax);
      if (this.#isClosed) return false;
      if (unloadCount === this.#queue.unloadCount) {
        this.#restore(batches);
        return batches.length > 0;
      }
      // Older ones have left the memory meanwhile, and have to be the first again.
      for (const { copy } of batches) copy.unload();
    }
    return false;
  }

  /**
   * Drops what lies on disk of a cluster's intervals that somebody else writes; what waits in memory too is
   * taken out of there. Returns the rows.
   */
  handOver(isTheirs: (interval: number) => boolean): number {
    this.#queue.unload();
    return this.spool.handOver(isTheirs);
  }

  /** Writes all that is in memory alone to disk, at once, and gives the folder up. */
  close(): void {
    this.#isClosed = true;
    // A predecessor may have let go of the folder just now.
    if (!this.spool.isOpen) this.#openLater();
    this.#queue.giveBackAll();
    const batches = this.#queue.spill(Number.POSITIVE_INFINITY);
    const count = batches.length === 0 ? 0 : this.spool.appendNow(this.#records(batches));
    // Its copies are the next process's: here they only leave the account.
    const copies = batches.slice(0, count).map(() => ({ drop() {}, unload() {} }));
    this.#queue.spilled(batches.slice(0, count), copies);
    for (const { batch } of batches.slice(0, count)) batch.receipt?.settle(false);
    this.spool.close();
    const { rows, folder } = this.spool;
    // Whoever moved or removed this sink may not want them to lie there.
    if (rows > 0) this.#log.warn("sink.rows_left", { sink: this.#name, rows, folder });
  }

  #isDue(): boolean {
    if (this.#queue.bytes > this.#queueBytesMax / 2) return true;
    return this.#queue.rowCount > 0 && this.#clock.monotonicMs() - this.#progressMs >= STALL_MS;
  }

  #records(batches: readonly QueuedBatch[]): SpoolBatch[] {
    const offsetMs = this.#clock.nowMs() - this.#clock.monotonicMs();
    return batches.map(({ batch, acceptedMs }) => ({ batch, acceptedMs: offsetMs + acceptedMs }));
  }

  #restore(batches: readonly ReadBatch[]): void {
    // A clock that was set back must not make a row younger than new.
    const nowMs = this.#clock.nowMs();
    const monotonicMs = this.#clock.monotonicMs();
    for (const { batch, acceptedMs, copy } of batches) {
      this.#queue.restore(batch, monotonicMs - Math.max(0, nowMs - acceptedMs), copy);
    }
  }

  #openLater(): void {
    try {
      this.spool.open();
    } catch {
      // Tried again at the next tick, if there is one; the folder was there a moment ago.
    }
  }
}
