/**
 * The store's thread. Snapshots come through one message port for each intake, straight from its thread;
 * rows go to the control thread, which has the sinks. The aggregator's own metrics enter here as lines,
 * through an intake of their own.
 */
import { isMainThread, type MessagePort, parentPort, workerData } from "node:worker_threads";
import { Counters } from "../shared/counters.ts";
import { OperatorError } from "../shared/errors.ts";
import { HEADER_PAYLOAD_BYTES, SLOT_BYTES } from "../shared/kernel/layout.ts";
import { TICK_MS } from "../shared/udp.ts";
import { readLabel } from "../shared/wire.ts";
import { reportFailure, reportReady } from "../shared/worker.ts";
import { intervalClock } from "./cluster-words.ts";
import { INTAKE_COUNTERS, type IntakeCounter, STORE_COUNTERS, type StoreCounter } from "./counters.ts";
import { type EtsyNaming, EtsyStats, etsyTotals } from "./etsy-stats.ts";
import type { EmitRows } from "./flush.ts";
import { publishIntake } from "./intake-counters.ts";
import type { RowBatch, RowOrder } from "./row.ts";
import { Snapshotter } from "./snapshotter.ts";
import { type FlushReport, Store } from "./store.ts";
import { StoreAnswers } from "./store-answers.ts";
import { type FromStore, SELF_ORIGIN, type StoreThreadData, type ToStore } from "./store-messages.ts";
import { type StoreOrder, StoreOrders, type StoreReply } from "./store-orders.ts";
import { readPlan } from "./store-plan.ts";
import type { StoreSettings } from "./store-settings.ts";

/** Batches of about 1 MiB that may wait for the control thread: a message queue has no bound of its own. */
const BATCHES_UNDER_WAY_MAX = 16;

/** Snapshots whose tailed lines may wait for the control thread. */
const TAILS_UNDER_WAY_MAX = 64;

class StoreThread {
  readonly #port: MessagePort;
  readonly #store: Store;
  readonly #answers: StoreAnswers;
  readonly #self: Snapshotter;
  readonly #selfCounters: Counters<IntakeCounter>;
  readonly #counters: Counters<StoreCounter>;
  readonly #intervalMs: number;
  readonly #tick: NodeJS.Timeout;
  readonly #nowMs: () => number;
  readonly #cluster: MessagePort | undefined;
  readonly #openPorts = new Set<MessagePort>();
  readonly #intakes = new Set<Counters<IntakeCounter>>();
  #etsy: EtsyStats | undefined;
  /** Frames are merged one after the other, also while an interval is flushed. */
  #merging: Promise<void> = Promise.resolve();
  #flushing: Promise<void> = Promise.resolve();
  #isFlushing = false;
  /** Batches of rows on their way to the control thread, and who waits for there to be fewer. */
  #batchesUnderWay = 0;
  #wakeFlush: () => void = () => {};
  #tailsUnderWay = 0;
  #isFinishing = false;
  #isLastFlush = false;
  /** The order whose rows are being written. */
  #order: RowOrder | undefined;

  constructor(
    port: MessagePort,
    store: Store,
    self: Snapshotter,
    data: StoreThreadData,
    counters: Counters<StoreCounter>,
  ) {
    this.#port = port;
    this.#store = store;
    this.#answers = new StoreAnswers(store, data.history);
    this.#self = self;
    this.#counters = counters;
    this.#selfCounters = new Counters(INTAKE_COUNTERS, data.selfCounters);
    this.#intervalMs = data.plan.options.intervalMs;
    this.#nowMs = intervalClock(data.cluster?.words);
    this.#cluster = data.cluster?.port;
    this.#configureOwn(readPlan(data.plan).own);
    store.addOrigin(SELF_ORIGIN, self.interval);
    store.onFlushed = (report) => this.#report(report);
    this.#cluster?.on("message", this.#takeOrders(data));
    port.on("message", (message: ToStore) => this.#onMessage(message));
    this.#tick = setInterval(() => this.#onTick(), TICK_MS);
  }

  /** Returns what carries out the orders of the cluster's thread, one after the other. */
  #takeOrders(data: StoreThreadData): (order: StoreOrder) => void {
    const { node, incarnation } = data;
    const label = { node, incarnation, intervalMs: this.#intervalMs };
    const reply = (message: StoreReply) => this.#cluster?.postMessage(message);
    const orders = new StoreOrders(this.#store, label, this.#counters, reply);
    orders.onFlushed = (report) => this.#report(report);
    return (order) => {
      this.#enqueue(async () => {
        await orders.take(order, (rows) => {
          this.#order = rows;
        });
        this.#order = undefined;
        if (order.kind === "fold" && !order.isAgain && this.#answers.tails.isActive) this.#tail(order.frame);
      });
    };
  }

  /** Queues a frame for merging, or hands it to the cluster. */
  accept(frame: Uint8Array<ArrayBuffer>, taken: Counters<IntakeCounter>): void {
    if (this.#cluster !== undefined) {
      this.#cluster.postMessage({ kind: "own", frame }, [frame.buffer]);
      return;
    }
    this.#enqueue(async () => {
      const isMerged = await this.#store.accept(frame);
      if (isMerged && this.#answers.tails.isActive) this.#tail(frame);
      taken.add("snapshotBytesTaken", frame.length);
      taken.add("samplesTaken", readLabel(frame)?.lines ?? 0);
    });
  }

