/**
 * The sinks of an aggregator, through every reload. A sink whose configuration did not change stays, with its
 * queue; one that was changed or removed *retires*: it gets no more rows and has some time to deliver what it
 * holds, while its successor works already.
 *
 *   name in `sinks`     members               what becomes of it at apply()
 *   carbon              carbon[a], carbon[b]  same section: stays. Other: configure(), else retires and is
 *   carbon.east         carbon.east           opened anew. Not named any more: retires
 */
import type { DogItem } from "./event/event.ts";
import type { RowBatch } from "./row.ts";
import type { DeliveryTicket } from "./sink/delivery-ticket.ts";
import { rulingOf } from "./sink/repetition.ts";
import type { Sink, SinkContext, SinkStatus } from "./sink/sink.ts";
import { type SinkGroup, SinkPlan } from "./sink/sink-plan.ts";
import { addSpooled, addStatus, addWithheld, asRetiring, type WithheldRows } from "./sink/status-sum.ts";

/** What apply() has done, by names as in `sinks`. */
export interface SinkChanges {
  readonly kept: readonly string[];
  /** Those that go on, or were replaced, under another configuration. */
  readonly changed: readonly string[];
  readonly added: readonly string[];
  readonly removed: readonly string[];
}

/** Memory is bounded by it: each retiring sink may hold a full queue. */
const RETIRING_MAX = 16;

export class SinkSet {
  #context: SinkContext;
  #groups: readonly SinkGroup[];
  /** Oldest first. */
  readonly #retiring = new Set<Sink>();
  /** What became of rows of sinks that are gone, by name: added to what their successors count. */
  readonly #former = new Map<string, SinkStatus>();
  /** Those of them that have left rows on disk, as long as no successor has these. */
  readonly #leaving = new Set<Sink>();
  /** How retiring sinks ended, for a drain that is under way. */
  readonly #endings = new Set<Promise<boolean>>();
  /** Orders of which something may still be told. */
  readonly #tickets = new Set<DeliveryTicket>();
  /** Rows of orders that a sink was not given, by its name. */
  readonly #withheld = new Map<string, WithheldRows>();
  #isEnding = false;
  #eventsUncarried = 0;
  #isClosed = false;

  /** Opens the sinks named. Throws OperatorError when one cannot be had, with none left open. */
  constructor(names: readonly string[], context: SinkContext) {
    this.#context = context;
    this.#groups = [];
    this.apply(names, context, 0);
  }

  /** Events and checks that came while no sink could carry such things. */
  get eventsUncarried(): number {
    return this.#eventsUncarried;
  }

  get isEmpty(): boolean {
    return this.#groups.every(({ sinks }) => sinks.length === 0);
  }

  /** Names of the sinks that get rows now, as in their statuses. */
  names(): string[] {
    return this.#sinks().map(({ name }) => name);
  }

