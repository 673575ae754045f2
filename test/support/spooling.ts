/** Carbon sinks with a disk spool, for tests: folders that vanish, a clock that runs ahead. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Sink } from "../../aggregator/sink/sink.ts";
import { type Clock, systemClock } from "../../shared/clock.ts";
import type { FakeCarbon } from "./fake-carbon.ts";
import { type FakeLog, openCarbon, startCarbon, stopSinks } from "./sinks.ts";

const folders: string[] = [];

/** Closes sinks, stops carbons, and removes every folder that newFolder made. */
export async function stopSpooling(): Promise<void> {
  await stopSinks();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
}

/** Makes an empty folder that stopSpooling removes. */
export function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "rows-"));
  folders.push(folder);
  return folder;
}

/** Files with rows below a spool folder. */
export function segments(folder: string): string[] {
  return readdirSync(folder, { recursive: true })
    .map((name) => join(folder, String(name)))
    .filter((path) => path.endsWith(".rows"))
    .sort();
}

/** A clock that runs ahead as told, so that nothing has to be waited for; its timers do not. */
export class ForwardClock implements Clock {
  aheadMs = 0;
  nowMs = (): number => systemClock.nowMs() + this.aheadMs;
  monotonicMs = (): number => systemClock.monotonicMs() + this.aheadMs;
  setTimer = systemClock.setTimer;
}

/** Opens a sink for a carbon as openCarbon does, with a spool in a folder. */
export function openSpooling(
  fake: Pick<FakeCarbon, "port">,
  spoolDir: string,
  changes: Parameters<typeof openCarbon>[1] = {},
  clock: Clock = systemClock,
): { sink: Sink; log: FakeLog } {
  const { sinks, log } = openCarbon([fake.port], { spoolDir, ...changes }, { clock });
  return { sink: sinks[0]!, log };
}

/** A carbon that refuses connections until it is restarted. */
export async function startDead(): Promise<FakeCarbon> {
  const fake = await startCarbon();
  await fake.stop();
  return fake;
}

/** Rows of a sink on disk. */
export function spooled(sink: Sink): number {
  return sink.status().spooledRows ?? 0;
}
