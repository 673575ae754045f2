/**
 * Feeds datagrams to an intake and reads its snapshots with a decoder that shares nothing with the kernel.
 */
import { type PostSnapshot, Snapshotter, type SnapshotterOptions } from "../../aggregator/snapshotter.ts";
import { DROP_REASONS } from "../../shared/drop-reasons.ts";
import { HEADER_BYTES, HEADER_PAYLOAD_BYTES, SLOT_BYTES, SLOT_COUNT } from "../../shared/kernel/layout.ts";
import { DROP_NONE } from "../../shared/kernel/reasons.ts";

/** One series of a snapshot, with everything that its bytes say. */
export interface DecodedSeries {
  readonly key: string;
  readonly type: "counter" | "gauge" | "timer" | "set";
  readonly updates: number;
  readonly weight: number;
  /** Counter: its sum. Gauge: its absolute value. Timer: its last value. */
  readonly value: number;
  readonly isAbsolute: boolean;
  readonly changes: number;
  readonly free: readonly { readonly stamp: number; readonly change: number }[];
  readonly samples: readonly { readonly value: number; readonly weight: number }[];
  readonly members: readonly string[];
}

const TYPES = ["counter", "gauge", "timer", "set"] as const;

/** Decodes the body of a frame. Keys and members have one character per byte. */
export function decodeFrame(frame: Uint8Array): DecodedSeries[] {
  const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength);
  const series: DecodedSeries[] = [];
  for (let at = 80; at < bytes.length; ) {
    const keyBytes = bytes.readUInt16LE(at);
    const payloadBytes = bytes.readUInt32LE(at + 16);
    const payload = at + 24 + keyBytes;
    series.push(decodeEntry(bytes, at, keyBytes, payload));
    at = payload + payloadBytes;
  }
  return series;
}

function decodeEntry(bytes: Buffer, at: number, keyBytes: number, payload: number): DecodedSeries {
  const type = TYPES[bytes[at + 2]!]!;
  const common = {
    key: bytes.toString("latin1", at + 24, at + 24 + keyBytes),
    type,
    updates: bytes.readUInt32LE(at + 4),
    weight: bytes.readDoubleLE(at + 8),
    value: 0,
    isAbsolute: false,
    changes: 0,
    free: [],
    samples: [],
    members: [],
  };
  if (type === "counter") return { ...common, value: bytes.readDoubleLE(payload) };
  if (type === "gauge") return { ...common, ...decodeGauge(bytes, payload) };
  if (type === "timer") {
    return { ...common, value: bytes.readDoubleLE(payload), samples: decodeSamples(bytes, payload) };
  }
  return { ...common, members: decodeMembers(bytes, payload) };
}

function decodeGauge(bytes: Buffer, payload: number) {
  const free = Array.from({ length: bytes.readUInt32LE(payload + 32) }, (_, index) => ({
    stamp: bytes.readDoubleLE(payload + 36 + index * 16),
    change: bytes.readDoubleLE(payload + 44 + index * 16),
  }));
  const isAbsolute = bytes.readUInt32LE(payload) === 1;
  return {
    isAbsolute,
    value: bytes.readDoubleLE(payload + 8),
    changes: bytes.readDoubleLE(payload + 24),
    free,
  };
}

function decodeSamples(bytes: Buffer, payload: number) {
  const plain = bytes.readUInt32LE(payload + 20);
  const pairs = bytes.readUInt32LE(payload + 24);
  const values = Array.from({ length: plain }, (_, index) => ({
    value: bytes.readDoubleLE(payload + 32 + index * 8),
    weight: 1,
  }));
  const start = payload + 32 + plain * 8;
  const weighted = Array.from({ length: pairs }, (_, index) => ({
    value: bytes.readDoubleLE(start + index * 16),
    weight: bytes.readDoubleLE(start + index * 16 + 8),
  }));
  return [...values, ...weighted];
}

function decodeMembers(bytes: Buffer, payload: number): string[] {
  const members: string[] = [];
  let at = payload + 4;
  for (let left = bytes.readUInt32LE(payload); left > 0; left--) {
    const length = bytes.readUInt16LE(at);
    members.push(bytes.toString("latin1", at + 2, at + 2 + length));
    at += 2 + length;
  }
  return members;
}

/** An intake outside any thread, and the frames that it has cut. */
export interface TestIntake {
  readonly snapshotter: Snapshotter;
  readonly frames: Uint8Array<ArrayBuffer>[];
  /** Hands datagrams over, in batches of as many as fit. */
  send(datagrams: readonly Uint8Array[], nowMs?: number): void;
  /** Cuts a snapshot and returns its frame, undefined when there was nothing to cut. */
  cut(): Uint8Array<ArrayBuffer> | undefined;
}

/** Start of an interval, for tests that do not care which. */
export const TEST_NOW_MS = 1_700_000_000_000;

/** post: takes the frames in the place of the intake's own list. */
export async function newIntake(
  options: Partial<SnapshotterOptions> = {},
  post?: PostSnapshot,
): Promise<TestIntake> {
  const frames: Uint8Array<ArrayBuffer>[] = [];
  const snapshotter = await Snapshotter.create(
    {
      node: 1n,
      incarnation: 1n,
      origin: 1,
      intervalMs: 10_000,
      snapshotIntervalMs: 1000,
      seriesMax: 100_000,
      nameBytesMax: 512,
      tagsBytesMax: 9000,
      memoryBase: async () => 0n,
      ...options,
    },
    TEST_NOW_MS,
    post ?? ((frame) => frames.push(frame) > 0),
  );
  const send = (datagrams: readonly Uint8Array[], nowMs = TEST_NOW_MS) => {
    for (let first = 0; first < datagrams.length; first += SLOT_COUNT) {
      const batch = datagrams.slice(first, first + SLOT_COUNT);
      const memory = Buffer.from(snapshotter.batch.memory.buffer);
      batch.forEach((datagram, slot) => {
        memory.set(datagram, snapshotter.batch.slots + slot * SLOT_BYTES);
        memory.writeUInt32LE(
          datagram.length,
          snapshotter.batch.headers + slot * HEADER_BYTES + HEADER_PAYLOAD_BYTES,
        );
      });
      snapshotter.consume(batch.length, nowMs);
      // Events are read by the host, which is not here.
      const { exports } = snapshotter.kernel;
      for (let event = exports.eventCount(); event > 0; event--) exports.countEvent(DROP_NONE);
    }
  };
  const cut = () => {
    const before = frames.length;
    snapshotter.cut(TEST_NOW_MS);
    return frames.slice(before).at(-1);
  };
  return { snapshotter, frames, send, cut };
}

/** What one group of datagrams led to: series, and dropped lines by the reason's name. */
export function outcome(intake: TestIntake, datagrams: readonly Uint8Array[]) {
  const before = Float64Array.from(intake.snapshotter.counts.dropped);
  intake.send(datagrams);
  const frame = intake.cut();
  const { dropped } = intake.snapshotter.counts;
  const reasons = DROP_REASONS.flatMap((reason, code) => {
    return Array<string>(dropped[code]! - before[code]!).fill(reason);
  });
  return { series: frame === undefined ? [] : decodeFrame(frame), reasons };
}
