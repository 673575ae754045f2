/** The file sink: every interval's rows, and events, as lines of a file that is rotated. */
import { Backoff } from "../../shared/backoff.ts";
import type { Clock, TimerHandle } from "../../shared/clock.ts";
import type { DogItem } from "../event/event.ts";
import type { RowBatch } from "../row.ts";
import { Drain } from "./drain.ts";
import { FileLines, itemLine, SLICE_BUFFER_BYTES, type SliceTally } from "./file-lines.ts";
import { type FileEntry, FileQueue } from "./file-queue.ts";
import { FileTarget } from "./file-target.ts";
import { newLosses, type SinkLossReason } from "./queue.ts";
import type { Sink, SinkConfig, SinkContext, SinkLog, SinkStatus } from "./sink.ts";
import { FENCE_LOOK_MS, type WriteFence } from "./write-fence.ts";

/** Makes the file sink, unless it has no path. */
export function createFileSinks(context: SinkContext): Sink[] {
  return context.config.file.path === "" ? [] : [new FileSink(context)];
}

/** Pauses after failures: a disk with room again, or a folder made, is to be noticed soon. */
const BACKOFF = { delayMs: 100, multiplier: 2, delayMaxMs: 10_000 };
/** Longest pause while the process is waiting to end. */
const DRAIN_PAUSE_MS = 100;
/** Failures, and losses, are reported at most this often each. */
const FAILURE_LOG_MS = 1000;
const LOSS_LOG_MS = 60_000;

/** Lines that are written in one go, and what they are of. */
interface Slice {
  readonly bytes: Buffer;
  readonly rows: SliceTally;
  readonly events: number;
}

/**
 * Writes one slice after the other; a slice that fails is written again, from its start, until it is in the
 * file. The sink is a *journal*: a second value for the same name and timestamp is a second line, which in
 * JSON carries its revision, and of which the last is to be taken. In a cluster each leader writes its own
 * file, so that what another one wrote is not there yet.
 */
export class FileSink implements Sink {
  readonly name = "file";
  readonly sinkClass = "journal";
  readonly #log: SinkLog;
  readonly #clock: Clock;
  readonly #fence: WriteFence | undefined;
  readonly #backoff: Backoff;
  readonly #queue: FileQueue;
  readonly #target: FileTarget;
  readonly #buffer = Buffer.allocUnsafeSlow(SLICE_BUFFER_BYTES);
  readonly #rowsLost = newLosses();
  #config: SinkConfig["file"];
  /** The encoder of the entry that is being written. */
  #lines: FileLines | undefined;
  /** A slice that has not got into the file yet. */
  #slice: Slice | undefined;
  #rowsSent = 0;
  #rowsRetried = 0;
  #rowsHandedOver = 0;
  #eventsAccepted = 0;
  #eventsSent = 0;
  #eventsLost = 0;
  #lastSuccessMs: number | undefined;
  #lastError: string | undefined;
  /** Since when writing fails, on the monotonic clock. */
  #failingSinceMs: number | undefined;
  #isFailureShown = false;
  #failureLoggedMs = Number.NEGATIVE_INFINITY;
  #lossLoggedMs = Number.NEGATIVE_INFINITY;
  #isWorking = false;
  /** The next attempt, when one is due. */
  #pause: TimerHandle | undefined;
  /** Whether the rows in front wait for the fence to open. */
  #isFenced = false;
  #drain: Drain | undefined;
  #isClosed = false;

