// Sinks through reloads: who stays, who retires, and that no row is ever unaccounted for.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import type { DogItem } from "../../aggregator/event/event.ts";
import type { ConsoleOutput } from "../../aggregator/sink/console-output.ts";
import type { SinkConfig, SinkContext, SinkStatus } from "../../aggregator/sink/sink.ts";
import { SinkSet } from "../../aggregator/sink-set.ts";
import { systemClock } from "../../shared/clock.ts";
import { parseConfig } from "../../shared/config.ts";
import { OperatorError } from "../../shared/errors.ts";
import { seededRandom } from "../../shared/random.ts";
import type { FakeCarbon } from "../support/fake-carbon.ts";
import { batchOf, numberedRows } from "../support/rows.ts";
import { FakeLog, startCarbon, stopSinks } from "../support/sinks.ts";
import { waitFor } from "../support/wait-for.ts";

const DRAIN_MS = 20_000;
const defaults = parseConfig("[carbon]\nretry-delay = 4ms\nretry-delay-max = 20ms\n", "test");
const check: DogItem = {
  kind: "check",
  name: "a",
  status: 0,
  message: "",
  timestampSec: 5,
  host: "",
  tags: [],
};

let folder = "";
let log = new FakeLog();
const sets: SinkSet[] = [];
/** Rows handed to the set so far. */
let accepted = 0;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sink-set-"));
  log = new FakeLog();
  accepted = 0;
});

afterEach(async () => {
  for (const set of sets.splice(0)) set.close();
  await stopSinks();
  await rm(folder, { recursive: true });
});

/** A terminal for the console sink, which takes everything at once. */
const silent: ConsoleOutput = { write: (_text, written) => written?.() };

function contextOf(changes: Partial<SinkConfig> = {}): SinkContext {
  const config = { ...defaults, ...changes };
  return { config, log, output: silent, clock: systemClock, random: seededRandom(1) };
}

function carbonTo(port: number, more: object = {}): SinkConfig["carbon"] {
  return { ...defaults.carbon, address: [{ host: "127.0.0.1", port }], ...more };
}

function fileAt(path: string, more: Partial<SinkConfig["file"]> = {}): SinkConfig["file"] {
  return { ...defaults.file, path: join(folder, path), ...more };
}

function open(names: string[], changes: Partial<SinkConfig> = {}): SinkSet {
  const set = new SinkSet(names, contextOf(changes));
  sets.push(set);
  return set;
}

function give(set: SinkSet, count: number): void {
  accepted++;
  set.accept(batchOf(numberedRows(`batch${accepted}`, count), { interval: accepted }));
}

function statusOf(set: SinkSet, name: string): SinkStatus {
  const status = set.statuses().find((one) => one.name === name);
  assert.ok(status !== undefined, `no status of ${name}`);
  return status;
}

function accounted({ rowsSent, rowsLost, queuedRows, spooledRows = 0 }: SinkStatus): number {
  return rowsSent + queuedRows + spooledRows + Object.values(rowsLost).reduce((sum, count) => sum + count, 0);
}

function linesOf(path: string): number {
  const file = join(folder, path);
  return existsSync(file) ? readFileSync(file, "utf8").split("\n").length - 1 : 0;
}

test("every sink gets every row; a name given twice is one sink", async () => {
  const set = open(["file", "console", "file"], { file: fileAt("rows") });
  give(set, 10);
  assert.equal(await set.drain(systemClock.monotonicMs() + DRAIN_MS), true);
  assert.deepEqual(
    set.statuses().map(({ name, rowsSent }) => [name, rowsSent]),
    [
      ["file", 10],
      ["console", 10],
    ],
  );
  assert.equal(linesOf("rows"), 10);
});

test("events go to those that can carry them, and are counted where none can", async () => {
  const set = open(["file", "console"], { file: fileAt("rows", { format: "json" }) });
  set.acceptEvent(check);
  assert.equal(set.eventsUncarried, 0);
  set.apply(["file", "console"], contextOf({ file: fileAt("rows", { format: "tsv" }) }), DRAIN_MS);
  set.acceptEvent(check);
  assert.equal(set.eventsUncarried, 1);
  await set.drain(systemClock.monotonicMs() + DRAIN_MS);
  assert.equal(statusOf(set, "file").eventsSent, 1);
});

test("what did not change keeps its sink and its queue", async () => {
  const set = open(["file", "console"], { file: fileAt("later/rows") });
  give(set, 10);
  const file = { ...defaults.file, path: join(folder, "later/rows") };
  assert.deepEqual(set.apply(["console", "file"], contextOf({ file }), 0), {
    kept: ["console", "file"],
    changed: [],
    added: [],
    removed: [],
  });
  assert.equal(statusOf(set, "file").queuedRows, 10);
  assert.equal(statusOf(set, "file").retiringRows, undefined);
});

