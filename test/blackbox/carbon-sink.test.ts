// The carbon sink against a real graphite-carbon: what was written is what can be read back.
import assert from "node:assert/strict";
import { test } from "node:test";
import { CarbonSink } from "../../aggregator/sink/carbon.ts";
import type { SinkContext } from "../../aggregator/sink/sink.ts";
import { systemClock } from "../../shared/clock.ts";
import { systemRandom } from "../../shared/random.ts";
import { hasCarbon, startCarbon } from "../support/real-carbon.ts";
import { batchOf, type TestRow } from "../support/rows.ts";

const reason = "graphite-carbon (carbon-cache and whisper-fetch) is not installed";
const isMissing = !hasCarbon();
if (isMissing) console.error(`SKIPPED: the carbon sink was NOT tried against a real carbon, ${reason}`);

const INTERVALS = 4;
const NAMES_EACH = 500;

function contextOf(port: number): SinkContext {
  const log = { error() {}, warn() {}, info() {}, debug() {} };
  const carbon = {
    address: [{ host: "127.0.0.1", port }],
    connectTimeoutMs: 2000,
    writeTimeoutMs: 2000,
    ackTimeoutMs: 2000,
    retryDelayMs: 50,
    retryDelayMultiplier: 2,
    retryDelayMaxMs: 500,
    queueBytesMax: 16 << 20,
    queueAgeMs: 600_000,
    chunkBytes: 1 << 20,
  };
  return { config: { carbon, console: { rows: 0 } }, log, clock: systemClock, random: systemRandom };
}

/** Untagged, tagged and non-ASCII names; every value tells its name and interval. */
function rowOf(interval: number, index: number): TestRow {
  const names = [`bb.plain.n${index}`, `bb.tagged;host=h${index};zone=a`, `bb.größe.n${index}`];
  return [names[index % names.length]!, interval * 1000 + index + 0.25];
}

test("2,000 rows of several intervals are in carbon's files", { skip: isMissing && reason }, async () => {
  const carbon = await startCarbon();
  assert.ok(carbon);
  const context = contextOf(carbon.linePort);
  const sink = new CarbonSink("carbon", context.config.carbon.address[0]!, context);
  try {
    const newestSec = Math.floor(Date.now() / 1000) - 5;
    const timestampOf = (interval: number) => newestSec - (INTERVALS - 1 - interval) * 10;
    const indices = Array.from({ length: NAMES_EACH }, (_, index) => index);
    for (let interval = 0; interval < INTERVALS; interval++) {
      const fields = { interval, timestampSec: timestampOf(interval) };
      // Among the rows are some that carbon would drop the connection for, or take for something else.
      const hostile: TestRow[] = [
        [Buffer.from([0xff]), 1],
        ["bb.\u00a0split", 1],
        [`bb;x=${"x".repeat(20_000)}`, 1],
      ];
      sink.accept(
        batchOf(
          indices.slice(0, 200).map((index) => rowOf(interval, index)),
          { ...fields, lastOfInterval: false },
        ),
      );
      sink.accept(
        batchOf([...hostile, ...indices.slice(200).map((index) => rowOf(interval, index))], fields),
      );
      // A carbon that hangs for a while in between costs nothing but time.
      if (interval === 1) carbon.suspend();
    }
    const drained = sink.drain(systemClock.monotonicMs() + 30_000);
    carbon.resume();
    assert.equal(await drained, true);
    const { rowsSent, rowsLost, queuedRows } = sink.status();
    assert.deepEqual(
      [rowsSent, rowsLost.invalid_name, queuedRows],
      [INTERVALS * NAMES_EACH, INTERVALS * 3, 0],
    );

    const isComplete = (points: ReadonlyMap<number, number>) => points.size === INTERVALS;
    // The last one written last: when it is there, so are the others, but each is waited for all the same.
    for (const index of [NAMES_EACH - 1, 0, 1, 2, 199, 200, 201, 250, 333, 497, 498]) {
      const [name] = rowOf(0, index);
      const points = await carbon.pointsWhen(String(name), timestampOf(0), newestSec, isComplete);
      const expected = Array.from({ length: INTERVALS }, (_, interval) => [
        timestampOf(interval),
        rowOf(interval, index)[1],
      ]);
      assert.deepEqual([...points], expected, String(name));
    }
    // An amendment overwrites.
    sink.accept(batchOf([["bb.plain.n0", 42.5]], { interval: 3, revision: 1, timestampSec: newestSec }));
    assert.equal(await sink.drain(systemClock.monotonicMs() + 10_000), true);
    await carbon.pointsWhen(
      "bb.plain.n0",
      timestampOf(0),
      newestSec,
      (points) => points.get(newestSec) === 42.5,
    );
    assert.doesNotMatch(await carbon.listenerLog(), /invalid line|line length|Traceback/i);
  } finally {
    sink.close();
    await carbon.stop();
  }
});
