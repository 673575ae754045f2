// The folder of a disk spool: whose it is, what an earlier process has left there, and in what state.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { OperatorError } from "../../shared/errors.ts";
import { batchOf, numberedRows } from "../support/rows.ts";
import { assertAccounted, drained, intervals } from "../support/sinks.ts";
import { mountSmallDisk, unmountSmallDisk } from "../support/small-disk.ts";
import {
  ForwardClock,
  newFolder,
  openSpooling,
  segments,
  spooled,
  startDead,
  stopSpooling,
} from "../support/spooling.ts";
import { waitFor } from "../support/wait-for.ts";

after(stopSpooling);

/** A process with a sink, to be killed. */
const holder = fileURLToPath(new URL("../support/spool-holder.js", import.meta.url));
const { batches: tenBatches, lines: tenLines } = intervals(10, 200);

test("rows left by another process are counted as restored", async () => {
  const fake = await startDead();
  const folder = newFolder();
  const first = openSpooling(fake, folder);
  for (const batch of tenBatches) first.sink.accept(batch);
  first.sink.close();
  // The same files, in a folder that this process has never had.
  const [path = ""] = segments(folder);
  const name = readdirSync(folder)[0]!;
  const copy = newFolder();
  mkdirSync(join(copy, name));
  writeFileSync(join(copy, name, "0000000000000007.rows"), readFileSync(path));
  const { sink } = openSpooling(fake, copy);
  assert.equal(sink.status().rowsRestored, 2000);
  assertAccounted(sink, 0);
  await fake.restart();
  assert.equal(await drained(sink), true);
  assert.deepEqual(fake.lines(), tenLines);
  assertAccounted(sink, 0);
});

test("a torn last record, and one with a wrong byte, cost themselves and nothing else", async () => {
  const fake = await startDead();
  const folder = newFolder();
  const clock = new ForwardClock();
  const first = openSpooling(fake, folder, {}, clock);
  for (const batch of tenBatches) first.sink.accept(batch);
  clock.aheadMs += 4000;
  await waitFor("all rows on disk", () => spooled(first.sink) === 2000);
  // Before its process says anything of it: as after kill -9.
  const [path = ""] = segments(folder);
  const bytes = readFileSync(path);
  first.sink.close();
  const last = tenBatches.at(-1)!.bytes;
  const middle = Buffer.from(tenBatches[8]!.bytes);
  const torn = bytes.subarray(0, bytes.length - Math.floor(last.byteLength / 2));
  torn[torn.indexOf(middle) + 20]! ^= 1;
  writeFileSync(path, torn);
  const second = openSpooling(fake, folder);
  assert.equal(spooled(second.sink), 1900);
  await fake.restart();
  await waitFor("everything that is left", () => spooled(second.sink) === 0);
  const isLeft = (_: string, index: number): boolean => Math.floor(index / 100) !== 8 && index < 1900;
  assert.deepEqual(fake.lines(), tenLines.filter(isLeft));
  // The torn one is lost as well: in this process it had been on disk.
  assert.equal(second.sink.status().rowsLost.spool_damaged, 200);
  assert.equal(second.sink.status().rowsSent, 1800);
});

test("files that are no segments are left alone, empty ones removed", async () => {
  const fake = await startDead();
  const folder = newFolder();
  openSpooling(fake, folder).sink.close();
  const own = join(folder, readdirSync(folder)[0]!);
  writeFileSync(join(own, "0000000000000003.rows"), "no segment at all, but long enough to be one, and more");
  writeFileSync(join(own, "readme"), "x");
  const { sink, log } = openSpooling(fake, folder);
  assert.equal(log.count("sink.spool_unreadable"), 1);
  assert.equal(spooled(sink), 0);
  sink.accept(batchOf(numberedRows("a", 3)));
  sink.close();
  assert.deepEqual(
    segments(folder).map((path) => path.slice(-21)),
    ["0000000000000003.rows", "0000000000000004.rows"],
  );
});

test("a folder belongs to one process, and to one sink of it at a time", async () => {
  const fake = await startDead();
  const folder = newFolder();
  const first = openSpooling(fake, folder);
  first.sink.accept(batchOf(numberedRows("first", 5)));
  // A successor, as after a reload: it works, and has the disk once its predecessor has let go of it.
  const second = openSpooling(fake, folder);
  second.sink.accept(batchOf(numberedRows("second", 5), { interval: 2 }));
  first.sink.close();
  assert.equal(spooled(first.sink), 5);
  await waitFor("the folder", () => spooled(second.sink) >= 5);
  assert.equal(second.sink.status().rowsRestored, 0);
  second.sink.close();

  const name = readdirSync(folder)[0]!;
  const parent = process.ppid;
  const start = readFileSync(`/proc/${parent}/stat`, "latin1")
    .replace(/^.*\) /s, "")
    .split(" ")[19];
  const living = { host: hostname(), pid: parent, start };
  writeFileSync(join(folder, name, "lock"), JSON.stringify(living));
  assert.throws(
    () => openSpooling(fake, folder),
    (error: Error) => {
      assert.ok(error instanceof OperatorError);
      assert.match(error.message, new RegExp(`carbon\\.spool-dir is .*process ${parent} `));
      return true;
    },
  );
  // Of a process that is gone, though another has its number by now.
  writeFileSync(join(folder, name, "lock"), JSON.stringify({ ...living, start: "1" }));
  openSpooling(fake, folder).sink.close();
  assert.ok(!readdirSync(join(folder, name)).includes("lock"));
});

