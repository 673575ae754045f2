// What an agent holds on disk: real folders, damaged files, full disks.
import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { SpooledDelta } from "../../cluster/agent-world.ts";
import type { Delta } from "../../cluster/delta.ts";
import { RECORD_HEAD_BYTES, SEGMENT_HEAD_BYTES } from "../../cluster/disk/agent-segment.ts";
import { AgentSpoolFolder } from "../../cluster/disk/agent-spool.ts";
import { OperatorError } from "../../shared/errors.ts";
import { FRAME_HEADER_BYTES } from "../../shared/wire.ts";
import { EventLog } from "../support/event-log.ts";
import { newDelta } from "../support/peer-rig.ts";
import { mountSmallDisk, unmountSmallDisk } from "../support/small-disk.ts";
import { waitFor } from "../support/wait-for.ts";

const MIB = 1 << 20;
const BODY_BYTES = 1000;
const RECORD_BYTES = RECORD_HEAD_BYTES + FRAME_HEADER_BYTES + BODY_BYTES;
/** Samples of each delta; see newDelta(). */
const SAMPLES = 3;

function newFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "agent-spool-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function open(folder: string, bytesMax = MIB, log = new EventLog()): Promise<AgentSpoolFolder> {
  return AgentSpoolFolder.open(folder, { bytesMax, intervalMs: 10_000 }, log.log);
}

function append(spool: AgentSpoolFolder, first: number, count: number, body = BODY_BYTES): Promise<boolean> {
  const deltas = Array.from({ length: count }, (_, index) => newDelta(first + index, body));
  return new Promise((resolve) => spool.append(deltas, resolve));
}

function read(spool: AgentSpoolFolder, bytesMax = MIB): Promise<readonly SpooledDelta[]> {
  return new Promise((resolve) => spool.read(bytesMax, resolve));
}

/** Reads until nothing is left. */
async function readAll(spool: AgentSpoolFolder): Promise<SpooledDelta[]> {
  const all: SpooledDelta[] = [];
  while (spool.hasUnread) all.push(...(await read(spool)));
  return all;
}

function sequences(spooled: readonly { readonly delta: Delta }[]): number[] {
  return spooled.map(({ delta }) => delta.sequence);
}

function range(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => first + index);
}

function files(folder: string): string[] {
  return readdirSync(folder).filter((name) => name.endsWith(".deltas"));
}

test("deltas come back as they were, in order, and files go when all in them is released", async (t) => {
  const folder = newFolder(t);
  const spool = await open(folder);
  assert.equal(await append(spool, 0, 3), true);
  assert.equal(await append(spool, 3, 100), true);
  assert.equal(spool.bytes, SEGMENT_HEAD_BYTES + 103 * RECORD_BYTES);
  assert.equal(statSync(join(folder, files(folder)[0]!)).size, spool.bytes);
  const [first] = await read(spool, 1);
  assert.deepEqual(first!.delta, newDelta(0, BODY_BYTES));
  const rest = await readAll(spool);
  assert.deepEqual(sequences(rest), range(1, 102));
  assert.deepEqual(await read(spool), []);
  for (const { release } of [...rest].reverse()) release();
  assert.equal(files(folder).length, 1);
  first!.release();
  await waitFor("its removal", () => spool.bytes === 0 && files(folder).length === 0);
  assert.equal(await append(spool, 103, 1), true);
  assert.deepEqual(sequences(await readAll(spool)), [103]);
  assert.equal(spool.lostSamples, 0);
  await spool.close();
});

test("what was not released comes again after a restart, and after a crash", async (t) => {
  const folder = newFolder(t);
  const spool = await open(folder);
  // Two full segments and a begun one.
  await append(spool, 0, 70);
  await append(spool, 70, 70);
  await append(spool, 140, 10);
  assert.equal(files(folder).length, 3);
  const all = await readAll(spool);
  for (const { delta, release } of all) if (delta.sequence < 90 || delta.sequence === 95) release();
  await waitFor("the first one's removal", () => files(folder).length === 2);
  // Queued behind what the releases have to write.
  await read(spool);
  const crashed = newFolder(t);
  for (const name of files(folder)) cpSync(join(folder, name), join(crashed, name));
  await spool.close();
  for (const found of [folder, crashed]) {
    const next = await open(found);
    assert.equal(next.lostSamples, 0);
    assert.deepEqual(sequences(await readAll(next)), range(90, 60));
    await append(next, 150, 2);
    assert.deepEqual(sequences(await readAll(next)), [150, 151]);
    await next.close();
  }
});

test("a full spool gives up the oldest, and counts each sample once", async (t) => {
  const folder = newFolder(t);
  const log = new EventLog();
  const spool = await open(folder, MIB, log);
  let added = 0;
  for (; added < 2000; added += 20) assert.equal(await append(spool, added, 20), true);
  assert.ok(spool.bytes <= MIB && spool.bytes > MIB * 0.8, `${spool.bytes} bytes`);
  const left = sequences(await readAll(spool));
  assert.deepEqual(left, range(added - left.length, left.length));
  assert.equal(spool.lostSamples, (added - left.length) * SAMPLES);
  assert.match(String(log.last("state.fault")?.reason), /full/);
  await spool.close();
});