  /**
   * Hands a batch to every sink; one of a cluster's order to those that want it. Never blocks and never
   * throws; its bytes must not change any more.
   */
  accept(batch: RowBatch): void {
    if (batch.ticket !== undefined) this.#acceptOrdered(batch, batch.ticket);
    else for (const sink of this.#sinks()) sink.accept(batch);
  }

  /**
   * The fence is closed: what is on its way is given up at once, and waits; remotes that cannot be told so
   * may still get what the system has sent.
   */
  revoke(): void {
    for (const sink of this.#living()) sink.revoke?.();
  }

  /** The fence may have opened; sinks find it out by themselves, a little later. */
  resume(): void {
    for (const sink of this.#living()) sink.resume?.();
  }

  /**
   * Drops a cluster's rows of intervals from `floor` on, in memory and on disk: another leader writes them.
   * Of their orders nothing is told any more. Returns the rows, counted once for each sink.
   */
  yieldFrom(floor: number): number {
    return this.yieldWhere((interval) => interval >= floor);
  }

  /**
   * As yieldFrom, with another choice: isTheirs is asked with each interval and sink, and has to answer the
   * same for all sinks where an order is under way.
   */
  yieldWhere(isTheirs: (interval: number, sink: string) => boolean): number {
    for (const ticket of this.#tickets) {
      if (this.names().some((name) => isTheirs(ticket.order.interval, name))) ticket.forget();
    }
    this.#forgetTickets();
    let rows = 0;
    for (const sink of this.#living()) {
      rows += sink.handOver?.((interval) => isTheirs(interval, sink.name)) ?? 0;
    }
    return rows;
  }

  /** Hands an event or a check to the sinks that can carry it. */
  acceptEvent(item: DogItem): void {
    const carriers = this.#sinks().filter((sink) => sink.acceptEvent?.(item) === true);
    if (carriers.length === 0) this.#eventsUncarried++;
  }

  /**
   * One status for each name of a sink. What its predecessors of the same name did, and still hold, is part
   * of it; so for each name rows accepted = sent + lost + queued + spooled + handed over, over all changes.
   * Sinks that were removed are there until they are done.
   */
  statuses(): SinkStatus[] {
    const now = new Map<string, SinkStatus>();
    for (const sink of this.#sinks()) now.set(sink.name, this.#withFormer(sink.status()));
    for (const sink of this.#retiring) {
      const status = asRetiring(sink.status());
      const successor = now.get(sink.name);
      now.set(sink.name, successor === undefined ? this.#withFormer(status) : addStatus(successor, status));
    }
    for (const sink of this.#leaving) {
      const { spooledRows = 0, spooledBytes = 0 } = sink.status();
      const status = now.get(sink.name);
      if (spooledRows === 0 || status === undefined) this.#leaving.delete(sink);
      else now.set(sink.name, addSpooled(status, spooledRows, spooledBytes));
    }
    for (const [name, rows] of this.#withheld) {
      const status = now.get(name);
      if (status === undefined) this.#withheld.delete(name);
      else now.set(name, addWithheld(status, rows));
    }
    return [...now.values()];
  }

  /**
   * Goes over to other sinks, or the same with other settings. context: as for the constructor; its
   * configuration has been checked. drainTimeoutMs: how long retiring sinks have for what they hold; then it
   * is counted as lost. Throws OperatorError when a sink cannot be opened, and then all is as it was.
   */
  apply(names: readonly string[], context: SinkContext, drainTimeoutMs: number): SinkChanges {
    const before = new Map(this.#groups.map((group) => [group.name, group]));
    const plan = new SinkPlan(context, this.#context.config);
    try {
      for (const name of unique(names)) plan.add(name, before.get(name));
    } catch (error) {
      plan.undo();
      throw error;
    }
    this.#context = context;
    this.#groups = plan.groups;
    const staying = new Set(this.#sinks());
    const deadlineMs = context.clock.monotonicMs() + drainTimeoutMs;
    for (const { sinks } of before.values())
      for (const sink of sinks) if (!staying.has(sink)) this.#retire(sink, deadlineMs);
    for (const { name } of plan.groups) before.delete(name);
    return { ...plan.changes, removed: [...before.keys()] };
  }

  /**
   * Lets all sinks deliver what they hold, retiring ones too. deadlineMs: a moment of clock.monotonicMs().
   * Resolves to whether all of it was delivered.
   */
  async drain(deadlineMs: number): Promise<boolean> {
    const { clock } = this.#context;
    this.#end();
    // Retiring sinks have a deadline of their own, which may be later. They come first: what a successor has
    // left at the deadline goes to a folder of which its predecessor has to let go.
    const waitMs = Math.max(0, deadlineMs - clock.monotonicMs());
    const deadline = clock.setTimer(waitMs, () => {
      for (const sink of this.#retiring) sink.close();
    });
    const endings = this.#sinks().map((sink) => sink.drain(deadlineMs));
    const isDelivered = await Promise.all([...endings, ...this.#endings]);
    deadline.cancel();
    return isDelivered.every(Boolean);
  }

  /** Closes all sinks; what they hold is counted as lost. */
  close(): void {
    this.#isClosed = true;
    this.#end();
    for (const sink of this.#retiring) sink.close();
    for (const sink of this.#sinks()) sink.close();
  }

  #sinks(): Sink[] {
    return this.#groups.flatMap(({ sinks }) => sinks);
  }

  /** All that may hold rows; retiring ones first, whose rows are older. */
  #living(): Sink[] {
    return [...this.#retiring, ...this.#sinks()];
  }

  #acceptOrdered(batch: RowBatch, ticket: DeliveryTicket): void {
    if (!ticket.isForgotten) {
      this.#tickets.add(ticket);
      if (this.#isEnding) ticket.keepLosses();
      ticket.addBatch();
      for (const sink of this.#sinks()) this.#offer(sink, batch, ticket);
    }
    if (!batch.lastOfInterval) return;
    ticket.complete();
    this.#forgetTickets();
  }

  #offer(sink: Sink, batch: RowBatch, ticket: DeliveryTicket): void {
    const { name, sinkClass, onDoubt = "skip" } = sink;
    const receipt = ticket.receiptFor(name);
    if (ticket.skip.has(name)) {
      receipt.settle(true);
      return;
    }
    const ruling = rulingOf(sinkClass, onDoubt, ticket.order);
    if (ruling === "write") {
      const { ticket: _ticket, ...plain } = batch;
      sink.accept({ ...plain, receipt, isOrdered: true });
      return;
    }
    const { not_amended, in_doubt } = this.#withheld.get(name) ?? { not_amended: 0, in_doubt: 0 };
    const rows = { not_amended, in_doubt };
    rows[ruling] += batch.rowCount;
    this.#withheld.set(name, rows);
    receipt.settle(true);
  }

  #forgetTickets(): void {
    for (const ticket of this.#tickets) if (ticket.isOver || ticket.isForgotten) this.#tickets.delete(ticket);
  }

  /** What is lost while the process ends shall be written by whoever leads next. */
  #end(): void {
    this.#isEnding = true;
    for (const ticket of this.#tickets) ticket.keepLosses();
  }

  #retire(sink: Sink, deadlineMs: number): void {
    if (this.#isClosed) return;
    this.#retiring.add(sink);
    const ending = sink.drain(deadlineMs).then((isDelivered) => {
      sink.close();
      this.#endings.delete(ending);
      if (this.#retiring.delete(sink)) this.#remember(sink);
      return isDelivered;
    });
    this.#endings.add(ending);
    for (const oldest of this.#retiring) {
      if (this.#retiring.size <= RETIRING_MAX) break;
      oldest.close();
      this.#retiring.delete(oldest);
      this.#remember(oldest);
    }
  }

  /** Keeps the counts of a sink that is done, as long as there is one of its name to show them with. */
  #remember(sink: Sink): void {
    const former = this.#former.get(sink.name);
    // What it has left on disk is its successor's, but perhaps not at once.
    const { spooledRows = 0, spooledBytes: _bytes, lagSec: _lag, ...counts } = sink.status();
    const status = { ...counts, oldestMs: 0 };
    if (spooledRows > 0) this.#leaving.add(sink);
    for (const oldest of this.#leaving) if (this.#leaving.size > RETIRING_MAX) this.#leaving.delete(oldest);
    this.#former.set(sink.name, former === undefined ? status : addStatus(status, former));
    const names = new Set([...this.#sinks(), ...this.#retiring].map(({ name }) => name));
    for (const name of this.#former.keys()) if (!names.has(name)) this.#former.delete(name);
  }

  #withFormer(status: SinkStatus): SinkStatus {
    const former = this.#former.get(status.name);
    return former === undefined ? status : addStatus(status, former);
  }
}

function unique(names: readonly string[]): string[] {
  return [...new Set(names)];
}
