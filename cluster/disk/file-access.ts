/** Reads and writes of files that do all they are asked to, or throw what the file system says. */
import { type FileHandle, open } from "node:fs/promises";

/** Writes all of data at a position. */
export async function writeFully(file: FileHandle, data: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < data.length; ) {
    const { bytesWritten } = await file.write(data, done, data.length - done, position + done);
    if (bytesWritten === 0) throw new Error("the disk takes no more");
    done += bytesWritten;
  }
}

/** Reads a file from its beginning, at most bytesMax. */
export async function readFully(file: FileHandle, bytesMax: number): Promise<Buffer> {
  const { size } = await file.stat();
  const target = Buffer.alloc(Math.min(size, bytesMax));
  let done = 0;
  while (done < target.length) {
    const { bytesRead } = await file.read(target, done, target.length - done, done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return target.subarray(0, done);
}

/** Sees to it that the names in a folder are on disk. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
