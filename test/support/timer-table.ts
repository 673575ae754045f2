/** A store's table of timers, filled by lines through an intake, and what it computes of them. */
import assert from "node:assert/strict";
import { Histograms, withBins } from "../../aggregator/histogram.ts";
import { Interval, type IntervalOptions } from "../../aggregator/interval.ts";
import type { HistogramRule } from "../../shared/config-shaping.ts";
import { type Aggregate, parseAggregate } from "../../shared/metric.ts";
import { newIntake, type TestIntake } from "./snapshots.ts";

export interface TimerTableOptions extends Partial<Omit<IntervalOptions, "histograms">> {
  /** As in the configuration, or made by hand. */
  readonly timer: readonly (string | Aggregate)[];
  readonly histograms?: readonly HistogramRule[];
}

export class TimerTable {
  readonly interval: Interval;
  readonly aggregates: readonly Aggregate[];
  readonly #intake: TestIntake;

  private constructor(interval: Interval, aggregates: readonly Aggregate[], intake: TestIntake) {
    this.interval = interval;
    this.aggregates = aggregates;
    this.#intake = intake;
  }

  static async create({ timer, histograms = [], ...options }: TimerTableOptions): Promise<TimerTable> {
    const named = timer.map((one) => (typeof one === "string" ? parseAggregate(one)! : one));
    const aggregates = withBins(named, histograms);
    const intervalMs = options.intervalMs ?? 10_000;
    const interval = await Interval.create({
      intervalMs,
      seriesMax: 100_000,
      memoryBytesMax: 64 << 20,
      updateCountThreshold: 0,
      ...options,
      aggregates: { counter: [], gauge: [], timer: aggregates, set: [] },
      histograms: new Histograms(histograms),
    });
    return new TimerTable(interval, aggregates, await newIntake({ intervalMs }));
  }

  /** Takes lines, in as few datagrams as they fit into. */
  send(lines: readonly string[]): void {
    const datagrams: string[] = [];
    for (let first = 0; first < lines.length; ) {
      let text = lines[first++]!;
      while (first < lines.length && text.length + lines[first]!.length < 60_000)
        text += `\n${lines[first++]}`;
      datagrams.push(text);
    }
    const before = this.#intake.frames.length;
    for (const datagram of datagrams) this.#intake.send([Buffer.from(datagram)]);
    this.#intake.cut();
    for (const frame of this.#intake.frames.slice(before)) {
      assert.equal(this.interval.merge(frame).kind, "merged");
    }
  }

  /** What there is to say of each timer: by its key, values by the aggregates' labels. */
  read(): Map<string, Record<string, number>> {
    const timers = new Map<string, Record<string, number>>();
    for (const { source, start, end, values } of this.interval.series()) {
      const found: Record<string, number> = {};
      this.aggregates.forEach(({ label }, index) => {
        if (!Number.isNaN(values[index]!)) found[label] = values[index]!;
      });
      timers.set(source.toString("utf8", start, end), found);
    }
    return timers;
  }
}
