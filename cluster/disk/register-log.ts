/**
 * The registers of a node on disk, in two files. Records go behind each other into one of them, those that
 * come at the same time with one sync. Where it has no room left, all that is still wanted goes into the
 * other one as a new generation, and that one is written from then on. So the files stay as long as they are
 * from the start, and a full disk does not matter unless much more is to be kept than at any time before.
 */
import { join } from "node:path";
import { mergeRegisters, type Register } from "../register.ts";
import { syncFolder } from "./file-access.ts";
import { type FoundRegisters, RegisterFile, ROOM_BYTES } from "./register-file.ts";
import { encodeRecord, RECORD } from "./register-record.ts";

/** The two files, in the folder. */
export const REGISTER_FILES = ["registers.0", "registers.1"] as const;
const ROOM_PIECE_BYTES = 8 << 10;
/** A new generation takes at most this share of its file: the rest is for what comes. */
const FULL_SHARE = 0.5;
/** What could not be written is tried again after this, whether anybody asks or not. */
const RETRY_MS = 5000;
/** Registers that may wait for a disk that hangs. */
const WAITING_MAX = 10_000;

type Done = (isSaved: boolean) => void;

export class RegisterLog {
  readonly #files: readonly [RegisterFile, RegisterFile];
  readonly #registers: Map<number, Register>;
  readonly #onFault: (error: unknown) => void;
  #floor: number;
  #generation: number;
  /** The newest that was tried. */
  #newestGeneration: number;
  /** File that is written, and where. */
  #active: 0 | 1;
  #end: number;
  #roomBytes = ROOM_BYTES;
  /** What is in memory and not on disk, or not for sure; then all of it is written anew. */
  #isBehind: boolean;
  #isFloorNew = false;
  #waiting: { readonly interval: number; readonly done: Done }[] = [];
  #writing: Promise<void> | undefined;
  #retry: NodeJS.Timeout | undefined;
  #isClosed = false;
  /** What was found, by interval. */
  readonly found: readonly (readonly [interval: number, register: Register])[];
  /** Whether something that had been saved may be missing. */
  readonly isDamaged: boolean;

