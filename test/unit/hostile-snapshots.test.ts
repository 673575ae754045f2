/** Snapshots that no intake makes, as somebody else might send them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Interval, type IntervalOptions } from "../../aggregator/interval.ts";
import { METRIC_TYPES, type MetricType, parseAggregate } from "../../shared/metric.ts";
import { newFrame } from "../../shared/wire.ts";

const TIMER = ["count", "sum", "median", "percentile-9", "std", "min", "max"].map(
  (name) => parseAggregate(name)!,
);
const VALUE = [parseAggregate("value")!, parseAggregate("updates")!];
const options: IntervalOptions = {
  intervalMs: 10_000,
  seriesMax: 1000,
  memoryBytesMax: 1 << 20,
  aggregates: { counter: VALUE, gauge: VALUE, timer: TIMER, set: [parseAggregate("count")!] },
  updateCountThreshold: 0,
  debug: true,
};

interface Entry {
  readonly key?: string;
  readonly type?: MetricType | number;
  readonly updates?: number;
  readonly weight?: number;
  readonly payload?: Buffer;
}

const doubles = (...numbers: number[]): Buffer => Buffer.from(new Float64Array(numbers).buffer);
const words = (...numbers: number[]): Buffer => Buffer.from(new Uint32Array(numbers).buffer);

function timer(plain: readonly number[], pairs: readonly (readonly [number, number])[] = []): Buffer {
  const head = Buffer.concat([doubles(1, 1), words(1, plain.length, pairs.length, 0)]);
  return Buffer.concat([head, doubles(...plain), doubles(...pairs.flat())]);
}

let sequence = 0;

/** A frame of entries, each of one counter of 1 where it does not say otherwise. */
function frameOf(entries: readonly Entry[]): Uint8Array {
  const parts = entries.map(
    ({ key = "a", type = "counter", updates = 1, weight = 1, payload = doubles(1) }) => {
      const head = Buffer.alloc(24);
      head.writeUInt16LE(Buffer.byteLength(key));
      head[2] = typeof type === "number" ? type : METRIC_TYPES.indexOf(type);
      head.writeUInt32LE(updates, 4);
      head.writeDoubleLE(weight, 8);
      head.writeUInt32LE(payload.length, 16);
      return Buffer.concat([head, Buffer.from(key), payload]);
    },
  );
  const body = Buffer.concat(parts);
  sequence += 1;
  const frame = newFrame(
    {
      node: 2n,
      incarnation: 1n,
      origin: 9,
      sequence,
      interval: 1,
      lowestOpen: 1,
      intervalMs: 10_000,
      entries: entries.length,
      lines: entries.length,
    },
    body.length,
  );
  frame.set(body, frame.length - body.length);
  return frame;
}

async function newInterval(): Promise<Interval> {
  const interval = await Interval.create(options);
  interval.open(1);
  return interval;
}

test("entries that cannot be are refused, with all that is beside them", async () => {
  const interval = await newInterval();
  const cases: Record<string, Entry> = {
    "no key": { key: "" },
    "an unknown type": { type: 4 },
    "the type of a member": { type: 255 },
    "a type with an age": { type: 16 },
    "no samples": { updates: 0 },
    "a weight of nothing": { weight: 0 },
    "a negative weight": { weight: -1 },
    "a weight that is no number": { weight: Number.NaN },
    "more samples than a timer has": { type: "timer", updates: 3, payload: timer([1, 2]) },
    "fewer samples than a timer has": { type: "timer", updates: 1, payload: timer([1, 2]) },
    "a sample that weighs nothing": { type: "timer", updates: 2, payload: timer([1], [[2, 0]]) },
    "a sample that weighs less than nothing": { type: "timer", updates: 1, payload: timer([], [[2, -4]]) },
    "a sample whose weight is endless": {
      type: "timer",
      updates: 1,
      payload: timer([], [[2, Number.POSITIVE_INFINITY]]),
    },
    "a long member": {
      type: "set",
      payload: Buffer.concat([words(1), Buffer.from([1, 4]), Buffer.alloc(1025)]),
    },
    "members without end": { type: "set", payload: words(0xffff_ffff) },
    "changes without end": {
      type: "gauge",
      payload: Buffer.concat([words(1, 1), doubles(1, 1, 1), words(0x1000_0000)]),
    },
    "samples without end": {
      type: "timer",
      payload: Buffer.concat([doubles(1, 1), words(1, 0xffff_ffff, 0xffff_ffff, 0)]),
    },
  };
  for (const [what, entry] of Object.entries(cases)) {
    assert.equal(interval.merge(frameOf([{ key: "good" }, entry])).kind, "invalid", what);
    assert.equal(interval.seriesCount, 0, what);
  }
  assert.equal(interval.merge(frameOf([{ key: "good" }])).kind, "merged");
});

test("counts and sums beyond their range are refused, and what is there stays", async () => {
  const interval = await newInterval();
  const merge = (entry: Entry) => interval.merge(frameOf([entry]));
  const most = 0xffff_ffff;
  assert.deepEqual(merge({ updates: most }), { kind: "merged", takenLines: most, refusedLines: 0 });
  assert.deepEqual(merge({ updates: 2 }), { kind: "merged", takenLines: 0, refusedLines: 2 });
  assert.equal(merge({ key: "b", weight: 1.5e308 }).kind, "merged");
  assert.deepEqual(merge({ key: "b", weight: 1.5e308 }), { kind: "merged", takenLines: 0, refusedLines: 1 });
  const heavy = { key: "t", type: "timer", weight: 1.5e308, payload: timer([], [[1, 1.5e308]]) } as const;
  assert.equal(merge(heavy).kind, "merged");
  assert.deepEqual(merge(heavy), { kind: "merged", takenLines: 0, refusedLines: 1 });
  const rows = new Map(
    Array.from(interval.series(), ({ source, start, end, values }) => [
      source.toString("latin1", start, end),
      [...values],
    ]),
  );
  assert.deepEqual(rows.get("a"), [1, most]);
  assert.deepEqual(rows.get("b"), [1, 1]);
  assert.equal(rows.get("t")![0], 1.5e308);
});

test("senders whose numbers are alike are told apart", async () => {
  const interval = await Interval.create({
    ...options,
    debug: false,
    seriesMax: 100_000,
    memoryBytesMax: 64 << 20,
  });
  interval.open(1);
  const entries = Array.from({ length: 40_000 }, (_, index) => ({ key: `s${index}` }));
  const frame = frameOf(entries);
  const view = new DataView(frame.buffer);
  let at = 80;
  // All lower bits are those of one place in a table of 2^17.
  for (const [index, { key }] of entries.entries()) {
    view.setUint32(at + 20, ((index % 32_767) + 1) << 17, true);
    at += 24 + key.length + 8;
  }
  assert.equal(interval.merge(frame).kind, "merged");
  assert.equal(interval.seriesCount, entries.length);
  const { exports } = interval.kernel;
  let senders = 0;
  for (let tally = exports.firstSender(); tally !== 0; tally = exports.nextSender(tally)) senders += 1;
  assert.equal(senders, 32_767);
});
