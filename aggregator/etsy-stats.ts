/**
 * What etsy's statsd says about itself with each flush, under the same names. The three counters are named as
 * all counters are; the rest has no type, and its names are those of etsy's graphite backend:
 *
 *   etsy-legacy   stats.statsd.bad_lines_seen   statsd.numStats         stats.statsd.graphiteStats.flush_time
 *   etsy          stats.counters.statsd...      stats.statsd.numStats   stats.statsd.graphiteStats.flush_time
 *
 * where `statsd` is stats-prefix. Under `etsy` the part in front of it, globalPrefix in etsy's terms, is what
 * the prefix of counters has before its last dot.
 */
import type { Counters } from "../shared/counters.ts";
import { type Aggregate, METRIC_TYPES } from "../shared/metric.ts";
import type { Preset } from "../shared/naming-preset.ts";
import type { NamingRule } from "../shared/output-name.ts";
import type { IntakeCounter } from "./counters.ts";
import type { Namer } from "./naming.ts";
import { droppedLines } from "./totals.ts";

/** A row whose name has been made. */
export interface OwnRow {
  readonly name: Buffer;
  readonly value: number;
}

/** What the intakes have counted since they started, the one for own metrics apart. */
export interface EtsyTotals {
  /** Lines refused. */
  readonly badLines: number;
  /** Datagrams received. */
  readonly packets: number;
  /** Lines received, refused ones included. */
  readonly lines: number;
}

/** Adds up what intakes have published. */
export function etsyTotals(intakes: Iterable<Counters<IntakeCounter>>): EtsyTotals {
  let [badLines, packets, lines] = [0, 0, 0];
  for (const counters of intakes) {
    const counts = counters.read();
    badLines += droppedLines(counts);
    packets += counts.datagrams;
    lines += counts.received;
  }
  return { badLines, packets, lines };
}

/** What is known of a flush when its own rows are asked for: all others have been written. */
export interface EtsyFlush {
  /** Wall clock, milliseconds since 1970. */
  readonly nowMs: number;
  /** Series written, idle ones included. */
  readonly series: number;
  /** Time that writing them took, in milliseconds. */
  readonly durationMs: number;
  /** Bytes of their rows. */
  readonly bytes: number;
}

/** What the names of own rows depend on, all of which a reload may change. */
export interface EtsyNaming {
  readonly preset: Preset;
  /** stats-prefix. */
  readonly prefix: string;
  /** The naming of counters, and their aggregates. */
  readonly rule: NamingRule;
  readonly aggregates: readonly Aggregate[];
  readonly namer: Namer;
}

const COUNTER = METRIC_TYPES.indexOf("counter");
const COUNTERS = ["bad_lines_seen", "packets_received", "metrics_received"] as const;

export class EtsyStats {
  readonly #intervalSec: number;
  #naming: EtsyNaming;
  #before: readonly number[] = [0, 0, 0];
  #lastExceptionSec: number;
  #lastFlushSec: number;
  #flushMs = 0;
  #flushBytes = 0;

  /** nowMs: wall clock, milliseconds since 1970. */
  constructor(naming: EtsyNaming, intervalMs: number, nowMs: number) {
    this.#naming = naming;
    this.#intervalSec = intervalMs / 1000;
    this.#lastExceptionSec = this.#lastFlushSec = Math.round(nowMs / 1000);
  }

  /** Goes by other names from now on, and keeps its counts. */
  configure(naming: EtsyNaming): void {
    this.#naming = naming;
  }

  /** Tells that a sink failed to deliver rows. nowMs: wall clock. */
  failed(nowMs: number): void {
    this.#lastExceptionSec = Math.round(nowMs / 1000);
  }

  /** Returns the rows that go behind all others of a flush; counters have their growth since the last one. */
  rows(totals: EtsyTotals, { nowMs, series, durationMs, bytes }: EtsyFlush): OwnRow[] {
    const now = [totals.badLines, totals.packets, totals.lines];
    const { numStats, backend } = untypedNames(this.#naming);
    const counters = COUNTERS.flatMap((name, index) =>
      this.#counter(name, now[index]! - this.#before[index]!),
    );
    this.#before = now;
    const rows = [
      ...counters,
      { name: numStats, value: series + COUNTERS.length },
      ...Object.entries({
        "graphiteStats.calculationtime": Math.round(durationMs),
        processing_time: Math.round(durationMs),
        "graphiteStats.last_exception": this.#lastExceptionSec,
        "graphiteStats.last_flush": this.#lastFlushSec,
        "graphiteStats.flush_time": this.#flushMs,
        "graphiteStats.flush_length": this.#flushBytes,
      }).map(([name, value]) => ({ name: Buffer.from(backend(name)), value })),
    ];
    this.#lastFlushSec = Math.round(nowMs / 1000);
    this.#flushMs = Math.round(durationMs);
    this.#flushBytes = bytes;
    return rows;
  }

  #counter(name: string, growth: number): OwnRow[] {
    const { prefix, namer, aggregates } = this.#naming;
    const key = Buffer.from(`${prefix}.${name}`);
    const values = new Map([
      ["value", growth],
      ["rate", growth / this.#intervalSec],
    ]);
    return aggregates.flatMap((aggregate, index) => {
      const value = values.get(aggregate.name);
      if (value === undefined) return [];
      const target = Buffer.alloc(key.length + namer.maxExtraBytes);
      const length = namer.write(target, 0, key, 0, key.length, COUNTER, index);
      return [{ name: target.subarray(0, length), value }];
    });
  }
}

/** Returns the names of what has no type. */
function untypedNames({ preset, prefix, rule }: EtsyNaming): {
  readonly numStats: Buffer;
  readonly backend: (name: string) => string;
} {
  const suffix = (rule.suffix ?? "") === "" ? "" : `.${rule.suffix}`;
  const isLegacy = preset === "etsy-legacy";
  const space = isLegacy ? "stats" : rule.prefix.replace(/(?:^|\.)[^.]*$/, "");
  const own = space === "" ? prefix : `${space}.${prefix}`;
  return {
    numStats: Buffer.from(`${isLegacy ? prefix : own}.numStats${suffix}`),
    backend: (name) => `${own}.${name}${suffix}`,
  };
}
