/**
 * A small value that is overwritten in place, so that a full disk does not matter: two slots of 4 KiB, little
 * endian:
 *
 *   [ "BYSLOT1\n" | sequence f64 | bytes u32 | crc32 of all before, and of the text u32 | text | zeros ]
 *
 * A value is on disk when both slots have it, one written and synced after the other. So a write that was cut
 * short leaves the slot that was not written, and later damage to either slot costs nothing.
 */
import { type FileHandle, open, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { crc32 } from "../../shared/checksum.ts";
import { readFully, syncFolder, writeFully } from "./file-access.ts";

const SLOT_BYTES = 4096;
const MAGIC = Buffer.from("BYSLOT1\n", "latin1");
const SEQUENCE = 8;
const BYTES = 16;
const CRC = 20;
const TEXT = 24;

interface Slot {
  readonly sequence: number;
  readonly text: string;
}

export class SlotFile {
  readonly #file: FileHandle;
  #sequence: number;
  /** The slot that is written first; the other one has what is on disk for sure. */
  #next: 0 | 1;

  private constructor(file: FileHandle, sequence: number, next: 0 | 1) {
    this.#file = file;
    this.#sequence = sequence;
    this.#next = next;
  }

  /** Makes a file with a first value. Throws what the file system says; then there is no such file. */
  static async create(path: string, text: string): Promise<SlotFile> {
    const unfinished = `${path}.new`;
    const file = await open(unfinished, "w+", 0o600);
    try {
      const created = new SlotFile(file, 0, 0);
      await created.write(text);
      await rename(unfinished, path);
      await syncFolder(dirname(path));
      return created;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /**
   * Opens a file. isSound tells whether a text is a value. Returns undefined where there is no file, and
   * "damaged" where neither slot can be read. Throws what the file system says.
   */
  static async open(
    path: string,
    isSound: (text: string) => boolean,
  ): Promise<{ readonly file: SlotFile; readonly text: string } | "damaged" | undefined> {
    let file: FileHandle;
    try {
      file = await open(path, "r+");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
    try {
      const bytes = await readFully(file, 2 * SLOT_BYTES);
      const slots = [0, 1].map((index) => {
        const slot = decodeSlot(bytes.subarray(index * SLOT_BYTES, (index + 1) * SLOT_BYTES));
        return slot !== undefined && isSound(slot.text) ? slot : undefined;
      });
      const [first, second] = slots;
      const isFirst = second === undefined || (first !== undefined && first.sequence >= second.sequence);
      const newest = isFirst ? first : second;
      if (newest === undefined) {
        await file.close();
        return "damaged";
      }
      const opened = new SlotFile(file, newest.sequence, isFirst ? 1 : 0);
      if (first?.sequence !== second?.sequence) await opened.write(newest.text);
      return { file: opened, text: newest.text };
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Resolves when a value is on disk. Rejects with what the file system says; then nobody knows. */
  async write(text: string): Promise<void> {
    this.#sequence += 1;
    const bytes = encodeSlot({ sequence: this.#sequence, text });
    for (let written = 0; written < 2; written++) {
      await writeFully(this.#file, bytes, this.#next * SLOT_BYTES);
      await this.#file.datasync();
      this.#next = this.#next === 0 ? 1 : 0;
    }
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

function encodeSlot({ sequence, text }: Slot): Buffer {
  const bytes = Buffer.alloc(SLOT_BYTES);
  MAGIC.copy(bytes);
  bytes.writeDoubleLE(sequence, SEQUENCE);
  const length = Buffer.byteLength(text);
  if (length > SLOT_BYTES - TEXT) throw new Error("a value that does not fit a slot");
  bytes.writeUInt32LE(length, BYTES);
  bytes.write(text, TEXT);
  bytes.writeUInt32LE(checksumOf(bytes, length), CRC);
  return bytes;
}

/** Returns undefined for what nobody has written as a whole. */
function decodeSlot(bytes: Buffer): Slot | undefined {
  if (bytes.length < TEXT || !bytes.subarray(0, SEQUENCE).equals(MAGIC)) return undefined;
  const length = bytes.readUInt32LE(BYTES);
  if (length > bytes.length - TEXT || bytes.readUInt32LE(CRC) !== checksumOf(bytes, length)) return undefined;
  return { sequence: bytes.readDoubleLE(SEQUENCE), text: bytes.toString("utf8", TEXT, TEXT + length) };
}

function checksumOf(bytes: Buffer, length: number): number {
  return crc32(bytes.subarray(TEXT, TEXT + length), crc32(bytes.subarray(0, CRC)));
}
