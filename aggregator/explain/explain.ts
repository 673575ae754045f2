/**
 * What becomes of lines, by a configuration: read by the intake's kernel, merged by the store's, named as
 * rows are. Nothing is open for it, and nothing is kept.
 */
import type { SuiteConfig } from "../../shared/config.ts";
import { DROP_REASONS } from "../../shared/drop-reasons.ts";
import { EXIT_USAGE, OperatorError } from "../../shared/errors.ts";
import { HEADER_PAYLOAD_BYTES } from "../../shared/kernel/layout.ts";
import { METRIC_TYPES } from "../../shared/metric.ts";
import { frameBody, readLabel } from "../../shared/wire.ts";
import type { DogItem } from "../event/event.ts";
import { type EventFault, type ReadEvent, readEvent } from "../event/event-line.ts";
import { Interval, type IntervalOptions } from "../interval.ts";
import type { Namer } from "../naming.ts";
import { Snapshotter } from "../snapshotter.ts";
import { readPlan, storePlan } from "../store-plan.ts";
import { readSamples, type SampleView } from "./entry.ts";
import { type LineSections, readSections } from "./sections.ts";
import { judgeTimestamp, TIMESTAMP_NOTES, type TimestampVerdict } from "./timestamp.ts";

/** A row that would be written. */
export interface OutputRow {
  /** `sum`, `percentile-99`: as in the configuration. */
  readonly aggregate: string;
  readonly name: string;
  readonly value: number;
}

/** What becomes of one line. */
export interface LineExplanation {
  readonly text: string;
  readonly accepted: boolean;
  /** Drop reason of a line that is refused. */
  readonly reason?: string;
  readonly samples: readonly SampleView[];
  readonly sections: LineSections;
  /** What its timestamp comes to, where that is not the present interval. */
  readonly note?: string;
  /** Of an event or a service check: what it says, or what is wrong with it. */
  readonly event?: DogItem | { readonly fault: EventFault };
  /** Rows that an interval with this line alone would write. */
  readonly outputs: readonly OutputRow[];
}

/** The answer to a question about lines. */
export interface Explanation {
  /** Whose settings the lines were read by: `aggregator`, or NAME of [listener.NAME]. */
  readonly listener: string;
  readonly dialect: string;
  readonly lines: readonly LineExplanation[];
  /** Where rows are written. */
  readonly sinks: readonly string[];
}

/** Bytes of all lines of a question. */
export const EXPLAINED_BYTES_MAX = 32 * 1024;
/** Lines of a question. */
export const EXPLAINED_LINES_MAX = 100;

const HEAP_BYTES = 8 << 20;
const SERIES_MAX = 1024;
const TOO_LATE: (typeof DROP_REASONS)[number] = "too_late";

/** What lines go through. */
interface Parts {
  readonly snapshotter: Snapshotter;
  /** What it has posted. */
  readonly frames: Uint8Array[];
  readonly interval: Interval;
  readonly namer: Namer;
  readonly aggregates: IntervalOptions["aggregates"];
}

export class Explainer {
  readonly #config: SuiteConfig;
  readonly #listener: string;
  readonly #dialect: string;
  readonly #snapshotter: Snapshotter;
  readonly #interval: Interval;
  readonly #namer: Namer;
  readonly #aggregates: IntervalOptions["aggregates"];
  readonly #frames: Uint8Array[];

  private constructor(
    config: SuiteConfig,
    listener: { readonly name: string; readonly dialect: string },
    parts: Parts,
  ) {
    this.#config = config;
    this.#listener = listener.name;
    this.#dialect = listener.dialect;
    this.#snapshotter = parts.snapshotter;
    this.#frames = parts.frames;
    this.#interval = parts.interval;
    this.#namer = parts.namer;
    this.#aggregates = parts.aggregates;
  }

  /**
   * Makes one for a configuration. listener: `aggregator`, or NAME of [listener.NAME].
   * Throws OperatorError where there is no such listener.
   */
  static async create(config: SuiteConfig, listener = "aggregator"): Promise<Explainer> {
    const { aggregator, cluster } = config;
    const settings = settingsOfListener(config, listener);
    const { dialect, sanitize, influxTags, unknownType } = settings;
    const frames: Uint8Array[] = [];
    const snapshotter = await Snapshotter.create(
      {
        node: 0n,
        incarnation: 0n,
        origin: 0,
        intervalMs: aggregator.intervalMs,
        lateWindowMs: aggregator.lateWindowMs,
        snapshotIntervalMs: cluster.snapshotIntervalMs,
        reading: { dialect, sanitize, influxTags, unknownType, untaggedCopy: aggregator.untaggedCopy },
        seriesMax: SERIES_MAX,
        nameBytesMax: aggregator.nameBytesMax,
        tagsBytesMax: aggregator.tagsBytesMax,
        memoryBase: async () => 0n,
        heapBytesMax: HEAP_BYTES,
      },
      Date.now(),
      (frame) => frames.push(frame) > 0,
    );
    const { options, namer } = readPlan(storePlan(config));
    const interval = await Interval.create({
      ...options,
      memoryBytesMax: HEAP_BYTES,
      inputBytesMax: HEAP_BYTES,
    });
    return new Explainer(
      config,
      { name: listener, dialect },
      { snapshotter, frames, interval, namer, aggregates: options.aggregates },
    );
  }