test("what was read and is not safe yet is not given up", async (t) => {
  const spool = await open(newFolder(t));
  await append(spool, 0, 20);
  const [first] = await read(spool, 1);
  for (let added = 20; added < 2000; added += 20) await append(spool, added, 20);
  const left = sequences(await readAll(spool));
  assert.deepEqual(left.slice(0, 19), range(1, 19));
  // Behind what shares a file with those in use a gap begins.
  assert.ok(left.some((sequence, index) => sequence > (left[index - 1] ?? 0) + 1000));
  assert.equal(spool.lostSamples, (2000 - 1 - left.length) * SAMPLES);
  first!.release();
  await spool.close();
});

test("a delta that is larger than the spool is lost, and all in use is no room", async (t) => {
  const spool = await open(newFolder(t));
  assert.equal(await append(spool, 0, 1, 2 * MIB), true);
  assert.equal(spool.lostSamples, SAMPLES);
  await append(spool, 1, 1, MIB / 2);
  assert.equal((await read(spool)).length, 1);
  assert.equal(await append(spool, 2, 1, MIB * 0.7), false);
  assert.equal(spool.isUsable, true);
  assert.equal(spool.lostSamples, SAMPLES);
  await spool.close();
});

/** Changes one byte of a file. */
function damage(path: string, offset: number): void {
  const bytes = readFileSync(path);
  bytes[offset]! ^= 0x40;
  writeFileSync(path, bytes);
}

const damages: readonly [what: string, offset: number, left: readonly number[], lost: number][] = [
  ["frame", SEGMENT_HEAD_BYTES + RECORD_BYTES + RECORD_HEAD_BYTES + 100, [0, 2, 3], 1],
  ["record's head", SEGMENT_HEAD_BYTES + RECORD_BYTES + 4, [0], 3],
  ["segment's head", 20, [0, 1, 2, 3], 0],
  ["frame's version", SEGMENT_HEAD_BYTES + RECORD_HEAD_BYTES + 4, [1, 2, 3], 1],
];
for (const [what, offset, left, lost] of damages) {
  test(`a damaged ${what} costs what it has to, which is counted`, async (t) => {
    const folder = newFolder(t);
    const spool = await open(folder);
    await append(spool, 0, 4);
    await spool.close();
    const path = join(folder, files(folder)[0]!);
    damage(path, offset);
    const log = new EventLog();
    const again = await open(folder, MIB, log);
    const all = await readAll(again);
    assert.deepEqual(sequences(all), left);
    for (const { release } of all) release();
    await waitFor("its removal", () => files(folder).length === 0);
    assert.equal(again.lostSamples, lost * SAMPLES);
    assert.equal(log.last("state.fault") !== undefined, lost > 0);
    await again.close();
  });
}

test("deltas of another interval are of no use any more", async (t) => {
  const folder = newFolder(t);
  const spool = await open(folder);
  await append(spool, 0, 4);
  await spool.close();
  const log = new EventLog();
  const again = await AgentSpoolFolder.open(folder, { bytesMax: MIB, intervalMs: 30_000 }, log.log);
  assert.deepEqual(await readAll(again), []);
  assert.equal(again.lostSamples, 4 * SAMPLES);
  await waitFor("its removal", () => files(folder).length === 0);
  await again.close();
});

test("what was half written when the process died is passed over", async (t) => {
  const folder = newFolder(t);
  const spool = await open(folder);
  await append(spool, 0, 4);
  await spool.close();
  const path = join(folder, files(folder)[0]!);
  const bytes = readFileSync(path);
  writeFileSync(path, Buffer.concat([bytes, bytes.subarray(SEGMENT_HEAD_BYTES, SEGMENT_HEAD_BYTES + 500)]));
  const again = await open(folder);
  assert.deepEqual(sequences(await readAll(again)), [0, 1, 2, 3]);
  assert.equal(again.lostSamples, 0);
  await append(again, 4, 1);
  assert.deepEqual(sequences(await readAll(again)), [4]);
  await again.close();
});

test("one process has a spool at a time, and a folder has to be one", async (t) => {
  const folder = newFolder(t);
  const spool = await open(folder);
  await assert.rejects(open(folder), (error) => {
    return error instanceof OperatorError && /^cluster\.spool-dir is .* held by/.test(error.message);
  });
  await spool.close();
  await (await open(folder)).close();
  writeFileSync(join(folder, "file"), "");
  await assert.rejects(open(join(folder, "file")), /cluster\.spool-dir is .*name a folder/);
});

test("a full disk refuses, and takes deltas again when it has room", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "agent-disk-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  if (!mountSmallDisk(folder)) {
    t.skip("mounting takes a privilege");
    return;
  }
  try {
    await fillDisk(folder);
  } finally {
    unmountSmallDisk(folder);
  }
});

async function fillDisk(folder: string): Promise<void> {
  const log = new EventLog();
  const spool = await open(folder, MIB, log);
  assert.equal(await append(spool, 0, 20), true);
  assert.equal(await append(spool, 20, 60), false);
  assert.equal(spool.isUsable, false);
  assert.equal(spool.lostSamples, 0);
  assert.equal(log.last("state.fault")?.file, "deltas");
  await waitFor("the disk", () => spool.isUsable);
  const all = await readAll(spool);
  assert.deepEqual(sequences(all), range(0, 20));
  for (const { release } of all) release();
  await waitFor("room", () => spool.bytes === 0);
  assert.equal(await append(spool, 20, 20), true);
  assert.deepEqual(sequences(await readAll(spool)), range(20, 20));
  await spool.close();
}