test("a changed sink is replaced at once; the old one delivers what it holds", async () => {
  const set = open(["file"], { file: fileAt("later/rows") });
  give(set, 10);
  const changes = set.apply(["file"], contextOf({ file: fileAt("new-rows") }), DRAIN_MS);
  assert.deepEqual(changes, { kept: [], changed: ["file"], added: [], removed: [] });
  give(set, 5);
  await waitFor("the new one", () => linesOf("new-rows") === 5);
  assert.equal(statusOf(set, "file").queuedRows, 10);
  assert.equal(statusOf(set, "file").retiringRows, 10);
  assert.equal(accounted(statusOf(set, "file")), 15);
  await mkdir(join(folder, "later"));
  await waitFor("the old one", () => statusOf(set, "file").rowsSent === 15);
  assert.equal(linesOf("later/rows"), 10);
  await waitFor("its end", () => statusOf(set, "file").retiringRows === undefined);
  assert.equal(accounted(statusOf(set, "file")), 15);
});

test("what a retiring sink cannot deliver in time is lost, and stays counted", async () => {
  const set = open(["file"], { file: fileAt("later/rows") });
  give(set, 10);
  set.apply(["file"], contextOf({ file: fileAt("new-rows") }), 50);
  give(set, 5);
  await waitFor("the end of the old one", () => statusOf(set, "file").rowsLost.shutdown === 10);
  await waitFor("the new rows", () => statusOf(set, "file").rowsSent === 5);
  assert.equal(accounted(statusOf(set, "file")), 15);
});

test("a removed sink is shown until it is done", async () => {
  const set = open(["file", "console"], { file: fileAt("later/rows") });
  give(set, 10);
  const changes = set.apply(["console"], contextOf({ file: fileAt("later/rows") }), DRAIN_MS);
  assert.deepEqual(changes.removed, ["file"]);
  assert.equal(statusOf(set, "file").state, "retiring");
  give(set, 7);
  assert.equal(accounted(statusOf(set, "file")), 10);
  await mkdir(join(folder, "later"));
  await waitFor("its end", () => set.statuses().length === 1);
  assert.equal(linesOf("later/rows"), 10);
  assert.equal(statusOf(set, "console").rowsSent, 17);
});

test("settings that a sink can take over do not cost it its queue", async () => {
  const set = open(["file"], { file: fileAt("later/rows") });
  give(set, 10);
  const file = fileAt("later/rows", { format: "json" });
  assert.deepEqual(set.apply(["file"], contextOf({ file }), 0).changed, ["file"]);
  assert.deepEqual(set.apply(["file"], contextOf({ file }), 0).kept, ["file"]);
  assert.equal(statusOf(set, "file").queuedRows, 10);
  assert.equal(statusOf(set, "file").retiringRows, undefined);
});

test("a carbon that moves: rows of before go to the old place, rows of after to the new one", async () => {
  const old = await startCarbon();
  const young = await startCarbon();
  await old.stop();
  const set = open(["carbon"], { carbon: carbonTo(old.port) });
  give(set, 10);
  set.apply(["carbon"], contextOf({ carbon: carbonTo(young.port) }), DRAIN_MS);
  give(set, 5);
  await young.until((one: FakeCarbon) => one.lines().length === 5);
  await old.restart();
  await old.until((one: FakeCarbon) => one.lines().length === 10);
  await waitFor("the account", () => statusOf(set, "carbon").rowsSent === 15);
  assert.equal(set.statuses().length, 1);
  assert.equal(accounted(statusOf(set, "carbon")), 15);
});

test("carbons of a name of their own come and go by themselves", async () => {
  const east = await startCarbon();
  const others = [{ ...carbonTo(east.port), name: "east" }].map(({ others: _, ...values }) => values);
  const set = open(["console"]);
  const context = contextOf({ carbon: { ...defaults.carbon, others } });
  assert.deepEqual(set.apply(["console", "carbon.east"], context, DRAIN_MS).added, ["carbon.east"]);
  // [carbon] is another section.
  const moved = contextOf({ carbon: carbonTo(9, { others }) });
  assert.deepEqual(set.apply(["console", "carbon.east"], moved, DRAIN_MS).kept, ["console", "carbon.east"]);
});

