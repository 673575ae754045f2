/**
 * The snapshot frame: a fixed header, then the body that a kernel encoded (kernel/snapshot.ts). The same
 * bytes go from an intake to the store, to peers and to files. Little-endian.
 *
 *    0 u32 magic "BYSN"    4 u16 version       6 u16 header bytes
 *    8 u64 node           16 u64 incarnation  24 u64 sequence
 *   32 u64 interval       40 u64 lowest interval that the origin may still send for
 *   48 u32 interval ms    52 u32 entries      56 u32 body bytes     60 u32 origin: which intake of the node
 *   64 u64 lines in the body                  72 u32 flags        76 u32 0
 *
 * Flag 1: the body has levels of gauges (kernel/keep.ts), to start from where a gauge was only changed.
 */
import { assert } from "./errors.ts";

const MAGIC = 0x4e535942;
/** Raised whenever header or body change. */
export const FRAME_VERSION = 3;
export const FRAME_HEADER_BYTES = 80;

/** What a snapshot is: whose, which, and of what. */
export interface SnapshotLabel {
  /** Identity of the node, and of this run of its process. */
  readonly node: bigint;
  readonly incarnation: bigint;
  /** Which intake of the node. */
  readonly origin: number;
  /** Counts the origin's snapshots from 0. */
  readonly sequence: number;
  /**
   * Index k of the interval [k * intervalMs, (k + 1) * intervalMs) of the wall clock that all its lines
   * fall in.
   */
  readonly interval: number;
  /** Intervals below this one are closed: the origin sends no more for them. */
  readonly lowestOpen: number;
  readonly intervalMs: number;
  /** Series in the body. */
  readonly entries: number;
  /** Lines that the body's series were made from. */
  readonly lines: number;
  /** Whether the body has levels that earlier intervals have left, and no series. */
  readonly hasLevels?: boolean;
}

const FLAG_LEVELS = 1;

/** Returns the snapshot's identity: a repeated one has the same. */
export function snapshotIdentity(label: SnapshotLabel): string {
  return `${label.node}.${label.incarnation}.${label.origin}.${label.sequence}`;
}

/** Makes a frame with room for bodyBytes behind its header; the caller copies the body in. */
export function newFrame(label: SnapshotLabel, bodyBytes: number): Uint8Array<ArrayBuffer> {
  const frame = new Uint8Array(FRAME_HEADER_BYTES + bodyBytes);
  const view = new DataView(frame.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint16(4, FRAME_VERSION, true);
  view.setUint16(6, FRAME_HEADER_BYTES, true);
  view.setBigUint64(8, label.node, true);
  view.setBigUint64(16, label.incarnation, true);
  view.setBigUint64(24, BigInt(label.sequence), true);
  view.setBigUint64(32, BigInt(label.interval), true);
  view.setBigUint64(40, BigInt(label.lowestOpen), true);
  view.setUint32(48, label.intervalMs, true);
  view.setUint32(52, label.entries, true);
  view.setUint32(56, bodyBytes, true);
  view.setUint32(60, label.origin, true);
  view.setBigUint64(64, BigInt(label.lines), true);
  view.setUint32(72, label.hasLevels === true ? FLAG_LEVELS : 0, true);
  return frame;
}

/** Returns the body of a frame. */
export function frameBody(frame: Uint8Array): Uint8Array {
  assert(frame.length >= FRAME_HEADER_BYTES, "a frame has a header");
  return frame.subarray(FRAME_HEADER_BYTES);
}

/**
 * Reads a frame's header. Returns undefined for anything that is not a whole frame of this version; the
 * body is checked by the kernel that merges it.
 */
export function readLabel(frame: Uint8Array): SnapshotLabel | undefined {
  if (frame.length < FRAME_HEADER_BYTES) return undefined;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (view.getUint32(0, true) !== MAGIC || view.getUint16(4, true) !== FRAME_VERSION) return undefined;
  if (view.getUint16(6, true) !== FRAME_HEADER_BYTES) return undefined;
  if (view.getUint32(56, true) !== frame.length - FRAME_HEADER_BYTES) return undefined;
  const flags = view.getUint32(72, true);
  if (flags > FLAG_LEVELS) return undefined;
  const label = {
    node: view.getBigUint64(8, true),
    incarnation: view.getBigUint64(16, true),
    sequence: Number(view.getBigUint64(24, true)),
    interval: Number(view.getBigUint64(32, true)),
    lowestOpen: Number(view.getBigUint64(40, true)),
    intervalMs: view.getUint32(48, true),
    entries: view.getUint32(52, true),
    origin: view.getUint32(60, true),
    lines: Number(view.getBigUint64(64, true)),
    ...(flags === FLAG_LEVELS && { hasLevels: true }),
  };
  const counts = [label.sequence, label.interval, label.lowestOpen, label.lines];
  return counts.every(Number.isSafeInteger) ? label : undefined;
}
