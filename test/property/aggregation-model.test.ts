/** The whole way of lines through both kernels, against a model that reads their text. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { STORE_COUNTERS } from "../../aggregator/counters.ts";
import { Namer } from "../../aggregator/naming.ts";
import { forEachRow } from "../../aggregator/row.ts";
import { Store } from "../../aggregator/store.ts";
import { Counters } from "../../shared/counters.ts";
import { METRIC_TYPES, type MetricType, parseAggregate } from "../../shared/metric.ts";
import { AggregationModel, type ModelNumber, type ModelOptions } from "../support/aggregation-model.ts";
import { newIntake, TEST_NOW_MS } from "../support/snapshots.ts";

const INTERVAL_MS = 10_000;
/** Index of the interval that tests begin in. */
const FIRST_INTERVAL = TEST_NOW_MS / INTERVAL_MS;
const INTERVALS = 3;
const SEEDS = 10;
const INTAKES = 3;
const LINES = 10_000;
const COMMON = ["updates", "rate", "sample-rate"];
const NAMES: Readonly<Record<MetricType, readonly string[]>> = {
  counter: ["value", ...COMMON],
  gauge: ["value", ...COMMON],
  set: ["count", ...COMMON],
  timer: [
    ...COMMON,
    ...["count", "last", "min", "max", "sum", "mean", "median", "std", "sum-squares", "hmean"],
    ...["percentile-75", "percentile-95", "percentile-99", "percentile-99.9", "percentile-5.5"],
    ...["count-p90", "mean-p90", "upper-p90", "sum-p90", "sum-squares-p90", "upper-p100", "sum-p0.5"],
    ...["count-top10", "mean-top10", "lower-top10", "sum-top10", "sum-squares-top10", "lower-top100"],
  ],
};
const AGGREGATES = Object.fromEntries(
  METRIC_TYPES.map((type) => [type, NAMES[type].map((name) => parseAggregate(name)!)]),
) as unknown as Record<MetricType, NonNullable<ReturnType<typeof parseAggregate>>[]>;

/** Numbers in [0, 1) that a seed decides (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Writes random lines. Multiples of 1/8 add up exactly in any order; decimals do not. */
class LineWriter {
  readonly #random: () => number;
  readonly #isExact: boolean;

  constructor(random: () => number, isExact: boolean) {
    this.#random = random;
    this.#isExact = isExact;
  }

  #below(count: number): number {
    return Math.floor(this.#random() * count);
  }

  #pick<Item>(items: readonly Item[]): Item {
    return items[this.#below(items.length)]!;
  }

