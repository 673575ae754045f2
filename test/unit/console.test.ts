import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import type { RowBatch } from "../../aggregator/row.ts";
import { ConsoleSink, createConsoleSinks } from "../../aggregator/sink/console.ts";
import type { ConsoleOutput } from "../../aggregator/sink/console-output.ts";
import type { SinkContext } from "../../aggregator/sink/sink.ts";
import { parseConfig } from "../../shared/config.ts";
import { seededRandom } from "../../shared/random.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { batchOf, numberedRows, type TestRow } from "../support/rows.ts";

class FakeOutput extends EventEmitter implements ConsoleOutput {
  text = "";
  isTTY = false;
  columns = 60;
  writableLength = 0;
  /** Whether writes are ever said to be done. */
  isRead = true;

  write(text: string, written?: () => void): void {
    this.text += text;
    if (written !== undefined && this.isRead) queueMicrotask(written);
  }
}

const clock = new ManualClock();
const noLog = { error() {}, warn() {}, info() {}, debug() {} };

function contextOf(rows: number, output: FakeOutput, ownPrefixes: string[] = []): SinkContext {
  const config = { ...parseConfig("", "the defaults"), console: { rows } };
  return { config, output, ownPrefixes, clock, log: noLog, random: seededRandom(1) };
}

function shown(batches: readonly RowBatch[], rows = 10, ownPrefixes: string[] = [], columns = 60): string[] {
  const output = new FakeOutput();
  output.columns = columns;
  const sink = new ConsoleSink(contextOf(rows, output, ownPrefixes));
  for (const batch of batches) sink.accept(batch);
  return output.text.split("\n").slice(0, -1);
}

const time = new Date(1_700_000_000_000).toTimeString().slice(0, 8);

test("rows are sorted by name and aligned", () => {
  assert.deepEqual(
    shown([
      batchOf([
        ["web.requests", 1234567],
        ["api", 0.5],
        ["web.latency.max", -2.71849],
      ]),
    ]),
    [
      `${time}  3 rows`,
      "  api                    0.5",
      "  web.latency.max     -2.718",
      "  web.requests     1,234,567",
    ],
  );
});

test("numbers stay readable", () => {
  const values = [0, -0, 1e21, 1e-7, 0.001, 999999.9999, 1e15, 5e-324];
  const lines = shown([batchOf(values.map((value, index): TestRow => [`n${index}`, value]))]);
  assert.deepEqual(
    lines.slice(1).map((line) => line.trim().split(/\s+/)[1]),
    ["0", "0", "1.000e+21", "1.000e-7", "0.001", "1,000,000", "1.000e+15", "4.941e-324"],
  );
});

test("an interval is shown when its last batch is there", () => {
  const first = batchOf([["b", 1]], { lastOfInterval: false });
  assert.deepEqual(shown([first]), []);
  assert.deepEqual(shown([first, batchOf([["a", 2]])]), [`${time}  2 rows`, "  a  2", "  b  1"]);
  assert.deepEqual(shown([first, batchOf([])]), [`${time}  1 row`, "  b  1"]);
});

test("an interval whose end never came is shown before the next", () => {
  const lines = shown([batchOf([["a", 1]], { lastOfInterval: false }), batchOf([["b", 2]], { interval: 2 })]);
  assert.deepEqual(lines, [`${time}  1 row`, "  a  1", `${time}  1 row`, "  b  2"]);
});

test("partial and amended intervals say so", () => {
  const [head] = shown([batchOf([["a", 1]], { partial: true, revision: 2 })]);
  assert.equal(head, `${time}  1 row  amended 2  partial`);
});

test("of many rows the first are shown and the rest counted, whatever their order", () => {
  const rows = numberedRows("m", 2000);
  const names = rows.map(([name]) => String(name)).sort();
  for (const order of [rows, rows.toReversed()]) {
    const halves = [order.slice(0, 700), order.slice(700)];
    const lines = shown(
      halves.map((half, index) => batchOf(half, { lastOfInterval: index === 1 })),
      3,
    );
    assert.equal(lines[0], `${time}  2000 rows`);
    assert.deepEqual(
      lines.slice(1, 4).map((line) => line.trim().split(/\s+/)[0]),
      names.slice(0, 3),
    );
    assert.deepEqual(lines.slice(4), ["  … and 1997 more rows"]);
  }
});

test("own metrics are only counted, after the user's", () => {
  const own: TestRow[] = [
    ["own.x.a", 1],
    ["own.x.b", 1],
    ["relay.sent;host=a", 1],
  ];
  const lines = shown([batchOf([...own, ["z", 1]])], 10, ["own.x.", "relay.sent"]);
  assert.deepEqual(lines, [`${time}  1 row`, "  z  1", "  (+ 3 own metrics)"]);
});

test("idle intervals say so once, until there are rows again", () => {
  const idle = [batchOf([]), batchOf([["own.a", 1]], { interval: 2 }), batchOf([], { interval: 3 })];
  const busy = batchOf([["a", 1]], { interval: 4 });
  const lines = shown([...idle, busy, batchOf([["own.a", 1]], { interval: 5 })], 10, ["own."]);
  const expected = [
    `${time}  no metrics`,
    `${time}  1 row`,
    "  a  1",
    `${time}  no metrics  (+ 1 own metric)`,
  ];
  assert.deepEqual(lines, expected);
});

test("long names lose their middle and lines keep to the width", () => {
  const lines = shown([batchOf([[`head.${"x".repeat(200)}.tail`, 12345]])], 10, [], 40);
  assert.match(lines[1] ?? "", /^ {2}head\.x+…x+\.tail {2}12,345$/);
  assert.equal(lines[1]?.length, 40);
});

