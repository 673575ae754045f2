/** The console sink: each interval as a small table, for a person at a terminal. */
import type { Clock, TimerHandle } from "../../shared/clock.ts";
import type { RowBatch } from "../row.ts";
import { type ConsoleOutput, openConsoleOutput } from "./console-output.ts";
import { ConsoleTable, type TableStyle } from "./console-table.ts";
import { Drain } from "./drain.ts";
import { newLosses, type SinkLossReason } from "./queue.ts";
import type { Sink, SinkConfig, SinkContext, SinkStatus } from "./sink.ts";
import { FENCE_LOOK_MS, type WriteFence } from "./write-fence.ts";

/** Makes the console sink, unless it is to show no rows. */
export function createConsoleSinks(context: SinkContext): Sink[] {
  return context.config.console.rows > 0 ? [new ConsoleSink(context)] : [];
}

/** Width of a line where the output does not tell its own, or a terminal says that it has none. */
const COLUMNS_DEFAULT = 100;
/** Nobody reads the output when more than this waits in it: tables are lost instead of piled up. */
const OUTPUT_BYTES_MAX = 1 << 20;
/** Tables that wait for the fence to open. */
const FENCED_MAX = 16;

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
  readonly #fence: WriteFence | undefined;
  readonly #rowsLost = newLosses();
  #rowsMax: number;
  #table: ConsoleTable | undefined;
  /** Whole tables that may not be printed yet, oldest first. */
  #fenced: ConsoleTable[] = [];
  #look: TimerHandle | undefined;
  /** Since when there is something to print, on the monotonic clock. */
  #busySinceMs = 0;
  /** Tables that the output has not taken yet. */
  readonly #writing = new Set<ConsoleTable>();
  #rowsSent = 0;
  #rowsHandedOver = 0;
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
    this.#fence = context.fence;
    // Without a listener a closed pipe (`bioyino | head`) would end the process.
    this.#output.on?.("error", (error) => this.#break(error));
  }

  accept(batch: RowBatch): void {
    if (this.#isClosed) {
      this.#rowsLost.shutdown += batch.rowCount;
      batch.receipt?.settle(false);
      return;
    }
    if (this.#table?.interval !== batch.interval || this.#table.revision !== batch.revision) {
      this.#finish();
      if (this.#writing.size === 0) this.#busySinceMs = this.#clock.monotonicMs();
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
    const waiting = this.#waiting();
    const isIdle = waiting.length === 0;
    const isFenced = this.#fenced.length > 0;
    return {
      name: this.name,
      state: isFenced ? "fenced" : isIdle ? "idle" : "sending",
      queuedBytes: this.#output.writableLength ?? 0,
      queuedRows: rowsOf(waiting),
      oldestMs: isIdle ? 0 : this.#clock.monotonicMs() - this.#busySinceMs,
      rowsSent: this.#rowsSent,
      rowsRetried: 0,
      rowsLost: { ...this.#rowsLost },
      ...(this.#fence === undefined ? {} : { rowsHandedOver: this.#rowsHandedOver }),
      ...(this.#lastSuccessMs === undefined ? {} : { lastSuccessMs: this.#lastSuccessMs }),
      ...(this.#lastError === undefined ? {} : { lastError: this.#lastError }),
    };
  }

  resume(): void {
    this.#look?.cancel();
    this.#look = undefined;
    const fenced = this.#fenced;
    this.#fenced = [];
    for (const table of fenced) this.#print(table);
  }

  handOver(isTheirs: (interval: number) => boolean): number {
    const isHandedOver = (table: ConsoleTable) => table.isOrdered && isTheirs(table.interval);
    const theirs = this.#fenced.filter(isHandedOver);
    this.#fenced = this.#fenced.filter((table) => !theirs.includes(table));
    if (this.#table !== undefined && isHandedOver(this.#table)) {
      theirs.push(this.#table);
      this.#table = undefined;
    }
    const rows = rowsOf(theirs);
    this.#rowsHandedOver += rows;
    this.#endDrainIfDone();
    return rows;
  }

  drain(deadlineMs: number): Promise<boolean> {
    if (this.#drain !== undefined) return this.#drain.promise;
    const lostBefore = this.#undelivered();
    this.#finish();
    if (this.#waiting().length === 0) return Promise.resolve(this.#undelivered() === lostBefore);
    const drain = new Drain(deadlineMs, this.#clock, lostBefore, () => this.close());
    this.#drain = drain;
    return drain.promise;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#look?.cancel();
    this.#lose(this.#waiting(), "shutdown");
    this.#table = undefined;
    this.#fenced = [];
    this.#writing.clear();
    this.#output.release?.();
    this.#endDrain();
  }

  /** Prints what is collected. */
  #finish(): void {
    const table = this.#table;
    if (table === undefined) return;
    this.#table = undefined;
    this.#print(table);
  }

  #print(table: ConsoleTable): void {
    if (this.#isBroken || (this.#output.writableLength ?? 0) > OUTPUT_BYTES_MAX) {
      this.#lose([table], "unwritable");
      return;
    }
    if (this.#fence?.mayWrite(table.interval) === false) {
      this.#fenced.push(table);
      if (this.#fenced.length > FENCED_MAX) this.#lose([this.#fenced.shift()!], "queue_full");
      this.#look ??= this.#clock.setTimer(FENCE_LOOK_MS, () => this.resume());
      return;
    }
    const isSaid = table.isIdle && this.#saidIdle;
    this.#saidIdle = table.isIdle;
    if (isSaid) {
      this.#rowsSent += table.rowCount;
      table.settle(true);
      this.#endDrainIfDone();
      return;
    }
    this.#writing.add(table);
    this.#output.write(table.render(this.#style()), (error) => {
      if (error === null || error === undefined) this.#settle(table);
      else this.#break(error);
    });
  }

  /** The output has taken a table. */
  #settle(table: ConsoleTable): void {
    // What was given up is counted already.
    if (!this.#writing.delete(table)) return;
    this.#rowsSent += table.rowCount;
    this.#lastSuccessMs = this.#clock.nowMs();
    table.settle(true);
    this.#endDrainIfDone();
  }

  #lose(tables: readonly ConsoleTable[], reason: SinkLossReason): void {
    this.#rowsLost[reason] += rowsOf(tables);
    for (const table of tables) table.settle(false);
  }

  /** All that is not printed. */
  #waiting(): ConsoleTable[] {
    return [...(this.#table === undefined ? [] : [this.#table]), ...this.#fenced, ...this.#writing];
  }

  #break(error: Error): void {
    this.#lastError = error.message;
    if (this.#isBroken || this.#isClosed) return;
    this.#isBroken = true;
    this.#lose([...this.#writing, ...this.#fenced], "unwritable");
    this.#fenced = [];
    this.#writing.clear();
    this.#endDrain();
  }

  #undelivered(): number {
    const { unwritable, queue_full, shutdown } = this.#rowsLost;
    return unwritable + queue_full + shutdown;
  }

  #endDrainIfDone(): void {
    if (this.#waiting().length === 0) this.#endDrain();
  }

  #endDrain(): void {
    this.#drain?.end(this.#undelivered());
    this.#drain = undefined;
  }

  /** Colour belongs on a terminal only, and not there when its user has declined it (NO_COLOR). */
  #style(): TableStyle {
    const isColoured = this.#output.isTTY === true && !process.env.NO_COLOR;
    return { columns: this.#output.columns || COLUMNS_DEFAULT, isColoured };
  }
}

function rowsOf(tables: readonly ConsoleTable[]): number {
  return tables.reduce((sum, { rowCount }) => sum + rowCount, 0);
}
