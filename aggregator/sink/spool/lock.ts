/**
 * The lock of a spool folder: a file that says which process has it.
 *
 * A process that was killed leaves its lock behind. On the same machine it is told by its number and the
 * moment of its start, which a later process of that number does not share. A lock of another machine, or of
 * another container, is left when nobody has touched it for a while.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { utimes } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname, join } from "node:path";

const FILE = "lock";
/** A holder on another machine is gone when it has not touched its lock for so long. */
const STALE_MS = 30_000;
/** A holder touches it this often. */
const TOUCH_MS = 10_000;

interface Holder {
  readonly host: string;
  readonly pid: number;
  /** Ticks from the boot of the machine to the start of the process; empty where that is unknown. */
  readonly start: string;
}

/** Folders that this process holds or has held, how often it has taken them, and what it has left there. */
const ownFolders = new Map<string, { readonly turn: number; readonly isHeld: boolean; rows: number }>();

/** Holds a folder until released. */
export interface FolderLock {
  /** Rows that this process has left there when it had the folder before: they are counted already. */
  readonly rowsBefore: number;
  /**
   * Says that the holder lives; due every second. nowMs: wall clock. Rejects with what the file system says.
   */
  touch(nowMs: number): Promise<void>;
  /** rows: how many are left there. */
  release(rows: number): void;
  /** Whether this process has taken the folder once more since: what lies there is that one's. */
  isTakenOver(): boolean;
}

/** Who has the folder: a process, this one included. */
export interface FolderHolder {
  readonly pid: number;
  readonly host: string;
  readonly isSelf: boolean;
}

/**
 * Takes the lock of a folder, or tells who has it. Makes the folder, and the one that it is in. nowMs: wall
 * clock. Throws what the file system says.
 */
export function lockFolder(folder: string, nowMs: number): FolderLock | FolderHolder {
  // Not recursive: a mistyped path shall be told of.
  for (const missing of [dirname(folder), folder].filter((one) => !existsSync(one)))
    mkdirSync(missing, { mode: 0o700 });
  const own = ownFolders.get(folder);
  if (own?.isHeld === true) return { pid: process.pid, host: hostname(), isSelf: true };
  const path = join(folder, FILE);
  const text = JSON.stringify({ host: hostname(), pid: process.pid, start: startOf(process.pid) });
  if (!tryCreate(path, text)) {
    const holder = readHolder(path);
    if (holder !== undefined && isAlive(holder, path, nowMs)) {
      return { pid: holder.pid, host: holder.host, isSelf: false };
    }
    // Of two that find a stale lock, the one whose rename comes last has it.
    const mine = `${path}.${process.pid}`;
    writeFileSync(mine, text, { mode: 0o600 });
    renameSync(mine, path);
    const winner = readHolder(path);
    if (winner?.pid !== process.pid)
      return { pid: winner?.pid ?? 0, host: winner?.host ?? "", isSelf: false };
  }
  const turn = (own?.turn ?? 0) + 1;
  ownFolders.set(folder, { turn, isHeld: true, rows: 0 });
  let touchedMs = nowMs;
  let isTouching = false;
  return {
    rowsBefore: own?.rows ?? 0,
    async touch(wallMs) {
      // A disk that hangs gets no second one, which would take one more thread of the pool.
      if (isTouching || Math.abs(wallMs - touchedMs) < TOUCH_MS) return;
      touchedMs = wallMs;
      isTouching = true;
      try {
        await utimes(path, wallMs / 1000, wallMs / 1000);
      } finally {
        isTouching = false;
      }
    },
    release(rows) {
      ownFolders.set(folder, { turn, isHeld: false, rows });
      rmSync(path, { force: true });
    },
    isTakenOver: () => ownFolders.get(folder)?.turn !== turn,
  };
}

function tryCreate(path: string, text: string): boolean {
  try {
    writeFileSync(path, text, { flag: "wx", mode: 0o600 });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** Undefined where the file is gone or nobody can have written it. */
function readHolder(path: string): Holder | undefined {
  try {
    const { host, pid, start } = JSON.parse(readFileSync(path, "utf8")) as Partial<Holder>;
    return typeof host === "string" && typeof pid === "number"
      ? { host, pid, start: start ?? "" }
      : undefined;
  } catch {
    // One that was cut short by a crash says nothing, and nobody holds it.
    return undefined;
  }
}

function isAlive({ host, pid, start }: Holder, path: string, nowMs: number): boolean {
  if (host !== hostname()) return nowMs - statSync(path).mtimeMs < STALE_MS;
  // Another thread or an earlier process of the same number: the folder is not held here.
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
