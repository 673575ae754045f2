/**
 * From a peer's metrics to entries of a snapshot. They are written at once, without lines in between: a line
 * could not say how many updates a value was made from, and text would have to be read again.
 */
import { DROP_BAD_VALUE, DROP_NONE, DROP_NOT_FINITE } from "../../shared/kernel/reasons.ts";
import type { PeerMetric } from "./metric.ts";
import type { Message } from "./reader.ts";
import { type NameRules, SeriesKey } from "./series-key.ts";
import type { EntryHead, SnapshotBody } from "./snapshot-body.ts";

/** Doubles of this size count up by 1/4096, so stamps that differ by it are different. */
const STAMP_STEP_MS = 1 / 4096;

export class MetricWriter {
  /** Samples of timers that were left out, since they are no numbers. */
  skippedSamples = 0;
  readonly #key: SeriesKey;
  readonly #body: SnapshotBody;
  #stamp = 0;

  constructor(rules: NameRules, body: SnapshotBody) {
    this.#key = new SeriesKey(rules);
    this.#body = body;
  }

  /** Stamps begin anew: the clock was ahead. */
  restartStamps(): void {
    this.#stamp = 0;
  }

  /** Writes a metric that arrived at nowMs. Returns DROP_NONE or why it is dropped. */
  write(message: Message, metric: PeerMetric, nowMs: number): number {
    const reason = this.#key.make(message.bytes, metric.nameStart, metric.nameEnd);
    if (reason !== DROP_NONE) return reason;
    // What comes later must win, also within a millisecond, and when the clock steps back.
    this.#stamp = nowMs > this.#stamp ? nowMs : this.#stamp + STAMP_STEP_MS;
    const head = { key: this.#key, updates: metric.updates, weight: 1 / metric.rate };
    if (metric.type === "counter") return this.#writeCounter(head, metric.value / metric.rate);
    if (metric.type === "gauge") return this.#writeGauge(head, metric);
    return metric.type === "timer"
      ? this.#writeTimer(message, metric, head)
      : this.#writeSet(message, metric, head);
  }

  #writeCounter(head: EntryHead, sum: number): number {
    if (!Number.isFinite(sum)) return DROP_NOT_FINITE;
    this.#body.addCounter(head, sum);
    return DROP_NONE;
  }

  #writeGauge(head: EntryHead, { value, timestampMs }: PeerMetric): number {
    if (!Number.isFinite(value)) return DROP_NOT_FINITE;
    // One of the future would beat all that come after it.
    this.#body.addGauge(head, value, Math.min(timestampMs ?? this.#stamp, this.#stamp));
    return DROP_NONE;
  }

  /** Samples that are no numbers are left out: bioyino takes them of anybody, and the others are good. */
  #writeTimer(message: Message, { list }: PeerMetric, head: EntryHead): number {
    if (list.count === 0) return DROP_BAD_VALUE;
    const { weight } = head;
    let good = 0;
    for (let index = 0; index < list.count; index++) {
      if (Number.isFinite(message.double(list, index) * weight)) good += 1;
    }
    if (good === 0) return DROP_NOT_FINITE;
    const values = { ...head, updates: good };
    if (good === list.count) {
      this.#body.addTimer(values, (index) => message.double(list, index), this.#stamp);
      return DROP_NONE;
    }
    this.skippedSamples += list.count - good;
    const kept = new Float64Array(good);
    for (let index = 0, place = 0; index < list.count; index++) {
      const value = message.double(list, index);
      if (Number.isFinite(value * weight)) kept[place++] = value;
    }
    this.#body.addTimer(values, (index) => kept[index]!, this.#stamp);
    return DROP_NONE;
  }

  /** Members are the bits of numbers; here a member is the text that such a number has in a line. */
  #writeSet(message: Message, { list }: PeerMetric, head: EntryHead): number {
    if (list.count === 0) return DROP_BAD_VALUE;
    this.#body.addSet(head, list.count, (index) => memberText(message.double(list, index)));
    return DROP_NONE;
  }
}

function memberText(value: number): string {
  return Object.is(value, -0) ? "-0" : String(value);
}