  constructor(context: SinkContext) {
    this.#config = context.config.file;
    this.#log = context.log;
    this.#clock = context.clock;
    this.#fence = context.fence;
    this.#backoff = new Backoff(BACKOFF, context.random);
    this.#queue = new FileQueue(this.#config.queueBytesMax, context.clock, (reason, rows, events) =>
      this.#lose(reason, rows, events),
    );
    this.#target = new FileTarget(this.#config, context.clock);
  }

  accept(batch: RowBatch): void {
    if (this.#isClosed) {
      this.#rowsLost.shutdown += batch.rowCount;
      batch.receipt?.settle(false);
      return;
    }
    // An empty one may be the end of an interval.
    if (batch.rowCount === 0 && !batch.lastOfInterval) {
      batch.receipt?.settle(true);
      return;
    }
    this.#queue.pushRows(batch);
    this.#start();
  }

  /** Events need a line that can hold anything, so TSV carries none. */
  acceptEvent(item: DogItem): boolean {
    if (this.#config.format === "tsv") return false;
    this.#eventsAccepted++;
    if (this.#isClosed) {
      this.#eventsLost++;
      return true;
    }
    this.#queue.pushEvent(itemLine(item));
    this.#start();
    return true;
  }

  /** Anything but the path: what waits belongs into the old file. A batch that is begun keeps its format. */
  configure({ file }: SinkConfig): boolean {
    if (this.#isClosed || file.path !== this.#config.path) return false;
    this.#config = file;
    this.#target.options = file;
    this.#queue.bytesMax = file.queueBytesMax;
    return true;
  }

  status(): SinkStatus {
    const isIdle = this.#queue.isEmpty && !this.#isWorking;
    const oldestSec = this.#queue.oldestSec();
    const state = this.#isFenced ? "fenced" : isIdle ? "idle" : "sending";
    return {
      name: this.name,
      state: this.#failingSinceMs !== undefined ? "retrying" : state,
      queuedBytes: this.#queue.bytes,
      queuedRows: this.#queue.rows,
      oldestMs: this.#queue.oldestMs(),
      rowsSent: this.#rowsSent,
      rowsRetried: this.#rowsRetried,
      rowsLost: { ...this.#rowsLost },
      ...(this.#fence === undefined ? {} : { rowsHandedOver: this.#rowsHandedOver }),
      lagSec: oldestSec === undefined ? 0 : Math.max(0, this.#clock.nowMs() / 1000 - oldestSec),
      eventsAccepted: this.#eventsAccepted,
      eventsSent: this.#eventsSent,
      eventsLost: this.#eventsLost,
      ...(this.#lastSuccessMs === undefined ? {} : { lastSuccessMs: this.#lastSuccessMs }),
      ...(this.#lastError === undefined ? {} : { lastError: this.#lastError }),
    };
  }

  resume(): void {
    if (!this.#isFenced || this.#failingSinceMs !== undefined) return;
    this.#pause?.cancel();
    this.#pause = undefined;
    this.#start();
  }

  handOver(isTheirs: (interval: number) => boolean): number {
    const slice = this.#slice?.rows;
    const sliceRows = slice === undefined ? 0 : slice.written + slice.invalidName + slice.notFinite;
    const rows = this.#queue.handOver(isTheirs, sliceRows);
    this.#rowsHandedOver += rows;
    this.resume();
    return rows;
  }

  drain(deadlineMs: number): Promise<boolean> {
    if (this.#drain !== undefined) return this.#drain.promise;
    if (this.#isClosed) return Promise.resolve(true);
    const drain = new Drain(deadlineMs, this.#clock, this.#undelivered(), () => this.close());
    this.#drain = drain;
    this.#pause?.cancel();
    this.#pause = undefined;
    this.#start();
    return drain.promise;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#pause?.cancel();
    this.#pause = undefined;
    const { rows, events } = this.#queue;
    if (rows + events > 0)
      this.#log.error("sink.rows_lost", { sink: this.name, reason: "shutdown", rows, events });
    this.#queue.clear("shutdown");
    if (!this.#isWorking) void this.#closeTarget();
    this.#endDrain();
  }

  #start(): void {
    if (this.#isWorking || this.#pause !== undefined || this.#isClosed) return;
    this.#isWorking = true;
    this.#isFenced = false;
    void this.#work();
  }

  /** Writes until nothing is left or something fails. Its errors are those of the system. */
  async #work(): Promise<void> {
    try {
      for (let entry = this.#queue.hold(); entry !== undefined; entry = this.#queue.hold()) {
        await this.#writeEntry(entry);
        if (this.#isClosed || this.#isFenced) break;
        this.#queue.shift();
        this.#lines = undefined;
      }
      if (this.#drain !== undefined) await this.#target.close();
    } catch (error) {
      // Only the system's errors have a code; any other is a fault of this program, and ends it.
      if (!(error instanceof Error && "code" in error)) throw error;
      this.#isWorking = false;
      if (!this.#isClosed) this.#fail(error as NodeJS.ErrnoException);
      else void this.#closeTarget();
      return;
    }
    this.#isWorking = false;
    if (this.#isClosed) void this.#closeTarget();
    else if (this.#isFenced) this.#startIn(FENCE_LOOK_MS);
    else if (this.#queue.isEmpty) this.#endDrain();
    else this.#start();
  }

  async #writeEntry(entry: FileEntry): Promise<void> {
    for (;;) {
      if (this.#slice === undefined && this.#isHeldBack(entry)) {
        this.#isFenced = true;
        return;
      }
      if (this.#slice === undefined) this.#slice = this.#nextSlice(entry);
      else this.#rowsRetried += this.#slice.rows.written;
      const slice = this.#slice;
      if (slice === undefined) break;
      if (slice.bytes.length > 0) await this.#target.append(slice.bytes);
      // What close() has given up is counted.
      if (this.#isClosed) return;
      this.#settle(slice);
    }
    if (entry.kind === "rows" && entry.batch.lastOfInterval) await this.#target.check();
  }

  /** A slice that is begun may be in the file already, and is brought to its end. */
  #isHeldBack(entry: FileEntry): boolean {
    if (this.#fence === undefined || entry.kind === "events" || entry.isHandedOver) return false;
    return !this.#fence.mayWrite(entry.batch.interval);
  }

  #nextSlice(entry: FileEntry): Slice | undefined {
    if (entry.kind === "events") {
      if (entry.events === 0) return undefined;
      const bytes = Buffer.concat(entry.lines);
      return { bytes, rows: { bytes: 0, written: 0, invalidName: 0, notFinite: 0 }, events: entry.events };
    }
    if (entry.isHandedOver) return undefined;
    this.#lines ??= new FileLines(entry.batch, this.#config.format);
    const rows = this.#lines.fill(this.#buffer);
    return rows === undefined ? undefined : { bytes: this.#buffer.subarray(0, rows.bytes), rows, events: 0 };
  }

  #settle({ bytes, rows, events }: Slice): void {
    this.#slice = undefined;
    this.#queue.settle(rows.written + rows.invalidName + rows.notFinite, events);
    this.#rowsSent += rows.written;
    this.#rowsLost.invalid_name += rows.invalidName;
    this.#rowsLost.not_finite += rows.notFinite;
    this.#eventsSent += events;
    if (bytes.length === 0) return;
    this.#lastSuccessMs = this.#clock.nowMs();
    this.#recover();
    const { repairedBytes } = this.#target;
    if (repairedBytes === 0) return;
    this.#target.repairedBytes = 0;
    this.#log.warn("sink.file_repaired", { sink: this.name, path: this.#config.path, bytes: repairedBytes });
  }

  #fail(error: NodeJS.ErrnoException): void {
    this.#lastError = error.code ?? error.message;
    const pauseMs = this.#backoff.next();
    const retryInMs = Math.round(this.#drain === undefined ? pauseMs : Math.min(pauseMs, DRAIN_PAUSE_MS));
    const nowMs = this.#clock.monotonicMs();
    if (this.#failingSinceMs === undefined) {
      this.#failingSinceMs = nowMs;
      this.#isFailureShown = nowMs - this.#failureLoggedMs >= FAILURE_LOG_MS;
      if (this.#isFailureShown) {
        this.#failureLoggedMs = nowMs;
        const { path } = this.#config;
        this.#log.warn("sink.failed", { sink: this.name, path, fault: this.#lastError, retryInMs });
      }
    }
    this.#startIn(retryInMs);
  }

  #startIn(delayMs: number): void {
    this.#pause = this.#clock.setTimer(delayMs, () => {
      this.#pause = undefined;
      this.#start();
    });
  }

  #recover(): void {
    this.#backoff.reset();
    if (this.#failingSinceMs === undefined) return;
    const failedForMs = Math.round(this.#clock.monotonicMs() - this.#failingSinceMs);
    this.#failingSinceMs = undefined;
    if (this.#isFailureShown)
      this.#log.info("sink.recovered", { sink: this.name, failedForMs, queuedRows: this.#queue.rows });
  }

  #lose(reason: SinkLossReason, rows: number, events: number): void {
    this.#rowsLost[reason] += rows;
    this.#eventsLost += events;
    if (reason === "shutdown") return;
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#lossLoggedMs < LOSS_LOG_MS) return;
    this.#lossLoggedMs = nowMs;
    const { rowsLost } = this.status();
    this.#log.error("sink.rows_lost", { sink: this.name, reason, rowsLost, eventsLost: this.#eventsLost });
  }

  /** Rows and events lost that should have been written. */
  #undelivered(): number {
    const { queue_full, too_large, shutdown } = this.#rowsLost;
    return queue_full + too_large + shutdown + this.#eventsLost;
  }

  async #closeTarget(): Promise<void> {
    try {
      await this.#target.close();
    } catch (error) {
      this.#lastError = (error as NodeJS.ErrnoException).code ?? String(error);
      this.#log.warn("sink.failed", { sink: this.name, path: this.#config.path, fault: this.#lastError });
    }
  }

  #endDrain(): void {
    this.#drain?.end(this.#undelivered());
    this.#drain = undefined;
  }
}
