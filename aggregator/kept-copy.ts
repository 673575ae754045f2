/**
 * What outlives intervals, as bytes for a node that has just begun:
 *
 *   0 u32 version   8 f64 newest interval that is part of it
 *   then groups     0 f64 interval in which these were seen last   8 u32 bytes   12 u32 0   16 entries
 *
 * Entries are those of kernel/keep.ts.
 */
import type { IdleView, Kept } from "./kept.ts";
import { areEntries, ENTRY_IS_SET, ENTRY_KEY, ENTRY_LEVEL, ENTRY_TYPE } from "./level-entries.ts";
import { Turns } from "./turns.ts";

const VERSION = 1;
const HEADER_BYTES = 16;
const GROUP_BYTES_MAX = 512 << 10;
const GROUP_BYTES_MIN = 256;
/** A larger copy would hold up too much; what was seen last comes first. */
const COPY_BYTES_MAX = 48 << 20;

/** Entries that were seen in the same interval, as they are put together. */
interface Group {
  readonly seenIn: number;
  bytes: Buffer;
  length: number;
}

/**
 * Copies what is kept; of more than bytesMax what was seen last. through: newest interval that is part of it.
 */
export async function copyKept(
  kept: Kept,
  through: number,
  bytesMax: number = COPY_BYTES_MAX,
): Promise<Uint8Array> {
  const turns = new Turns();
  const share = await copiedShare(kept, bytesMax, turns);
  const open = new Map<number, Group>();
  const groups: Group[] = [];
  let [earlyLeft, left] = [share.earlyBytes, bytesMax - share.earlyBytes];
  for (const view of kept.series()) {
    const seenIn = kept.seenIn(view);
    const bytes = ENTRY_KEY + view.end - view.start;
    const isEarly = seenIn === share.earliest;
    if (seenIn >= share.earliest && bytes <= (isEarly ? earlyLeft : left)) {
      if (isEarly) earlyLeft -= bytes;
      else left -= bytes;
      let group = open.get(seenIn);
      if (group === undefined || group.length + bytes > GROUP_BYTES_MAX) {
        group = { seenIn, bytes: Buffer.alloc(GROUP_BYTES_MIN), length: 0 };
        open.set(seenIn, group);
        groups.push(group);
      }
      addEntry(group, view, kept.setIn(view) === seenIn);
    }
    // What is visited may move meanwhile.
    if (turns.isDue()) await turns.next();
  }
  groups.sort((left, right) => right.seenIn - left.seenIn);
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32LE(VERSION, 0);
  header.writeDoubleLE(through, 8);
  const parts: Buffer[] = [header];
  for (const { seenIn, bytes: entries, length } of groups) {
    const head = Buffer.alloc(HEADER_BYTES);
    head.writeDoubleLE(seenIn, 0);
    head.writeUInt32LE(length, 8);
    parts.push(head, entries.subarray(0, length));
  }
  return Buffer.concat(parts);
}

/** Returns the earliest interval whose series have a place in the copy, and the room for these. */
async function copiedShare(
  kept: Kept,
  bytesMax: number,
  turns: Turns,
): Promise<{ readonly earliest: number; readonly earlyBytes: number }> {
  const bytesBySeen = new Map<number, number>();
  for (const view of kept.series()) {
    const seenIn = kept.seenIn(view);
    bytesBySeen.set(seenIn, (bytesBySeen.get(seenIn) ?? 0) + ENTRY_KEY + view.end - view.start);
    if (turns.isDue()) await turns.next();
  }
  let bytes = 0;
  for (const [seenIn, more] of [...bytesBySeen].sort(([one], [other]) => other - one)) {
    if (bytes + more > bytesMax) return { earliest: seenIn, earlyBytes: bytesMax - bytes };
    bytes += more;
  }
  return { earliest: Number.NEGATIVE_INFINITY, earlyBytes: 0 };
}

function addEntry(group: Group, { source, start, end, type, level }: IdleView, isSet: boolean): void {
  const at = group.length;
  const keyBytes = end - start;
  group.length += ENTRY_KEY + keyBytes;
  // Most series may have been seen in intervals of their own, so that a group begins small.
  if (group.length > group.bytes.length) {
    const grown = Buffer.alloc(Math.min(Math.max(2 * group.bytes.length, group.length), GROUP_BYTES_MAX));
    group.bytes.copy(grown, 0, 0, at);
    group.bytes = grown;
  }
  group.bytes.writeUInt16LE(keyBytes, at);
  group.bytes.writeUInt8(type, at + ENTRY_TYPE);
  group.bytes.writeUInt8(Number(isSet), at + ENTRY_IS_SET);
  group.bytes.writeDoubleLE(level, at + ENTRY_LEVEL);
  source.copy(group.bytes, at + ENTRY_KEY, start, end);
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
