/** Kept series against a plain model: whatever comes when, the same is written and known. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { forEachRow } from "../../aggregator/row.ts";
import { METRIC_TYPES } from "../../shared/metric.ts";
import { aggregatesOf, newStore, RIG_FIRST, RIG_INTERVAL_MS } from "../support/store-rig.ts";

const NAMES = ["a", "b", "c", "d;k=v", "e;k=v;l=w", "f.long.name", "g", "h"];
const SUFFIX = { counter: "c", gauge: "g", timer: "ms", set: "s" } as const;
const OUTPUT = { counter: "value", gauge: "value", timer: "count", set: "count" } as const;
const aggregates = aggregatesOf(OUTPUT);

/** What is known of a series. */
interface Known {
  readonly seen: number;
  readonly level: number;
}

const line = fc.record({
  name: fc.constantFrom(...NAMES),
  type: fc.constantFrom(...METRIC_TYPES),
  change: fc.constantFrom("", "+", "-"),
  value: fc.integer({ min: 1, max: 50 }),
});
const interval = fc.record({
  lines: fc.array(line, { maxLength: 12 }),
  /** Intervals without any frame before this one. */
  gap: fc.constantFrom(0, 0, 0, 1, 3),
  deleted: fc.option(fc.constantFrom(...NAMES), { freq: 6 }),
});
const span = fc.constantFrom(0, 1, 2, 5, Number.POSITIVE_INFINITY);
const spans = fc.record({ counter: span, gauge: span, timer: span, set: span, level: span });

type Step = (typeof interval extends fc.Arbitrary<infer Value> ? Value : never) & object;
type Spans = typeof spans extends fc.Arbitrary<infer Value> ? Value : never;

/** Output name of the one aggregate of a series. */
function outputOf(name: string, type: (typeof METRIC_TYPES)[number]): string {
  const [bare = "", ...tags] = name.split(";");
  if (OUTPUT[type] === "value") return name;
  if (tags.length === 0) return `${bare}.count`;
  return [bare, ...[...tags, "aggregate=count"].sort()].join(";");
}

/** The model: all that is known, and the rows of one interval after the other. */
class Model {
  readonly #known = new Map<string, Known>();
  readonly #spans: Spans;

  constructor(given: Spans) {
    this.#spans = given;
  }

  #keptFor(type: (typeof METRIC_TYPES)[number]): number {
    return type === "gauge" ? Math.max(this.#spans.gauge, this.#spans.level) : this.#spans[type];
  }

  forget(name: string): void {
    for (const type of METRIC_TYPES) this.#known.delete(`${type} ${name}`);
  }

  /** Returns the rows of interval k, as text, in no order. */
  flush(k: number, lines: Step["lines"]): string[] {
    const values = new Map<string, number>();
    const kinds = new Map<string, [string, (typeof METRIC_TYPES)[number]]>();
    const members = new Map<string, Set<number>>();
    for (const { name, type, change, value } of lines) {
      const id = `${type} ${name}`;
      kinds.set(id, [name, type]);
      const before = values.get(id);
      if (type === "counter") values.set(id, (before ?? 0) + value);
      if (type === "timer") values.set(id, (before ?? 0) + 1);
      if (type === "set") {
        members.set(id, (members.get(id) ?? new Set()).add(value));
        values.set(id, members.get(id)!.size);
      }
      if (type !== "gauge") continue;
      const known = this.#known.get(id);
      const base = known !== undefined && k - known.seen <= this.#keptFor("gauge") ? known.level : 0;
      const signed = change === "-" ? -value : value;
      values.set(id, change === "" ? value : (before ?? base) + signed);
    }
    const rows = [...values].map(([id, value]) => `${outputOf(...kinds.get(id)!)} ${value}`);
    for (const [id, { seen, level }] of this.#known) {
      const [type, name] = id.split(" ") as [(typeof METRIC_TYPES)[number], string];
      if (values.has(id)) continue;
      if (k - seen > this.#keptFor(type)) this.#known.delete(id);
      else if (k - seen <= this.#spans[type]) {
        rows.push(`${outputOf(name, type)} ${type === "gauge" ? level : 0}`);
      }
    }
    for (const [id, value] of values) {
      if (this.#keptFor(kinds.get(id)![1]) > 0) this.#known.set(id, { seen: k, level: value });
    }
    return rows.sort();
  }

  get size(): number {
    return this.#known.size;
  }
}

function textOf({ name, type, change, value }: Step["lines"][number]): string {
  return `${name}:${type === "gauge" ? change : ""}${value}|${SUFFIX[type]}`;
}

test("idle rows, levels and what is kept are those of the model", async () => {
  await fc.assert(
    fc.asyncProperty(spans, fc.array(interval, { maxLength: 15 }), async (given, steps) => {
      const ms = (count: number): number => count * RIG_INTERVAL_MS;
      const idle = {
        counterMs: ms(given.counter),
        gaugeMs: ms(given.gauge),
        timerMs: ms(given.timer),
        setMs: ms(given.set),
        gaugeLevelMs: ms(given.level),
      };
      const rig = await newStore({ aggregates, idle, debug: true });
      const model = new Model(given);
      let k = RIG_FIRST;
      for (const { lines, gap, deleted } of steps) {
        if (deleted !== null) {
          await rig.answers.answer({ kind: "delete", match: deleted });
          model.forget(deleted);
        }
        const wanted = new Map<number, string[]>();
        for (const end = k + gap; k < end; k++) wanted.set(k, model.flush(k, []));
        // A line that is in no model makes the frame, and closes what was passed over.
        await rig.send(k, [...lines.map(textOf), "other:1|c"]);
        wanted.set(k, model.flush(k, [...lines, { name: "other", type: "counter", change: "", value: 1 }]));
        rig.batches.length = 0;
        await rig.store.flushClosed();
        for (const [index, rows] of wanted) assert.deepEqual(rowsOf(rig, index), rows, `interval ${index}`);
        assert.equal(rig.counters.get("keptSeries"), model.size);
        k += 1;
      }
    }),
    { numRuns: 60 },
  );
});

/** The rows of an interval with repeats: series of several types may share a name. */
function rowsOf({ batches }: Awaited<ReturnType<typeof newStore>>, index: number): string[] {
  const rows: string[] = [];
  for (const { interval: k, bytes } of batches) {
    if (k === index) forEachRow(bytes, (name, value) => rows.push(`${name} ${value}`));
  }
  return rows.sort();
}
