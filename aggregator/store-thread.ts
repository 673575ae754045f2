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
import { INTAKE_COUNTERS, type IntakeCounter, STORE_COUNTERS, type StoreCounter } from "./counters.ts";
import { type EtsyNaming, EtsyStats, etsyTotals } from "./etsy-stats.ts";
import type { EmitRows } from "./flush.ts";
import { publishIntake } from "./intake-counters.ts";
import type { Notice } from "./notices.ts";
import type { Answers, Question } from "./questions.ts";
import type { RowBatch } from "./row.ts";
import { Snapshotter } from "./snapshotter.ts";
import { type FlushReport, Store } from "./store.ts";
import { StoreAnswers } from "./store-answers.ts";
import { readPlan } from "./store-plan.ts";
import type { StoreSettings } from "./store-settings.ts";
import type { TailedLines } from "./tails.ts";

export interface StoreThreadData extends StoreSettings {
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
  /** The control thread has handed out the lines of a tailed message. */
  | { readonly kind: "tails-taken" }
  /** What intervals are computed, bounded and named by from the next one on that is opened. */
  | ({ readonly kind: "configure" } & StoreSettings)
  /** A question of a management page; the answer has the same id. */
  | { readonly kind: "ask"; readonly id: number; readonly question: Question }
  /** A sink failed to deliver rows since the last flush. */
  | { readonly kind: "sink-failed" }
  /** All intakes have been told to end: flush what is left as soon as they have. */
  | { readonly kind: "finish" };

/** What the store tells the control thread. */
export type FromStore =
  | { readonly kind: "rows"; readonly batch: RowBatch }
  | { readonly kind: "flushed"; readonly report: FlushReport }
  | { readonly kind: "answer"; readonly id: number; readonly answer: Answers[Question["kind"]] }
  /** error: what is wrong with the question, for people. */
  | { readonly kind: "answer"; readonly id: number; readonly error: string }
  | ({ readonly kind: "tailed" } & TailedLines)
  | { readonly kind: "notice"; readonly notice: Notice }
  | { readonly kind: "finished" };

/** Batches of about 1 MiB that may wait for the control thread: a message queue has no bound of its own. */
const BATCHES_UNDER_WAY_MAX = 16;

/** Snapshots whose tailed lines may wait for the control thread. */
const TAILS_UNDER_WAY_MAX = 64;

/** Origin of the intake for own metrics; the others count from 1. */
export const SELF_ORIGIN = 0;

class StoreThread {
  readonly #port: MessagePort;
  readonly #store: Store;
  readonly #answers: StoreAnswers;
  readonly #self: Snapshotter;
  readonly #selfCounters: Counters<IntakeCounter>;
  readonly #counters: Counters<StoreCounter>;
  readonly #intervalMs: number;
  readonly #tick: NodeJS.Timeout;
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
    this.#configureOwn(readPlan(data.plan).own);
    store.addOrigin(SELF_ORIGIN, self.interval);
    store.onFlushed = (report) => this.#report(report);
    port.on("message", (message: ToStore) => this.#onMessage(message));
    this.#tick = setInterval(() => this.#onTick(), TICK_MS);
  }

  /** Queues a frame for merging. */
  accept(frame: Uint8Array, taken?: Counters<IntakeCounter>): void {
    this.#enqueue(async () => {
      const isMerged = await this.#store.accept(frame);
      if (isMerged && this.#answers.tails.isActive) this.#tail(frame);
      taken?.add("snapshotBytesTaken", frame.length);
    });
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
    this.#port.postMessage({ kind: "rows", batch } satisfies FromStore, [batch.bytes.buffer]);
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
    } else {
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
      this.#store.ownRows = undefined;
      return;
    }
    const stats = this.#etsy ?? new EtsyStats(own, this.#intervalMs, Date.now());
    stats.configure(own);
    this.#etsy = stats;
    this.#store.ownRows = ({ series, idleSeries, byteLength: bytes }, durationMs) => {
      const flush = { nowMs: Date.now(), series: series + idleSeries, durationMs, bytes };
      return stats.rows(etsyTotals(this.#intakes), flush);
    };
  }

  #addOrigin({ origin, port, counters: buffer }: Extract<ToStore, { kind: "origin" }>): void {
    const taken = new Counters<IntakeCounter>(INTAKE_COUNTERS, buffer);
    this.#openPorts.add(port);
    this.#intakes.add(taken);
    this.#store.addOrigin(origin, this.#self.interval);
    const end = (): void => {
      if (!this.#openPorts.delete(port)) return;
      this.#enqueue(async () => this.#store.removeOrigin(origin));
      port.close();
      this.#finishIfDone();
    };
    port.on("message", (frame: Uint8Array | null) => {
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
    this.#self.consume(1, Date.now());
  }

  #onTick(): void {
    this.#self.consume(0, Date.now());
    publishIntake(this.#self, this.#selfCounters);
    this.#tellNotices(performance.now());
    if (!this.#isFlushing) this.#flushing = this.#flushClosed();
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
    this.#counters.set("flushLagMs", Date.now() - (report.interval + 1) * this.#intervalMs);
    this.#tell({ kind: "flushed", report });
  }

  #finishIfDone(): void {
    if (!this.#isFinishing || this.#isLastFlush || this.#openPorts.size > 0) return;
    this.#isLastFlush = true;
    clearInterval(this.#tick);
    const now = Date.now();
    this.#self.cut(now);
    const openFrom = this.#self.interval;
    this.#self.close();
    publishIntake(this.#self, this.#selfCounters);
    this.#enqueue(async () => {
      await this.#flushing;
      this.#tellNotices(Number.POSITIVE_INFINITY);
      await this.#store.flushAll(openFrom);
      this.#tell({ kind: "finished" });
      this.#port.close();
    });
  }
}

async function main(port: MessagePort, data: StoreThreadData): Promise<void> {
  const { plan, node, incarnation, nameBytesMax, tagsBytesMax, snapshotIntervalMs } = data;
  const { options, namer } = readPlan(plan);
  const counters = new Counters(STORE_COUNTERS, data.counters);
  const now = Date.now();
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
