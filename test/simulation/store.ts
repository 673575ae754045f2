/**
 * The store and the sinks of one process, as the protocol sees them. A table is the list of the deltas that
 * were folded into it; what outlives intervals is the list of each closed one.
 */
import type { Delta } from "../../cluster/delta.ts";
import type { WriteOrder, WriteProgress, Writer } from "../../cluster/world.ts";
import type { History } from "./history.ts";
import { NAME_COUNT, nameOf, setText } from "./ledger.ts";
import type { Machine } from "./machine.ts";
import { SinkQueue } from "./sink-queue.ts";

/** Sources of levels that there are in one process: one. */
const LEVELS_ORIGIN = "levels";
const CROWDED_MS = 500;

export class Store implements Writer {
  readonly #history: History;
  readonly #machine: Machine;
  readonly #incarnation: string;
  readonly #tables = new Map<number, number[]>();
  /** Deltas of each interval when it was last closed, by number: levels make up for another order. */
  readonly kept = new Map<number, string>();
  /** When there was something in it first. */
  keptFromMs = Number.POSITIVE_INFINITY;
  readonly #queues: readonly SinkQueue[];
  #leaseUntilMs = 0;
  #floor = 0;
  /** Until when rows of intervals below the floor may go out. */
  #floorUntilMs = 0;
  #levelsSequence = 0;
  /** True time until which the store is busy; it does one thing after the other. */
  #busyUntilMs = 0;

  constructor(history: History, machine: Machine, incarnation: string) {
    this.#history = history;
    this.#machine = machine;
    this.#incarnation = incarnation;
    const mayWrite = (interval: number): boolean =>
      machine.monotonicMs() < this.#leaseUntilMs ||
      (interval < this.#floor && machine.monotonicMs() < this.#floorUntilMs);
    const givesUp = (): boolean => !history.network.isCalm && history.dice.isHit(history.swarm.givenUp);
    this.#queues = history.sinks.map((carbon) => new SinkQueue(carbon, machine, mayWrite, givesUp));
  }

  sinks(): readonly string[] {
    return this.#queues.map(({ carbon }) => carbon.name);
  }

  fold(delta: Delta): void {
    const { ledger } = this.#history;
    const entry = ledger.entryOf(delta);
    if (entry === undefined) {
      ledger.violate(`${this.#machine.name} folds ${nameOf(delta)}: unknown`);
      return;
    }
    let table = this.#tables.get(delta.interval);
    if (table === undefined) {
      table = [];
      this.#tables.set(delta.interval, table);
    }
    if (table.includes(entry.index)) {
      ledger.violate(`I2: ${this.#machine.name} folds ${nameOf(delta)} of ${delta.interval} twice`);
    }
    table.push(entry.index);
  }

  isCrowded(): boolean {
    return this.#busyUntilMs - this.#history.schedule.nowMs > CROWDED_MS;
  }

  drop(interval: number): void {
    this.#tables.delete(interval);
  }

  prepare(interval: number, done: (levels: Delta | undefined) => void): void {
    const { ledger, dice } = this.#history;
    const first = Math.min(...this.kept.keys());
    for (let below = first; below < interval; below++) {
      if (!this.kept.has(below) && this.#isClosable(below)) {
        ledger.violate(`${this.#machine.name} prepares ${interval} while ${below} is not closed`);
        break;
      }
    }
    this.#history.inspector.prepared(this.#machine, interval);
    const isNone = dice.isHit(0.3);
    this.#work(() => {
      if (isNone) return done(undefined);
      const delta: Delta = {
        source: `${this.#machine.name}.${LEVELS_ORIGIN}.${this.#incarnation}`,
        sequence: this.#levelsSequence++,
        interval,
        samples: 0,
        bytes: new Uint8Array(40),
      };
      ledger.note(delta, this.#machine.index, 1 + dice.below(2 ** NAME_COUNT - 1), true);
      done(delta);
    });
  }

