/**
 * Messages of version 2, which bioyino 0.8 sends.
 *
 *   Message       data: 0 u64 version   8 u16 what   pointers: 0 list of Metric
 *   Metric        data: 0 f32 sampling               pointers: 0 name 1 MetricValue 2 Timestamp 3 Meta
 *   MetricValue   data: 0 f64 value     8 u16 type   pointers: 0 list of f64, or of u64 with the bits of f64
 *   Timestamp     data: 0 u64
 *   Meta          data: 0 u32 updates   4 u16 whether it has tags   8 u64 offset of the first semicolon
 */
import {
  DROP_BAD_TAGS,
  DROP_BAD_TYPE,
  DROP_BAD_VALUE,
  DROP_EMPTY_NAME,
  DROP_NO_VALUE,
  DROP_NONE,
} from "../../shared/kernel/reasons.ts";
import type { MetricType } from "../../shared/metric.ts";
import { checkTagOffset, type PeerMetric, readName, readTimestamp, setRate } from "./metric.ts";
import { LIST_OF_STRUCTS, LIST_OF_WORDS, type ListView, type Message, StructView } from "./reader.ts";

/** The version, a number nobody else begins a message with. */
const VERSION = 15832876314001345334n;
const WHAT_NOOP = 0;
const WHAT_SNAPSHOT = 1;
/** By code; histograms have no place here. */
const TYPES: readonly MetricType[] = ["gauge", "counter", "timer", "set"];
const GRAPHITE_TAGS = 1;

const value = new StructView();
const meta = new StructView();

/** Whether a message is of this version. */
export function isVersion2(message: Message, root: StructView): boolean {
  return message.uint64(root, 0) === VERSION;
}

/** Finds the metrics of a message. Returns false for one that cannot be read. */
export function listMetrics2(message: Message, root: StructView, into: ListView): boolean {
  into.count = 0;
  const what = message.uint16(root, 8);
  if (what === WHAT_NOOP) return true;
  return what === WHAT_SNAPSHOT && message.list(root, 0, LIST_OF_STRUCTS, into) !== "bad";
}

/** Reads a metric. Returns DROP_NONE or why it is dropped. */
export function readMetric2(message: Message, from: StructView, metric: PeerMetric): number {
  if (!readName(message, from, 0, metric)) return DROP_EMPTY_NAME;
  if (message.struct(from, 1, value) !== "present") return DROP_NO_VALUE;
  const type = TYPES[message.uint16(value, 8)];
  if (type === undefined) return DROP_BAD_TYPE;
  metric.type = type;
  metric.value = message.float64(value, 0);
  const isList = type === "timer" || type === "set";
  if (isList && message.list(value, 0, LIST_OF_WORDS, metric.list) !== "present") return DROP_BAD_VALUE;
  // Who has no sampling says nothing, which reads as 0.
  const sampling = message.float32(from, 0);
  const reason = setRate(metric, sampling === 0 ? 1 : sampling) || readTimestamp(message, from, 2, metric);
  return reason === DROP_NONE ? readMeta(message, from, metric) : reason;
}

function readMeta(message: Message, from: StructView, metric: PeerMetric): number {
  if (message.struct(from, 3, meta) === "bad") return DROP_BAD_TAGS;
  metric.updates = Math.max(1, message.uint32(meta, 0));
  if (message.uint16(meta, 4) !== GRAPHITE_TAGS) return DROP_NONE;
  return checkTagOffset(message, metric, message.uint64(meta, 8));
}
