/** What the control thread and the store's thread tell each other. */
import type { MessagePort } from "node:worker_threads";
import type { Notice } from "./notices.ts";
import type { Answers, Question } from "./questions.ts";
import type { RowBatch, RowOrder } from "./row.ts";
import type { FlushReport } from "./store.ts";
import type { StoreSettings } from "./store-settings.ts";
import type { TailedLines } from "./tails.ts";

/** Origin of the intake for own metrics; the others count from 1. */
export const SELF_ORIGIN = 0;

export interface StoreThreadData extends StoreSettings {
  readonly snapshotIntervalMs: number;
  readonly node: bigint;
  readonly incarnation: bigint;
  readonly nameBytesMax: number;
  readonly tagsBytesMax: number;
  readonly counters: SharedArrayBuffer;
  /** Counters of the intake for the aggregator's own metrics. */
  readonly selfCounters: SharedArrayBuffer;
  /** Where there is a cluster: its thread, which says what is folded and written. */
  readonly cluster?: { readonly port: MessagePort; readonly words: SharedArrayBuffer };
}

/** What the control thread tells the store. */
export type ToStore =
  /**
   * An intake: its snapshots come through the port, then null when it has ended. Without a port they go to
   * the cluster's thread.
   */
  | {
      readonly kind: "origin";
      readonly origin: number;
      readonly port?: MessagePort;
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
  /**
   * All intakes have been told to end: flush what is left as soon as they have. In a cluster: hand over the
   * last own metrics, and go on as long as there are orders.
   */
  | { readonly kind: "finish" }
  /** The cluster's thread has ended. */
  | { readonly kind: "end" };

/** What the store tells the control thread. */
export type FromStore =
  /** order: whose rows these are, where there is a cluster. */
  | { readonly kind: "rows"; readonly batch: RowBatch; readonly order?: RowOrder }
  | { readonly kind: "flushed"; readonly report: FlushReport }
  | { readonly kind: "answer"; readonly id: number; readonly answer: Answers[Question["kind"]] }
  /** error: what is wrong with the question, for people. */
  | { readonly kind: "answer"; readonly id: number; readonly error: string }
  | ({ readonly kind: "tailed" } & TailedLines)
  | { readonly kind: "notice"; readonly notice: Notice }
  | { readonly kind: "finished" };
