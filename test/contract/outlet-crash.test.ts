// What a killed process leaves in the spool, and two processes on one folder.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { channelOrder, newSpoolDir, OutletRig } from "../support/outlet-rig.ts";
import { TcpSink } from "../support/tcp-sink.ts";
import { waitFor } from "../support/wait-for.ts";

const childPath = fileURLToPath(new URL("../support/outlet-child.js", import.meta.url));

/** Starts a process that spools, and resolves when everything it has is on disk. */
async function startChild(spoolDir: string, count: number): Promise<ChildProcess> {
  const child = spawn(process.execPath, [childPath, spoolDir, String(count)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [text] = await once(child.stdout!, "data");
  assert.equal(String(text), "ready\n");
  return child;
}

async function kill(child: ChildProcess): Promise<void> {
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}

/** Every line that a child spooled. */
function expectedLines(count: number): string[] {
  return Array.from({ length: count }, (_, i) => [`c.${i}:1|c`, `g.${i}:${i}|g`])
    .flat()
    .sort();
}

test("kill -9: what was written is replayed at the next start, whatever the tail looks like", async (t) => {
  const spoolDir = newSpoolDir();
  await kill(await startChild(spoolDir, 3_000));
  for (const name of readdirSync(spoolDir)) appendFileSync(join(spoolDir, name), "torn in the middle of");
  writeFileSync(join(spoolDir, "somebody-elses.txt"), "not of the spool");
  const sink = await TcpSink.start();
  const rig = new OutletRig(t);
  rig.order([channelOrder(1, { policy: "hold", port: sink.port })], { spoolDir });
  await rig.until(1, "replayed", ({ linesSent }) => linesSent === 6_000);
  await waitFor("lines", () => sink.lines.length === 6_000);
  assert.deepEqual([...sink.lines].sort(), expectedLines(3_000));
  await rig.until(1, "nothing left", ({ linesHeld, linesSpooled }) => linesHeld + linesSpooled === 0);
  await waitFor("files gone", () => readdirSync(spoolDir).length === 1);
  assert.ok(rig.counters(1).recordsDamaged >= 1);
  await rig.drain();
  await sink.stop();
  rmSync(spoolDir, { recursive: true });
});

test("a process that lives keeps its files; those of one that ends are taken over", async (t) => {
  const spoolDir = newSpoolDir();
  const child = await startChild(spoolDir, 100);
  const sink = await TcpSink.start();
  const rig = new OutletRig(t);
  rig.order([channelOrder(1, { policy: "hold", port: sink.port })], { spoolDir });
  await rig.until(1, "connected", ({ connected }) => connected === 1);
  assert.equal(rig.counters(1).linesRestored, 0);
  await kill(child);
  await rig.until(1, "taken over", ({ linesSent }) => linesSent === 200);
  await waitFor("lines", () => sink.lines.length === 200);
  assert.deepEqual([...sink.lines].sort(), expectedLines(100));
  await rig.drain();
  await sink.stop();
  rmSync(spoolDir, { recursive: true });
});
