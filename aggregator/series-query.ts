/** Answers about the series of the open intervals, and those that are kept. */
import { type Aggregate, METRIC_TYPES, type MetricType } from "../shared/metric.ts";
import { compilePattern, decodeName, nameEncoding, type Pattern } from "../shared/pattern.ts";
import { AnswerRoom } from "./answer-room.ts";
import type { Interval, SeriesView } from "./interval.ts";
import type { IdleView, Kept } from "./kept.ts";
import type { OpenInterval, OpenIntervals } from "./open-intervals.ts";
import type { Answers, Question, SeriesState } from "./questions.ts";
import type { Terms } from "./terms.ts";
import { stepsOf, Turns } from "./turns.ts";

const GAUGE = METRIC_TYPES.indexOf("gauge");

type Asked<Kind extends Question["kind"]> = Extract<Question, { kind: Kind }>;

/** Where a series is. */
interface Place {
  readonly source: Buffer;
  readonly start: number;
  readonly end: number;
  readonly type: number;
}

export class SeriesQuery {
  readonly #intervals: OpenIntervals;
  readonly #kept: Kept;

  constructor(intervals: OpenIntervals, kept: Kept) {
    this.#intervals = intervals;
    this.#kept = kept;
  }

  /** Finds series. Throws OperatorError for a broken pattern, as the others do. */
  async find(question: Asked<"series">): Promise<Answers["series"]> {
    const pattern = compilePattern(question.match);
    const series: SeriesState[] = [];
    const room = new AnswerRoom();
    let total = 0;
    const hasRoom = () => series.length < question.limit && !room.isFull;
    const show = (state: SeriesState): void => {
      if (room.take(state)) series.push(state);
    };
    await this.#visit(
      pattern,
      question.type,
      (key, view, { interval, terms }) => {
        total += 1;
        if (!hasRoom()) return;
        interval.aggregate(view);
        const { updates, values } = view;
        const base = this.#baseOf(view, { interval, terms });
        const named = nameAggregates(view, terms, (aggregate, { kind }) => {
          return kind === "value" ? values[aggregate]! + base : values[aggregate]!;
        });
        show({ key, type: METRIC_TYPES[view.type]!, interval: interval.index, updates, ...named });
      },
      (key, view) => {
        if (this.#isOpen(view)) return;
        total += 1;
        if (!hasRoom()) return;
        show({ key, type: METRIC_TYPES[view.type]!, updates: 0, ...this.#nameIdle(view) });
      },
    );
    return { series, total };
  }

  /** Forgets series. One that is there several times counts once. */
  async delete(question: Asked<"delete">): Promise<Answers["delete"]> {
    const pattern = compilePattern(question.match);
    let deleted = 0;
    await this.#visit(
      pattern,
      question.type,
      (_, view, { interval }) => {
        if (!this.#isOpen(view, interval)) deleted += 1;
        interval.forget(view.record);
      },
      (_, view) => {
        if (!this.#isOpen(view)) deleted += 1;
        this.#kept.forget(view);
      },
    );
    return { deleted };
  }

  /** Visits what matches, in slices. What a visitor is given holds until it returns. */
  async #visit(
    pattern: Pattern,
    type: MetricType | undefined,
    onOpen: (key: string, view: SeriesView, open: OpenInterval) => void,
    onKept: (key: string, view: IdleView) => void,
  ): Promise<void> {
    const turns = new Turns();
    const wanted = type === undefined ? -1 : METRIC_TYPES.indexOf(type);
    const keyOf = (view: Place): string | undefined => {
      if (wanted >= 0 && view.type !== wanted) return undefined;
      const key = readKey(view);
      return pattern.matches(key) ? key : undefined;
    };
    for (const open of [...this.#intervals.values()]) {
      // Meanwhile it may have been flushed.
      if (this.#intervals.get(open.interval.index) !== open) continue;
      for (const view of open.interval.series(true)) {
        const key = keyOf(view);
        if (key !== undefined) onOpen(key, view, open);
        if (turns.isDue(stepsOf(view.updates))) await turns.next();
      }
    }
    for (const view of this.#kept.series()) {
      const key = keyOf(view);
      if (key !== undefined) onKept(key, view);
      if (turns.isDue()) await turns.next();
    }
  }

  /** Whether an open interval has the series; with `last` only those opened before it. */
  #isOpen({ source, start, end, type }: Place, last?: Interval): boolean {
    const key = Buffer.from(source.subarray(start, end));
    for (const { interval } of this.#intervals.values()) {
      if (interval === last) return false;
      if (interval.has(key, type)) return true;
    }
    return false;
  }

  /** What a gauge starts from that was changed, and not set: its flush will add it. */
  #baseOf({ source, start, end, type, record }: SeriesView, { interval, terms }: OpenInterval): number {
    if (type !== GAUGE || interval.isGaugeSet(record)) return 0;
    return this.#kept.levelOf(source.subarray(start, end), interval.index, terms.spans);
  }

  #nameIdle(view: IdleView): Pick<SeriesState, "values" | "outputs"> {
    const { terms } = this.#intervals;
    const idle = terms.idleAggregates[view.type]!;
    return nameAggregates(view, terms, (aggregate) => {
      const known = idle.find(({ index }) => index === aggregate);
      if (known === undefined) return Number.NaN;
      return known.isLevel ? view.level : 0;
    });
  }
}

function readKey({ source, start, end }: Place): string {
  const name = source.subarray(start, end);
  return decodeName(name, nameEncoding(name));
}

/** Returns the aggregates of a series that have a value, and the names that they are written under. */
function nameAggregates(
  { source, start, end, type }: Place,
  { options, namer }: Terms,
  compute: (index: number, aggregate: Aggregate) => number,
): Pick<SeriesState, "values" | "outputs"> {
  const values: Record<string, number> = {};
  const outputs: Record<string, string> = {};
  const target = Buffer.alloc(end - start + namer.maxExtraBytes);
  options.aggregates[METRIC_TYPES[type]!].forEach((aggregate, index) => {
    const { name } = aggregate;
    const value = compute(index, aggregate);
    if (Number.isNaN(value)) return;
    values[name] = value;
    const bytes = namer.write(target, 0, source, start, end, type, index);
    if (bytes > 0) outputs[name] = readKey({ source: target, start: 0, end: bytes, type });
  });
  return { values, outputs };
}
