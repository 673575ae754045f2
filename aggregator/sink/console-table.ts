/** An interval as a table for a person to read. */
import { styleText } from "node:util";
import { type RowBatch, RowReader } from "../row.ts";
import type { DeliveryReceipt } from "./delivery-ticket.ts";

const NAME_COLUMNS_MIN = 12;

interface ShownRow {
  /** One character per byte, so that the order is that of the bytes. */
  readonly name: string;
  readonly value: number;
}

/** How the table is drawn. */
export interface TableStyle {
  /** Characters in a line. */
  readonly columns: number;
  readonly isColoured: boolean;
}

/** An interval while its batches come in. Holds no more rows than are shown, however many there are. */
export class ConsoleTable {
  readonly interval: number;
  readonly revision: number;
  readonly #timestampSec: number;
  readonly #rowsMax: number;
  readonly #ownPrefixes: readonly string[];
  #isPartial = false;
  readonly #receipts: DeliveryReceipt[] = [];
  /** Whether a cluster's leader wrote the rows. */
  isOrdered = false;
  readonly #rows: ShownRow[] = [];
  /** Names from here on are behind the last that is shown. */
  #nameEnd: string | undefined;
  #userCount = 0;
  #ownCount = 0;

  /** ownPrefixes: how the names begin that are only counted, with one character per byte. */
  constructor(batch: RowBatch, rowsMax: number, ownPrefixes: readonly string[]) {
    this.interval = batch.interval;
    this.revision = batch.revision;
    this.#timestampSec = batch.timestampSec;
    this.#rowsMax = rowsMax;
    this.#ownPrefixes = ownPrefixes;
  }

  /** Rows collected, shown or not. */
  get rowCount(): number {
    return this.#userCount + this.#ownCount;
  }

  /** Whether there is nothing but the suite's own metrics. */
  get isIdle(): boolean {
    return this.#userCount === 0;
  }

  /** Adds the rows of a batch of the same interval and revision. */
  collect(batch: RowBatch): void {
    this.#isPartial ||= batch.partial;
    this.isOrdered ||= batch.isOrdered === true;
    if (batch.receipt !== undefined) this.#receipts.push(batch.receipt);
    const reader = new RowReader(batch.bytes);
    while (reader.next()) {
      const name = reader.nameLatin1();
      if (this.#ownPrefixes.some((prefix) => name.startsWith(prefix))) {
        this.#ownCount++;
        continue;
      }
      this.#userCount++;
      if (this.#nameEnd !== undefined && name >= this.#nameEnd) continue;
      this.#rows.push({ name, value: reader.value });
      // Sorting once per so many rows keeps memory and time bounded for any number of them.
      if (this.#rows.length >= this.#rowsMax * 2 + 64) this.#sort();
    }
  }

  /** The table is printed, or given up. */
  settle(isDelivered: boolean): void {
    for (const receipt of this.#receipts) receipt.settle(isDelivered);
  }

  /** Renders what was collected as whole lines. */
  render({ columns, isColoured }: TableStyle): string {
    this.#sort();
    // The caller knows whether the output is a terminal; styleText would look at standard output.
    const paint = (format: "dim" | "bold", text: string) =>
      isColoured && text !== "" ? styleText(format, text, { validateStream: false }) : text;
    const time = paint("dim", clockTime(this.#timestampSec));
    const ownCount = `(+ ${this.#ownCount} own ${plural("metric", this.#ownCount)})`;
    const own = this.#ownCount === 0 ? "" : `  ${ownCount}`;
    if (this.isIdle) return `${time}${paint("dim", `  no metrics${own}`)}\n`;

    const count = `${this.#userCount} ${plural("row", this.#userCount)}`;
    const lines = [
      `${time}  ${paint("bold", count)}${paint("dim", this.#notes())}`,
      ...this.#rowLines(columns),
    ];
    const hiddenCount = this.#userCount - this.#rows.length;
    if (hiddenCount > 0)
      lines.push(paint("dim", `  … and ${hiddenCount} more ${plural("row", hiddenCount)}`));
    if (own !== "") lines.push(paint("dim", own));
    return `${lines.join("\n")}\n`;
  }

  /** Names to the left, values to the right. */
  #rowLines(columns: number): string[] {
    const values = this.#rows.map((row) => formatNumber(row.value));
    const valueColumns = Math.max(...values.map((value) => value.length));
    const nameColumnsMax = Math.max(NAME_COLUMNS_MIN, columns - valueColumns - 4);
    const names = this.#rows.map((row) => shorten(printable(row.name), nameColumnsMax));
    const nameColumns = Math.max(...names.map((name) => name.length));
    return names.map((name, index) => {
      const gap = " ".repeat(nameColumns - name.length + 2);
      return `  ${name.join("")}${gap}${values[index]!.padStart(valueColumns)}`;
    });
  }

  #notes(): string {
    return `${this.revision > 0 ? `  amended ${this.revision}` : ""}${this.#isPartial ? "  partial" : ""}`;
  }

  /** Sorts the rows by the bytes of their names and drops those that are not shown. */
  #sort(): void {
    this.#rows.sort((left, right) => (left.name < right.name ? -1 : left.name > right.name ? 1 : 0));
    if (this.#rows.length <= this.#rowsMax) return;
    this.#rows.length = this.#rowsMax;
    this.#nameEnd = this.#rows[this.#rowsMax - 1]?.name;
  }
}

function plural(noun: string, count: number): string {
  return count === 1 ? noun : `${noun}s`;
}

/** Local time of day, as on the clock of whoever looks at it. */
function clockTime(timestampSec: number): string {
  const date = new Date(timestampSec * 1000);
  return [date.getHours(), date.getMinutes(), date.getSeconds()]
    .map((part) => String(part).padStart(2, "0"))
    .join(":");
}

/** Controls, formatting characters such as text direction, and line separators: they act on a terminal. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu;

/** Reads a name as UTF-8; whatever is no character, or is more than one, shows as U+FFFD. */
function printable(name: string): string[] {
  return Array.from(Buffer.from(name, "latin1").toString("utf8").replace(UNPRINTABLE, "\ufffd"));
}

/** Cuts out the middle: the ends tell names apart. */
function shorten(name: string[], columnsMax: number): string[] {
  if (name.length <= columnsMax) return name;
  const head = Math.ceil((columnsMax - 1) / 2);
  return [...name.slice(0, head), "…", ...name.slice(name.length - (columnsMax - 1 - head))];
}

const GROUPED = new Intl.NumberFormat("en-US", { maximumFractionDigits: 3 });

/** Three decimals and grouped thousands, or an exponent where that would hide the number. */
function formatNumber(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e15 || (size > 0 && size < 0.001)) return value.toExponential(3);
  if (!Number.isFinite(value)) return String(value);
  return GROUPED.format(value === 0 ? 0 : value);
}
