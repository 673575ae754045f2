/** A store driven by hand: lines go in by interval, and rows come out. */
import { STORE_COUNTERS } from "../../aggregator/counters.ts";
import { Namer } from "../../aggregator/naming.ts";
import { forEachRow, type RowBatch } from "../../aggregator/row.ts";
import { Store, type StoreOptions } from "../../aggregator/store.ts";
import { StoreAnswers } from "../../aggregator/store-answers.ts";
import { Counters } from "../../shared/counters.ts";
import { type Aggregate, METRIC_TYPES, type MetricType, parseAggregate } from "../../shared/metric.ts";
import { newIntake } from "./snapshots.ts";

export const RIG_INTERVAL_MS = 1000;
/** The interval that is open at first. */
export const RIG_FIRST = 1000;
const ORIGIN = 1;

/** Lists of aggregates by their names; types that are not named have none. */
export function aggregatesOf(names: Partial<Record<MetricType, string>>): StoreOptions["aggregates"] {
  const parse = (text: string): Aggregate[] => text.split(" ").flatMap((name) => parseAggregate(name) ?? []);
  return Object.fromEntries(
    METRIC_TYPES.map((type) => [type, parse(names[type] ?? "")]),
  ) as unknown as StoreOptions["aggregates"];
}

const RIG_OPTIONS: StoreOptions = {
  intervalMs: RIG_INTERVAL_MS,
  seriesMax: 10_000,
  memoryBytesMax: 64 << 20,
  aggregates: aggregatesOf({ counter: "value", gauge: "value" }),
  updateCountThreshold: 0,
  roundTimestamp: "no",
};

/** Names by bioyino's defaults. */
export function namerOf(aggregates: StoreOptions["aggregates"]): Namer {
  const rule = { destination: "smart", prefix: "", tag: "aggregate" } as const;
  return new Namer({ counter: rule, gauge: rule, timer: rule, set: rule }, aggregates);
}

/** A store with one origin, and the rows of each interval that it flushed. */
export async function newStore(some: Partial<StoreOptions> = {}) {
  const options = { ...RIG_OPTIONS, ...some };
  const counters = new Counters(STORE_COUNTERS);
  const flushed = new Map<number, Map<string, number>>();
  const batches: RowBatch[] = [];
  /** Called with each batch before it is taken; what it returns is waited for. */
  const hooks: { onBatch: () => Promise<void> } = { onBatch: async () => {} };
  const store = await Store.create(
    options,
    namerOf(options.aggregates),
    counters,
    async (batch) => {
      await hooks.onBatch();
      batches.push(batch);
      answers.history.add(batch);
      const rows = flushed.get(batch.interval) ?? new Map<string, number>();
      flushed.set(batch.interval, rows);
      forEachRow(batch.bytes, (name, number) => rows.set(name, number));
    },
    RIG_FIRST,
  );
  const answers = new StoreAnswers(store, { intervalsMax: 3, bytesMax: 1 << 20 });
  store.addOrigin(ORIGIN, RIG_FIRST);
  const intake = await newIntake({ intervalMs: RIG_INTERVAL_MS, snapshotIntervalMs: RIG_INTERVAL_MS });
  /** Cuts a frame of these lines, relabelled to an interval. closes: whether the origin has done with it. */
  const frameOf = (interval: number, lines: readonly string[], closes = true): Uint8Array<ArrayBuffer> => {
    // A frame without a line would not be cut.
    for (let first = 0; first < lines.length; first += 10) {
      intake.send([Buffer.from(lines.slice(first, first + 10).join("\n"))]);
    }
    const frame = intake.cut()!;
    const view = new DataView(frame.buffer);
    view.setBigUint64(32, BigInt(interval), true);
    view.setBigUint64(40, BigInt(closes ? interval + 1 : interval), true);
    return frame;
  };
  /** Sends lines in an interval that they close. */
  const send = (interval: number, lines: readonly string[], closes = true): Promise<boolean> =>
    store.accept(frameOf(interval, lines, closes));
  /** Sends lines in an interval and flushes it. Returns its rows. */
  const flush = async (interval: number, lines: readonly string[]): Promise<Map<string, number>> => {
    await send(interval, lines);
    await store.flushClosed();
    return flushed.get(interval)!;
  };
  return { store, options, counters, flushed, batches, hooks, answers, intake, frameOf, send, flush };
}