  #number(): string {
    if (this.#isExact) return String(this.#below(80_000) / 8);
    const decimals = (this.#random() * 10 ** this.#below(7)).toFixed(this.#below(7));
    return this.#pick([decimals, decimals, `${decimals}e${this.#pick(["2", "-3", "+1"])}`]);
  }

  line(): string {
    const letters = this.#pick(["c", "c", "m", "g", "ms", "ms", "h", "d", "s"]);
    // Few names get most of the lines, so that there are large series and small ones.
    const name = `app.${this.#pick(["web", "db"])}.${Math.floor(this.#random() ** 4 * 60)}`;
    const tags = this.#pick(["", "", ";zone=eu", ";b=1;a=2"]);
    const more = this.#pick(["", "", "", "|#k:v", "|#z:1,c:2"]);
    const rates = this.#isExact ? ["0.5", "0.25", "0.125"] : ["0.1", "0.3", "0.7", "1e-2"];
    const rate = this.#random() < 0.3 && letters !== "g" ? `|@${this.#pick(rates)}` : "";
    const count = letters === "s" || this.#random() < 0.8 ? 1 : 2 + this.#below(4);
    const values = Array.from({ length: count }, () => this.#value(letters)).join(":");
    return `${name}${tags}:${values}|${letters}${rate}${more}`;
  }

  #value(letters: string): string {
    if (letters === "s") return this.#pick(["alice", "bob", "é", String(this.#below(500))]);
    if (letters === "g" && this.#random() < 0.5) return `${this.#pick(["+", "-"])}${this.#number()}`;
    return letters !== "g" && this.#random() < 0.1 ? `-${this.#number()}` : this.#number();
  }
}

interface Stream {
  readonly frames: readonly Uint8Array[];
  /** Values in the frames. */
  readonly samples: number;
  /** One for each interval. */
  readonly models: readonly AggregationModel[];
}

/** Sends random lines through several intakes for some intervals. Returns what they cut, and the models. */
async function runStream(random: () => number, isExact: boolean, options: ModelOptions): Promise<Stream> {
  const models: AggregationModel[] = [];
  for (let k = 0; k < INTERVALS; k++) models.push(new AggregationModel(options, models[k - 1]));
  const intakes = await Promise.all(
    Array.from({ length: INTAKES }, (_, origin) =>
      newIntake({ origin, intervalMs: INTERVAL_MS, snapshotIntervalMs: 1000 }),
    ),
  );
  const writer = new LineWriter(random, isExact);
  const batchLines = 20;
  const batches = LINES / batchLines;
  for (let batch = 0; batch < batches; batch++) {
    const nowMs = TEST_NOW_MS + Math.floor((batch / batches) * INTERVALS * INTERVAL_MS);
    const origin = Math.floor(random() * INTAKES);
    const lines = Array.from({ length: batchLines }, () => writer.line());
    intakes[origin]!.send([Buffer.from(lines.join("\n"))], nowMs);
    const interval = Math.floor(nowMs / INTERVAL_MS) - FIRST_INTERVAL;
    const snapshot = `${origin} ${Math.floor(nowMs / 1000)}`;
    for (const line of lines) models[interval]!.take(line, nowMs, snapshot);
  }
  for (const { snapshotter } of intakes) snapshotter.close();
  const samples = models.reduce((sum, model) => sum + model.sampleCount, 0);
  return { frames: intakes.flatMap(({ frames }) => frames), samples, models };
}

/** Puts items into another order. */
function shuffle<Item>(items: readonly Item[], random: () => number): Item[] {
  return items
    .map((item) => ({ item, key: random() }))
    .sort((a, b) => a.key - b.key)
    .map(({ item }) => item);
}

/** Rows by name, of each interval. */
type Flushed = ReadonlyMap<number, ReadonlyMap<string, number>>;

/** Gives frames to a store, and flushes all. */
async function runStore(frames: readonly Uint8Array[], options: ModelOptions, debug: boolean) {
  const rule = (prefix: string) => ({ destination: "name", prefix, tag: "" }) as const;
  const rules = { counter: rule("c"), gauge: rule("g"), timer: rule("t"), set: rule("s") };
  const flushed = new Map<number, Map<string, number>>();
  const counters = new Counters(STORE_COUNTERS);
  const store = await Store.create(
    {
      intervalMs: INTERVAL_MS,
      seriesMax: 10_000,
      memoryBytesMax: 256 << 20,
      aggregates: AGGREGATES,
      updateCountThreshold: 0,
      roundTimestamp: "no",
      rate: options.rate,
      weights: options.weights,
      debug,
    },
    new Namer(rules, AGGREGATES),
    counters,
    async ({ interval, bytes }) => {
      const rows = flushed.get(interval) ?? new Map<string, number>();
      flushed.set(interval, rows);
      forEachRow(bytes, (name, value) => rows.set(name, value));
    },
    FIRST_INTERVAL,
  );
  for (const frame of frames) await store.accept(frame);
  await store.flushAll(FIRST_INTERVAL + INTERVALS);
  return { flushed: flushed as Flushed, counters };
}

/** The rows that a model expects. A harmonic mean of what is not positive means nothing, and is left out. */
function expectedRows(model: AggregationModel): Map<string, ModelNumber> {
  const rows = new Map<string, ModelNumber>();
  for (const id of model.ids) {
    const [, type, name, tags] = /^(\w+) ([^;]*)(.*)$/.exec(id)!;
    for (const { name: aggregate, label } of AGGREGATES[type as MetricType]) {
      const number = model.read(id, aggregate);
      if (number === undefined) continue;
      rows.set(`${type![0]}.${name}${label === "" ? "" : `.${label}`}${tags}`, number);
    }
  }
  return rows;
}

function compare(actual: ReadonlyMap<string, number>, model: AggregationModel, what: string): number {
  const expected = expectedRows(model);
  for (const [name, { value, slack }] of expected) {
    const number = actual.get(name);
    const isRight = number !== undefined && Math.abs(number - value) <= slack;
    assert.ok(isRight, `${what}: ${name} is ${number}, expected ${value}`);
  }
  const more = [...actual.keys()].filter((name) => !expected.has(name) && !name.includes(".hmean"));
  assert.deepEqual(more, [], `${what}: rows that are not in the model`);
  return expected.size;
}

test("random streams through several intakes and intervals give the rows of the model", async () => {
  let compared = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const random = randomOf(seed);
    const options: ModelOptions = {
      intervalSec: INTERVAL_MS / 1000,
      rate: seed % 3 === 0 ? "samples" : "value",
      weights: seed % 4 !== 0,
    };
    const { frames, models, samples } = await runStream(random, seed % 2 === 0, options);
    // In any order, and some of them twice.
    const repeated = frames.filter(() => random() < 0.1);
    const given = shuffle([...frames, ...repeated], random);
    const { flushed, counters } = await runStore(given, options, seed === 1);
    assert.equal(counters.get("mergedLines"), samples, `seed ${seed}`);
    models.forEach((model, k) => {
      compared += compare(flushed.get(FIRST_INTERVAL + k)!, model, `seed ${seed}, interval ${k}`);
    });
  }
  assert.ok(compared > 50_000, `only ${compared} rows`);
});
