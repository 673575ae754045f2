/** Messages of Rust peers, and what becomes of them. */
import { readMessage } from "../../aggregator/capnp/message-reader.ts";
import { SnapshotWriter, type WriterOptions } from "../../aggregator/capnp/snapshot-writer.ts";
import { loadAggregatorKernel } from "../../aggregator/kernel.ts";
import { DROP_REASONS } from "../../shared/drop-reasons.ts";
import { frameBody, readLabel } from "../../shared/wire.ts";
import { TEST_NOW_MS } from "./snapshots.ts";
import { readJsonVectors } from "./vectors.ts";

/** One message of test/vectors/capnp-messages.json. */
export interface MessageVector {
  readonly name: string;
  readonly schema: "v1" | "v2";
  readonly hex: string;
  /** Lines that make the same series. */
  readonly lines: readonly string[];
  /** Why its other metrics are dropped, in order. */
  readonly reasons: readonly string[];
}

export function readMessageVectors(): MessageVector[] {
  return readJsonVectors<{ messages: MessageVector[] }>("capnp-messages.json").messages;
}

/** Bytes of the message of that name, in any schema. */
export function messageNamed(name: string): Buffer {
  return Buffer.from(readMessageVectors().find((vector) => vector.name === name)!.hex, "hex");
}

export const WRITER_OPTIONS: WriterOptions = {
  node: 1n,
  incarnation: 1n,
  origin: 1,
  intervalMs: 10_000,
  snapshotIntervalMs: 1000,
  names: { sanitize: "bioyino", influxTags: false, nameBytesMax: 512, tagsBytesMax: 9000 },
};

/** Writes the metrics of a message into frames, and says what was dropped. */
export function writeMessage(bytes: Buffer, options: Partial<WriterOptions> = {}) {
  const frames: Uint8Array<ArrayBuffer>[] = [];
  const writer = new SnapshotWriter({ ...WRITER_OPTIONS, ...options }, TEST_NOW_MS, (frame) => {
    // The last one only closes the interval.
    if (readLabel(frame)!.entries > 0) frames.push(frame);
    return true;
  });
  const reasons: string[] = [];
  let taken = 0;
  const kind = readMessage(bytes, (message, metric, reason) => {
    const outcome = reason === 0 ? writer.write(message, metric, TEST_NOW_MS) : reason;
    if (outcome === 0) taken += 1;
    else reasons.push(DROP_REASONS[outcome]!);
  });
  writer.close(TEST_NOW_MS);
  return { kind, frames, reasons, taken, samples: writer.samples, skippedSamples: writer.skippedSamples };
}

/** A store's kernel, which tells whether it would merge a frame, and how many samples it took. */
export async function newMerger(): Promise<(frame: Uint8Array) => number | undefined> {
  const { exports, memory } = await loadAggregatorKernel(512 << 20);
  exports.setupStore(1n, 1_000_000, 128 << 20, 64 << 20);
  return (frame) => {
    const body = frameBody(frame);
    new Uint8Array(memory.buffer, exports.inputAddress() >>> 0, body.length).set(body);
    exports.resetTable();
    return exports.merge(body.length, readLabel(frame)!.entries) === 1
      ? exports.mergeTakenLines()
      : undefined;
  };
}
