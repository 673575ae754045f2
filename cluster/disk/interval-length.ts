/**
 * The length of the intervals that a state folder's registers are about. They go by number, so with another
 * length a number is another time: one that is centuries ahead would make all lines come too late.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { WorldLog } from "../world.ts";
import { syncFolder } from "./file-access.ts";
import { SlotFile } from "./slot-file.ts";

const NAME = "interval";

function isLength(text: string): boolean {
  return /^[1-9][0-9]{0,15}$/.test(text);
}

/**
 * Notes the length, and removes the files `registers` where it was another one; the vote stays. To be called
 * before they are opened. intervalMs: milliseconds. Throws what the file system says.
 */
export async function adoptIntervalLength(
  folder: string,
  intervalMs: number,
  registers: readonly string[],
  log: Pick<WorldLog, "warn">,
): Promise<void> {
  const path = join(folder, NAME);
  const opened = await SlotFile.open(path, isLength);
  if (opened === undefined || opened === "damaged") {
    await (await SlotFile.create(path, String(intervalMs))).close();
    return;
  }
  const { file, text } = opened;
  try {
    if (Number(text) === intervalMs) return;
    // First these: a start that ends in between finds the old length, and does it again.
    for (const name of registers) await rm(join(folder, name), { force: true });
    await syncFolder(folder);
    await file.write(String(intervalMs));
    log.warn("state.interval_changed", { folder, wasMs: Number(text), intervalMs });
  } finally {
    await file.close();
  }
}
