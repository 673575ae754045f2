/** What management pages ask the store's thread, and what it answers. Names are text here: few are shown. */
import type { MetricType } from "../shared/metric.ts";

/**
 * match: a glob, or a regular expression between slashes, of the key with its tags, or of a row's name.
 * limit: most series, prefixes, or rows of all intervals together; fewer where their names are so long that
 * the answer would be (answer-room.ts).
 */
export type Question =
  /** Series of the open intervals, and idle ones that are kept. */
  | { readonly kind: "series"; readonly match: string; readonly limit: number; readonly type?: MetricType }
  /** Forgets series: what they hold in open intervals, and what is kept of them when idle. */
  | { readonly kind: "delete"; readonly match: string; readonly type?: MetricType }
  /** Rows of the last flushed intervals, newest first. */
  | { readonly kind: "history"; readonly match: string; readonly limit: number }
  /** Who makes the most series, and which names have several types. */
  | { readonly kind: "offenders"; readonly limit: number }
  /** Turns a tail on: what is merged into matching series comes as TailLine messages until it is off. */
  | { readonly kind: "tail"; readonly tail: number; readonly match: string }
  | { readonly kind: "untail"; readonly tail: number };

/** One series as it is now. */
export interface SeriesState {
  /** `name`, or `name;k=v;k=v` with sorted tags. */
  readonly key: string;
  readonly type: MetricType;
  /** Index of the open interval; undefined for one that is idle and kept. */
  readonly interval?: number;
  /** Lines, or packed values, in that interval. */
  readonly updates: number;
  /** The aggregates as of now, by name, those that there are. */
  readonly values: Readonly<Record<string, number>>;
  /** Output names of those aggregates, by aggregate. */
  readonly outputs: Readonly<Record<string, string>>;
}

/** The rows of a flushed interval that match. */
export interface HistoryInterval {
  readonly interval: number;
  readonly timestampSec: number;
  readonly partial: boolean;
  /** Rows of the interval, whether they match or not. */
  readonly rowCount: number;
  /** False where its rows had no room in the history. */
  readonly isKept: boolean;
  readonly rows: readonly { readonly name: string; readonly value: number }[];
}

/**
 * Who made how many series in one interval, of the open ones and the one flushed last, and how many lines
 * were refused or overflowed for it in all of these.
 */
export interface Offender {
  /** The prefix, or for senders the hash of the address as 8 hex digits. */
  readonly name: string;
  readonly series: number;
  readonly refusedLines: number;
}

export interface Offenders {
  readonly prefixes: readonly Offender[];
  readonly senders: readonly Offender[];
  /** Keys that came with several types; at most 16. */
  readonly clashes: readonly { readonly key: string; readonly types: readonly MetricType[] }[];
}

/** Answers, by kind of question. */
export interface Answers {
  series: { readonly series: readonly SeriesState[]; readonly total: number };
  delete: { readonly deleted: number };
  history: { readonly intervals: readonly HistoryInterval[] };
  offenders: Offenders;
  tail: Record<string, never>;
  untail: Record<string, never>;
}

/** What a snapshot brought for a series that is tailed. */
export interface TailLine {
  readonly tail: number;
  readonly atMs: number;
  readonly key: string;
  readonly type: MetricType;
  readonly updates: number;
  /** A counter's growth, a gauge's level or change, a timer's or set's number of samples or members. */
  readonly value: number;
  /** Whether a gauge's value is a change. */
  readonly isChange: boolean;
}
