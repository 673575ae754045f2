/**
 * Reads the files in which carbon keeps its points. whisper-fetch shows six digits of a value; here they are
 * as they were stored. All numbers are big-endian:
 *
 *   0    u32 aggregation   4 u32 longest age   8 f32 share   12 u32 archives
 *   16   for each archive: 0 u32 offset   4 u32 seconds of a point   8 u32 points
 *   then the points of each: 0 u32 second, 0 for none   4 f64 value
 */
import { existsSync, readFileSync } from "node:fs";

const ARCHIVE_OFFSET = 16;
const POINT_BYTES = 12;

/** Points of a file's first archive by their second; empty where there is no file, or none that is whole. */
export function readWhisper(path: string): Map<number, number> {
  const points = new Map<number, number>();
  if (!existsSync(path)) return points;
  const file = readFileSync(path);
  // Carbon creates a file before it fills it.
  if (file.length < ARCHIVE_OFFSET + 12) return points;
  const start = file.readUInt32BE(ARCHIVE_OFFSET);
  const count = file.readUInt32BE(ARCHIVE_OFFSET + 8);
  const end = Math.min(start + count * POINT_BYTES, file.length - POINT_BYTES + 1);
  for (let offset = start; offset < end; offset += POINT_BYTES) {
    const second = file.readUInt32BE(offset);
    if (second > 0) points.set(second, file.readDoubleBE(offset + 4));
  }
  return points;
}
