/** The protocol's writer: orders go to the store's thread, rows from there to the control thread's sinks. */
import type { MessagePort } from "node:worker_threads";
import { type Delta, deltaOf } from "../cluster/delta.ts";
import type { WriteOrder, WriteProgress, Writer } from "../cluster/world.ts";
import { machineMs } from "../shared/clock.ts";
import type { Counters } from "../shared/counters.ts";
import type { FromCluster } from "./cluster-messages.ts";
import type { ClusterWords } from "./cluster-words.ts";
import type { StoreCounter } from "./counters.ts";
import type { StoreOrder, StoreReply } from "./store-orders.ts";

/** A writing whose sinks have not all settled. */
interface UnderWay {
  readonly interval: number;
  readonly progress: WriteProgress;
  /** Sinks that are still to tell. */
  readonly open: Set<string>;
}

export class ClusterWriter implements Writer {
  readonly #store: MessagePort;
  readonly #words: ClusterWords;
  readonly #tell: (message: FromCluster) => void;
  readonly #underWay = new Map<number, UnderWay>();
  readonly #prepared = new Map<number, (levels: Delta | undefined) => void>();
  readonly #exported = new Map<number, (kept: Uint8Array | undefined) => void>();
  /** Deltas in each interval's table. */
  readonly #folded = new Map<number, number>();
  /** Intervals whose table was dropped: whatever is folded into them was folded before. */
  readonly #dropped = new Set<number>();
  readonly #storeCounters: Counters<StoreCounter>;
  /** Bytes of deltas on their way to the store, and those that are folded, since the start. */
  #postedBytes = 0;
  #sinks: readonly string[] = [];
  #lastId = 0;
  #isLeased = false;
  /** What was told of it last. */
  #yielded: { readonly floor: number; readonly throughOrder: number } | undefined;
  #yieldCount = 0;
  /** Tables that were not what the order had been made for. */
  incompleteTables = 0;

  constructor(
    store: MessagePort,
    storeCounters: Counters<StoreCounter>,
    words: ClusterWords,
    tell: (message: FromCluster) => void,
  ) {
    this.#store = store;
    this.#storeCounters = storeCounters;
    this.#words = words;
    this.#tell = tell;
  }

  sinks(): readonly string[] {
    return this.#sinks;
  }

