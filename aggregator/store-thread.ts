/**
 * The store's thread. Snapshots come through one message port for each intake, straight from its thread;
 * rows go to the control thread, which has the sinks. The aggregator's own metrics enter here as lines,
 * through an intake of their own.
 */
import { isMainThread, type MessagePort, parentPort, workerData } from "node:worker_threads";
import { Counters } from "../shared/counters.ts";
import { HEADER_PAYLOAD_BYTES, SLOT_BYTES } from "../shared/kernel/layout.ts";
import type { MetricType } from "../shared/metric.ts";
import { TICK_MS } from "../shared/udp.ts";
import { reportFailure, reportReady } from "../shared/worker.ts";
import { INTAKE_COUNTERS, type IntakeCounter, STORE_COUNTERS, type StoreCounter } from "./counters.ts";
import type { EmitRows } from "./flush.ts";
import { publishIntake } from "./intake-counters.ts";
import { Namer, type NamingRule } from "./naming.ts";
import type { RowBatch } from "./row.ts";
import { Snapshotter } from "./snapshotter.ts";
import { type FlushReport, Store, type StoreOptions } from "./store.ts";

export interface StoreThreadData {
  readonly store: StoreOptions;
  readonly naming: Readonly<Record<MetricType, NamingRule>>;
  readonly snapshotIntervalMs: number;
  readonly node: bigint;
  readonly incarnation: bigint;
  readonly nameBytesMax: number;
  readonly tagsBytesMax: number;
  readonly counters: SharedArrayBuffer;
  /** Counters of the intake for the aggregator's own metrics. */
  readonly selfCounters: SharedArrayBuffer;
}

/** What the control thread tells the store. */
export type ToStore =
  /** An intake: its snapshots come through the port, then null when it has ended. */
  | {
      readonly kind: "origin";
      readonly origin: number;
      readonly port: MessagePort;
      readonly counters: SharedArrayBuffer;
    }
  /** Lines of the aggregator's own metrics, below 64 KiB. */
  | { readonly kind: "lines"; readonly text: string }
  /** The control thread has given a batch of rows to the sinks. */
  | { readonly kind: "taken" }
  /** All intakes have been told to end: flush what is left as soon as they have. */
  | { readonly kind: "finish" };

/** What the store tells the control thread. */
export type FromStore =
  | { readonly kind: "rows"; readonly batch: RowBatch }
  | { readonly kind: "flushed"; readonly report: FlushReport }
  | { readonly kind: "finished" };

/** Batches of about 1 MiB that may wait for the control thread: a message queue has no bound of its own. */
const BATCHES_UNDER_WAY_MAX = 16;

/** Origin of the intake for own metrics; the others count from 1. */
export const SELF_ORIGIN = 0;

class StoreThread {
  readonly #port: MessagePort;
  readonly #store: Store;
  readonly #self: Snapshotter;
  readonly #selfCounters: Counters<IntakeCounter>;
  readonly #counters: Counters<StoreCounter>;
  readonly #intervalMs: number;
  readonly #tick: NodeJS.Timeout;
  readonly #openPorts = new Set<MessagePort>();
  /** Frames are merged one after the other: opening an interval may take a turn of the event loop. */
  #work: Promise<void> = Promise.resolve();
  /** Batches of rows on their way to the control thread, and who waits for there to be fewer. */
  #batchesUnderWay = 0;
  #wakeFlush: () => void = () => {};
  #isFinishing = false;

