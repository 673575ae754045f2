/** Which records of a segment the reader shall pass over, and how far it has come. */
import type { DeliveryReceipt } from "../delivery-ticket.ts";
import type { DiskCopy } from "../queued-batch.ts";

/** A record whose batch is in memory, or was and is not needed any more. */
export class RecordCopy implements DiskCopy {
  readonly #copies: Copies;
  /** Where the record begins, and where the next one does. */
  readonly offset: number;
  readonly end: number;
  readonly rowCount: number;
  isDropped = false;

  constructor(copies: Copies, offset: number, end: number, rowCount: number) {
    this.#copies = copies;
    this.offset = offset;
    this.end = end;
    this.rowCount = rowCount;
  }

  drop(): void {
    if (this.isDropped) return;
    this.isDropped = true;
    this.#copies.onDrop(this);
  }

  unload(): void {
    this.#copies.onUnload(this);
  }
}

/** The reader's place in a segment. */
export class Copies {
  /** By offset: those held in memory, and those dropped behind a record that is not delivered yet. */
  readonly #byOffset = new Map<number, RecordCopy>();
  /** By offset: receipts of records, in memory or not, that are not settled; none of an earlier process. */
  readonly #receipts = new Map<number, DeliveryReceipt>();
  readonly #dropped: (rowCount: number) => void;
  #readOffset: number;

  /** readOffset: where reading begins. dropped: told of the rows of each copy that is dropped. */
  constructor(readOffset: number, dropped: (rowCount: number) => void) {
    this.#readOffset = readOffset;
    this.#dropped = dropped;
  }

  /** Where the next record begins that has to be read. */
  get readOffset(): number {
    for (;;) {
      const copy = this.#byOffset.get(this.#readOffset);
      if (copy === undefined) break;
      this.#readOffset = copy.end;
    }
    this.#forget();
    return this.#readOffset;
  }

  /** Where the first record begins that is not delivered. */
  get firstOffset(): number {
    let first = this.#readOffset;
    for (const { offset, isDropped } of this.#byOffset.values()) {
      if (!isDropped) first = Math.min(first, offset);
    }
    return first;
  }

  /** Rows in memory. */
  get heldRows(): number {
    return this.#sum(false);
  }

  /** Rows that are delivered, but lie behind some that are not: after a crash they are sent once more. */
  get droppedRows(): number {
    return this.#sum(true);
  }

  /** Starts at another place. */
  seek(readOffset: number): void {
    this.#readOffset = readOffset;
  }

  /** Whether a record is in memory, or was dropped. */
  has(offset: number): boolean {
    return this.#byOffset.has(offset);
  }

  /** Keeps what has to be told of a record's delivery. */
  keepReceipt(offset: number, receipt: DeliveryReceipt): void {
    this.#receipts.set(offset, receipt);
  }

  receiptAt(offset: number): DeliveryReceipt | undefined {
    return this.#receipts.get(offset);
  }

  /** Settles the receipts of records that are given up: of all, or of those that are not in memory. */
  giveUp(isUnreadOnly = false): void {
    for (const [offset, receipt] of this.#receipts) {
      if (isUnreadOnly && this.#byOffset.has(offset)) continue;
      this.#receipts.delete(offset);
      receipt.settle(false);
    }
  }

  /** Makes the copy of a record that is in memory now. */
  add(offset: number, end: number, rowCount: number): RecordCopy {
    const copy = new RecordCopy(this, offset, end, rowCount);
    this.#byOffset.set(offset, copy);
    return copy;
  }

  /** The batch is delivered or lost. */
  onDrop(copy: RecordCopy): void {
    this.#receipts.delete(copy.offset);
    this.#forget();
    this.#dropped(copy.rowCount);
  }

  /** The batch is not in memory any more, and will have to be read again. */
  onUnload(copy: RecordCopy): void {
    // One that was unloaded before may have been read anew since.
    if (copy.isDropped || this.#byOffset.get(copy.offset) !== copy) return;
    this.#byOffset.delete(copy.offset);
    this.#readOffset = Math.min(this.#readOffset, copy.offset);
  }

  #sum(isDropped: boolean): number {
    let rows = 0;
    for (const copy of this.#byOffset.values()) if (copy.isDropped === isDropped) rows += copy.rowCount;
    return rows;
  }

  #forget(): void {
    const first = this.firstOffset;
    for (const { offset, isDropped } of this.#byOffset.values()) {
      if (isDropped && offset < first) this.#byOffset.delete(offset);
    }
  }
}
