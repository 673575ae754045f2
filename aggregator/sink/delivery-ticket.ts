/**
 * What becomes of the rows of one order to write, told sink by sink. The batches of an order share a ticket;
 * for each of them each sink gets a receipt, which it settles once.
 *
 *   batch, batch, last batch        of the order
 *     |      |        |
 *   receipt receipt receipt         of one sink: all settled -> the ticket tells of the sink
 */
import type { WriteOrder, WriteProgress } from "../../cluster/world.ts";

/** What a ticket knows of its order. */
export type TicketOrder = Pick<WriteOrder, "interval" | "revision" | "cause" | "isInDoubt" | "deliveredTo">;

/** One sink's part. */
interface Account {
  /** Batches of the order that came by this sink, and those of them that are not settled. */
  batchCount: number;
  pendingCount: number;
  /** Whether nothing was given up so far. */
  isDelivered: boolean;
  isTold: boolean;
}

export class DeliveryTicket {
  readonly order: TicketOrder;
  /** Sinks that have it all already. */
  readonly skip: ReadonlySet<string>;
  /**
   * Told once, when no batch comes any more and there is nothing more to tell; for whoever made the ticket.
   */
  onOver: () => void = () => {};
  readonly #settled: WriteProgress;
  readonly #accounts = new Map<string, Account>();
  #batchCount = 0;
  #isComplete = false;
  #isForgotten = false;
  #isOver = false;
  #tellsLosses = true;

  /**
   * settled: called once for each sink, from whatever settles its last batch; with false where some of the
   * rows were given up, which the sink has counted, or where it did not get all of the batches.
   */
  constructor(order: TicketOrder, settled: WriteProgress) {
    this.order = order;
    this.skip = new Set(order.deliveredTo);
    this.#settled = settled;
  }

  get isForgotten(): boolean {
    return this.#isForgotten;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** A batch of the order comes: each sink needs a receipt for it. */
  addBatch(): void {
    this.#batchCount++;
  }

  /** The receipt of a sink for the present batch. */
  receiptFor(sink: string): DeliveryReceipt {
    let account = this.#accounts.get(sink);
    if (account === undefined) {
      account = { batchCount: 0, pendingCount: 0, isDelivered: true, isTold: false };
      this.#accounts.set(sink, account);
    }
    account.batchCount++;
    account.pendingCount++;
    return new DeliveryReceipt((isDelivered) => this.#settle(sink, account, isDelivered));
  }

  /** The last batch has come. */
  complete(): void {
    this.#isComplete = true;
    for (const [sink, account] of this.#accounts) this.#tell(sink, account);
    this.#look();
  }

  /** Nothing is told any more, and further batches are of no use: the rows are somebody else's. */
  forget(): void {
    this.#isForgotten = true;
    this.#look();
  }

  /**
   * What is given up from now on is not told of: the process ends, and whoever leads next shall write it
   * again.
   */
  keepLosses(): void {
    this.#tellsLosses = false;
  }

  #settle(sink: string, account: Account, isDelivered: boolean): void {
    account.pendingCount--;
    account.isDelivered &&= isDelivered;
    this.#tell(sink, account);
    this.#look();
  }

  #tell(sink: string, account: Account): void {
    if (!this.#isComplete || account.isTold || account.pendingCount > 0 || this.#isForgotten) return;
    account.isTold = true;
    const isDelivered = account.isDelivered && account.batchCount === this.#batchCount;
    if (isDelivered || this.#tellsLosses) this.#settled(sink, isDelivered);
  }

  #look(): void {
    if (this.#isOver || !this.#isComplete) return;
    if (!this.#isForgotten && [...this.#accounts.values()].some(({ isTold }) => !isTold)) return;
    this.#isOver = true;
    this.onOver();
  }
}

/** One sink's answer for one batch. */
export class DeliveryReceipt {
  readonly #answer: (isDelivered: boolean) => void;
  #isSettled = false;

  /** answer: told once. */
  constructor(answer: (isDelivered: boolean) => void) {
    this.#answer = answer;
  }

  /** The remote has acknowledged the batch, or it is given up. The first word counts. */
  settle(isDelivered: boolean): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#answer(isDelivered);
  }
}
