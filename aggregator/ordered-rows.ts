/** Rows of a cluster's orders, as the control thread takes them: for the sinks, or stale when they come. */
import type { RowBatch, RowOrder } from "./row.ts";
import { DeliveryTicket } from "./sink/delivery-ticket.ts";
import type { SinkSet } from "./sink-set.ts";

/** Told of each sink once that is done with an order's rows. */
export type OrderProgress = (order: number, sink: string, isDelivered: boolean) => void;

/** Another leader writes intervals from `floor` on; rows of orders up to `throughOrder` are stale. */
export interface Yield {
  readonly floor: number;
  readonly throughOrder: number;
}

export class OrderedRows {
  readonly #sinks: () => SinkSet;
  readonly #progress: OrderProgress;
  readonly #tickets = new Map<number, DeliveryTicket>();
  /** The latest, and how many there were. */
  #yielded: Yield = { floor: 0, throughOrder: 0 };
  #yieldCount = 0;
  /** Batches that have overtaken the word that came before their order. */
  #early: (readonly [RowBatch, RowOrder])[] = [];

  constructor(sinks: () => SinkSet, progress: OrderProgress) {
    this.#sinks = sinks;
    this.#progress = progress;
  }

  /** Orders of which something may still be told. */
  get openCount(): number {
    return this.#tickets.size;
  }

  /** Hands rows to the sinks, unless somebody else writes them by now. */
  accept(batch: RowBatch, order: RowOrder): void {
    // It comes by another thread than the word: what that drops are rows of before.
    if (order.yieldCount > this.#yieldCount || this.#early.length > 0) {
      this.#early.push([batch, order]);
      return;
    }
    const { interval, revision } = batch;
    const { floor, throughOrder } = this.#yielded;
    if (order.id <= throughOrder && interval >= floor) return;
    let ticket = this.#tickets.get(order.id);
    if (ticket === undefined) {
      ticket = new DeliveryTicket({ ...order, interval, revision }, (sink, isDelivered) => {
        this.#progress(order.id, sink, isDelivered);
      });
      ticket.onOver = () => this.#tickets.delete(order.id);
      this.#tickets.set(order.id, ticket);
    }
    this.#sinks().accept({ ...batch, ticket });
  }

  /** Drops what is stale. Returns the rows that waited in sinks, counted once for each sink. */
  yield({ floor, throughOrder }: Yield): number {
    this.#yielded = { floor, throughOrder };
    this.#yieldCount += 1;
    const rows = this.#sinks().yieldFrom(floor);
    // Nothing is told of these any more, and their last batches may never come.
    for (const [id, { isForgotten }] of this.#tickets) if (isForgotten) this.#tickets.delete(id);
    const early = this.#early;
    this.#early = [];
    for (const [batch, order] of early) this.accept(batch, order);
    return rows;
  }
}
