/** The console sink: each interval as a small table, for a person at a terminal. */
import type { Clock, TimerHandle } from "../../shared/clock.ts";
import type { RowBatch } from "../row.ts";
import { type ConsoleOutput, openConsoleOutput } from "./console-output.ts";
import { ConsoleTable, type TableStyle } from "./console-table.ts";
import { newLosses } from "./queue.ts";
import type { Sink, SinkConfig, SinkContext, SinkStatus } from "./sink.ts";

/** Makes the console sink, unless it is to show no rows. */
export function createConsoleSinks(context: SinkContext): Sink[] {
  return context.config.console.rows > 0 ? [new ConsoleSink(context)] : [];
}

/** Width of a line where the output does not tell its own, or a terminal says that it has none. */
const COLUMNS_DEFAULT = 100;
/** Nobody reads the output when more than this waits in it: tables are lost instead of piled up. */
const OUTPUT_BYTES_MAX = 1 << 20;

/** Someone who waits until everything is printed. */
interface Drain {
  readonly promise: Promise<boolean>;
  readonly resolve: (isDelivered: boolean) => void;
  readonly deadline: TimerHandle;
  /** Rows lost before it began. */
  readonly lostBefore: number;
}

/**
 * Prints each interval when its last batch is there. Rows count as sent when the output has taken the table
 * that they were shown or summed up in.
 */
export class ConsoleSink implements Sink {
  readonly name = "console";
  readonly sinkClass = "overwrite";
  readonly #ownPrefixes: readonly string[];
  readonly #output: ConsoleOutput;
  readonly #clock: Clock;
  readonly #rowsLost = newLosses();
  #rowsMax: number;
  #table: ConsoleTable | undefined;
  /** Since when there is something to print, on the monotonic clock. */
  #busySinceMs = 0;
  /** Tables that the output has not taken yet, and their rows. */
  #writingTables = 0;
  #writingRows = 0;
  #rowsSent = 0;
  #lastSuccessMs: number | undefined;
  #lastError: string | undefined;
  #drain: Drain | undefined;
  #isClosed = false;
  /** Whether the output has failed; it does not come back. */
  #isBroken = false;
  /** Whether the last interval had no rows and said so; one such line is enough. */
  #saidIdle = false;

  constructor(context: SinkContext) {
    this.#rowsMax = context.config.console.rows;
    this.#ownPrefixes = (context.ownPrefixes ?? []).map((prefix) => Buffer.from(prefix).toString("latin1"));
    this.#output = context.output ?? openConsoleOutput(context.clock);
    this.#clock = context.clock;
    // Without a listener a closed pipe (`bioyino | head`) would end the process.
    this.#output.on?.("error", (error) => this.#break(error));
  }

  accept(batch: RowBatch): void {
    if (this.#isClosed) {
      this.#rowsLost.shutdown += batch.rowCount;
      return;
    }
    if (this.#table?.interval !== batch.interval || this.#table.revision !== batch.revision) {
      this.#finish();
      if (this.#writingTables === 0) this.#busySinceMs = this.#clock.monotonicMs();
    }
    this.#table ??= new ConsoleTable(batch, this.#rowsMax, this.#ownPrefixes);
    this.#table.collect(batch);
    if (batch.lastOfInterval) this.#finish();
  }

  /** Another number of rows is in force from the next interval on. */
  configure(config: SinkConfig): boolean {
    this.#rowsMax = config.console.rows;
    return this.#rowsMax > 0;
  }

  status(): SinkStatus {
    const queuedRows = (this.#table?.rowCount ?? 0) + this.#writingRows;
    const isIdle = this.#table === undefined && this.#writingTables === 0;
    return {
      name: this.name,
      state: isIdle ? "idle" : "sending",
      queuedBytes: this.#output.writableLength ?? 0,
      queuedRows,
      oldestMs: isIdle ? 0 : this.#clock.monotonicMs() - this.#busySinceMs,
      rowsSent: this.#rowsSent,
      rowsRetried: 0,
      rowsLost: { ...this.#rowsLost },
      ...(this.#lastSuccessMs === undefined ? {} : { lastSuccessMs: this.#lastSuccessMs }),
      ...(this.#lastError === undefined ? {} : { lastError: this.#lastError }),
    };
  }

  drain(deadlineMs: number): Promise<boolean> {
    if (this.#drain !== undefined) return this.#drain.promise;
    const lostBefore = this.#undelivered();
    this.#finish();
    if (this.#writingTables === 0) return Promise.resolve(this.#undelivered() === lostBefore);
    let resolve: (isDelivered: boolean) => void = () => {};
    const promise = new Promise<boolean>((settle) => {
      resolve = settle;
    });
    const waitMs = Math.max(0, deadlineMs - this.#clock.monotonicMs());
    const deadline = this.#clock.setTimer(waitMs, () => this.close());
    this.#drain = { promise, resolve, deadline, lostBefore };
    return promise;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#rowsLost.shutdown += (this.#table?.rowCount ?? 0) + this.#writingRows;
    this.#table = undefined;
    this.#writingRows = 0;
    this.#writingTables = 0;
    this.#output.release?.();
    this.#endDrain();
  }

  /** Prints what is collected. */
  #finish(): void {
    const table = this.#table;
    if (table === undefined) return;
    this.#table = undefined;
    if (this.#isBroken || (this.#output.writableLength ?? 0) > OUTPUT_BYTES_MAX) {
      this.#rowsLost.unwritable += table.rowCount;
      return;
    }
    const isSaid = table.isIdle && this.#saidIdle;
    this.#saidIdle = table.isIdle;
    if (isSaid) {
      this.#rowsSent += table.rowCount;
      return;
    }
    this.#writingRows += table.rowCount;
    this.#writingTables++;
    this.#output.write(table.render(this.#style()), (error) => {
      if (error === null || error === undefined) this.#settle(table.rowCount);
      else this.#break(error);
    });
  }

  /** The output has taken a table. */
  #settle(rowCount: number): void {
    // What was given up is counted already.
    if (this.#isBroken || this.#isClosed) return;
    this.#writingRows -= rowCount;
    this.#writingTables--;
    this.#rowsSent += rowCount;
    this.#lastSuccessMs = this.#clock.nowMs();
    if (this.#writingTables === 0) this.#endDrain();
  }

  #break(error: Error): void {
    this.#lastError = error.message;
    if (this.#isBroken || this.#isClosed) return;
    this.#isBroken = true;
    this.#rowsLost.unwritable += this.#writingRows;
    this.#writingRows = 0;
    this.#writingTables = 0;
    this.#endDrain();
  }

  #undelivered(): number {
    return this.#rowsLost.unwritable + this.#rowsLost.shutdown;
  }

  #endDrain(): void {
    const drain = this.#drain;
    if (drain === undefined) return;
    this.#drain = undefined;
    drain.deadline.cancel();
    drain.resolve(this.#undelivered() === drain.lostBefore);
  }

  /** Colour belongs on a terminal only, and not there when its user has declined it (NO_COLOR). */
  #style(): TableStyle {
    const isColoured = this.#output.isTTY === true && !process.env.NO_COLOR;
    return { columns: this.#output.columns || COLUMNS_DEFAULT, isColoured };
  }
}
