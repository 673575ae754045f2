/** One of the two files that registers are kept in: generations of records, one over the other. */
import { type FileHandle, open } from "node:fs/promises";
import type { Register } from "../register.ts";
import { readFully, writeFully } from "./file-access.ts";
import { type FoundRecord, findRecords, RECORD } from "./register-record.ts";

/** Room that is taken at the start, so that a disk which is full later does not matter. */
export const ROOM_BYTES = 256 << 10;
/** A file that is longer was not written by this program. */
const BYTES_MAX = 1 << 30;

/** What a file says. */
export interface FoundRegisters {
  /** From all generations: an old register says nothing wrong. */
  readonly registers: readonly (readonly [interval: number, register: Register])[];
  readonly floor: number;
  /** Its newest complete generation; 0 for none. */
  readonly generation: number;
  /** Its newest, complete or not. */
  readonly newestGeneration: number;
  /** Where the next record of that generation goes. */
  readonly end: number;
  /** Whether nothing of that generation is missing. */
  readonly isWhole: boolean;
  /** Whether nothing was ever written. */
  readonly isBlank: boolean;
}

export class RegisterFile {
  readonly #file: FileHandle;

  private constructor(file: FileHandle) {
    this.#file = file;
  }

  /** Opens a file, and makes it where there is none. Throws what the file system says. */
  static async open(path: string): Promise<RegisterFile> {
    try {
      return new RegisterFile(await open(path, "r+", 0o600));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      return new RegisterFile(await open(path, "w+", 0o600));
    }
  }

  async read(): Promise<FoundRegisters> {
    const bytes = await readFully(this.#file, BYTES_MAX);
    const records = [...findRecords(bytes)];
    const newestGeneration = records.reduce((newest, one) => Math.max(newest, one.generation), 0);
    const generation = records
      .filter((one, index) => one.kind === RECORD.complete && isComplete(records.slice(0, index + 1)))
      .reduce((newest, one) => Math.max(newest, one.generation), 0);
    const registers = records.flatMap(({ interval, register }) =>
      register === undefined ? [] : [[interval, register] as const],
    );
    const floor = records
      .filter(({ kind }) => kind === RECORD.floor)
      .reduce((highest, { interval }) => Math.max(highest, interval), 0);
    const own = records.filter((one) => one.generation === generation);
    // Of a generation that was begun and not completed nothing was promised, but damage looks the same.
    const isBlank = records.length === 0 && bytes.every((byte) => byte === 0);
    const { end, isWhole } = lookThrough(own);
    return {
      registers,
      floor,
      generation,
      newestGeneration,
      end,
      isWhole,
      isBlank,
    };
  }

  /** Resolves when the bytes are on disk. */
  async write(bytes: Uint8Array, offset: number): Promise<void> {
    await writeFully(this.#file, bytes, offset);
    await this.#file.datasync();
  }

  /**
   * Makes the file so long, where it is not. Returns false where the disk is full: what is missing then is
   * missing when it is needed.
   */
  async takeRoom(bytes: number): Promise<boolean> {
    const { size } = await this.#file.stat();
    if (size >= bytes) return true;
    try {
      await writeFully(this.#file, new Uint8Array(bytes - size), size);
      return true;
    } catch (error) {
      if (["ENOSPC", "EDQUOT"].includes((error as NodeJS.ErrnoException).code ?? "")) return false;
      throw error;
    }
  }

  /** Resolves when its length is on disk. */
  sync(): Promise<void> {
    return this.#file.sync();
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

/** Whether the generation of the last of these records begins the file, and is whole up to there. */
function isComplete(records: readonly FoundRecord[]): boolean {
  const { generation } = records.at(-1)!;
  const own = records.filter((one) => one.generation === generation);
  return own.every(
    ({ offset, kind, register }, index) =>
      offset === (own[index - 1]?.end ?? 0) && (kind !== RECORD.register || register !== undefined),
  );
}

/**
 * Looks where the records of a generation end, and whether any is missing in between; behind the last one a
 * write may have been cut short. A damaged one does not matter where a later one is of the same interval.
 */
function lookThrough(records: readonly FoundRecord[]): { end: number; isWhole: boolean } {
  let end = 0;
  let hasGap = false;
  const damaged: FoundRecord[] = [];
  const lastOf = new Map<number, number>();
  for (const record of records) {
    if (record.kind === RECORD.register && record.register === undefined) {
      damaged.push(record);
      continue;
    }
    const before = damaged.find(({ end: damagedEnd }) => damagedEnd === record.offset);
    if (record.offset !== end && before?.offset !== end) hasGap = true;
    end = record.end;
    if (record.kind === RECORD.register) lastOf.set(record.interval, record.offset);
  }
  const isLost = damaged.some(
    ({ offset, interval }) => offset < end && offset > (lastOf.get(interval) ?? -1),
  );
  return { end, isWhole: !hasGap && !isLost };
}
