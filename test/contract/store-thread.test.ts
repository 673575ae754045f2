/** The store's thread as its control thread and intakes know it: by messages. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MessageChannel } from "node:worker_threads";
import { INTAKE_COUNTERS, STORE_COUNTERS } from "../../aggregator/counters.ts";
import { forEachRow } from "../../aggregator/row.ts";
import type { FromStore, StoreThreadData, ToStore } from "../../aggregator/store-messages.ts";
import { storeSettings } from "../../aggregator/store-settings.ts";
import { parseConfig } from "../../shared/config.ts";
import { Counters } from "../../shared/counters.ts";
import { startWorker } from "../../shared/worker.ts";
import { newIntake } from "../support/snapshots.ts";
import { waitFor } from "../support/wait-for.ts";

const INTERVAL_MS = 100;
const ORIGIN = 1;

function settingsOf(text: string) {
  const head = `[cluster]\nsnapshot-interval = 100ms\n[aggregator]\ninterval = ${INTERVAL_MS}ms\n`;
  return storeSettings(parseConfig(`${head}${text}`, "test.ini"));
}

/** A thread with one intake, and everything that it says. */
async function startStore(text = "") {
  const counters = new Counters(STORE_COUNTERS);
  const data: StoreThreadData = {
    ...settingsOf(text),
    snapshotIntervalMs: INTERVAL_MS,
    node: 1n,
    incarnation: 1n,
    nameBytesMax: 512,
    tagsBytesMax: 9000,
    counters: counters.buffer,
    selfCounters: new Counters(INTAKE_COUNTERS).buffer,
  };
  const messages: FromStore[] = [];
  const rows = new Map<number, Map<string, number>>();
  const { worker, exited } = await startWorker<object, FromStore>(
    new URL("../../aggregator/store-thread.js", import.meta.url),
    data,
    {
      onMessage(message) {
        messages.push(message);
        if (message.kind !== "rows") return;
        const { interval, bytes } = message.batch;
        const ofInterval = rows.get(interval) ?? new Map<string, number>();
        rows.set(interval, ofInterval);
        forEachRow(bytes, (name, value) => ofInterval.set(name, value));
        tell({ kind: "taken" });
      },
      onExit: () => {},
    },
  );
  const tell = (message: ToStore): void => worker.postMessage(message);
  const { port1, port2 } = new MessageChannel();
  const intakeCounters = new Counters(INTAKE_COUNTERS);
  const origin = { kind: "origin", origin: ORIGIN, port: port1, counters: intakeCounters.buffer } as const;
  worker.postMessage(origin satisfies ToStore, [port1]);
  const intake = await newIntake({ intervalMs: INTERVAL_MS, snapshotIntervalMs: INTERVAL_MS });
  /** Sends lines in an interval. closes: whether the intake has done with it. */
  const send = (interval: number, lines: string, closes = true): void => {
    intake.send([Buffer.from(lines)]);
    const frame = intake.cut()!;
    const view = new DataView(frame.buffer);
    view.setBigUint64(32, BigInt(interval), true);
    view.setBigUint64(40, BigInt(closes ? interval + 1 : interval), true);
    port2.postMessage(frame, [frame.buffer]);
  };
  const heard = <Kind extends FromStore["kind"]>(kind: Kind) =>
    messages.filter((message) => message.kind === kind) as Extract<FromStore, { kind: Kind }>[];
  const finish = async (): Promise<void> => {
    port2.postMessage(null);
    tell({ kind: "finish" });
    await exited;
    port2.close();
  };
  return { tell, send, heard, finish, exited, rows, counters, intakeCounters, port: port2 };
}

/** An interval that the store cannot have flushed yet. */
function presentInterval(): number {
  return Math.floor(Date.now() / INTERVAL_MS) + 1;
}

test("lines come out as rows, and what is left is flushed at the end", async () => {
  const { send, heard, finish, rows, counters, intakeCounters } = await startStore();
  const k = presentInterval();
  send(k, "a:1|c");
  await waitFor("rows", () => rows.has(k));
  assert.equal(rows.get(k)?.get("a"), 1);
  send(k + 1, "a:2|c", false);
  await waitFor("merged lines", () => counters.get("mergedLines") === 2);
  assert.ok(intakeCounters.get("snapshotBytesTaken") > 0);
  await finish();
  assert.equal(rows.get(k + 1)?.get("a"), 2);
  assert.equal(heard("finished").length, 1);
  const reports = heard("flushed").map(({ report }) => report.interval);
  assert.deepEqual(reports, [...reports].sort(), "in order");
  assert.ok(reports.includes(k + 1));
});