  /** Explains lines, one after the other, each by itself. Throws OperatorError where they are too many. */
  explain(text: string): Explanation {
    const lines = text.split("\n").filter((line) => line.trim() !== "");
    if (Buffer.byteLength(text) > EXPLAINED_BYTES_MAX || lines.length > EXPLAINED_LINES_MAX) {
      throw new OperatorError(
        `that is more than ${EXPLAINED_LINES_MAX} lines or ${EXPLAINED_BYTES_MAX} bytes; give fewer`,
      );
    }
    const { sinks } = this.#config.aggregator;
    const explained = lines.map((line) => this.#explainLine(line));
    return { listener: this.#listener, dialect: this.#dialect, lines: explained, sinks };
  }

  #explainLine(text: string): LineExplanation {
    const { counts } = this.#snapshotter;
    const before = [...counts.dropped];
    this.#consume(text);
    this.#snapshotter.refreshCounts();
    const code = before.findIndex((count, index) => counts.dropped[index]! > count);
    this.#snapshotter.cut(Date.now());
    const samples = this.#merge();
    const event = this.#readEvent(text);
    const sections = event === undefined ? readSections(text) : {};
    const outputs = this.#rows();
    const reason = DROP_REASONS[event !== undefined && "reason" in event ? event.reason : code];
    const verdict = this.#judge(sections, samples);
    const note = verdict === undefined ? undefined : TIMESTAMP_NOTES[verdict];
    if (verdict === "late")
      return { text, accepted: false, reason: TOO_LATE, samples: [], sections, outputs: [] };
    return {
      text,
      accepted: reason === undefined,
      ...(reason === undefined ? {} : { reason }),
      ...(event === undefined ? {} : { event: "item" in event ? event.item : { fault: event.fault } }),
      samples,
      sections,
      ...(note === undefined ? {} : { note }),
      outputs,
    };
  }

  #judge({ timestamp }: LineSections, [first]: readonly SampleView[]): TimestampVerdict | undefined {
    if (timestamp === undefined || first === undefined) return undefined;
    return judgeTimestamp(timestamp, first.type, this.#config.aggregator, Date.now());
  }

  /** Events leave the kernel unread, where the dialect knows them. */
  #readEvent(text: string): ReadEvent | undefined {
    const isKnown = this.#dialect === "auto" || this.#dialect === "dogstatsd";
    if (!isKnown || !/^(?:_e\{|_sc\|)/.test(text)) return undefined;
    return readEvent(Buffer.from(text), Math.floor(Date.now() / 1000));
  }

  /** The rows of the interval, as a flush would write them. */
  #rows(): OutputRow[] {
    const rows: OutputRow[] = [];
    for (const { source, start, end, type, values } of this.#interval.series()) {
      const target = Buffer.alloc(end - start + this.#namer.maxExtraBytes);
      const aggregates = this.#aggregates[METRIC_TYPES[type]!];
      values.forEach((value, index) => {
        if (Number.isNaN(value)) return;
        const bytes = this.#namer.write(target, 0, source, start, end, type, index);
        if (bytes === 0) return;
        rows.push({ aggregate: aggregates[index]!.name, name: target.toString("utf8", 0, bytes), value });
      });
    }
    return rows;
  }

  #consume(text: string): void {
    const { memory, slots, headers } = this.#snapshotter.batch;
    const bytes = Buffer.from(memory.buffer);
    const length = bytes.write(text, slots);
    bytes.writeUInt32LE(length, headers + HEADER_PAYLOAD_BYTES);
    this.#snapshotter.consume(1, Date.now());
  }

  /** Merges what was cut into an interval of its own. Returns the samples. */
  #merge(): SampleView[] {
    const samples: SampleView[] = [];
    this.#interval.open(0);
    for (const frame of this.#frames.splice(0)) {
      const label = readLabel(frame);
      if (label === undefined || label.entries === 0) continue;
      samples.push(...readSamples(frameBody(frame), label.entries));
      this.#interval.merge(frame, label);
    }
    return samples;
  }
}

function settingsOfListener({ aggregator }: SuiteConfig, name: string) {
  if (name === "aggregator") return aggregator;
  const listener = aggregator.listeners.find((one) => one.name === name);
  if (listener !== undefined) return listener;
  const names = ["aggregator", ...aggregator.listeners.map((one) => one.name)];
  throw new OperatorError(
    `there is no listener ${JSON.stringify(name)}; name one of ${names.join(", ")}`,
    EXIT_USAGE,
  );
}
