/** A metric of a Rust peer, as both versions of its protocol say it. */
import { DROP_BAD_RATE, DROP_BAD_TAGS, DROP_BAD_TIMESTAMP, DROP_NONE } from "../../shared/kernel/reasons.ts";
import type { MetricType } from "../../shared/metric.ts";
import { LIST_OF_BYTES, ListView, type Message, StructView } from "./reader.ts";

const SEMICOLON = 59;
/** Timestamps from here on are milliseconds: as seconds they would lie beyond the year 5000. */
const MILLISECONDS_FROM = 100_000_000_000;

/** Made once and filled again and again; positions are in the message's bytes. */
export class PeerMetric {
  type: MetricType = "counter";
  /** The name with its tags. */
  nameStart = 0;
  nameEnd = 0;
  /** Of a counter or gauge, as it was sent: not scaled by the rate. */
  value = 0;
  /** Samples of a timer, or members of a set, as doubles. */
  readonly list = new ListView();
  /** Samples that it was made from; at least 1. */
  updates = 1;
  /** Sampling rate, in (0, 1]. */
  rate = 1;
  /** When it was measured, in milliseconds; undefined where nothing is said. */
  timestampMs: number | undefined = undefined;
}

const text = new ListView();
const timestamp = new StructView();

/** Finds the name, which is a pointer of a metric. Returns whether there is one. */
export function readName(message: Message, from: StructView, pointer: number, metric: PeerMetric): boolean {
  if (message.list(from, pointer, LIST_OF_BYTES, text) !== "present" || text.count < 2) return false;
  // Text ends with a zero byte that is no part of it.
  metric.nameStart = text.start;
  metric.nameEnd = text.start + text.count - 1;
  return message.bytes[metric.nameEnd] === 0;
}

/** Reads the timestamp, which is a pointer of a metric. Returns DROP_NONE or why the metric is dropped. */
export function readTimestamp(
  message: Message,
  from: StructView,
  pointer: number,
  metric: PeerMetric,
): number {
  metric.timestampMs = undefined;
  const found = message.struct(from, pointer, timestamp);
  if (found === "bad") return DROP_BAD_TIMESTAMP;
  const ticks = Number(message.uint64(timestamp, 0));
  if (found === "absent" || ticks === 0) return DROP_NONE;
  metric.timestampMs = ticks < MILLISECONDS_FROM ? ticks * 1000 : ticks;
  return DROP_NONE;
}

/** Checks where the tags are said to begin: at the first semicolon of the name, and nowhere else. */
export function checkTagOffset(message: Message, metric: PeerMetric, offset: bigint): number {
  if (offset >= BigInt(metric.nameEnd - metric.nameStart)) return DROP_BAD_TAGS;
  const tags = metric.nameStart + Number(offset);
  // Only as far as it is said to go: whoever is wrong shall not make the whole message be searched.
  for (let at = metric.nameStart; at < tags; at++) if (message.bytes[at] === SEMICOLON) return DROP_BAD_TAGS;
  return message.bytes[tags] === SEMICOLON ? DROP_NONE : DROP_BAD_TAGS;
}

let lastSampling = 1;
let lastRate = 1;

/**
 * Sets the rate from what was sent, a float of 32 bits. The shortest decimal that is this float is taken, for
 * that is what a client wrote: `@0.1` means ten to us, not 9.9999998. Returns DROP_NONE or DROP_BAD_RATE.
 */
export function setRate(metric: PeerMetric, sampling: number): number {
  if (sampling !== lastSampling) {
    if (!(sampling > 0 && sampling <= 1)) return DROP_BAD_RATE;
    lastSampling = sampling;
    lastRate = shortestDecimal(sampling);
  }
  metric.rate = lastRate;
  return DROP_NONE;
}

function shortestDecimal(float: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const decimal = Number(float.toPrecision(digits));
    if (Math.fround(decimal) === float) return decimal;
  }
  return float;
}
