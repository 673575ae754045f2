/** Keeps the aggregator's own metrics between two readings: growth as statsd lines, rates for /stats. */
import { OWN_STATS } from "./own-stat-rows.ts";
import type { Totals } from "./totals.ts";

export interface StatsReading {
  /** When the reading was made, milliseconds since 1970. */
  readonly atMs: number;
  /** Counters: growth per second since the reading before. Gauges: their value. */
  readonly values: ReadonlyMap<string, number>;
}

export class OwnStats {
  readonly #prefix: string;
  /** Whether readings become lines; under etsy's presets its own rows take their place (etsy-stats.ts). */
  hasLines: boolean;
  #before = new Map<string, number>();
  #reading: StatsReading;

  /** prefix: goes before every name in statsd lines, with a dot where it is not empty. */
  constructor(prefix: string, nowMs: number, hasLines = true) {
    this.#prefix = prefix === "" ? "" : `${prefix}.`;
    this.hasLines = hasLines;
    this.#reading = { atMs: nowMs, values: new Map(OWN_STATS.map(({ name }) => [name, 0])) };
  }

  /** The last reading. */
  get reading(): StatsReading {
    return this.#reading;
  }

  /**
   * Makes a reading. Returns it as statsd lines, counters with their growth, gauges with their value; empty
   * where there are none.
   */
  read(totals: Totals, nowMs: number): string {
    const seconds = Math.max(nowMs - this.#reading.atMs, 1) / 1000;
    const values = new Map<string, number>();
    const lines: string[] = [];
    for (const { name, kind, read } of OWN_STATS) {
      const value = read(totals);
      if (kind === "gauge") {
        values.set(name, value);
        // A minus would make it a change; none of these is negative but for a clock that was set back.
        lines.push(`${this.#prefix}${name}:${Math.max(value, 0)}|g`);
        continue;
      }
      // Who is no peer any more takes its counts along.
      const growth = Math.max(0, value - (this.#before.get(name) ?? 0));
      this.#before.set(name, value);
      values.set(name, growth / seconds);
      lines.push(`${this.#prefix}${name}:${growth}|c`);
    }
    this.#reading = { atMs: nowMs, values };
    return this.hasLines ? lines.join("\n") : "";
  }
}
