/** Writes intervals as rows, and keeps of them what outlives them. */
import type { Counters } from "../shared/counters.ts";
import type { StoreCounter } from "./counters.ts";
import type { OwnRow } from "./etsy-stats.ts";
import { type EmitRows, Flush, type FlushLabel } from "./flush.ts";
import type { Interval } from "./interval.ts";
import type { Kept } from "./kept.ts";
import type { OpenInterval } from "./open-intervals.ts";
import type { Terms } from "./terms.ts";

/** What is done with an interval that has been flushed. */
export interface FlushReport extends FlushLabel {
  readonly series: number;
  readonly rows: number;
  readonly lines: number;
  readonly durationMs: number;
}

/** What is to be written. */
export interface Writing {
  readonly label: FlushLabel;
  /** Undefined where nothing was received. */
  readonly open: OpenInterval | undefined;
  /** Of the interval, or of now where there is none. */
  readonly terms: Terms;
  /** Whether it is the newest: then idle series have their place in it, and the aggregator's own rows. */
  readonly isPresent: boolean;
  /** Whether it was the newest before as well: own rows count what was since the last ones. */
  readonly isAgain?: boolean;
  /** Whether gauges that were only changed still have to get the levels that they start from. */
  readonly isUnleveled: boolean;
  /** Index as of which its series were seen; undefined where they shall not be kept. */
  readonly keptAs: number | undefined;
  /** Only series that this has are written. */
  readonly only?: Interval | undefined;
}

/** What own rows are made of; each call goes on from the one before. */
type OwnRows = (
  flush: Pick<Flush, "series" | "idleSeries" | "byteLength">,
  durationMs: number,
) => readonly OwnRow[];

export class IntervalWriter {
  readonly #kept: Kept;
  readonly #counters: Counters<StoreCounter>;
  readonly #emit: EmitRows;
  /** Rows of the aggregator itself that go behind those of a flush. */
  ownRows: OwnRows | undefined;

  constructor(kept: Kept, counters: Counters<StoreCounter>, emit: EmitRows) {
    this.#kept = kept;
    this.#counters = counters;
    this.#emit = emit;
  }

  /** Writes an interval, which must not be merged into or emptied until this has resolved. */
  async write(writing: Writing): Promise<FlushReport> {
    const { label, open, terms, isPresent, keptAs } = writing;
    const startedMs = performance.now();
    const flush = new Flush(label, this.#emit);
    const renamesBefore = terms.namer.refusedRenames;
    const unsortedBefore = open?.interval.unsortedTimers ?? 0;
    if (open !== undefined) {
      if (writing.isUnleveled) {
        const levels = this.#kept.giveLevels(open.interval, keptAs ?? label.interval, terms.spans);
        for (const _ of levels) await flush.pause();
      }
      await flush.writeInterval(open.interval, terms.namer, writing.only);
      if (keptAs !== undefined) await this.keep(open, keptAs, () => flush.pause());
    }
    if (isPresent) {
      await flush.writeIdle(this.#kept.idle(label.interval, terms.spans), terms);
      const own = writing.isAgain === true ? undefined : this.ownRows;
      flush.writeOwn(own?.(flush, performance.now() - startedMs) ?? []);
    }
    await flush.end();
    const lines = open?.interval.lines ?? 0;
    const { series, rows, idleRows } = flush;
    const durationMs = performance.now() - startedMs;
    const counters = this.#counters;
    counters.add("refusedRenames", terms.namer.refusedRenames - renamesBefore);
    counters.add("unsortedTimers", (open?.interval.unsortedTimers ?? 0) - unsortedBefore);
    counters.add("flushedIntervals", 1);
    counters.add("flushedSeries", series);
    counters.add("flushedRows", rows);
    counters.add("flushedLines", lines);
    counters.add("idleRows", idleRows);
    counters.set("flushMs", durationMs);
    return { ...label, series, rows, lines, durationMs };
  }

  /** An interval was written by another node: own rows of the next one count from here. */
  passOwn(): void {
    this.ownRows?.({ series: 0, idleSeries: 0, byteLength: 0 }, 0);
  }

  /**
   * Keeps what outlives the interval, as seen in interval k. isLate: what a later interval has said stays.
   * pause: awaited between the parts.
   */
  async keep(
    { interval, terms }: OpenInterval,
    k: number,
    pause: () => Promise<void>,
    isLate = false,
  ): Promise<void> {
    if (terms.spans.types.length === 0) return;
    for (const part of interval.seenSeries(terms.spans.types)) {
      this.#counters.add("forgottenBases", this.#kept.keep(part, k, isLate));
      await pause();
    }
  }
}
