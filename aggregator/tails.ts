/**
 * Live tails: what snapshots bring for series that somebody watches. Snapshots are read a second time for it,
 * so there is a bound on the lines of a tail, and on the time that a snapshot may cost.
 */
import { METRIC_TYPES } from "../shared/metric.ts";
import { compilePattern, decodeName, nameEncoding, type Pattern } from "../shared/pattern.ts";
import { frameBody } from "../shared/wire.ts";
import type { TailLine } from "./questions.ts";

/** Lines of a tail in a second. */
const LINES_MAX = 1000;
/** Tails at a time. */
const TAILS_MAX = 64;
/** Time to look at one snapshot; what it holds beyond is left out. */
const LOOK_MS = 50;
/** Entries between two looks at the clock. */
const ENTRIES_OF_LOOK = 256;

const ENTRY_BYTES = 24;
const MILLISECONDS = 1000;

/** What a snapshot brought for all tails. */
export interface TailedLines {
  readonly lines: readonly TailLine[];
  /** By tail: lines beyond the bound, and series that nobody had the time to look at. */
  readonly leftOut: readonly { readonly tail: number; readonly lines: number }[];
}

interface Tail {
  readonly tail: number;
  readonly pattern: Pattern;
  /** The second of the wall clock that `lines` is of. */
  second: number;
  lines: number;
  leftOut: number;
}

export class Tails {
  readonly #tails = new Map<number, Tail>();

  /** Whether somebody watches. */
  get isActive(): boolean {
    return this.#tails.size > 0;
  }

  /** Turns a tail on. Throws OperatorError for a broken pattern. Returns false where there are too many. */
  add(tail: number, match: string): boolean {
    const pattern = compilePattern(match);
    if (this.#tails.size >= TAILS_MAX && !this.#tails.has(tail)) return false;
    this.#tails.set(tail, { tail, pattern, second: 0, lines: 0, leftOut: 0 });
    return true;
  }

  remove(tail: number): void {
    this.#tails.delete(tail);
  }

  /** Looks at a snapshot that was merged, and so is valid. nowMs: wall clock. */
  look(frame: Uint8Array, nowMs: number): TailedLines {
    const body = frameBody(frame);
    const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
    const second = Math.floor(nowMs / MILLISECONDS);
    for (const tail of this.#tails.values()) {
      if (tail.second !== second) tail.lines = 0;
      tail.second = second;
    }
    const lines: TailLine[] = [];
    const deadlineMs = performance.now() + LOOK_MS;
    let seen = 0;
    let at = 0;
    while (at < bytes.length) {
      seen += 1;
      if (seen % ENTRIES_OF_LOOK === 0 && performance.now() > deadlineMs) {
        this.leaveOut(countEntries(bytes, at));
        break;
      }
      this.#lookAt(bytes, at, nowMs, lines);
      at = entryEnd(bytes, at);
    }
    return { lines, leftOut: this.#takeLeftOut() };
  }

  #lookAt(bytes: Buffer, at: number, atMs: number, lines: TailLine[]): void {
    const name = bytes.subarray(at + ENTRY_BYTES, at + ENTRY_BYTES + bytes.readUInt16LE(at));
    const key = decodeName(name, nameEncoding(name));
    for (const tail of this.#tails.values()) {
      if (!tail.pattern.matches(key)) continue;
      if (tail.lines >= LINES_MAX) {
        tail.leftOut += 1;
        continue;
      }
      tail.lines += 1;
      lines.push({ tail: tail.tail, atMs, key, ...readEntry(bytes, at) });
    }
  }

  /** Counts series that nobody looks at. */
  leaveOut(series: number): void {
    for (const tail of this.#tails.values()) tail.leftOut += series;
  }

  #takeLeftOut(): { tail: number; lines: number }[] {
    return [...this.#tails.values()].flatMap((tail) => {
      const lines = tail.leftOut;
      tail.leftOut = 0;
      return lines === 0 ? [] : [{ tail: tail.tail, lines }];
    });
  }
}

function entryEnd(bytes: Buffer, at: number): number {
  return at + ENTRY_BYTES + bytes.readUInt16LE(at) + bytes.readUInt32LE(at + 16);
}

function countEntries(bytes: Buffer, start: number): number {
  let count = 0;
  for (let at = start; at < bytes.length; at = entryEnd(bytes, at)) count += 1;
  return count;
}

/** Reads an entry of a snapshot: see kernel/snapshot.ts, and for the payloads the types beside it. */
function readEntry(bytes: Buffer, at: number): Pick<TailLine, "type" | "updates" | "value" | "isChange"> {
  const type = METRIC_TYPES[bytes.readUInt8(at + 2)]!;
  const updates = bytes.readUInt32LE(at + 4);
  const payload = at + ENTRY_BYTES + bytes.readUInt16LE(at);
  if (type === "gauge") return { type, updates, ...readGauge(bytes, payload) };
  if (type === "counter") return { type, updates, value: bytes.readDoubleLE(payload), isChange: false };
  const value =
    type === "timer"
      ? bytes.readUInt32LE(payload + 20) + bytes.readUInt32LE(payload + 24)
      : bytes.readUInt32LE(payload);
  return { type, updates, value, isChange: false };
}

function readGauge(bytes: Buffer, payload: number): { value: number; isChange: boolean } {
  const isChange = bytes.readUInt32LE(payload) === 0;
  if (!isChange) {
    return { value: bytes.readDoubleLE(payload + 8) + bytes.readDoubleLE(payload + 24), isChange };
  }
  let value = 0;
  const count = bytes.readUInt32LE(payload + 32);
  for (let change = 0; change < count; change++) value += bytes.readDoubleLE(payload + 44 + change * 16);
  return { value, isChange };
}
