/** The console sink: each interval as a small table, for a person at a terminal. */
import type { Clock } from "../../shared/clock.ts";
import type { RowBatch } from "../row.ts";
import { ConsoleTable, type TableStyle } from "./console-table.ts";
import { newLosses } from "./queue.ts";
import type { Sink, SinkContext, SinkStatus } from "./sink.ts";

/** The `[console]` section. */
export interface ConsoleConfig {
  /** Most rows shown of an interval; 0 for no console sink. */
  readonly rows: number;
}

/** What the table is written to: standard output, or any writable stream. */
export interface ConsoleOutput {
  write(text: string, written?: () => void): unknown;
  on?(event: "error", listener: (error: Error) => void): unknown;
  readonly isTTY?: boolean;
  /** Characters in a line of the terminal. */
  readonly columns?: number;
  /** Bytes that wait for a reader. */
  readonly writableLength?: number;
}

/** Makes the console sink, unless it is to show no rows. */
export function createConsoleSinks(context: SinkContext): Sink[] {
  return context.config.console.rows > 0 ? [new ConsoleSink(context)] : [];
}

/** Width of a line where the output does not tell its own. */
const COLUMNS_DEFAULT = 100;
/** Nobody reads the output when more than this waits in it: tables are lost instead of piled up. */
const OUTPUT_BYTES_MAX = 1 << 20;

/**
 * Prints each interval when its last batch is there. Rows count as sent when they were printed or summed
 * up.
 */
export class ConsoleSink implements Sink {
  readonly name = "console";
  readonly sinkClass = "overwrite";
  readonly #rowsMax: number;
  readonly #ownPrefixes: readonly string[];
  readonly #output: ConsoleOutput;
  readonly #clock: Clock;
  readonly #rowsLost = newLosses();
  #table: ConsoleTable | undefined;
  #openedMs = 0;
  #rowsSent = 0;
  #lastSuccessMs: number | undefined;
  #lastError: string | undefined;
  #isClosed = false;
  /** Whether the output has failed; it does not come back. */
  #isBroken = false;
  /** Whether the last interval had no rows and said so; one such line is enough. */
  #saidIdle = false;

  constructor(context: SinkContext) {
    this.#rowsMax = context.config.console.rows;
    this.#ownPrefixes = (context.ownPrefixes ?? []).map((prefix) => Buffer.from(prefix).toString("latin1"));
    this.#output = context.output ?? process.stdout;
    this.#clock = context.clock;
    // Without a listener a closed pipe (`bioyino | head`) would end the process.
    this.#output.on?.("error", (error) => {
      this.#lastError = error.message;
      this.#isBroken = true;
    });
  }

  accept(batch: RowBatch): void {
    if (this.#isClosed) {
      this.#rowsLost.shutdown += batch.rowCount;
      return;
    }
    if (this.#table?.interval !== batch.interval || this.#table.revision !== batch.revision) {
      this.#finish();
      this.#openedMs = this.#clock.monotonicMs();
    }
    this.#table ??= new ConsoleTable(batch, this.#rowsMax, this.#ownPrefixes);
    this.#table.collect(batch);
    if (batch.lastOfInterval) this.#finish();
  }

  status(): SinkStatus {
    const table = this.#table;
    return {
      name: this.name,
      state: table === undefined ? "idle" : "sending",
      queuedBytes: this.#output.writableLength ?? 0,
      queuedRows: table?.rowCount ?? 0,
      oldestMs: table === undefined ? 0 : this.#clock.monotonicMs() - this.#openedMs,
      rowsSent: this.#rowsSent,
      rowsRetried: 0,
      rowsLost: { ...this.#rowsLost },
      ...(this.#lastSuccessMs === undefined ? {} : { lastSuccessMs: this.#lastSuccessMs }),
      ...(this.#lastError === undefined ? {} : { lastError: this.#lastError }),
    };
  }

  drain(deadlineMs: number): Promise<boolean> {
    const lostBefore = this.#rowsLost.unwritable;
    this.#finish();
    if (this.#isClosed || this.#isBroken) return Promise.resolve(this.#rowsLost.unwritable === lostBefore);
    return new Promise((resolve) => {
      const waitMs = Math.max(0, deadlineMs - this.#clock.monotonicMs());
      const deadline = this.#clock.setTimer(waitMs, () => {
        this.close();
        resolve(false);
      });
      this.#output.write("", () => {
        deadline.cancel();
        resolve(this.#rowsLost.unwritable === lostBefore);
      });
    });
  }

  close(): void {
    this.#rowsLost.shutdown += this.#table?.rowCount ?? 0;
    this.#table = undefined;
    this.#isClosed = true;
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
    if (!table.isIdle || !this.#saidIdle) this.#output.write(table.render(this.#style()));
    this.#saidIdle = table.isIdle;
    this.#rowsSent += table.rowCount;
    this.#lastSuccessMs = this.#clock.nowMs();
  }

  /** Colour belongs on a terminal only, and not there when its user has declined it (NO_COLOR). */
  #style(): TableStyle {
    const isColoured = this.#output.isTTY === true && !process.env.NO_COLOR;
    return { columns: this.#output.columns ?? COLUMNS_DEFAULT, isColoured };
  }
}