  /** Takes the names of the sinks that there are from now on. Those that are gone have nothing to tell. */
  setSinks(names: readonly string[]): void {
    this.#sinks = names;
    // A new one may have found old rows on its disk.
    this.#yielded = undefined;
    for (const [id, { open }] of [...this.#underWay]) {
      for (const sink of [...open]) if (!names.includes(sink)) this.settled(id, sink, false);
    }
  }

  fold({ bytes, interval }: Delta): void {
    this.#folded.set(interval, (this.#folded.get(interval) ?? 0) + 1);
    // A copy: this one is held, and may lie in a larger buffer, which would be copied whole.
    this.#postedBytes += bytes.length;
    const frame = Uint8Array.prototype.slice.call(bytes) as Uint8Array<ArrayBuffer>;
    this.#order({ kind: "fold", frame, isAgain: this.#dropped.has(interval) }, [frame.buffer]);
  }

  /** Bytes of deltas that were handed to the store so far. */
  get postedBytes(): number {
    return this.#postedBytes;
  }

  /** How many of them it has folded. */
  get foldedBytes(): number {
    return this.#storeCounters.get("foldedBytes");
  }

  isCrowded(): boolean {
    return this.#postedBytes - this.foldedBytes > CROWDED_BYTES;
  }

  drop(interval: number): void {
    this.#forget(interval);
    this.#dropped.add(interval);
    this.#order({ kind: "drop", interval });
  }

  prepare(interval: number, done: (levels: Delta | undefined) => void): void {
    const id = this.#nextId();
    this.#prepared.set(id, done);
    this.#order({ kind: "prepare", id, interval });
  }

  write(order: WriteOrder, progress: WriteProgress): void {
    const id = this.#nextId();
    const { interval, revision, cause, added, deliveredTo, isInDoubt } = order;
    const open = new Set(this.#sinks.filter((sink) => !deliveredTo.includes(sink)));
    if (open.size > 0) this.#underWay.set(id, { interval, progress, open });
    this.#order({
      kind: "write",
      order: { id, cause, deliveredTo, isInDoubt, yieldCount: this.#yieldCount },
      interval,
      revision: revision - 1,
      isPartial: isInDoubt,
      deltas: this.#folded.get(interval) ?? 0,
      isFirst: cause === "first" || cause === "takeover",
      ...(added !== undefined && { only: added.map(({ bytes }) => Uint8Array.prototype.slice.call(bytes)) }),
    });
  }

  close(interval: number): void {
    this.#forget(interval);
    // What comes for it later is folded together with what was there.
    this.#dropped.add(interval);
    this.#order({ kind: "close", interval });
  }

  setLease(untilMs: number): void {
    this.#words.setLease(untilMs);
    const isLeased = machineMs() < untilMs;
    if (isLeased !== this.#isLeased) this.#tell({ kind: isLeased ? "resume" : "revoke" });
    this.#isLeased = isLeased;
  }

  yieldFrom(floor: number, untilMs: number): void {
    this.#words.setFloor(floor, untilMs);
    const known = this.#yielded;
    if (known?.floor === floor && known.throughOrder === this.#lastId) return;
    this.#yielded = { floor, throughOrder: this.#lastId };
    this.#yieldCount += 1;
    // Their rows are dropped, and nothing is told of them.
    for (const [id, { interval }] of this.#underWay) if (interval >= floor) this.#underWay.delete(id);
    this.#tell({ kind: "yield", ...this.#yielded });
  }

  exportKept(done: (kept: Uint8Array | undefined) => void): void {
    const id = this.#nextId();
    this.#exported.set(id, done);
    this.#order({ kind: "export", id });
  }

  importKept(kept: Uint8Array): void {
    this.#order({ kind: "import", kept: Uint8Array.prototype.slice.call(kept) });
  }

  /** A sink is done with an order's rows. */
  settled(order: number, sink: string, isDelivered: boolean): void {
    const underWay = this.#underWay.get(order);
    if (underWay === undefined || !underWay.open.delete(sink)) return;
    if (underWay.open.size === 0) this.#underWay.delete(order);
    underWay.progress(sink, isDelivered);
  }

  /** Takes what the store answers. Returns what should be logged, if anything. */
  take(reply: StoreReply): { readonly event: string; readonly fields: object } | undefined {
    if (reply.kind === "prepared") {
      const done = this.#prepared.get(reply.id);
      this.#prepared.delete(reply.id);
      done?.(reply.levels === undefined ? undefined : deltaOf(reply.levels));
    } else if (reply.kind === "exported") {
      const done = this.#exported.get(reply.id);
      this.#exported.delete(reply.id);
      done?.(reply.kept);
    } else {
      this.incompleteTables += 1;
      const { interval, deltas, found } = reply;
      return { event: "cluster.table_incomplete", fields: { interval, deltas, found } };
    }
    return undefined;
  }

  #forget(interval: number): void {
    this.#folded.delete(interval);
    // Nobody folds into intervals that lie far behind the newest ones.
    for (const old of this.#dropped) {
      if (this.#dropped.size <= DROPPED_MAX) break;
      this.#dropped.delete(old);
    }
  }

  #nextId(): number {
    this.#lastId += 1;
    return this.#lastId;
  }

  #order(order: StoreOrder, transfer: ArrayBuffer[] = []): void {
    this.#store.postMessage(order, transfer);
  }
}

/** A store that is so far behind does not keep up with what comes in. */
const CROWDED_BYTES = 256 << 20;
/** Intervals that are remembered as dropped. */
const DROPPED_MAX = 2048;
