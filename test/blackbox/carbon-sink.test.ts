// The carbon sink against a real graphite-carbon: what was written is what can be read back.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createCarbonSinks } from "../../aggregator/sink/carbon.ts";
import type { SinkConfig, SinkContext } from "../../aggregator/sink/sink.ts";
import { systemClock } from "../../shared/clock.ts";
import { parseConfig } from "../../shared/config.ts";
import { systemRandom } from "../../shared/random.ts";
import { hasCarbon, type RealCarbon, startCarbon } from "../support/real-carbon.ts";
import { batchOf, type TestRow } from "../support/rows.ts";

const reason = "graphite-carbon (carbon-cache and whisper-fetch) is not installed";
const isMissing = !hasCarbon();
if (isMissing) console.error(`SKIPPED: the carbon sink was NOT tried against a real carbon, ${reason}`);

const INTERVALS = 4;
const NAMES_EACH = 500;

function contextOf(port: number, changes: Partial<SinkConfig["carbon"]> = {}): SinkContext {
  const log = { error() {}, warn() {}, info() {}, debug() {} };
  const config = parseConfig("", "the defaults");
  const carbon = {
    ...config.carbon,
    address: [{ host: "127.0.0.1", port }],
    connectTimeoutMs: 2000,
    writeTimeoutMs: 2000,
    ackTimeoutMs: 2000,
    retryDelayMs: 50,
    retryDelayMaxMs: 500,
    ...changes,
  };
  return { config: { ...config, carbon }, log, clock: systemClock, random: systemRandom };
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
  const sink = createCarbonSinks(context, "carbon")[0]!;
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

/** What the other ways to carbon have in common: some rows, and what can be read back of them. */
async function sendAndReadBack(
  changes: Partial<SinkConfig["carbon"]>,
  portOf: (carbon: RealCarbon) => number,
): Promise<void> {
  const carbon = await startCarbon();
  assert.ok(carbon);
  const sink = createCarbonSinks(contextOf(portOf(carbon), changes), "carbon")[0]!;
  try {
    const timestampSec = Math.floor(Date.now() / 1000) - 5;
    const rows = Array.from({ length: 1200 }, (_, index) => rowOf(7, index));
    sink.accept(
      batchOf([...rows, ["bb.exact", 0.1], ["bb.large", -1.7976931348623157e308]], { timestampSec }),
    );
    assert.equal(await sink.drain(systemClock.monotonicMs() + 20_000), true);
    assert.equal(sink.status().rowsSent, 1202);
    const exact: TestRow[] = [
      ["bb.exact", 0.1],
      ["bb.large", -1.7976931348623157e308],
    ];
    for (const [name, value] of [
      rows[0]!,
      rows[1]!,
      rows[2]!,
      rows[499]!,
      rows[500]!,
      rows[1199]!,
      ...exact,
    ]) {
      const points = await carbon.pointsWhen(
        String(name),
        timestampSec,
        timestampSec,
        ({ size }) => size === 1,
      );
      assert.deepEqual([...points], [[timestampSec, value]], String(name));
    }
    assert.doesNotMatch(await carbon.listenerLog(), /invalid|line length|Traceback|error/i);
  } finally {
    sink.close();
    await carbon.stop();
  }
}

test("pickle: the same rows in another format", { skip: isMissing && reason }, async () => {
  await sendAndReadBack({ format: "pickle", connections: 2 }, ({ picklePort }) => picklePort);
});

test("udp: datagrams of whole lines", { skip: isMissing && reason }, async () => {
  await sendAndReadBack({ protocol: "udp" }, ({ udpPort }) => udpPort);
});
