/** Reads the series of a snapshot's body for people: key, type, and what the samples were. */
import { METRIC_TYPES, type MetricType } from "../../shared/metric.ts";

/** One sample of a line, as it was understood. */
export interface SampleView {
  /** `name`, or `name;k=v;k=v` with sorted tags. */
  readonly key: string;
  readonly type: MetricType;
  /** What it adds: a counter's amount with its rate, a gauge's level or change, a timer's value, a member. */
  readonly value: number | string;
  /** How many samples it stands for, 1 / rate; absent where that changes nothing. */
  readonly weight?: number;
  /** Whether a gauge is changed by the value, not set to it. */
  readonly isChange?: boolean;
}

/** Layout of an entry: see shared/kernel/snapshot.ts. */
const ENTRY_TYPE = 2;
const ENTRY_PAYLOAD_BYTES = 16;
const ENTRY_KEY = 24;
/** Layout of a gauge's payload: see shared/kernel/gauge.ts. */
const GAUGE_ABSOLUTE = 8;
const GAUGE_CHANGES = 24;
const GAUGE_FREE_COUNT = 32;
const GAUGE_FREE = 36;
/** Layout of a timer's payload: see shared/kernel/timer.ts. */
const TIMER_PLAIN_COUNT = 20;
const TIMER_PAIR_COUNT = 24;
const TIMER_SAMPLES = 32;

/** Reads all entries of a body that the kernel has written. */
export function readSamples(body: Uint8Array, entries: number): SampleView[] {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const samples: SampleView[] = [];
  let at = 0;
  for (let entry = 0; entry < entries; entry++) {
    const start = at + ENTRY_KEY;
    const payload = start + bytes.readUInt16LE(at);
    const end = payload + bytes.readUInt32LE(at + ENTRY_PAYLOAD_BYTES);
    const key = bytes.toString("utf8", start, payload);
    const type = METRIC_TYPES[bytes.readUInt8(at + ENTRY_TYPE)]!;
    samples.push(...READERS[type](bytes.subarray(payload, end)).map((sample) => ({ key, type, ...sample })));
    at = end;
  }
  return samples;
}

type Payload = Omit<SampleView, "key" | "type">;

const READERS: Readonly<Record<MetricType, (payload: Buffer) => Payload[]>> = {
  counter: (payload) => [{ value: payload.readDoubleLE(0) }],
  gauge: readGauge,
  timer: readTimer,
  set: readSet,
};

function readGauge(payload: Buffer): Payload[] {
  if (payload.readUInt32LE(0) !== 0) {
    return [{ value: payload.readDoubleLE(GAUGE_ABSOLUTE) + payload.readDoubleLE(GAUGE_CHANGES) }];
  }
  const count = payload.readUInt32LE(GAUGE_FREE_COUNT);
  return Array.from({ length: count }, (_, index) => ({
    value: payload.readDoubleLE(GAUGE_FREE + 16 * index + 8),
    isChange: true,
  }));
}

function readTimer(payload: Buffer): Payload[] {
  const plain = payload.readUInt32LE(TIMER_PLAIN_COUNT);
  const pairs = payload.readUInt32LE(TIMER_PAIR_COUNT);
  const samples: Payload[] = [];
  for (let index = 0; index < plain; index++) {
    samples.push({ value: payload.readDoubleLE(TIMER_SAMPLES + 8 * index) });
  }
  for (let index = 0; index < pairs; index++) {
    const at = TIMER_SAMPLES + 8 * plain + 16 * index;
    samples.push({ value: payload.readDoubleLE(at), weight: payload.readDoubleLE(at + 8) });
  }
  return samples;
}

function readSet(payload: Buffer): Payload[] {
  const samples: Payload[] = [];
  let at = 4;
  for (let left = payload.readUInt32LE(0); left > 0; left--) {
    const end = at + 2 + payload.readUInt16LE(at);
    samples.push({ value: payload.toString("utf8", at + 2, end) });
    at = end;
  }
  return samples;
}