  /** Not so where it is lost, with others who may be gone, or where nobody was there for it. */
  #isClosable(interval: number): boolean {
    const { intervals } = this.#machine.node!.view();
    const isKnown = intervals.some((one) => one.interval === interval && one.state !== "unmergeable");
    if (!isKnown) return false;
    const { ledger } = this.#history;
    const register = this.#machine.disk.said.get(interval);
    const slots = [register?.delivered, register?.pending];
    const orders = slots.map((slot) => ledger.orderOf(slot?.manifest ?? []) ?? []);
    return orders
      .flat()
      .every((index) => (ledger.entries[index]!.holders & (1 << this.#machine.index)) !== 0);
  }

  write(order: WriteOrder, progress: WriteProgress): void {
    const { faults } = this.#history;
    faults.critical(this.#machine, "write");
    if (!this.#machine.isUp) return;
    const table = [...(this.#tables.get(order.interval) ?? [])];
    this.#history.inspector.order(this.#machine, order, table);
    const rows = this.#rowsOf(table, order.cause === "amend" ? order.added : undefined);
    const isCurrent = this.#machine.isCurrent();
    this.#work(() => {
      for (const queue of this.#queues) {
        if (!isCurrent() || order.deliveredTo.includes(queue.carbon.name)) continue;
        this.#hand(order, table, rows, queue, progress);
      }
    });
  }

  close(interval: number): void {
    const { ledger } = this.#history;
    const table = this.#tables.get(interval);
    const before = this.kept.get(interval);
    if (table === undefined && before !== undefined && before !== "") {
      ledger.violate(`${this.#machine.name} closes ${interval} again, without its table`);
      return;
    }
    this.kept.set(interval, setText(table ?? []));
    this.keptFromMs = Math.min(this.keptFromMs, this.#history.schedule.nowMs);
    this.#tables.delete(interval);
  }

  setLease(untilMs: number): void {
    this.#leaseUntilMs = untilMs;
    for (const queue of this.#queues) {
      if (untilMs === 0) queue.revoke();
      queue.pump();
    }
  }

  yieldFrom(floor: number, untilMs = 0): void {
    this.#floor = floor;
    this.#floorUntilMs = untilMs;
    for (const queue of this.#queues) queue.yieldFrom(floor);
  }

  exportKept(done: (kept: Uint8Array | undefined) => void): void {
    const text = JSON.stringify([...this.kept]);
    this.#work(() => done(new TextEncoder().encode(text)));
  }

  importKept(kept: Uint8Array): void {
    this.kept.clear();
    const pairs = JSON.parse(new TextDecoder().decode(kept)) as [number, string][];
    for (const [interval, order] of pairs) this.kept.set(interval, order);
    this.keptFromMs = this.#history.schedule.nowMs;
  }

  /** Does something when all that was asked before is done. */
  #work(task: () => void): void {
    const { schedule, dice, swarm } = this.#history;
    const endMs = Math.max(schedule.nowMs, this.#busyUntilMs) + dice.waitMs(swarm.storeMs);
    this.#busyUntilMs = endMs;
    this.#machine.later(endMs - schedule.nowMs, task);
  }

  /** The rows of a table by name; with `added`, of the names that these deltas touch. */
  #rowsOf(table: readonly number[], added: readonly Delta[] | undefined): Map<number, readonly number[]> {
    const { entries } = this.#history.ledger;
    let touched = 2 ** NAME_COUNT - 1;
    if (added !== undefined) {
      touched = 0;
      for (const id of added) touched |= this.#history.ledger.entryOf(id)?.names ?? 0;
    }
    const rows = new Map<number, readonly number[]>();
    for (let name = 0; name < NAME_COUNT; name++) {
      if ((touched & (1 << name)) === 0) continue;
      const order = table.filter((index) => (entries[index]!.names & (1 << name)) !== 0);
      if (order.length > 0) rows.set(name, order);
    }
    return rows;
  }

  /** Queues an order's rows for a sink in two chunks, so that some of it can arrive. */
  #hand(
    order: WriteOrder,
    table: readonly number[],
    rows: ReadonlyMap<number, readonly number[]>,
    queue: SinkQueue,
    progress: WriteProgress,
  ): void {
    const { interval } = order;
    const half = NAME_COUNT / 2;
    const parts = [true, false]
      .map((isLow) => new Map([...rows].filter(([name]) => name < half === isLow)))
      .filter((part) => part.size > 0);
    let left = parts.length;
    let isWhole = true;
    const settle = (): void => {
      this.#history.faults.critical(this.#machine, "acknowledged");
      if (!this.#machine.isUp) return;
      const tell = (): void => {
        if (isWhole) this.#history.inspector.delivered(queue.carbon.name, interval, table);
        progress(queue.carbon.name, isWhole);
      };
      if (this.#machine.isPaused) this.#machine.later(0, tell);
      else tell();
    };
    if (left === 0) this.#machine.later(0, settle);
    for (const part of parts) {
      queue.push({
        interval,
        rows: part,
        attempt: () => {
          const isLeft = this.#machine.monotonicMs() >= this.#leaseUntilMs;
          this.#history.inspector.send(this.#machine, interval, isLeft);
        },
        settled: (isDelivered) => {
          isWhole &&= isDelivered;
          left -= 1;
          if (left === 0) settle();
        },
      });
    }
  }
}
