// Standard output with nobody who reads it: a full pipe and a stopped terminal hold up nothing but
// themselves.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ConsoleSink } from "../../aggregator/sink/console.ts";
import { DescriptorOutput } from "../../aggregator/sink/console-output.ts";
import { systemClock } from "../../shared/clock.ts";
import { parseConfig } from "../../shared/config.ts";
import { seededRandom } from "../../shared/random.ts";
import { batchOf, numberedRows } from "../support/rows.ts";
import { waitFor } from "../support/wait-for.ts";

const noLog = { error() {}, warn() {}, info() {}, debug() {} };

/** A pipe with both ends in this process. */
class Pipe {
  readonly #folder = mkdtempSync(join(tmpdir(), "console-"));
  readonly #reader: number;
  readonly writer: number;

  constructor() {
    const path = join(this.#folder, "pipe");
    execFileSync("mkfifo", [path]);
    this.#reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    this.writer = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  }

  /** Reads what is there, which may be nothing. */
  read(): string {
    const bytes = Buffer.alloc(1 << 20);
    try {
      return bytes.toString("latin1", 0, readSync(this.#reader, bytes));
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, "EAGAIN");
      return "";
    }
  }

  closeReader(): void {
    closeSync(this.#reader);
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true });
  }
}

function sinkOf(output: DescriptorOutput): ConsoleSink {
  const config = { ...parseConfig("", "the defaults"), console: { rows: 10_000 } };
  return new ConsoleSink({ config, output, log: noLog, clock: systemClock, random: seededRandom(1) });
}

test("a full pipe takes the rest when somebody reads it, in order", async () => {
  const pipe = new Pipe();
  const output = new DescriptorOutput(pipe.writer, true, systemClock);
  const texts = Array.from(
    { length: 40 },
    (_, index) => `${String(index).padStart(7, "0")}${"é".repeat(2048)}\n`,
  );
  let writtenCount = 0;
  for (const text of texts) {
    output.write(text, (error) => {
      assert.ok(error === undefined);
      writtenCount++;
    });
  }
  await waitFor("a full pipe", () => writtenCount > 0 && output.writableLength < 160_000);
  assert.ok(writtenCount < 40, "the pipe takes everything: the test is none");
  // One character for each byte, since reading stops anywhere.
  const expected = Buffer.from(texts.join("")).toString("latin1");
  let text = "";
  await waitFor("the rest", () => {
    text += pipe.read();
    return writtenCount === 40 && text.length === expected.length;
  });
  assert.equal(text, expected);
  assert.equal(output.writableLength, 0);
  output.release();
  pipe.closeReader();
  pipe.remove();
});

test("tables that nobody reads are lost beyond a bound, counted, and the sink recovers", async () => {
  const pipe = new Pipe();
  const sink = sinkOf(new DescriptorOutput(pipe.writer, true, systemClock));
  let accepted = 0;
  for (let interval = 0; sink.status().rowsLost.unwritable === 0; interval++) {
    assert.ok(interval < 1000, "nothing is ever lost");
    sink.accept(batchOf(numberedRows(`some.longer.name.${interval}`, 5000), { interval }));
    accepted += 5000;
  }
  const { queuedBytes, queuedRows, rowsLost, rowsSent } = sink.status();
  assert.ok(queuedBytes < 2 << 20);
  assert.equal(rowsSent + queuedRows + rowsLost.unwritable, accepted);
  await waitFor("the tables that waited", () => {
    pipe.read();
    return sink.status().queuedRows === 0;
  });
  assert.equal(sink.status().rowsSent, accepted - 5000);
  assert.equal(await sink.drain(systemClock.monotonicMs() + 1000), true);
  sink.close();
  pipe.closeReader();
  pipe.remove();
});

test("a drain gives up on a full pipe, and the process can end", async () => {
  const pipe = new Pipe();
  const sink = sinkOf(new DescriptorOutput(pipe.writer, true, systemClock));
  for (let interval = 0; interval < 3; interval++)
    sink.accept(batchOf(numberedRows("name", 5000), { interval }));
  assert.equal(await sink.drain(systemClock.monotonicMs() + 100), false);
  const { rowsSent, rowsLost } = sink.status();
  assert.equal(rowsSent + rowsLost.shutdown, 15_000);
  assert.ok(rowsLost.shutdown > 0);
  pipe.closeReader();
  pipe.remove();
});

test("a reader that is gone is an error, once", async () => {
  const pipe = new Pipe();
  pipe.closeReader();
  const sink = sinkOf(new DescriptorOutput(pipe.writer, true, systemClock));
  sink.accept(batchOf(numberedRows("a", 3)));
  await waitFor("the error", () => sink.status().rowsLost.unwritable === 3);
  assert.match(sink.status().lastError ?? "", /EPIPE/);
  sink.accept(batchOf(numberedRows("b", 4), { interval: 2 }));
  assert.equal(sink.status().rowsLost.unwritable, 7);
  sink.close();
  pipe.remove();
});