  constructor(
    port: MessagePort,
    store: Store,
    self: Snapshotter,
    data: StoreThreadData,
    counters: Counters<StoreCounter>,
  ) {
    this.#port = port;
    this.#store = store;
    this.#self = self;
    this.#counters = counters;
    this.#selfCounters = new Counters(INTAKE_COUNTERS, data.selfCounters);
    this.#intervalMs = data.store.intervalMs;
    store.addOrigin(SELF_ORIGIN, self.interval);
    port.on("message", (message: ToStore) => this.#onMessage(message));
    this.#tick = setInterval(() => this.#onTick(), TICK_MS);
  }

  /** Queues a frame for merging. */
  accept(frame: Uint8Array, taken?: Counters<IntakeCounter>): void {
    this.#enqueue(async () => {
      await this.#store.accept(frame);
      taken?.add("snapshotBytesTaken", frame.length);
    });
  }

  /** Hands rows to the control thread, and waits while it has enough to do. */
  async emit(batch: RowBatch & { readonly bytes: Uint8Array<ArrayBuffer> }): Promise<void> {
    this.#port.postMessage({ kind: "rows", batch } satisfies FromStore, [batch.bytes.buffer]);
    this.#batchesUnderWay += 1;
    while (this.#batchesUnderWay >= BATCHES_UNDER_WAY_MAX) {
      await new Promise<void>((resolve) => {
        this.#wakeFlush = resolve;
      });
    }
  }

  #enqueue(work: () => Promise<void>): void {
    this.#work = this.#work.then(work);
  }

  #onMessage(message: ToStore): void {
    if (message.kind === "origin") this.#addOrigin(message);
    else if (message.kind === "lines") this.#takeLines(message.text);
    else if (message.kind === "taken") {
      this.#batchesUnderWay -= 1;
      this.#wakeFlush();
    } else {
      this.#isFinishing = true;
      this.#finishIfDone();
    }
  }

  #addOrigin({ origin, port, counters: buffer }: Extract<ToStore, { kind: "origin" }>): void {
    const taken = new Counters<IntakeCounter>(INTAKE_COUNTERS, buffer);
    this.#openPorts.add(port);
    this.#store.addOrigin(origin, this.#self.interval);
    port.on("message", (frame: Uint8Array | null) => {
      if (frame !== null) {
        this.accept(frame, taken);
        return;
      }
      this.#enqueue(async () => this.#store.removeOrigin(origin));
      this.#openPorts.delete(port);
      port.close();
      this.#finishIfDone();
    });
  }

  #takeLines(text: string): void {
    const { memory, slots, headers } = this.#self.batch;
    const bytes = Buffer.from(memory.buffer);
    const length = bytes.write(text, slots, SLOT_BYTES - 64);
    bytes.writeUInt32LE(length, headers + HEADER_PAYLOAD_BYTES);
    this.#self.consume(1, Date.now());
  }

  #onTick(): void {
    this.#self.consume(0, Date.now());
    publishIntake(this.#self, this.#selfCounters);
    this.#enqueue(() => this.#flushClosed());
  }

  async #flushClosed(): Promise<void> {
    for (const report of await this.#store.flushClosed()) this.#report(report);
  }

  #report(report: FlushReport): void {
    this.#counters.set("flushLagMs", Date.now() - (report.interval + 1) * this.#intervalMs);
    this.#port.postMessage({ kind: "flushed", report } satisfies FromStore);
  }

  #finishIfDone(): void {
    if (!this.#isFinishing || this.#openPorts.size > 0) return;
    clearInterval(this.#tick);
    const now = Date.now();
    this.#self.cut(now);
    const openFrom = this.#self.interval;
    this.#self.close();
    publishIntake(this.#self, this.#selfCounters);
    this.#enqueue(async () => {
      for (const report of await this.#store.flushAll(openFrom)) this.#report(report);
      this.#port.postMessage({ kind: "finished" } satisfies FromStore);
      this.#port.close();
    });
  }
}

async function main(port: MessagePort, data: StoreThreadData): Promise<void> {
  const { store: options, node, incarnation, nameBytesMax, tagsBytesMax, snapshotIntervalMs } = data;
  const counters = new Counters(STORE_COUNTERS, data.counters);
  const now = Date.now();
  const emit: EmitRows = (batch) => thread.emit(batch);
  const namer = new Namer(data.naming, options.aggregates);
  const store = await Store.create(options, namer, counters, emit, Math.floor(now / options.intervalMs));
  const { intervalMs } = options;
  const self = await Snapshotter.create(
    {
      node,
      incarnation,
      origin: SELF_ORIGIN,
      intervalMs,
      snapshotIntervalMs,
      seriesMax: 4096,
      nameBytesMax,
      tagsBytesMax,
      memoryBase: async () => 0n,
      heapBytesMax: 4 << 20,
    },
    now,
    (frame) => {
      thread.accept(frame);
      return true;
    },
  );
  const thread = new StoreThread(port, store, self, data, counters);
  reportReady(port, {});
}

if (!isMainThread && parentPort !== null) {
  const port = parentPort;
  main(port, workerData as StoreThreadData).catch((error: unknown) => reportFailure(port, error));
}
