/**
 * The lock of a state folder: two processes with one vote would vote twice.
 *
 * A lock is a symbolic link `lock.N` whose target says who has it. A link is made at once or not at all, and
 * needs no room on a full disk. The highest N counts: whoever finds that its holder is gone, or has released
 * it, makes `lock.N+1`, which only one can. A holder on this machine is told by its number and the moment of
 * its start; one on another machine, or in another container, is gone when it has not touched its lock.
 */
import { readFileSync } from "node:fs";
import { lstat, lutimes, readdir, readlink, symlink, unlink } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { OperatorError } from "../../shared/errors.ts";

const NAME = /^lock\.(\d{1,15})$/;
const RELEASED = "released";
/** Others that take a released lock at the same moment get ahead of this one no more often than this. */
const TRIES = 8;
/** A holder on another machine is gone when it has not touched its lock for so long. */
const STALE_MS = 30_000;
const TOUCH_MS = 10_000;

/** Folders that this thread holds. */
const ownFolders = new Set<string>();

/** Holds a folder until released. */
export interface FolderLock {
  release(): Promise<void>;
}

/**
 * Takes the lock of a folder, which is there. Throws OperatorError when another process has it, and what the
 * file system says.
 */
export async function lockFolder(folder: string): Promise<FolderLock> {
  if (ownFolders.has(folder)) throw heldBy(folder, "this process");
  const target = JSON.stringify([hostname(), process.pid, startOf(process.pid)]);
  for (let tries = 0; tries < TRIES; tries++) {
    const newest = await newestLock(folder);
    const holder = newest === 0 ? undefined : await livingHolder(pathOf(folder, newest));
    if (holder !== undefined) throw heldBy(folder, holder);
    if (!(await tryLink(target, pathOf(folder, newest + 1)))) continue;
    // Since the look at the folder others may have come and gone, and what they left be removed.
    if ((await newestLock(folder)) > newest + 1) continue;
    await removeBelow(folder, newest + 1);
    return holdLock(folder, newest + 1);
  }
  throw heldBy(folder, "processes that come and go");
}

function holdLock(folder: string, number: number): FolderLock {
  ownFolders.add(folder);
  const path = pathOf(folder, number);
  const touching = setInterval(() => {
    const nowS = Date.now() / 1000;
    // One that cannot be touched is held all the same as far as this machine can tell.
    lutimes(path, nowS, nowS).catch(() => {});
  }, TOUCH_MS);
  touching.unref();
  return {
    async release() {
      clearInterval(touching);
      if (!ownFolders.delete(folder)) return;
      // Numbers never come back, or whoever is about to make the next would not be the only one.
      if (await tryLink(RELEASED, pathOf(folder, number + 1))) await removeBelow(folder, number + 1);
    },
  };
}

function pathOf(folder: string, number: number): string {
  return join(folder, `lock.${number}`);
}

function heldBy(folder: string, holder: string): OperatorError {
  const remedy =
    "stop that one, or give each node its own folder; one that another machine held is free after 30 s";
  return new OperatorError(`aggregator.state-dir is ${folder}, which is held by ${holder}; ${remedy}`);
}

async function numbersOf(folder: string): Promise<number[]> {
  return (await readdir(folder)).flatMap((name) => {
    const number = NAME.exec(name)?.[1];
    return number === undefined ? [] : [Number(number)];
  });
}

async function newestLock(folder: string): Promise<number> {
  return (await numbersOf(folder)).reduce((newest, number) => Math.max(newest, number), 0);
}

async function removeBelow(folder: string, number: number): Promise<void> {
  for (const older of (await numbersOf(folder)).filter((one) => one < number)) {
    await unlink(pathOf(folder, older)).catch(ignoreMissing);
  }
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== "ENOENT") throw error;
}

/** Returns false where there is one. */
async function tryLink(target: string, path: string): Promise<boolean> {
  try {
    await symlink(target, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** Returns who holds a lock, in words; undefined where nobody does any more. */
async function livingHolder(path: string): Promise<string | undefined> {
  let target: string;
  let touchedMs: number;
  try {
    target = await readlink(path);
    touchedMs = (await lstat(path)).mtimeMs;
  } catch (error) {
    ignoreMissing(error as NodeJS.ErrnoException);
    // Taken over and removed since: making the next one will fail.
    return undefined;
  }
  const [host, pid, start] = parseHolder(target);
  if (host === undefined) return undefined;
  const isAlive = host === hostname() ? isRunning(pid, start) : Date.now() - touchedMs < STALE_MS;
  return isAlive ? `process ${pid} on ${host}` : undefined;
}

function parseHolder(target: string): [host: string | undefined, pid: number, start: string] {
  const nobody: [undefined, number, string] = [undefined, 0, ""];
  if (target === RELEASED) return nobody;
  try {
    const [host, pid, start] = JSON.parse(target) as unknown[];
    if (typeof host !== "string" || typeof pid !== "number" || typeof start !== "string") return nobody;
    return [host, pid, start];
  } catch {
    // Nothing that this program wrote.
    return nobody;
  }
}

function isRunning(pid: number, start: string): boolean {
  // An earlier process of the same number, or a thread of this one that has ended.
  if (pid === process.pid) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    // Somebody else's process is one too.
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false;
  }
  return start === "" || start === startOf(pid);
}

/** Field 22 of /proc/PID/stat, behind the name in parentheses, which may hold anything. */
function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
  } catch {
    // Not Linux.
    return "";
  }
}
