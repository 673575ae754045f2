/**
 * The body of a snapshot, written entry by entry as the kernel does it (shared/kernel/snapshot.ts). Entries
 * of the same series may follow one another: whoever merges them adds them up. The store refuses a body with
 * a single entry that is not valid, so numbers that are not finite must not come here.
 *
 *   entry     0 u16 key bytes   2 u8 type   3 u8 0   4 u32 updates   8 f64 weight
 *            16 u32 payload bytes   20 u32 sender   24 key   payload
 *   counter   sum f64
 *   gauge     u32 has absolute   u32 origin   absolute f64   stamp f64   changes f64   u32 free changes
 *   timer     last f64   stamp f64   u32 origin   u32 plain   u32 pairs   u32 0   plain values   pairs
 *   set       u32 count   count x (u16 bytes, member)
 */
import { METRIC_TYPES, type MetricType } from "../../shared/metric.ts";
import type { SeriesKey } from "./series-key.ts";

const ENTRY_BYTES = 24;
const COUNTER_BYTES = 8;
const GAUGE_BYTES = 36;
const TIMER_BYTES = 32;
/** No series has more samples in one entry, so that none is too large for a frame. */
export const SAMPLES_PER_ENTRY = 4096;
/** A double has no more characters than this. */
const MEMBER_BYTES_MAX = 26;
const ROOM_BYTES_MIN = 65_536;

/** What all entries say, whatever their type. */
export interface EntryHead {
  readonly key: SeriesKey;
  /** Samples that it was made from, at least 1. Of a timer there are as many as values. */
  readonly updates: number;
  /** Of each sample: 1 / rate. */
  readonly weight: number;
}

export class SnapshotBody {
  /** Which intake it comes from, where stamps are equal. */
  readonly #origin: number;
  readonly #bytesMax: number;
  readonly #onFull: () => void;
  #bytes = Buffer.alloc(0);
  #view = new DataView(this.#bytes.buffer);
  /** Bytes, entries, and the samples that these were made from. */
  length = 0;
  entries = 0;
  samples = 0;
  /** Samples of all that was ever written. */
  samplesWritten = 0;

  /**
   * onFull: has to take the content and call reset(); an entry that does not fit any more comes behind it.
   */
  constructor(origin: number, bytesMax: number, onFull: () => void) {
    this.#origin = origin;
    this.#bytesMax = bytesMax;
    this.#onFull = onFull;
  }

  /** What was written; valid until something more is. */
  get content(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }

  reset(): void {
    this.length = 0;
    this.entries = 0;
    this.samples = 0;
  }

  /** sum: scaled by the rate. */
  addCounter(head: EntryHead, sum: number): void {
    const at = this.#begin("counter", head, head.updates, COUNTER_BYTES);
    this.#view.setFloat64(at, sum, true);
    this.#end(at, COUNTER_BYTES);
  }

  addGauge(head: EntryHead, value: number, stamp: number): void {
    const at = this.#begin("gauge", head, head.updates, GAUGE_BYTES);
    const view = this.#view;
    view.setUint32(at, 1, true);
    view.setUint32(at + 4, this.#origin, true);
    view.setFloat64(at + 8, value, true);
    view.setFloat64(at + 16, stamp, true);
    view.setFloat64(at + 24, 0, true);
    view.setUint32(at + 32, 0, true);
    this.#end(at, GAUGE_BYTES);
  }

  /** valueAt: the value at an index below `head.updates`. */
  addTimer(head: EntryHead, valueAt: (index: number) => number, stamp: number): void {
    const { updates, weight } = head;
    const last = valueAt(updates - 1);
    const isPlain = weight === 1;
    for (let first = 0; first < updates; first += SAMPLES_PER_ENTRY) {
      const count = Math.min(SAMPLES_PER_ENTRY, updates - first);
      const bytes = TIMER_BYTES + count * (isPlain ? 8 : 16);
      const at = this.#begin("timer", head, count, bytes);
      const view = this.#view;
      view.setFloat64(at, last, true);
      view.setFloat64(at + 8, stamp, true);
      view.setUint32(at + 16, this.#origin, true);
      view.setUint32(at + 20, isPlain ? count : 0, true);
      view.setUint32(at + 24, isPlain ? 0 : count, true);
      view.setUint32(at + 28, 0, true);
      for (let index = 0, place = at + TIMER_BYTES; index < count; index++) {
        view.setFloat64(place, valueAt(first + index), true);
        if (!isPlain) view.setFloat64(place + 8, weight, true);
        place += isPlain ? 8 : 16;
      }
      this.#end(at, bytes);
    }
  }

  /** memberAt: the text of the member at an index below `count`, in ASCII; at most 26 characters. */
  addSet(head: EntryHead, count: number, memberAt: (index: number) => string): void {
    let updates = head.updates;
    for (let first = 0; first < count; first += SAMPLES_PER_ENTRY) {
      const members = Math.min(SAMPLES_PER_ENTRY, count - first);
      const isLast = first + members === count;
      // Every entry needs some.
      const share = Math.max(1, isLast ? updates : Math.min(updates, members));
      updates -= share;
      const at = this.#begin("set", head, share, 4 + members * (2 + MEMBER_BYTES_MAX));
      this.#view.setUint32(at, members, true);
      let place = at + 4;
      for (let index = 0; index < members; index++) {
        const bytes = this.#bytes.write(memberAt(first + index), place + 2, MEMBER_BYTES_MAX, "latin1");
        this.#view.setUint16(place, bytes, true);
        place += 2 + bytes;
      }
      this.#end(at, place - at);
    }
  }

  /** Writes an entry up to its payload, for which there is then room. Returns where it begins. */
  #begin(type: MetricType, { key, weight }: EntryHead, updates: number, payloadBytesMax: number): number {
    const bytes = ENTRY_BYTES + key.length + payloadBytesMax;
    if (this.length > 0 && this.length + bytes > this.#bytesMax) this.#onFull();
    this.#makeRoom(this.length + bytes);
    const at = this.length;
    const view = this.#view;
    view.setUint16(at, key.length, true);
    view.setUint16(at + 2, METRIC_TYPES.indexOf(type), true);
    view.setUint32(at + 4, updates, true);
    view.setFloat64(at + 8, weight * updates, true);
    // A peer sends for many: nobody is the sender whose series could be bounded.
    view.setUint32(at + 20, 0, true);
    key.bytes.copy(this.#bytes, at + ENTRY_BYTES, 0, key.length);
    this.entries += 1;
    this.samples += updates;
    this.samplesWritten += updates;
    return at + ENTRY_BYTES + key.length;
  }

  #end(payload: number, bytes: number): void {
    this.#view.setUint32(this.length + 16, bytes, true);
    this.length = payload + bytes;
  }

  #makeRoom(bytes: number): void {
    if (bytes <= this.#bytes.length) return;
    const wider = Buffer.allocUnsafeSlow(Math.max(bytes, 2 * this.#bytes.length, ROOM_BYTES_MIN));
    this.#bytes.copy(wider, 0, 0, this.length);
    this.#bytes = wider;
    this.#view = new DataView(wider.buffer, wider.byteOffset, wider.byteLength);
  }
}
