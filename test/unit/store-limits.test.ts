/** Bounds of the store: what they refuse is counted under one reason, and totals stay right. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_IDLE } from "../../aggregator/idle.ts";
import { REFUSALS } from "../../aggregator/limits.ts";
import { aggregatesOf, RIG_FIRST as FIRST, newStore } from "../support/store-rig.ts";

type Rig = Awaited<ReturnType<typeof newStore>>;

const aggregates = aggregatesOf({ counter: "value", gauge: "value", timer: "count", set: "count" });

/** Refused samples by reason, those that there are. */
function refusalsOf({ counters }: Rig): Record<string, number> {
  const counts = REFUSALS.map((refusal) => [refusal, counters.get(`refused.${refusal}`)] as const);
  return Object.fromEntries(counts.filter(([, count]) => count > 0));
}

/** Every sample is merged or refused, and every refused one is overflowed or lost. */
function checkLedger(rig: Rig, samples: number): void {
  const { counters } = rig;
  assert.equal(counters.get("mergedLines") + counters.get("refusedLines"), samples);
  const refused = Object.values(refusalsOf(rig)).reduce((sum, count) => sum + count, 0);
  assert.equal(refused, counters.get("refusedLines") + counters.get("overflowedSamples"));
}

function linesOf(prefix: string, count: number, rest = "1|c"): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}${index}:${rest}`);
}

test("each bound refuses under its own reason, and the overflow series has the total", async () => {
  const cases: readonly [object, readonly string[], Record<string, number>][] = [
    [{ seriesMax: 5 }, linesOf("a", 9), { series: 4 }],
    [{ seriesPerPrefixMax: 2, prefixParts: 1 }, [...linesOf("a.x", 4), ...linesOf("b.x", 2)], { prefix: 2 }],
    [{ seriesCaps: [{ prefix: "ab", count: 3 }] }, [...linesOf("ab", 5), ...linesOf("ac", 5)], { cap: 2 }],
  ];
  for (const [options, lines, refused] of cases) {
    const rig = await newStore({ aggregates, overflowName: "over", ...options });
    await rig.send(FIRST, lines);
    await rig.store.flushClosed();
    assert.deepEqual(refusalsOf(rig), refused);
    checkLedger(rig, lines.length);
    const rows = rig.flushed.get(FIRST)!;
    const sum = [...rows.values()].reduce((total, value) => total + value, 0);
    assert.equal(sum, lines.length, "no sample is lost");
    assert.equal(rows.get("over"), Object.values(refused)[0]);
  }
});

test("without an overflow series what is refused is lost, and so are gauges with one", async () => {
  for (const overflowName of ["", "over"]) {
    const rig = await newStore({ aggregates, seriesMax: 2, overflowName });
    await rig.send(FIRST, ["a:1|c", "b:1|g", "c:1|g", "d:1|g", "e:1|g"]);
    checkLedger(rig, 5);
    assert.equal(rig.counters.get("overflowedSamples"), 0);
    assert.ok(rig.counters.get("refusedLines") >= 3);
  }
});

test("a timer that is full refuses samples, not the series", async () => {
  const rig = await newStore({ aggregates, timerSamplesMax: 10 });
  await rig.send(
    FIRST,
    linesOf("t", 1, "1|ms").flatMap((line) => Array<string>(25).fill(line)),
  );
  await rig.store.flushClosed();
  assert.deepEqual(refusalsOf(rig), { timer_samples: 15 });
  checkLedger(rig, 25);
  assert.equal(rig.flushed.get(FIRST)?.get("t0.count"), 10);
});

test("memory holds its bound under a flood of names, over many intervals", async () => {
  const bytesMax = 8 << 20;
  const idle = { ...DEFAULT_IDLE, counterMs: Number.POSITIVE_INFINITY };
  const rig = await newStore({ aggregates, memoryBytesMax: bytesMax, seriesMax: 1_000_000, idle });
  const label = "x".repeat(300);
  let samples = 0;
  for (let k = 0; k < 12; k++) {
    for (let part = 0; part < 4; part++) {
      await rig.send(FIRST + k, linesOf(`${k}.${part}.${label}`, 6000), part === 3);
      samples += 6000;
    }
    await rig.store.flushClosed();
    const held = rig.counters.get("heldBytes");
    assert.ok(held <= bytesMax * 1.25, `${held} bytes are held`);
    checkLedger(rig, samples);
  }
  const { memory = 0 } = refusalsOf(rig);
  assert.ok(memory > 0 && memory < samples / 2, `${memory} of ${samples} were refused`);
  assert.ok(rig.counters.get("forgottenBases") > 0);
  // Lines of ordinary intervals are taken again as soon as the flood is over.
  const rows = await rig.flush(FIRST + 12, linesOf("calm", 100));
  assert.equal(rows.get("calm99"), 1);
});

test("bounds and clashes are told to the log, not more than once a second", async () => {
  const rig = await newStore({ aggregates, seriesMax: 3 });
  await rig.send(FIRST, ["a:1|c", "a:1|ms", "b:1|c", "c:1|c", "d:1|c"], false);
  const notices = rig.store.takeNotices(10_000);
  assert.deepEqual(notices, [
    { level: "warn", event: "store.limit", fields: { samples: { series: 2 }, prefix: "d" } },
    {
      level: "warn",
      event: "store.type_clash",
      fields: { key: "a", types: ["counter", "timer"], more: 0 },
    },
  ]);
  await rig.send(FIRST, ["e:1|c"], false);
  assert.deepEqual(rig.store.takeNotices(10_500), []);
  assert.equal(rig.store.takeNotices(11_000).length, 1);
  assert.equal(rig.counters.get("typeClashes"), 1);
});