test("a change that cannot be made leaves everything as it was", async () => {
  const set = open(["file", "console"], { file: fileAt("later/rows"), console: { rows: 3 } });
  give(set, 10);
  const impossible = contextOf({
    file: fileAt("elsewhere"),
    console: { rows: 4 },
    carbon: carbonTo(9, { protocol: "udp", format: "pickle" }),
  });
  assert.throws(() => set.apply(["console", "file", "carbon"], impossible, 0), OperatorError);
  assert.deepEqual(
    set.statuses().map(({ name, queuedRows }) => [name, queuedRows]),
    [
      ["file", 10],
      ["console", 0],
    ],
  );
  await mkdir(join(folder, "later"));
  give(set, 5);
  assert.equal(await set.drain(systemClock.monotonicMs() + DRAIN_MS), true);
  assert.equal(linesOf("later/rows"), 15);
  assert.equal(linesOf("elsewhere"), 0);
});

test("many reloads: a bounded number of sinks retires, every row is accounted for", async () => {
  const set = open(["file"], { file: fileAt("later/rows0") });
  for (let round = 1; round <= 40; round++) {
    give(set, 10);
    set.apply(["file"], contextOf({ file: fileAt(`later/rows${round}`) }), DRAIN_MS);
    assert.equal(accounted(statusOf(set, "file")), round * 10);
  }
  assert.equal(statusOf(set, "file").retiringRows, 160);
  assert.equal(statusOf(set, "file").rowsLost.shutdown, 240);
  assert.equal(await set.drain(systemClock.monotonicMs() + 100), false);
  assert.equal(accounted(statusOf(set, "file")), 400);
});

test("a drain waits for retiring sinks too, until its deadline", async () => {
  const set = open(["file"], { file: fileAt("later/rows") });
  give(set, 10);
  set.apply(["file"], contextOf({ file: fileAt("new-rows") }), 60_000);
  give(set, 5);
  const drained = set.drain(systemClock.monotonicMs() + DRAIN_MS);
  await waitFor("the new one", () => linesOf("new-rows") === 5);
  await mkdir(join(folder, "later"));
  assert.equal(await drained, true);
  assert.equal(linesOf("later/rows"), 10);
});

test("closed soon after a reload: what both of a name hold goes to their common folder", async () => {
  const carbon = carbonTo(9, { spoolDir: join(folder, "spool") });
  const set = open(["carbon"], { carbon });
  give(set, 10);
  // Another protocol makes another sink.
  const changed = { ...carbon, protocol: "tls" as const };
  set.apply(["carbon"], contextOf({ carbon: changed }), 60_000);
  give(set, 5);
  assert.equal(accounted(statusOf(set, "carbon")), 15);
  const drained = set.drain(systemClock.monotonicMs() + 20);
  assert.equal(await drained, true);
  await waitFor("both to be closed", () => statusOf(set, "carbon").retiringRows === undefined);
  assert.equal(statusOf(set, "carbon").rowsLost.shutdown, 0);
  assert.equal(statusOf(set, "carbon").spooledRows, 15);
  assert.equal(accounted(statusOf(set, "carbon")), 15);
});

test("a carbon that moves with rows on disk: they count, and are sent once it is back", async () => {
  const old = await startCarbon();
  await old.stop();
  const young = await startCarbon();
  const spoolDir = join(folder, "spool");
  const set = open(["carbon"], { carbon: carbonTo(old.port, { spoolDir }) });
  give(set, 10);
  set.apply(["carbon"], contextOf({ carbon: carbonTo(young.port, { spoolDir }) }), 20);
  give(set, 5);
  const isMoved = () => {
    assert.equal(accounted(statusOf(set, "carbon")), 15);
    return statusOf(set, "carbon").rowsSent === 5 && statusOf(set, "carbon").spooledRows === 10;
  };
  await waitFor("the move", isMoved);
  assert.equal(log.count("sink.rows_left"), 1);
  await old.restart();
  set.apply(["carbon"], contextOf({ carbon: carbonTo(old.port, { spoolDir }) }), 20);
  await waitFor("the way back", () => {
    assert.equal(accounted(statusOf(set, "carbon")), 15);
    return statusOf(set, "carbon").rowsSent === 15;
  });
  assert.equal(old.lines().length, 10);
  const { rowsRestored, oldestMs, lagSec, spooledRows } = statusOf(set, "carbon");
  assert.deepEqual([rowsRestored, oldestMs, lagSec, spooledRows], [0, 0, 0, 0]);
});

test("a carbon that is replaced: rows on disk count while nobody has the folder", async () => {
  const spoolDir = join(folder, "spool");
  const carbon = carbonTo(9, { spoolDir });
  const set = open(["carbon"], { carbon });
  give(set, 10);
  set.apply(["carbon"], contextOf({ carbon: { ...carbon, protocol: "tls" } }), 20);
  await waitFor("the successor to have them", () => {
    const { retiringRows, spooledRows = 0 } = statusOf(set, "carbon");
    assert.equal(accounted(statusOf(set, "carbon")), 10);
    return retiringRows === undefined && log.count("sink.rows_left") === 1 && spooledRows === 10;
  });
});
