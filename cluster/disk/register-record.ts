/**
 * Records of the registers' files, little endian:
 *
 *   [ "BYR1" | generation u32 | kind u32 | bytes u32 | interval f64 | crc32 of the bytes u32 |
 *     crc32 of all before u32 | bytes ]
 *
 * The head has a checksum of its own: with damaged bytes it still says which interval they were of.
 */
import { crc32 } from "../../shared/checksum.ts";
import type { Manifest } from "../manifest.ts";
import type { DeliveredSlot, Register, Slot } from "../register.ts";

export const RECORD_HEAD_BYTES = 32;

/** Of which kind a record is. */
export const RECORD = {
  register: 1,
  /** Registers of intervals below its own are forgotten. It has no bytes. */
  floor: 2,
  /** All that was there when the generation began stands before it. It has no bytes. */
  complete: 3,
} as const;

const MAGIC = Buffer.from("BYR1", "latin1");
const GENERATION = 4;
const KIND = 8;
const BYTES = 12;
const INTERVAL = 16;
const BYTES_CRC = 24;
const HEAD_CRC = 28;

export interface FoundRecord {
  readonly offset: number;
  readonly end: number;
  readonly generation: number;
  readonly kind: number;
  readonly interval: number;
  /** Absent for other kinds, and where the bytes are damaged. */
  readonly register?: Register;
}

/** Encodes a record; only those of kind `register` have one. */
export function encodeRecord(
  generation: number,
  kind: number,
  interval: number,
  register?: Register,
): Uint8Array {
  const text = register === undefined ? "" : encodeRegister(register);
  const length = Buffer.byteLength(text);
  const bytes = Buffer.alloc(RECORD_HEAD_BYTES + length);
  MAGIC.copy(bytes);
  bytes.writeUInt32LE(generation, GENERATION);
  bytes.writeUInt32LE(kind, KIND);
  bytes.writeUInt32LE(length, BYTES);
  bytes.writeDoubleLE(interval, INTERVAL);
  bytes.write(text, RECORD_HEAD_BYTES);
  bytes.writeUInt32LE(crc32(bytes.subarray(RECORD_HEAD_BYTES)), BYTES_CRC);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, HEAD_CRC)), HEAD_CRC);
  return bytes;
}

/** Finds all records, in order, wherever between damage they are. */
export function* findRecords(bytes: Buffer): Generator<FoundRecord, void, void> {
  for (let offset = 0; offset >= 0 && offset + RECORD_HEAD_BYTES <= bytes.length; ) {
    const found = recordAt(bytes, offset);
    if (found !== undefined) yield found;
    // The bytes of a damaged record may have been written over with others.
    const isWhole = found !== undefined && (found.kind !== RECORD.register || found.register !== undefined);
    offset = bytes.indexOf(MAGIC, isWhole ? found.end : offset + 1);
  }
}

function recordAt(bytes: Buffer, offset: number): FoundRecord | undefined {
  const head = bytes.subarray(offset, offset + RECORD_HEAD_BYTES);
  if (!head.subarray(0, GENERATION).equals(MAGIC)) return undefined;
  if (head.readUInt32LE(HEAD_CRC) !== crc32(head.subarray(0, HEAD_CRC))) return undefined;
  const end = offset + RECORD_HEAD_BYTES + head.readUInt32LE(BYTES);
  const found = {
    offset,
    end,
    generation: head.readUInt32LE(GENERATION),
    kind: head.readUInt32LE(KIND),
    interval: head.readDoubleLE(INTERVAL),
  };
  const body = bytes.subarray(offset + RECORD_HEAD_BYTES, end);
  if (end > bytes.length || head.readUInt32LE(BYTES_CRC) !== crc32(body)) return found;
  const register = found.kind === RECORD.register ? decodeRegister(body.toString("utf8")) : undefined;
  return register === undefined ? found : { ...found, register };
}

type Runs = readonly (readonly [source: string, from: number, to: number])[];

function encodeRegister({ pending, delivered }: Register): string {
  return JSON.stringify({ pending: encodeSlot(pending), delivered: delivered && encodeSlot(delivered) });
}

function encodeSlot(slot: Slot | DeliveredSlot): object {
  return { ...slot, manifest: slot.manifest.map(({ source, from, to }) => [source, from, to]) };
}

/** Returns undefined for what is no register; with a right checksum, a later version's. */
function decodeRegister(text: string): Register | undefined {
  try {
    const { pending, delivered } = JSON.parse(text) as Record<string, unknown>;
    const slot = decodeSlot(pending);
    if (delivered === undefined) return { pending: slot };
    const { sinks, isComplete } = delivered as Partial<DeliveredSlot>;
    if (!Array.isArray(sinks) || !sinks.every((sink) => typeof sink === "string")) return undefined;
    return { pending: slot, delivered: { ...decodeSlot(delivered), sinks, isComplete: isComplete === true } };
  } catch {
    return undefined;
  }
}

function decodeSlot(value: unknown): Slot {
  const { term, revision, manifest, isInDoubt } = value as { [K in keyof Slot]: unknown };
  const slot = {
    term: countOf(term),
    revision: countOf(revision),
    manifest: decodeManifest(manifest as Runs),
  };
  return isInDoubt === true ? { ...slot, isInDoubt } : slot;
}

function decodeManifest(runs: Runs): Manifest {
  return runs.map(([source, from, to]) => {
    if (typeof source !== "string" || countOf(from) > countOf(to)) throw new Error("no run");
    return { source, from, to };
  });
}

function countOf(value: unknown): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw new Error("no count");
  return value as number;
}
