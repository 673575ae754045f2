/**
 * A worker that writes groups of equal numbers with a short pause between them, until it is told to stop.
 */
import { parentPort, workerData } from "node:worker_threads";
import { Counters } from "../../shared/counters.ts";
import { reportReady } from "../../shared/worker.ts";

/** Numbers that are always written together. */
export const GROUP = ["first", "second", "third", "fourth", "fifth", "sixth"] as const;

/**
 * What the writer works with. stop: one word, 0 until the writer shall end. pauseMs: how long the writer
 * stops within each group, as if the system had taken its processor away, and behind it.
 */
export interface CountersOrder {
  readonly counters: SharedArrayBuffer;
  readonly stop: SharedArrayBuffer;
  readonly pauseMs?: number;
}

/** Groups after which the writer ends by itself, should nobody stop it. */
const GROUPS_MAX = 200_000_000;
/** Turns of an empty loop between two groups: a reader needs time in which nothing changes. */
const PAUSE_TURNS = 500;

function writeGroup(counters: Counters<(typeof GROUP)[number]>, value: number, pause: () => void): void {
  counters.beginWrite();
  for (const name of GROUP) {
    counters.set(name, value);
    if (name === "third") pause();
  }
  counters.endWrite();
}

function main(): void {
  const order = workerData as CountersOrder;
  const counters = new Counters(GROUP, order.counters);
  const stop = new Int32Array(order.stop);
  const { pauseMs } = order;
  // Woken early when the writer shall end.
  const pause = pauseMs === undefined ? () => {} : () => void Atomics.wait(stop, 0, 0, pauseMs);
  reportReady(parentPort!, {});
  for (let group = 1; group <= GROUPS_MAX && Atomics.load(stop, 0) === 0; group++) {
    writeGroup(counters, group, pause);
    pause();
    for (let turn = 0; turn < PAUSE_TURNS; turn++) Atomics.load(stop, 0);
  }
}

// The test imports this module too, for the names.
if (parentPort !== null) main();
