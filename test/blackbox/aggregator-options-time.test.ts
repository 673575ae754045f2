/** Everything that has to do with time: intervals, late lines, idle series, history, own metrics, the end. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FakeCarbon } from "../support/fake-carbon.ts";
import { OptionRig } from "../support/option-rig.ts";
import type { FileRow } from "../support/row-file.ts";
import { waitFor } from "../support/wait-for.ts";

const VALUES = "counter = value\ngauge = value\ntimer = count max\nset = count";

function rowsNamed(rig: OptionRig, name: string): FileRow[] {
  return rig.file.rows().filter((row) => row.name === name);
}

const waitForRows = (rig: OptionRig, name: string, count: number): Promise<void> =>
  waitFor(`${count} rows of ${name}`, () => rowsNamed(rig, name).length >= count);

interface History {
  readonly intervals: readonly { isKept: boolean; rowCount: number; rows: readonly unknown[] }[];
}

// They wait more than they work.
describe("time", { concurrency: 4 }, () => {
  test("interval: points stand at the ends of intervals; the last one is partial", async (t) => {
    const rig = await OptionRig.start(t, {
      aggregator: "interval = 500ms",
      aggregation: VALUES,
      idle: "counter = forever",
    });
    await rig.send(["a:1|c"]);
    await waitForRows(rig, "a", 3);
    await rig.send(["a:1|c"]);
    await rig.settled(2);
    await rig.daemon.stop();
    const rows = rowsNamed(rig, "a");
    assert.deepEqual(
      rows.map(({ interval }) => interval - rows[0]!.interval),
      [...rows.keys()],
    );
    for (const { timestamp, interval } of rows) assert.equal(timestamp, Math.floor((interval + 1) / 2));
    // It does not know what came before its start, and ends within an interval, unless it was slow to end.
    const reports = rig.daemon.events("interval.flushed");
    const isPartial = (index: number) => reports.find(({ interval }) => interval === index)!.partial;
    for (const { partial, interval } of rows) assert.equal(partial ?? false, isPartial(interval));
    assert.ok(rows.slice(1, -2).every(({ partial }) => partial !== true));
  });

  test("late-window: lines with a time get into their interval, later ones are dropped", async (t) => {
    const rig = await OptionRig.start(t, {
      aggregator: "interval = 500ms\nlate-window = 3s",
      aggregation: VALUES,
      idle: "counter = forever",
    });
    // Intervals before its start may have been written by the process before.
    await rig.send(["clock:1|c"]);
    await waitForRows(rig, "clock", 1);
    const nowSec = Math.floor(Date.now() / 1000);
    await rig.send([
      `late:5|c|T${nowSec - 2}`,
      `old:1|c|T${nowSec - 60}`,
      `now:1|c|T${nowSec + 60}`,
      "plain:1|c",
    ]);
    const metrics = await rig.settled(5);
    assert.equal(metrics.sum("bioyino_lines_dropped_total", 'reason="too_late"'), 1);
    await waitForRows(rig, "plain", 1);
    await rig.daemon.stop();
    const [[late], [now]] = [rowsNamed(rig, "late"), rowsNamed(rig, "now")];
    assert.deepEqual([late!.interval, late!.value], [2 * (nowSec - 2), 5]);
    // A time to come is now: clocks differ.
    assert.ok(now!.interval >= 2 * nowSec && now!.interval <= 2 * nowSec + 10);
    assert.deepEqual(rowsNamed(rig, "old"), []);
  });

  test("without a late-window a line of an interval that is over is dropped", async (t) => {
    const rig = await OptionRig.start(t, { aggregator: "interval = 1s", aggregation: VALUES });
    await rig.send([`late:5|c|T${Math.floor(Date.now() / 1000) - 2}`, "now:1|c"]);
    const metrics = await rig.settled(2);
    assert.equal(metrics.sum("bioyino_lines_dropped_total", 'reason="too_late"'), 1);
  });

  test("idle: each type is written for as long as it says, gauges as they were, all else as 0", async (t) => {
    const rig = await OptionRig.start(t, {
      aggregator: "interval = 200ms",
      aggregation: VALUES,
      idle: "counter = 400ms\ngauge = forever\ntimer = 1s\nset = 0",
    });
    await rig.send(["c:5|c\ng:7|g\nt:9|ms\ns:m|s"]);
    await waitForRows(rig, "g", 10);
    await rig.daemon.stop();
    const values = (name: string) => rowsNamed(rig, name).map(({ value }) => value);
    assert.deepEqual(values("c"), [5, 0, 0]);
    assert.ok(values("g").every((value) => value === 7));
    assert.deepEqual(values("t.count"), [1, 0, 0, 0, 0, 0]);
    assert.deepEqual(values("t.max"), [9]);
    assert.deepEqual(values("s.count"), [1]);
    const intervals = rowsNamed(rig, "g").map(({ interval }) => interval);
    assert.deepEqual(
      intervals,
      intervals.map((_, index) => intervals[0]! + index),
      "every interval has its row",
    );
  });

  test("gauge-level: changes go on from a level that is still known", async (t) => {
    const levels: Record<string, number> = { forever: 12, "200ms": 2 };
    const run = async ([span, wanted]: [string, number]): Promise<void> => {
      const rig = await OptionRig.start(t, {
        aggregator: "interval = 200ms",
        aggregation: VALUES,
        idle: `gauge-level = ${span}\ncounter = forever`,
      });
      await rig.send(["g:10|g\nclock:1|c"]);
      // The counter's zeros tell that time goes by.
      await waitForRows(rig, "clock", 5);
      await rig.send(["g:+2|g"]);
      await waitForRows(rig, "g", 2);
      assert.equal(rowsNamed(rig, "g")[1]!.value, wanted, span);
    };
    await Promise.all(Object.entries(levels).map(run));
  });

  test("history and history-bytes bound what can be looked at", async (t) => {
    const run = async (keys: string, check: (history: History) => boolean): Promise<void> => {
      const rig = await OptionRig.start(t, {
        aggregator: `interval = 200ms\n${keys}`,
        aggregation: VALUES,
        idle: "counter = forever",
      });
      const lines = Array.from({ length: 20 }, (_, index) => `some.long.name.of.a.counter.${index}:1|c`);
      await rig.send([lines.join("\n")]);
      await waitForRows(rig, "some.long.name.of.a.counter.7", 6);
      const history = (await (await rig.daemon.get("/history")).json()) as History;
      assert.ok(check(history), `${keys}: ${JSON.stringify(history)}`);
    };
    await Promise.all([
      run("history = 3", ({ intervals }) => {
        return intervals.length === 3 && intervals.every(({ rows }) => rows.length === 20);
      }),
      run("history = 0", ({ intervals }) => intervals.length === 0),
      run("history = 3\nhistory-bytes = 100", ({ intervals }) => intervals.every(({ isKept }) => !isKept)),
    ]);
  });

  test("stats-prefix and stats-interval: its own metrics, or none", async (t) => {
    const rig = await OptionRig.start(t, {
      aggregator: "interval = 500ms\nstats-prefix = own.bioyino.\nstats-interval = 100ms",
    });
    await rig.send(["a:1|c"]);
    await waitFor("its own metrics", () =>
      rig.file.rows().some(({ name }) => name.startsWith("own.bioyino.")),
    );
    const silent = await OptionRig.start(t, { aggregator: "interval = 200ms\nstats-interval = 0" });
    await silent.send(["a:1|c"]);
    await waitForRows(silent, "a", 1);
    const rows = await silent.rows();
    assert.deepEqual(rows, { a: 1 });
  });

  test("drain-timeout: a carbon that takes nothing holds the end up for so long, as is told", async (t) => {
    const carbon = await FakeCarbon.start([{ kind: "silent" }]);
    t.after(() => carbon.stop());
    const rig = await OptionRig.start(t, {
      aggregator: "sinks[] = carbon\ndrain-timeout = 300ms",
      carbon: `address[] = 127.0.0.1:${carbon.port}\nack-timeout = 1m`,
    });
    await rig.send(["a:1|c"]);
    await rig.settled(1);
    const startMs = performance.now();
    const { code } = await rig.daemon.stop();
    const tookMs = performance.now() - startMs;
    assert.ok(tookMs >= 300 && tookMs < 5000, `${tookMs} ms`);
    assert.equal(code, 0);
    const [stopped] = rig.daemon.events("aggregator.stopped");
    assert.equal(stopped!.reason, "rows were not delivered");
    assert.ok(rig.daemon.events("sink.rows_lost").length > 0 || rig.daemon.output.join("").includes("lost"));
  });
});
