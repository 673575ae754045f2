/**
 * Where events leave an intake: the kernel sets such lines aside, the gate reads them, tells the kernel under
 * which reason each is to be counted, and posts the good ones. Events are rare by nature, so what comes
 * beyond a rate is not even read: a flood of them must not cost the metrics anything.
 */
import { DROP_EVENT_LIMIT, DROP_NONE } from "../../shared/kernel/reasons.ts";
import { addressOf } from "../kernel.ts";
import { type DogItem, itemBytes } from "./event.ts";
import { readEvent } from "./event-line.ts";

/** What the gate needs of an intake's kernel. */
export interface EventKernel {
  readonly memory: WebAssembly.Memory;
  readonly exports: {
    /** Event and check lines that the last consume() has set aside. */
    eventCount(): number;
    /** Address of the index-th line. */
    eventAddress(index: number): number;
    /** Its length in bytes, without the line feed. */
    eventBytes(index: number): number;
    /** Counts one of them, under a code of shared/kernel/reasons.ts: DROP_NONE for one accepted. */
    countEvent(reason: number): void;
  };
}

/** Bounds of what one gate lets through in a second of the wall clock. */
export interface EventBounds {
  readonly itemsMax: number;
  /** Memory of those items, by itemBytes(). */
  readonly bytesMax: number;
}

const DEFAULT_BOUNDS: EventBounds = { itemsMax: 1000, bytesMax: 1 << 20 };
const SECOND_MS = 1000;

export class EventGate {
  readonly #kernel: EventKernel;
  readonly #post: (item: DogItem) => void;
  readonly #bounds: EventBounds;
  /** The second that the counts below are of. */
  #second = -1;
  #itemCount = 0;
  #byteCount = 0;

  /** post: takes each good item; the gate keeps no reference to it. */
  constructor(kernel: EventKernel, post: (item: DogItem) => void, bounds: EventBounds = DEFAULT_BOUNDS) {
    this.#kernel = kernel;
    this.#post = post;
    this.#bounds = bounds;
  }

  /**
   * Takes what consume() has set aside; to be called after each call of it, before the next. nowMs: the wall
   * clock. Every line is counted, under one reason.
   */
  take(nowMs: number): void {
    const { memory, exports } = this.#kernel;
    const count = exports.eventCount();
    if (count === 0) return;
    const second = Math.floor(nowMs / SECOND_MS);
    // Any other second, also an earlier one: the clock may have been set back.
    if (second !== this.#second) {
      this.#second = second;
      this.#itemCount = 0;
      this.#byteCount = 0;
    }
    for (let index = 0; index < count; index++) {
      const line = new Uint8Array(
        memory.buffer,
        addressOf(exports.eventAddress(index)),
        exports.eventBytes(index),
      );
      exports.countEvent(this.#takeLine(line, second));
    }
  }

  /** Returns the reason to count the line under. */
  #takeLine(line: Uint8Array, nowSec: number): number {
    const { itemsMax, bytesMax } = this.#bounds;
    // A line that cannot be read counts as well: reading it is what the bound is for.
    if (this.#itemCount >= itemsMax || this.#byteCount + line.length > bytesMax) return DROP_EVENT_LIMIT;
    this.#itemCount++;
    const read = readEvent(line, nowSec);
    if ("fault" in read) {
      this.#byteCount += line.length;
      return read.reason;
    }
    const bytes = itemBytes(read.item);
    if (this.#byteCount + bytes > bytesMax) return DROP_EVENT_LIMIT;
    this.#byteCount += bytes;
    this.#post(read.item);
    return DROP_NONE;
  }
}
