/** Reads and writes of files that do all they are asked to, or throw what the file system says. */
import { readSync, writeSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";

/** Writes all of data at a position. */
export async function writeFully(file: FileHandle, data: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < data.length; ) {
    const { bytesWritten } = await file.write(data, done, data.length - done, position + done);
    if (bytesWritten === 0) throw new Error("the disk takes no more");
    done += bytesWritten;
  }
}

/** Writes all of data behind what was written before. */
export function writeFullySync(fd: number, data: Uint8Array): void {
  for (let done = 0; done < data.length; ) {
    const written = writeSync(fd, data, done, data.length - done);
    if (written === 0) throw new Error("the disk takes no more");
    done += written;
  }
}

/** Reads bytes from a position on, fewer at the end of the file. */
export async function readFully(file: FileHandle, position: number, bytes: number): Promise<Buffer> {
  const target = Buffer.allocUnsafeSlow(bytes);
  let done = 0;
  while (done < bytes) {
    const { bytesRead } = await file.read(target, done, bytes - done, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return target.subarray(0, done);
}

/** Reads bytes from a position on, fewer at the end of the file. */
export function readAt(fd: number, position: number, bytes: number): Buffer {
  const target = Buffer.alloc(bytes);
  return target.subarray(0, readSync(fd, target, 0, bytes, position));
}

/** Makes the names of a folder's new files durable. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
