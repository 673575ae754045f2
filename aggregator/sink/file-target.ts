/**
 * A file that grows by whole slices and is rotated: path, path.1 (the youngest of the old ones), path.2 ...
 *
 * Each slice gets in whole or not at all: what a full disk has taken of it is cut off again. So is the end of
 * a line at the end of the file, which a crash can leave behind. Only one process may write to the file.
 * Something else than a file, such as /dev/stdout or a named pipe, is neither rotated nor cut.
 */
import { constants, type Stats } from "node:fs";
import { type FileHandle, open, rename, stat } from "node:fs/promises";
import type { Clock } from "../../shared/clock.ts";

export interface FileTargetOptions {
  readonly path: string;
  /** A slice that would make the file larger than this begins a new one. */
  readonly rotateBytes: number;
  /** Age of a file at which a new one is begun; 0 for none. */
  readonly rotateIntervalMs: number;
  /** Old files that are kept, at least 1. */
  readonly keep: number;
}

/** No line is longer, so a line's end that is missing has a beginning in these bytes. */
const TAIL_BYTES = 512 << 10;
const MODE = 0o644;
const LF = 0x0a;

interface OpenFile {
  readonly handle: FileHandle;
  readonly isRegular: boolean;
  readonly device: number;
  readonly inode: number;
  readonly bornMs: number;
  /** Bytes of whole slices. */
  size: number;
}

/** Methods reject with the system's error, and may be called again then. One at a time. */
export class FileTarget {
  /** May change; another path takes effect when the file is opened next. */
  options: FileTargetOptions;
  readonly #clock: Clock;
  #file: OpenFile | undefined;
  /** Where the good part of the file ended when a slice failed. */
  #cut: { readonly device: number; readonly inode: number; readonly size: number } | undefined;
  /** Bytes of the present slice that something which cannot be cut has taken. */
  #taken = 0;
  /** Whether the file is closed to be renamed. */
  #isRotating = false;
  /** Bytes of a line's end that the last opening has cut off, 0 for none. */
  repairedBytes = 0;

  constructor(options: FileTargetOptions, clock: Clock) {
    this.options = options;
    this.#clock = clock;
  }

  /** Appends a slice of whole lines. After a failure the same slice must come next. */
  async append(slice: Buffer): Promise<void> {
    let file = await this.#open();
    if (this.#isDue(file, slice.length)) {
      await this.#rotate();
      file = await this.#open();
    }
    try {
      while (this.#taken < slice.length) {
        const { bytesWritten } = await file.handle.write(slice, this.#taken, slice.length - this.#taken);
        this.#taken += bytesWritten;
      }
    } catch (error) {
      // A reader that is slow would take a pipe that is closed for ended.
      if (!file.isRegular && (error as NodeJS.ErrnoException).code === "EAGAIN") throw error;
      if (file.isRegular) await this.#cutOff(file);
      // The next reader gets the line in which the last one went away from its start.
      else this.#taken = slice.subarray(0, this.#taken).lastIndexOf(LF) + 1;
      await this.#release();
      throw error;
    }
    this.#taken = 0;
    file.size += slice.length;
  }

  /** Takes back what a slice that failed has brought into the file. */
  async #cutOff({ handle, device, inode, size }: OpenFile): Promise<void> {
    this.#cut = { device, inode, size };
    this.#taken = 0;
    try {
      await handle.truncate(size);
    } catch {
      // The disk is in trouble; it is done when the file is opened again.
    }
  }

  /**
   * Looks whether the file is still where its path says; a program that rotates files may have moved or
   * emptied it. If not, it is opened anew for the next slice.
   */
  async check(): Promise<void> {
    const file = this.#file;
    if (file === undefined || !file.isRegular) return;
    const status = await statIfAny(this.options.path);
    if (status?.dev !== file.device || status.ino !== file.inode) await this.close();
    else file.size = Math.min(file.size, status.size);
  }