test("a folder that cannot be made is told of before anything is sent", async () => {
  const fake = await startDead();
  assert.throws(() => openSpooling(fake, "/proc/none/spool"), OperatorError);
  const folder = newFolder();
  appendFileSync(join(folder, "file"), "x");
  assert.throws(() => openSpooling(fake, join(folder, "file")), OperatorError);
});

test("rows of an address that is configured no more are told of", async () => {
  const fake = await startDead();
  const folder = newFolder();
  const first = openSpooling(fake, folder);
  for (const batch of tenBatches) first.sink.accept(batch);
  first.sink.close();
  const other = await startDead();
  const { log } = openSpooling(other, folder);
  assert.equal(log.count("sink.spool_unclaimed"), 1);
  assert.equal(openSpooling(fake, newFolder()).log.count("sink.spool_unclaimed"), 0);
});

test("killed: the next process has what was on disk, and the dead one's lock is no hindrance", async () => {
  const fake = await startDead();
  const folder = newFolder();
  const child = spawn(process.execPath, [holder, folder, String(fake.port)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [rows] = (await once(child.stdout, "data")) as [Buffer];
  assert.equal(rows.toString(), "300\n");
  assert.throws(() => openSpooling(fake, folder), OperatorError);
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
  const { sink } = openSpooling(fake, folder);
  assert.deepEqual([spooled(sink), sink.status().rowsRestored], [300, 300]);
  await fake.restart();
  assert.equal(await drained(sink), true);
  assert.deepEqual(fake.lines(), intervals(3, 100).lines);
  assertAccounted(sink, 0);
});

test("a folder that vanishes costs what lay there, counted, and no row that comes later", async () => {
  const fake = await startDead();
  const folder = newFolder();
  const clock = new ForwardClock();
  const { sink, log } = openSpooling(fake, folder, {}, clock);
  for (const batch of tenBatches.slice(0, 10)) sink.accept(batch);
  clock.aheadMs += 4000;
  await waitFor("rows on disk", () => spooled(sink) === 1000);
  rmSync(join(folder, readdirSync(folder)[0]!), { recursive: true });
  for (const batch of tenBatches.slice(10)) sink.accept(batch);
  clock.aheadMs += 4000;
  assertAccounted(sink, 2000);
  await fake.restart();
  await waitFor("an empty sink", () => sink.status().queuedRows + spooled(sink) === 0);
  const { rowsSent, rowsLost } = sink.status();
  // What was in memory for its delivery, or could still be read from an open file, is sent.
  assert.equal(rowsSent + rowsLost.spool_damaged, 2000);
  assert.ok(rowsSent >= 1000);
  assert.deepEqual(fake.lines().slice(-1000), tenLines.slice(1000));
  assertAccounted(sink, 2000);
  assert.ok(log.count("sink.spool_failed") < 12);
});

test("a file that is emptied while it is written to costs its rows, counted, and no later ones", async () => {
  const fake = await startDead();
  const folder = newFolder();
  const clock = new ForwardClock();
  const { sink, log } = openSpooling(fake, folder, { chunkBytes: 4096 }, clock);
  for (const batch of tenBatches.slice(0, 10)) sink.accept(batch);
  clock.aheadMs += 4000;
  await waitFor("rows on disk", () => spooled(sink) === 1000);
  writeFileSync(segments(folder)[0] ?? "", "");
  await fake.restart();
  await waitFor("the account", () => spooled(sink) === 0);
  assertAccounted(sink, 1000);
  assert.ok(sink.status().rowsLost.spool_damaged > 0);
  await fake.stop();
  for (const batch of tenBatches.slice(10)) sink.accept(batch);
  clock.aheadMs += 4000;
  await waitFor("rows on disk again", () => spooled(sink) === 1000);
  sink.close();
  assert.equal(log.count("sink.rows_left"), 1);
  const next = openSpooling(fake, folder);
  await fake.restart();
  assert.equal(await drained(next.sink), true);
  assert.deepEqual(fake.lines().slice(-1000), tenLines.slice(1000));
});

test("a batch that is larger than the whole spool is told of", async () => {
  const fake = await startDead();
  const { sink, log } = openSpooling(fake, newFolder(), { spoolBytesMax: 1000 });
  sink.accept(batchOf(numberedRows("a", 100)));
  sink.close();
  assert.equal(sink.status().rowsLost.shutdown, 100);
  assert.match(
    JSON.stringify(log.entries.map(({ fields }) => String(fields.error))),
    /too many for spool-bytes/,
  );
});

test("a disk that is full at the end: what is lost now is not found by the next process", async (t) => {
  const disk = newFolder();
  if (!mountSmallDisk(disk)) {
    t.skip("a small disk takes a privilege to make");
    return;
  }
  try {
    const fake = await startDead();
    const folder = join(disk, "spool");
    const { sink, log } = openSpooling(fake, folder);
    for (const batch of intervals(1, 8000).batches) sink.accept(batch);
    sink.close();
    assert.equal(sink.status().rowsLost.shutdown, 8000);
    assertAccounted(sink, 8000);
    assert.deepEqual([log.count("sink.spool_failed"), segments(folder)], [1, []]);
  } finally {
    unmountSmallDisk(disk);
  }
});
