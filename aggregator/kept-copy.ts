/**
 * What outlives intervals, as bytes for a node that has just begun:
 *
 *   0 u32 version   8 f64 newest interval that is part of it
 *   then groups     0 f64 interval in which these were seen last   8 u32 bytes   12 u32 0   16 entries
 *
 * Entries are those of kernel/keep.ts.
 */
import type { Kept } from "./kept.ts";
import { areEntries, ENTRY_KEY, ENTRY_LEVEL } from "./level-entries.ts";
import { Turns } from "./turns.ts";

const VERSION = 1;
const HEADER_BYTES = 16;
const GROUP_BYTES_MAX = 512 << 10;
/** A larger copy would hold up too much; what was seen last comes first. */
const COPY_BYTES_MAX = 48 << 20;

/** Entries that were seen in the same interval, as they are put together. */
interface Group {
  readonly seenIn: number;
  readonly bytes: Buffer;
  length: number;
}

/** Copies what is kept. through: newest interval that is part of it. */
export async function copyKept(kept: Kept, through: number): Promise<Uint8Array> {
  const turns = new Turns();
  const open = new Map<number, Group>();
  const groups: Group[] = [];
  for (const view of kept.series()) {
    const keyBytes = view.end - view.start;
    const seenIn = kept.seenIn(view);
    let group = open.get(seenIn);
    if (group === undefined || group.length + ENTRY_KEY + keyBytes > GROUP_BYTES_MAX) {
      group = { seenIn, bytes: Buffer.alloc(GROUP_BYTES_MAX), length: 0 };
      open.set(seenIn, group);
      groups.push(group);
    }
    const at = group.length;
    group.bytes.writeUInt16LE(keyBytes, at);
    group.bytes.writeUInt16LE(view.type, at + 2);
    group.bytes.writeDoubleLE(view.level, at + ENTRY_LEVEL);
    view.source.copy(group.bytes, at + ENTRY_KEY, view.start, view.end);
    group.length += ENTRY_KEY + keyBytes;
    if (turns.isDue()) await turns.next();
  }
  groups.sort((left, right) => right.seenIn - left.seenIn);
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32LE(VERSION, 0);
  header.writeDoubleLE(through, 8);
  const parts: Buffer[] = [header];
  let bytes = 0;
  for (const { seenIn, bytes: entries, length } of groups) {
    bytes += length;
    if (bytes > COPY_BYTES_MAX) break;
    const head = Buffer.alloc(HEADER_BYTES);
    head.writeDoubleLE(seenIn, 0);
    head.writeUInt32LE(length, 8);
    parts.push(head, entries.subarray(0, length));
  }
  return Buffer.concat(parts);
}

/**
 * Keeps what a copy has, where nothing newer is kept. Returns the newest interval that is part of it;
 * undefined for what is no copy, and then as much as was sound is kept.
 */
export function adoptKept(kept: Kept, copy: Uint8Array): number | undefined {
  if (copy.length < HEADER_BYTES) return undefined;
  const view = new DataView(copy.buffer, copy.byteOffset, copy.byteLength);
  const through = view.getFloat64(8, true);
  if (view.getUint32(0, true) !== VERSION || !Number.isSafeInteger(through)) return undefined;
  for (let at = HEADER_BYTES; at < copy.length; ) {
    if (at + HEADER_BYTES > copy.length) return undefined;
    const seenIn = view.getFloat64(at, true);
    const length = view.getUint32(at + 8, true);
    const entries = copy.subarray(at + HEADER_BYTES, at + HEADER_BYTES + length);
    const isSound = entries.length === length && length <= GROUP_BYTES_MAX && Number.isSafeInteger(seenIn);
    if (!isSound || !areEntries(entries)) return undefined;
    kept.keep(entries, seenIn, true);
    at += HEADER_BYTES + length;
  }
  return through;
}