  /** An own metric's snapshot. */
  acceptOwn(frame: Uint8Array<ArrayBuffer>): void {
    this.accept(frame, this.#selfCounters);
  }

  #tail(frame: Uint8Array): void {
    if (this.#tailsUnderWay >= TAILS_UNDER_WAY_MAX) {
      this.#answers.tails.leaveOut(readLabel(frame)?.entries ?? 0);
      return;
    }
    const tailed = this.#answers.tails.look(frame, Date.now());
    if (tailed.lines.length > 0 || tailed.leftOut.length > 0) {
      this.#tailsUnderWay += 1;
      this.#tell({ kind: "tailed", ...tailed });
    }
  }

  /** Hands rows to the control thread, and waits while it has enough to do. */
  async emit(batch: RowBatch & { readonly bytes: Uint8Array<ArrayBuffer> }): Promise<void> {
    this.#answers.history.add(batch);
    const rows = { kind: "rows", batch, ...(this.#order !== undefined && { order: this.#order }) } as const;
    this.#port.postMessage(rows satisfies FromStore, [batch.bytes.buffer]);
    this.#batchesUnderWay += 1;
    while (this.#batchesUnderWay >= BATCHES_UNDER_WAY_MAX) {
      await new Promise<void>((resolve) => {
        this.#wakeFlush = resolve;
      });
    }
  }

  #tell(message: FromStore): void {
    this.#port.postMessage(message);
  }

  #enqueue(work: () => Promise<void>): void {
    this.#merging = this.#merging.then(work);
  }

