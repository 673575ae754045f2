// The file sink on a named pipe: readers that are not there, slow, or gone.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, constants, openSync, readSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { FileSink } from "../../aggregator/sink/file.ts";
import { systemClock } from "../../shared/clock.ts";
import { parseConfig } from "../../shared/config.ts";
import { seededRandom } from "../../shared/random.ts";
import { batchOf, numberedRows } from "../support/rows.ts";
import { assertAccounted, FakeLog, intervals } from "../support/sinks.ts";
import { waitFor } from "../support/wait-for.ts";

const defaults = parseConfig("", "the defaults");
const sinks: FileSink[] = [];
let folder = "";
let path = "";

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "file-pipe-"));
  path = join(folder, "rows");
  execFileSync("mkfifo", [path]);
});

afterEach(async () => {
  for (const sink of sinks.splice(0)) sink.close();
  await rm(folder, { recursive: true });
});

function openFile(): FileSink {
  const config = { ...defaults, file: { ...defaults.file, path } };
  const sink = new FileSink({ config, log: new FakeLog(), clock: systemClock, random: seededRandom(1) });
  sinks.push(sink);
  return sink;
}

/** Opens the pipe as a reader that waits for nothing. */
function openReader(): number {
  return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
}

/** Undefined where there is nothing to read as yet; 0 at the end. */
function readIfAny(descriptor: number, target: Buffer): number | undefined {
  try {
    return readSync(descriptor, target);
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, "EAGAIN");
    return undefined;
  }
}

test("a pipe is written to as well, and one that nobody reads is waited for", async () => {
  const sink = openFile();
  sink.accept(batchOf(numberedRows("a", 3)));
  await waitFor("a failure", () => sink.status().lastError === "ENXIO");
  const reader = openSync(path, "r+");
  await waitFor("the rows", () => sink.status().rowsSent === 3);
  closeSync(reader);
  assertAccounted(sink, 3);
});

test("the reader of a pipe that is slow is waited for, and sees no end before it", async () => {
  const reader = openReader();
  const sink = openFile();
  const { batches, lines } = intervals(1, 3000);
  for (const batch of batches) sink.accept(batch);
  await waitFor("a full pipe", () => sink.status().lastError === "EAGAIN");
  const pieces: Buffer[] = [];
  const piece = Buffer.alloc(100_000);
  await waitFor("the rest", () => {
    const isWritten = sink.status().rowsSent === 3000;
    for (let bytes = readIfAny(reader, piece); bytes !== undefined; bytes = readIfAny(reader, piece)) {
      assert.notEqual(bytes, 0, "the pipe has ended");
      pieces.push(Buffer.from(piece.subarray(0, bytes)));
    }
    return isWritten;
  });
  closeSync(reader);
  assert.deepEqual(
    Buffer.concat(pieces).toString().split("\n").slice(0, -1),
    lines.map((line) => line.replaceAll(" ", "\t")),
  );
});

test("a reader that goes away within a line: the next one gets that line whole", async () => {
  const first = openReader();
  const sink = openFile();
  const { batches, lines } = intervals(1, 3000);
  for (const batch of batches) sink.accept(batch);
  await waitFor("a full pipe", () => sink.status().lastError === "EAGAIN");
  closeSync(first);
  await waitFor("a broken pipe", () => sink.status().lastError === "EPIPE");
  const second = openReader();
  let text = "";
  const piece = Buffer.alloc(100_000);
  await waitFor("the rest", () => {
    const isWritten = sink.status().rowsSent === 3000;
    const bytes = readIfAny(second, piece) ?? 0;
    text += piece.toString("latin1", 0, bytes);
    return isWritten && bytes === 0;
  });
  closeSync(second);
  const read = text.split("\n").slice(0, -1);
  assert.ok(read.length > 0);
  assert.deepEqual(
    read,
    lines.slice(-read.length).map((line) => line.replaceAll(" ", "\t")),
  );
  assertAccounted(sink, 3000);
});
