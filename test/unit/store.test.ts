/** The store: which intervals are flushed, and what gauges remember from one to the next. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { STORE_COUNTERS } from "../../aggregator/counters.ts";
import { Namer } from "../../aggregator/naming.ts";
import { forEachRow } from "../../aggregator/row.ts";
import { Store, type StoreOptions } from "../../aggregator/store.ts";
import { Counters } from "../../shared/counters.ts";
import { parseAggregate } from "../../shared/metric.ts";
import { newIntake } from "../support/snapshots.ts";

const INTERVAL_MS = 1000;
const FIRST = 1000;
const ORIGIN = 1;
const value = [parseAggregate("value")!];
const options: StoreOptions = {
  intervalMs: INTERVAL_MS,
  seriesMax: 10_000,
  memoryBytesMax: 64 << 20,
  aggregates: { counter: value, gauge: value, timer: [], set: [] },
  updateCountThreshold: 0,
  roundTimestamp: "no",
};
const rule = { destination: "smart", prefix: "", tag: "aggregate" } as const;
const namer = new Namer({ counter: rule, gauge: rule, timer: rule, set: rule }, options.aggregates);

/** A store with one origin, and the rows of each interval that it flushed. */
async function newStore(some: Partial<StoreOptions> = {}) {
  const counters = new Counters(STORE_COUNTERS);
  const flushed = new Map<number, Map<string, number>>();
  const store = await Store.create(
    { ...options, ...some },
    namer,
    counters,
    async ({ interval, bytes }) => {
      const rows = flushed.get(interval) ?? new Map<string, number>();
      flushed.set(interval, rows);
      forEachRow(bytes, (name, number) => rows.set(name, number));
    },
    FIRST,
  );
  store.addOrigin(ORIGIN, FIRST);
  const intake = await newIntake({ intervalMs: INTERVAL_MS, snapshotIntervalMs: INTERVAL_MS });
  /** Sends lines in an interval and flushes it. Returns its rows. */
  const flush = async (interval: number, lines: readonly string[]) => {
    const frame = await frameOf(intake, interval, lines);
    await store.accept(frame);
    await store.flushClosed();
    return flushed.get(interval)!;
  };
  return { store, counters, flushed, intake, flush };
}

/** Cuts a frame of these lines, relabelled to an interval that it closes. */
async function frameOf(
  intake: Awaited<ReturnType<typeof newIntake>>,
  interval: number,
  lines: readonly string[],
): Promise<Uint8Array<ArrayBuffer>> {
  for (let first = 0; first < lines.length; first += 10) {
    intake.send([Buffer.from(lines.slice(first, first + 10).join("\n"))]);
  }
  const frame = intake.cut()!;
  const view = new DataView(frame.buffer);
  view.setBigUint64(32, BigInt(interval), true);
  view.setBigUint64(40, BigInt(interval + 1), true);
  return frame;
}

test("a gauge is changed from the level that it had, also after silence", async () => {
  const { flush } = await newStore();
  await flush(FIRST, ["g:10|g"]);
  await flush(FIRST + 1, ["other:1|c"]);
  assert.equal((await flush(FIRST + 2, ["g:+5|g"])).get("g"), 15);
  assert.equal((await flush(FIRST + 3, ["g:-1|g"])).get("g"), 14);
});

test("levels are kept however many bytes they have", async () => {
  const { flush, counters } = await newStore();
  const names = Array.from({ length: 2500 }, (_, index) => `g${index};k=${"v".repeat(4000)}`);
  await flush(
    FIRST,
    names.map((name) => `${name}:3|g`),
  );
  const rows = await flush(
    FIRST + 1,
    names.map((name) => `${name}:+1|g`),
  );
  assert.equal(rows.size, names.length);
  for (const level of rows.values()) assert.equal(level, 4);
  assert.equal(counters.get("forgottenBases"), 0);
});

test("a gauge beyond all numbers leaves the others theirs", async () => {
  const { flush } = await newStore();
  await flush(FIRST, ["good:1|g", "bad:+1.7e308|g"]);
  const rows = await flush(FIRST + 1, ["good:+1|g", "bad:+1.7e308|g"]);
  assert.equal(rows.get("good"), 2);
  assert.equal(rows.has("bad"), false, "no row holds an infinity");
  assert.equal((await flush(FIRST + 2, ["good:+1|g"])).get("good"), 3);
});

test("gauges that fell silent make room for living ones", async () => {
  const { flush, counters } = await newStore({ seriesMax: 3 });
  await flush(FIRST, ["a:1|g", "b:1|g"]);
  await flush(FIRST + 1, ["c:1|g", "d:1|g"]);
  assert.equal(counters.get("forgottenBases"), 1);
  const rows = await flush(FIRST + 2, ["c:+1|g", "d:+1|g", "a:+1|g"]);
  assert.deepEqual(Object.fromEntries(rows), { c: 2, d: 2, a: 1 });
});

test("a leap of the clock passes over the empty stretch", async () => {
  const { store, flush, flushed, intake } = await newStore();
  await flush(FIRST, ["a:1|c"]);
  await store.accept(await frameOf(intake, FIRST + 1, ["a:2|c"]));
  await store.accept(await frameOf(intake, FIRST + 1_000_000_000, ["a:3|c"]));
  const reports = await store.flushClosed();
  assert.ok(reports.length < 5, `${reports.length} flushes`);
  assert.equal(flushed.get(FIRST + 1)?.get("a"), 2);
  assert.equal(flushed.get(FIRST + 1_000_000_000)?.get("a"), 3);
});

test("lines of a broken frame are counted, and so are late ones", async () => {
  const { store, flush, counters, intake } = await newStore();
  await flush(FIRST, ["a:1|c"]);
  const late = await frameOf(intake, FIRST, ["a:1|c", "b:1|c"]);
  await store.accept(late);
  assert.equal(counters.get("lateLines"), 2);
  const broken = await frameOf(intake, FIRST + 1, ["a:1|c", "b:1|c", "c:1|c"]);
  broken.fill(0xff, broken.length - 8);
  await store.accept(broken);
  assert.equal(counters.get("invalidLines"), 3);
  assert.equal(counters.get("invalidFrames"), 1);
});