  #onMessage(message: ToStore): void {
    if (message.kind === "origin") this.#addOrigin(message);
    else if (message.kind === "lines") this.#takeLines(message.text);
    else if (message.kind === "taken") {
      this.#batchesUnderWay -= 1;
      this.#wakeFlush();
    } else if (message.kind === "configure") this.#configure(message);
    else if (message.kind === "tails-taken") this.#tailsUnderWay -= 1;
    else if (message.kind === "sink-failed") this.#etsy?.failed(Date.now());
    else if (message.kind === "ask") {
      void this.#answers.answer(message.question).then((answer) => {
        this.#tell({ kind: "answer", id: message.id, ...answer });
      });
    } else if (message.kind === "end") this.#end();
    else {
      this.#isFinishing = true;
      this.#finishIfDone();
    }
  }

  /** A plan that is broken changes nothing: whoever sends one has tried it before. */
  #configure({ plan, history }: StoreSettings): void {
    try {
      const { options, namer, own } = readPlan(plan);
      this.#enqueue(() => this.#store.configure(options, namer));
      this.#configureOwn(own);
      this.#answers.history.configure(history);
    } catch (error) {
      if (!(error instanceof OperatorError)) throw error;
      const fields = { error: error.message };
      this.#tell({ kind: "notice", notice: { level: "error", event: "store.configure_refused", fields } });
    }
  }

  #configureOwn(own: EtsyNaming | undefined): void {
    if (own === undefined) {
      this.#store.writer.ownRows = undefined;
      return;
    }
    const stats = this.#etsy ?? new EtsyStats(own, this.#intervalMs, Date.now());
    stats.configure(own);
    this.#etsy = stats;
    this.#store.writer.ownRows = ({ series, idleSeries, byteLength: bytes }, durationMs) => {
      const flush = { nowMs: Date.now(), series: series + idleSeries, durationMs, bytes };
      return stats.rows(etsyTotals(this.#intakes), flush);
    };
  }

  #addOrigin({ origin, port, counters: buffer }: Extract<ToStore, { kind: "origin" }>): void {
    const taken = new Counters<IntakeCounter>(INTAKE_COUNTERS, buffer);
    this.#intakes.add(taken);
    if (port === undefined) return;
    this.#openPorts.add(port);
    this.#store.addOrigin(origin, this.#self.interval);
    const end = (): void => {
      if (!this.#openPorts.delete(port)) return;
      this.#enqueue(async () => this.#store.removeOrigin(origin));
      port.close();
      this.#finishIfDone();
    };
    port.on("message", (frame: Uint8Array<ArrayBuffer> | null) => {
      if (frame === null) end();
      else this.accept(frame, taken);
    });
    // A thread that died has said nothing, and must not keep intervals from being flushed.
    port.on("close", end);
  }

  #takeLines(text: string): void {
    const { memory, slots, headers } = this.#self.batch;
    const bytes = Buffer.from(memory.buffer);
    const length = bytes.write(text, slots, SLOT_BYTES - 64);
    bytes.writeUInt32LE(length, headers + HEADER_PAYLOAD_BYTES);
    this.#self.consume(1, this.#nowMs());
  }

  #onTick(): void {
    this.#self.consume(0, this.#nowMs());
    publishIntake(this.#self, this.#selfCounters);
    this.#tellNotices(performance.now());
    if (!this.#isFlushing && this.#cluster === undefined) this.#flushing = this.#flushClosed();
  }

  #tellNotices(nowMs: number): void {
    for (const notice of this.#store.takeNotices(nowMs)) this.#tell({ kind: "notice", notice });
  }

  async #flushClosed(): Promise<void> {
    this.#isFlushing = true;
    // What was received before a boundary lies before the word that closes the interval, and is merged first.
    await this.#store.flushClosed(Date.now());
    this.#isFlushing = false;
  }

  #report(report: FlushReport): void {
    // An amendment is late by nature.
    if (report.revision === 0) {
      this.#counters.set("flushLagMs", this.#nowMs() - (report.interval + 1) * this.#intervalMs);
    }
    this.#tell({ kind: "flushed", report });
  }

  #finishIfDone(): void {
    if (!this.#isFinishing || this.#isLastFlush || this.#openPorts.size > 0) return;
    this.#isLastFlush = true;
    clearInterval(this.#tick);
    const now = this.#nowMs();
    this.#self.cut(now);
    const openFrom = this.#self.interval;
    this.#self.close();
    publishIntake(this.#self, this.#selfCounters);
    if (this.#cluster !== undefined) {
      this.#cluster.postMessage({ kind: "own", frame: null });
      return;
    }
    this.#enqueue(async () => {
      await this.#flushing;
      this.#tellNotices(Number.POSITIVE_INFINITY);
      await this.#store.flushAll(openFrom);
      this.#close();
    });
  }

  /** Ends where there is a cluster: its thread has nothing more to be done. */
  #end(): void {
    clearInterval(this.#tick);
    this.#enqueue(async () => {
      this.#tellNotices(Number.POSITIVE_INFINITY);
      this.#cluster?.close();
      this.#close();
    });
  }

  #close(): void {
    this.#tell({ kind: "finished" });
    this.#port.close();
  }
}

async function main(port: MessagePort, data: StoreThreadData): Promise<void> {
  const { plan, node, incarnation, nameBytesMax, tagsBytesMax, snapshotIntervalMs } = data;
  const { options, namer } = readPlan(plan);
  const counters = new Counters(STORE_COUNTERS, data.counters);
  const now = intervalClock(data.cluster?.words)();
  const emit: EmitRows = (batch) => thread.emit(batch);
  const store = await Store.create(options, namer, counters, emit, Math.floor(now / options.intervalMs));
  const { intervalMs } = options;
  // What was sent before this process began is not in it: perhaps the one before has written it, as partial.
  if (now % intervalMs !== 0) store.begunInterval = store.nextFlush;
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
      isOfCluster: data.cluster !== undefined,
    },
    now,
    (frame) => {
      thread.acceptOwn(frame);
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