  private constructor(
    files: readonly [RegisterFile, RegisterFile],
    found: readonly [FoundRegisters, FoundRegisters],
    onFault: (error: unknown) => void,
  ) {
    this.#files = files;
    this.#onFault = onFault;
    const [first, second] = found;
    this.#active = second.generation > first.generation ? 1 : 0;
    const active = found[this.#active];
    this.#generation = active.generation;
    this.#newestGeneration = Math.max(first.newestGeneration, second.newestGeneration);
    this.#end = active.end;
    this.#floor = Math.max(first.floor, second.floor);
    this.#registers = new Map();
    for (const [interval, register] of [...first.registers, ...second.registers]) {
      if (interval < this.#floor) continue;
      this.#registers.set(interval, mergeRegisters(this.#registers.get(interval), register));
    }
    this.found = [...this.#registers].sort(([left], [right]) => left - right);
    const isBlank = first.isBlank && second.isBlank;
    this.isDamaged = !isBlank && !isSound(active, this.#active === 0 ? second : first);
    this.#isBehind = isBlank || this.isDamaged;
  }

  /**
   * Opens the files in a folder, or makes them. onFault: told of what the file system says later. Throws
   * what it says now.
   */
  static async open(folder: string, onFault: (error: unknown) => void): Promise<RegisterLog> {
    const opened: RegisterFile[] = [];
    try {
      for (const name of REGISTER_FILES) opened.push(await RegisterFile.open(join(folder, name)));
      const files = opened as [RegisterFile, RegisterFile] & RegisterFile[];
      const found = [await files[0].read(), await files[1].read()] as const;
      await takeRoom(files);
      await syncFolder(folder);
      const log = new RegisterLog(files, found, onFault);
      // Once in each file, so that neither has anything left that looks like damage at the next start.
      if (log.#isBehind) for (const _ of REGISTER_FILES) await log.#writeAnew();
      return log;
    } catch (error) {
      for (const file of opened) await file.close();
      throw error;
    }
  }

  get isBehind(): boolean {
    return this.#isBehind;
  }

  /** Tells, in order, whether each is on disk. One that is not stays in memory, and gets there later. */
  save(interval: number, register: Register, done: Done): void {
    this.#registers.set(interval, register);
    if (this.#waiting.length >= WAITING_MAX) {
      // The disk hangs. What is in memory gets there when it goes on.
      done(false);
      return;
    }
    this.#waiting.push({ interval, done });
    this.#pump();
  }

  /** Forgets what is below an interval; on disk with whatever is saved next. */
  drop(belowInterval: number): void {
    if (belowInterval <= this.#floor) return;
    this.#floor = belowInterval;
    this.#isFloorNew = true;
    for (const interval of this.#registers.keys()) {
      if (interval < belowInterval) this.#registers.delete(interval);
    }
  }

  /** Forgets one; the next generation is without it. */
  forget(interval: number): void {
    this.#registers.delete(interval);
  }

  /** Resolves when all that was asked for is answered and the files are closed. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#retry);
    while (this.#writing !== undefined) await this.#writing;
    for (const file of this.#files) await file.close();
  }

  #writeAnew(): Promise<void> {
    this.#isBehind = true;
    return this.#write();
  }

  #pump(): void {
    if (this.#writing !== undefined) return;
    this.#writing = this.#write().finally(() => {
      this.#writing = undefined;
      if (this.#waiting.length > 0) this.#pump();
    });
  }

  /** Writes what waits, and all that is missing. */
  async #write(): Promise<void> {
    const group = this.#waiting;
    this.#waiting = [];
    let isSaved = true;
    try {
      const records = this.#recordsOf(new Set(group.map(({ interval }) => interval)));
      if (this.#isBehind || this.#end + records.length > this.#roomBytes) await this.#beginGeneration();
      else if (records.length > 0) await this.#append(records);
    } catch (error) {
      isSaved = false;
      this.#isBehind = true;
      this.#onFault(error);
      this.#retryLater();
    }
    for (const { done } of group) done(isSaved);
  }

  async #append(records: Uint8Array): Promise<void> {
    // Where it fails, a new generation has the floor.
    this.#isFloorNew = false;
    await this.#files[this.#active].write(records, this.#end);
    this.#end += records.length;
  }

  /** Writes all that is wanted into the other file. */
  async #beginGeneration(): Promise<void> {
    const next = this.#active === 0 ? 1 : 0;
    // What an attempt that failed has left must not pass for a part of this one.
    this.#newestGeneration += 1;
    const generation = this.#newestGeneration;
    const records = this.#recordsOf(this.#registers.keys(), generation);
    this.#isFloorNew = false;
    const all = Buffer.concat([records, encodeRecord(generation, RECORD.complete, this.#floor)]);
    await this.#files[next].write(all, 0);
    this.#generation = generation;
    this.#active = next;
    this.#end = all.length;
    this.#isBehind = false;
    while (all.length > this.#roomBytes * FULL_SHARE) this.#roomBytes *= 2;
  }

  /** Encodes the newest registers of intervals, and the floor where it is new. */
  #recordsOf(intervals: Iterable<number>, generation = this.#generation): Buffer {
    const records: Uint8Array[] = [];
    if (this.#isFloorNew || generation !== this.#generation) {
      records.push(encodeRecord(generation, RECORD.floor, this.#floor));
    }
    for (const interval of intervals) {
      const register = this.#registers.get(interval);
      // One that was dropped meanwhile is not wanted any more.
      if (register === undefined) continue;
      records.push(encodeRecord(generation, RECORD.register, interval, register));
    }
    return Buffer.concat(records);
  }

  #retryLater(): void {
    if (this.#isClosed || this.#retry !== undefined) return;
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#pump();
    }, RETRY_MS);
    this.#retry.unref();
  }
}

/**
 * Whether nothing that was promised can be missing. The other file has the generation before, whole at the
 * time; if it has not, then it is the newest that was damaged, or one that was begun and not completed.
 */
function isSound(active: FoundRegisters, other: FoundRegisters): boolean {
  const newest = Math.max(active.newestGeneration, other.newestGeneration);
  return active.isWhole && active.generation === newest && other.generation > 0;
}

/** Takes the room of both files, bit by bit: on a disk that is nearly full each gets its half. */
async function takeRoom(files: readonly RegisterFile[]): Promise<void> {
  let hasRoom = true;
  for (let bytes = ROOM_PIECE_BYTES; bytes <= ROOM_BYTES && hasRoom; bytes += ROOM_PIECE_BYTES) {
    for (const file of files) hasRoom = hasRoom && (await file.takeRoom(bytes));
  }
  for (const file of files) await file.sync();
}