test("questions are answered by their ids, tails tell what is merged", async () => {
  const { tell, send, heard, finish, counters } = await startStore();
  const k = presentInterval();
  tell({ kind: "ask", id: 5, question: { kind: "tail", tail: 9, match: "a*" } });
  await waitFor("answers", () => heard("answer").length === 1);
  send(k, "abc:1|c\nb:1|c", false);
  await waitFor("tailed lines", () => heard("tailed").length === 1);
  assert.deepEqual(
    heard("tailed")[0]!.lines.map(({ tail, key, value }) => [tail, key, value]),
    [[9, "abc", 1]],
  );
  tell({ kind: "ask", id: 6, question: { kind: "untail", tail: 9 } });
  tell({ kind: "ask", id: 7, question: { kind: "series", match: "?", limit: 10 } });
  tell({ kind: "ask", id: 8, question: { kind: "series", match: "/(/", limit: 10 } });
  await waitFor("answers", () => heard("answer").length === 4);
  const answers = new Map(heard("answer").map((message) => [message.id, message]));
  const found = answers.get(7)!;
  assert.ok("answer" in found && "series" in found.answer && found.answer.total === 1);
  assert.ok("error" in answers.get(8)!);
  send(k, "abc:1|c", false);
  await waitFor("merged lines", () => counters.get("mergedLines") === 3);
  assert.equal(heard("tailed").length, 1, "the tail is off");
  await finish();
});

test("another configuration holds from the next interval on; a broken one is refused", async () => {
  const { tell, send, heard, finish, rows, counters } = await startStore();
  const k = presentInterval();
  send(k, "a:1|c", false);
  await waitFor("merged lines", () => counters.get("mergedLines") === 1);
  const settings = settingsOf("[aggregation]\ncounter = rate\n[naming.counter]\nprefix = p");
  tell({ kind: "configure", ...settings });
  const broken = { ...settings.plan, histograms: [{ pattern: "/(/", bins: [1] }] };
  tell({ kind: "configure", plan: broken, history: settings.history });
  await waitFor("a notice", () => heard("notice").length === 1);
  assert.equal(heard("notice")[0]!.notice.event, "store.configure_refused");
  send(k, "b:1|c");
  send(k + 1, "a:1|c");
  await waitFor("rows", () => rows.has(k + 1));
  assert.deepEqual([...rows.get(k)!.keys()].sort(), ["a", "b"]);
  assert.deepEqual(Object.fromEntries(rows.get(k + 1)!), { "p.a.rate": 10 });
  await finish();
});

test("what bounds refuse is told to the log", async () => {
  const { send, heard, finish } = await startStore("series-max = 3");
  send(presentInterval(), "x.a:1|c\nx.b:1|c\nx.c:1|c\nx.d:1|c", false);
  await waitFor("a notice", () => heard("notice").length === 1);
  const { event, fields } = heard("notice")[0]!.notice;
  assert.deepEqual([event, fields], ["store.limit", { samples: { series: 1 }, prefix: "x.d" }]);
  await finish();
});

test("an intake that dies without a word keeps no interval from being flushed, nor the end", async () => {
  const { tell, send, heard, exited, rows, port } = await startStore();
  const k = presentInterval();
  send(k, "a:1|c", false);
  port.close();
  await waitFor("rows", () => rows.has(k));
  assert.equal(rows.get(k)?.get("a"), 1);
  tell({ kind: "finish" });
  tell({ kind: "finish" });
  await exited;
  assert.equal(heard("finished").length, 1);
  const reports = heard("flushed").map(({ report }) => report.interval);
  assert.equal(new Set(reports).size, reports.length, "none is flushed twice");
});

test("a sink's failure is told among etsy's own rows", async () => {
  const { tell, finish, rows, port } = await startStore("[aggregation]\nnaming = etsy\n");
  // Intervals are closed by its own intake alone.
  port.close();
  const failures = () =>
    [...rows.values()].flatMap(
      (ofInterval) => ofInterval.get("stats.statsd.graphiteStats.last_exception") ?? [],
    );
  await waitFor("own rows", () => failures().length > 0);
  const before = failures()[0]!;
  // Times are whole seconds, so it is told until the next one begins.
  await waitFor("a later failure", () => {
    tell({ kind: "sink-failed" });
    return failures().at(-1)! > before;
  });
  await finish();
});

test("tailed lines that nobody takes do not pile up, and what was left out is told", async () => {
  const { tell, send, heard, finish, counters } = await startStore();
  tell({ kind: "ask", id: 1, question: { kind: "tail", tail: 1, match: "*" } });
  await waitFor("answers", () => heard("answer").length === 1);
  const k = presentInterval() + 50;
  for (let frame = 0; frame < 100; frame++) send(k, "a:1|c", false);
  await waitFor("merged lines", () => counters.get("mergedLines") === 100);
  tell({ kind: "tails-taken" });
  tell({ kind: "ask", id: 2, question: { kind: "offenders", limit: 1 } });
  await waitFor("answers", () => heard("answer").length === 2);
  assert.equal(heard("tailed").length, 64);
  send(k, "a:1|c", false);
  await waitFor("tailed lines", () => heard("tailed").length === 65);
  assert.deepEqual(heard("tailed").at(-1)!.leftOut, [{ tail: 1, lines: 36 }]);
  await finish();
});