  /** Brings the file to disk and closes it; `append` opens it again. */
  async close(): Promise<void> {
    const file = this.#file;
    if (file?.isRegular === true) await file.handle.datasync();
    await this.#release();
  }

  async #release(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.handle.close();
  }

  #isDue(file: OpenFile, moreBytes: number): boolean {
    const { rotateBytes, rotateIntervalMs } = this.options;
    if (!file.isRegular || file.size === 0) return false;
    const isOld = rotateIntervalMs > 0 && this.#clock.nowMs() - file.bornMs >= rotateIntervalMs;
    return isOld || file.size + moreBytes > rotateBytes;
  }

  async #open(): Promise<OpenFile> {
    if (this.#isRotating) await this.#rotate();
    if (this.#file !== undefined) return this.#file;
    const { path } = this.options;
    const isRegular = (await statIfAny(path))?.isFile() ?? true;
    // Read as well, to find out how it ends. A pipe would then not say that nobody reads it.
    const access = isRegular ? constants.O_RDWR | constants.O_CREAT : constants.O_WRONLY;
    // Without O_NONBLOCK opening a pipe that nobody reads would never come to an end.
    const flags = access | constants.O_APPEND | constants.O_NONBLOCK | constants.O_NOCTTY;
    const handle = await open(path, flags, MODE);
    try {
      this.#file = await this.#take(handle);
    } catch (error) {
      await handle.close();
      throw error;
    }
    return this.#file;
  }

  async #take(handle: FileHandle): Promise<OpenFile> {
    const status = await handle.stat();
    const isRegular = status.isFile();
    const { dev: device, ino: inode } = status;
    const size = isRegular ? await this.#repair(handle, status) : 0;
    // Not every file system knows when a file was made.
    const bornMs = status.birthtimeMs > 0 ? status.birthtimeMs : this.#clock.nowMs();
    return { handle, isRegular, device, inode, bornMs, size };
  }

  /** Cuts off what is not a whole slice, or not a whole line. Returns the size that is left. */
  async #repair(handle: FileHandle, { dev, ino, size }: Stats): Promise<number> {
    const cut = this.#cut;
    const isCutHere = cut !== undefined && cut.device === dev && cut.inode === ino && cut.size <= size;
    const end = isCutHere ? cut.size : await endOfLines(handle, size);
    this.repairedBytes = 0;
    if (end === undefined) {
      // A file without a single line is perhaps not one of ours; nothing of it is lost.
      await handle.write("\n");
      return size + 1;
    }
    if (end < size) await handle.truncate(end);
    if (!isCutHere) this.repairedBytes = size - end;
    this.#cut = undefined;
    return end;
  }

  /**
   * Renames from the first gap on downwards, so that a rotation which failed half way goes on where it
   * stopped.
   */
  async #rotate(): Promise<void> {
    const { path, keep } = this.options;
    if (!this.#isRotating) await this.close();
    this.#isRotating = true;
    let gap = 1;
    while (gap < keep && (await statIfAny(`${path}.${gap}`)) !== undefined) gap++;
    for (let number = gap; number > 1; number--) await rename(`${path}.${number - 1}`, `${path}.${number}`);
    if ((await statIfAny(path)) !== undefined) await rename(path, `${path}.1`);
    this.#isRotating = false;
  }
}

/** Offset behind the last line feed near the end; undefined where there is none. */
async function endOfLines(handle: FileHandle, size: number): Promise<number | undefined> {
  if (size === 0) return 0;
  const start = Math.max(0, size - TAIL_BYTES);
  const tail = Buffer.alloc(size - start);
  let filled = 0;
  while (filled < tail.length) {
    const { bytesRead } = await handle.read(tail, filled, tail.length - filled, start + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  const lastFeed = tail.subarray(0, filled).lastIndexOf(LF);
  return lastFeed < 0 ? undefined : start + lastFeed + 1;
}

async function statIfAny(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
