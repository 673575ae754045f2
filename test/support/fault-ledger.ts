/** Compares what was sent with what carbon has in the end, where the last write of a point counts. */
import type { CarbonWrite } from "./fault-carbon.ts";
import { levelName, type SentItem, TOTAL_NAME, timerName } from "./fault-source.ts";

/** Lines sent to a node in a time that may be lost, for a reason that the check states. */
export interface Excuse {
  readonly node: string;
  readonly fromMs: number;
  readonly toMs: number;
}

export interface LedgerQuestion {
  readonly items: readonly SentItem[];
  readonly writes: readonly CarbonWrite[];
  readonly intervalMs: number;
  /** How long after the interval's end a point is not late yet. */
  readonly lateAfterMs: number;
  /** How far from an interval's edge a line may fall to the wrong side of it. */
  readonly edgeMs: number;
  readonly excuses: readonly Excuse[];
  /** Lines sent to a node that stood still: they are of any interval until it has read them, at `toMs`. */
  readonly delays?: readonly Excuse[];
}

/** All counts are of lines. */
export interface Balance {
  readonly sent: number;
  /** Lines that carbon has nowhere, those excused among them. */
  readonly lost: number;
  /** Lines lost that nothing excuses. */
  readonly unexcused: number;
  /** Lines too many, at the end or at any time. */
  readonly duplicated: number;
  readonly late: number;
  readonly wrongInterval: number;
  /** Largest time from an interval's end to its first point. */
  readonly flushLagMs: number;
  /** The same by the end of the interval in seconds since 1970. */
  readonly lags: ReadonlyMap<number, number>;
  /** Lines lost by node. */
  readonly lostOf: ReadonlyMap<string, number>;
  /** Series that all datagrams add to, and that do not say in an interval what arrived in it. */
  readonly torn: readonly string[];
  /** Names of some of those that nothing excuses, for people. */
  readonly examples: readonly string[];
}

/** Points of one name: by second the last value, the greatest, and when the last one first came. */
interface Point {
  value: number;
  greatest: number;
  sinceMs: number;
}

const EXAMPLES_MAX = 5;

export function balance(question: LedgerQuestion): Balance {
  const { items, intervalMs, lateAfterMs } = question;
  const points = pointsOf(question.writes);
  let [sent, lost, unexcused, duplicated, late, wrongInterval] = [0, 0, 0, 0, 0, 0];
  const lostOf = new Map<string, number>();
  const examples: string[] = [];
  for (const item of items) {
    const own = points.get(item.name) ?? new Map<number, Point>();
    let [total, greatest, right] = [0, 0, 0];
    for (const [second, { value, greatest: most, sinceMs }] of own) {
      total += value;
      greatest = Math.max(greatest, most);
      if (isRight(item, second, question)) right += value;
      if (sinceMs > second * 1000 + lateAfterMs) late += value;
    }
    sent += item.count;
    const missing = Math.max(0, item.count - total);
    lost += missing;
    lostOf.set(item.node, (lostOf.get(item.node) ?? 0) + missing);
    const surplus = Math.max(total, greatest) - item.count;
    duplicated += Math.max(0, surplus);
    wrongInterval += total - right;
    if (missing > 0 && !isExcused(item, question.excuses)) unexcused += missing;
    const isOdd = surplus > 0 || total !== right || (missing > 0 && !isExcused(item, question.excuses));
    if (isOdd && examples.length < EXAMPLES_MAX) {
      examples.push(`${item.name} sent ${item.atMs}: ${JSON.stringify([...own])}`);
    }
  }
  const torn = tornSeries(items, points);
  const lags = lagsOf(question, intervalMs);
  const flushLagMs = Math.max(0, ...lags.values());
  return {
    sent,
    lost,
    unexcused,
    duplicated,
    late,
    wrongInterval,
    flushLagMs,
    lags,
    lostOf,
    torn,
    examples,
  };
}

export function isExcused(item: SentItem, excuses: readonly Excuse[]): boolean {
  return excuses.some(
    ({ node, fromMs, toMs }) => node === item.node && item.atMs >= fromMs && item.atMs <= toMs,
  );
}

/** The end of the interval in which a moment lies, in seconds since 1970: the timestamp of its points. */
export function secondOf(atMs: number, intervalMs: number): number {
  return ((Math.floor(atMs / intervalMs) + 1) * intervalMs) / 1000;
}

function isRight(item: SentItem, second: number, question: LedgerQuestion): boolean {
  const { edgeMs, intervalMs, delays = [] } = question;
  const delay = delays.find((one) => isExcused(item, [one]));
  const latestMs = Math.max(item.atMs + edgeMs, delay?.toMs ?? 0);
  return second >= secondOf(item.atMs - edgeMs, intervalMs) && second <= secondOf(latestMs, intervalMs);
}

type Points = ReadonlyMap<string, ReadonlyMap<number, Point>>;

/** Compares the series that all datagrams add to with what arrived of each datagram, interval by interval. */
function tornSeries(items: readonly SentItem[], points: Points): string[] {
  const wanted = new Map<string, Map<number, number>>();
  const add = (name: string, second: number, value: number) => {
    let own = wanted.get(name);
    if (own === undefined) {
      own = new Map();
      wanted.set(name, own);
    }
    own.set(second, (own.get(second) ?? 0) + value);
  };
  const levels = new Map<string, number>();
  for (const { name, node, count } of items) {
    for (const [second, { value }] of points.get(name) ?? []) {
      add(TOTAL_NAME, second, value);
      add(`${timerName(node)}.count`, second, value / count);
      levels.set(node, (levels.get(node) ?? 0) + value / count);
    }
  }
  const torn = [...wanted].flatMap(([name, seconds]) =>
    [...seconds].flatMap(([second, value]) => {
      const found = points.get(name)?.get(second)?.value ?? 0;
      return found === value ? [] : [`${name} at ${second} is ${found}, not ${value}`];
    }),
  );
  // Levels before an amended one may have been written when nobody knew better; the last one counts.
  for (const [node, level] of levels) {
    const own = points.get(levelName(node)) ?? new Map<number, Point>();
    const last = Math.max(...own.keys());
    const found = own.get(last)?.value;
    if (found !== level) torn.push(`${levelName(node)} at ${last} is ${found}, not ${level}`);
  }
  return torn;
}

function pointsOf(writes: readonly CarbonWrite[]): Map<string, Map<number, Point>> {
  const points = new Map<string, Map<number, Point>>();
  for (const { name, second, value, atMs } of writes) {
    let own = points.get(name);
    if (own === undefined) {
      own = new Map();
      points.set(name, own);
    }
    const point = own.get(second);
    if (point === undefined) own.set(second, { value, greatest: value, sinceMs: atMs });
    else {
      if (point.value !== value) point.sinceMs = atMs;
      point.value = value;
      point.greatest = Math.max(point.greatest, value);
    }
  }
  return points;
}

/**
 * Lags of the intervals that lines were sent in, but for the first and the last, of which a part is missing.
 */
function lagsOf({ items, writes }: LedgerQuestion, intervalMs: number): Map<number, number> {
  const lags = new Map<number, number>();
  const ends = [...new Set(items.map(({ atMs }) => secondOf(atMs, intervalMs)))].sort((a, b) => a - b);
  const wanted = new Set(ends.slice(1, -1));
  for (const { second, atMs } of writes) {
    if (wanted.has(second) && !lags.has(second)) lags.set(second, atMs - second * 1000);
  }
  for (const second of wanted) if (!lags.has(second)) lags.set(second, Number.POSITIVE_INFINITY);
  return lags;
}