test("nothing in a name can act on a terminal", () => {
  const hostile = ["\x1b[2J", "a\rb", "a\x07", "\x9b31m", "\u202ebidi", "a\u2028b", "\u200b", "\x7f", "a\nb"];
  const bytes: TestRow[] = [
    [Buffer.from([0x9b, 0x33, 0xff]), 1],
    ["größe", 1],
  ];
  const lines = shown([batchOf([...hostile.map((name): TestRow => [name, 1]), ...bytes])], 20);
  assert.equal(lines.length, 1 + hostile.length + 2);
  for (const line of lines) assert.doesNotMatch(line, /[\p{Cc}\p{Cf}\u2028]/u);
  assert.ok(lines.some((line) => line.includes("größe")));
});

test("colour is for terminals, unless declined", () => {
  const render = (isTTY: boolean) => {
    const output = new FakeOutput();
    output.isTTY = isTTY;
    new ConsoleSink(contextOf(5, output)).accept(batchOf([["a", 1]]));
    return output.text;
  };
  const before = process.env.NO_COLOR;
  delete process.env.NO_COLOR;
  try {
    assert.ok(render(true).includes("\x1b[1m1 row\x1b[22m"));
    assert.ok(!render(false).includes("\x1b"));
    process.env.NO_COLOR = "1";
    assert.ok(!render(true).includes("\x1b"));
  } finally {
    delete process.env.NO_COLOR;
    if (before !== undefined) process.env.NO_COLOR = before;
  }
});

/** Rows sent, lost and queued. */
function ledger(sink: ConsoleSink): { sent: number; unwritable: number; shutdown: number; queued: number } {
  const { rowsSent, rowsLost, queuedRows } = sink.status();
  return { sent: rowsSent, unwritable: rowsLost.unwritable, shutdown: rowsLost.shutdown, queued: queuedRows };
}

test("every row is sent, lost or queued, whatever the output does", async () => {
  const output = new FakeOutput();
  const sink = new ConsoleSink(contextOf(2, output));
  sink.accept(batchOf(numberedRows("a", 5)));
  sink.accept(batchOf(numberedRows("b", 3), { interval: 2, lastOfInterval: false }));
  assert.deepEqual(ledger(sink), { sent: 0, unwritable: 0, shutdown: 0, queued: 8 });
  assert.equal(await sink.drain(clock.monotonicMs() + 1000), true);
  assert.deepEqual(ledger(sink), { sent: 8, unwritable: 0, shutdown: 0, queued: 0 });

  output.writableLength = 2 << 20;
  sink.accept(batchOf(numberedRows("c", 4), { interval: 3 }));
  assert.deepEqual(ledger(sink), { sent: 8, unwritable: 4, shutdown: 0, queued: 0 });
  output.writableLength = 0;
  output.isRead = false;
  sink.accept(batchOf(numberedRows("d", 6), { interval: 4 }));
  assert.deepEqual(ledger(sink), { sent: 8, unwritable: 4, shutdown: 0, queued: 6 });
  output.emit("error", new Error("EPIPE"));
  assert.deepEqual(ledger(sink), { sent: 8, unwritable: 10, shutdown: 0, queued: 0 });
  sink.accept(batchOf(numberedRows("e", 7), { interval: 5 }));
  assert.deepEqual(ledger(sink), { sent: 8, unwritable: 17, shutdown: 0, queued: 0 });
  assert.equal(sink.status().lastError, "EPIPE");
  sink.accept(batchOf(numberedRows("f", 2), { interval: 6, lastOfInterval: false }));
  sink.close();
  sink.accept(batchOf(numberedRows("g", 8), { interval: 7 }));
  assert.deepEqual(ledger(sink), { sent: 8, unwritable: 17, shutdown: 10, queued: 0 });
});

test("draining gives up at the deadline when nobody reads, and what was not printed is lost", async () => {
  const output = new FakeOutput();
  output.isRead = false;
  const sink = new ConsoleSink(contextOf(2, output));
  sink.accept(batchOf(numberedRows("a", 5)));
  const drained = sink.drain(clock.monotonicMs() + 1000);
  clock.advance(1000);
  assert.equal(await drained, false);
  assert.deepEqual(ledger(sink), { sent: 0, unwritable: 0, shutdown: 5, queued: 0 });
});

test("a sink that is closed ends the drain", async () => {
  const output = new FakeOutput();
  output.isRead = false;
  const sink = new ConsoleSink(contextOf(2, output));
  sink.accept(batchOf(numberedRows("a", 5)));
  const drained = sink.drain(clock.monotonicMs() + 1000);
  sink.close();
  assert.equal(await drained, false);
});

test("another number of rows is in force from the next interval on", () => {
  const output = new FakeOutput();
  const context = contextOf(1, output);
  const sink = new ConsoleSink(context);
  sink.accept(batchOf(numberedRows("a", 3)));
  assert.equal(sink.configure({ ...context.config, console: { rows: 2 } }), true);
  sink.accept(batchOf(numberedRows("b", 3), { interval: 2 }));
  assert.deepEqual(output.text.match(/more rows?/g)?.length, 2);
  assert.match(output.text, /and 2 more rows.*and 1 more row\n$/s);
});

test("no rows to show, no sink", () => {
  assert.equal(createConsoleSinks(contextOf(0, new FakeOutput())).length, 0);
  assert.equal(createConsoleSinks(contextOf(1, new FakeOutput())).length, 1);
});
