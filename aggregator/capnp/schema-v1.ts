/**
 * Messages of version 1: of bioyino before 0.8, and of programs that send metrics themselves.
 *
 *   Message      data: 0 u16 what            pointers: 0 Metric, or list of Metric
 *   Metric       data: 0 f64 value           pointers: 0 name 1 MetricType 2 Timestamp 3 Meta
 *   MetricType   data: 0 u16 type   8 ...    pointers: 0 list of f64, or of u64 with the bits of f64
 *   Timestamp    data: 0 u64
 *   Meta         data: 0 u32 updates         pointers: 0 Sampling
 *   Sampling     data: 0 f32
 */
import {
  DROP_BAD_RATE,
  DROP_BAD_TYPE,
  DROP_BAD_VALUE,
  DROP_EMPTY_NAME,
  DROP_NO_TYPE,
} from "../../shared/kernel/reasons.ts";
import type { MetricType } from "../../shared/metric.ts";
import { type PeerMetric, readName, readTimestamp, setRate } from "./metric.ts";
import { LIST_OF_STRUCTS, LIST_OF_WORDS, type ListView, type Message, StructView } from "./reader.ts";

const WHAT_SINGLE = 0;
const WHAT_MULTI = 1;
const WHAT_SNAPSHOT = 2;
/** By code; 1 is the counter of differences, which nobody knows any more, and 5 a histogram. */
const TYPES: readonly (MetricType | undefined)[] = ["counter", undefined, "timer", "gauge", "set"];

const single = new StructView();
const type = new StructView();
const meta = new StructView();
const sampling = new StructView();

/** Finds the metrics of a message. Returns false for one that cannot be read. */
export function listMetrics1(message: Message, root: StructView, into: ListView): boolean {
  const what = message.uint16(root, 0);
  if (what === WHAT_SINGLE) return listSingle(message, root, into);
  const isList = what === WHAT_MULTI || what === WHAT_SNAPSHOT;
  return isList && message.list(root, 0, LIST_OF_STRUCTS, into) !== "bad";
}

/** One metric is taken for a list of one. */
function listSingle(message: Message, root: StructView, into: ListView): boolean {
  if (message.struct(root, 0, single) !== "present") return false;
  into.segment = single.segment;
  into.start = single.data;
  into.count = 1;
  into.dataBytes = single.dataBytes;
  into.pointerCount = single.pointerCount;
  return true;
}

/** Reads a metric. Returns DROP_NONE or why it is dropped. Tags are found by looking at the name. */
export function readMetric1(message: Message, from: StructView, metric: PeerMetric): number {
  if (!readName(message, from, 0, metric)) return DROP_EMPTY_NAME;
  if (message.struct(from, 1, type) !== "present") return DROP_NO_TYPE;
  const known = TYPES[message.uint16(type, 0)];
  if (known === undefined) return DROP_BAD_TYPE;
  metric.type = known;
  metric.value = message.float64(from, 0);
  const isList = known === "timer" || known === "set";
  if (isList && message.list(type, 0, LIST_OF_WORDS, metric.list) !== "present") return DROP_BAD_VALUE;
  return readTimestamp(message, from, 2, metric) || readMeta(message, from, metric);
}

function readMeta(message: Message, from: StructView, metric: PeerMetric): number {
  if (message.struct(from, 3, meta) === "bad") return DROP_BAD_RATE;
  metric.updates = Math.max(1, message.uint32(meta, 0));
  const found = message.struct(meta, 0, sampling);
  if (found === "bad") return DROP_BAD_RATE;
  return found === "absent" ? setRate(metric, 1) : setRate(metric, message.float32(sampling, 0));
}
