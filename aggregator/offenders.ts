/** Who makes the most series, and which names have several types: what intervals tell of it. */
import { METRIC_TYPES, type MetricType } from "../shared/metric.ts";
import { decodeName, nameEncoding } from "../shared/pattern.ts";
import type { Interval } from "./interval.ts";
import { type AggregatorKernel, addressOf, RECORD_KEY, RECORD_KEY_BYTES } from "./kernel.ts";
import type { Offender, Offenders } from "./questions.ts";

/** Keys with several types that a kernel remembers. */
const CLASHES_MAX = 16;
/** Prefixes, and senders, that are listed of one interval; a tie among the last is cut off anywhere. */
const LISTED_MAX = 256;

// Of a tally in kernel/limits.ts.
const TALLY_SERIES = 4;
const TALLY_REFUSED = 8;
const TALLY_HASH = 16;
const TALLY_TEXT_BYTES = 20;
const TALLY_TEXT = 24;

/** A key that came with several types. */
export interface Clash {
  readonly key: string;
  readonly types: readonly MetricType[];
}

/** Lists who makes the most series of an interval, as far as addUpOffenders() needs it. */
export function listOffenders(interval: Interval): Offenders {
  const { kernel } = interval;
  return {
    prefixes: mostOf(kernel, kernel.exports.firstPrefix()).map((tally) => readTally(kernel, tally, prefixOf)),
    senders: mostOf(kernel, kernel.exports.firstSender()).map((tally) => readTally(kernel, tally, senderOf)),
    clashes: findClashes(interval),
  };
}

/**
 * Puts together what several intervals tell: refused lines are added up; of series the most in one interval
 * count, since most of them are in each. limit: prefixes, and senders, with the most series.
 */
export function addUpOffenders(lists: readonly Offenders[], limit: number): Offenders {
  const clashes = lists.flatMap((list) => list.clashes);
  return {
    prefixes: addUp(
      lists.flatMap(({ prefixes }) => prefixes),
      limit,
    ),
    senders: addUp(
      lists.flatMap(({ senders }) => senders),
      limit,
    ),
    clashes: [...new Map(clashes.map((clash) => [clash.key, clash])).values()].slice(0, CLASHES_MAX),
  };
}

/** Returns the prefix that most lines were refused of in one interval; undefined where none were. */
export function mostRefusedPrefix(intervals: readonly Interval[]): string | undefined {
  let most = 0;
  let name: string | undefined;
  for (const { kernel } of intervals) {
    const tallies = readTallies(kernel, kernel.exports.firstPrefix());
    const worst = tallies.reduce((one, other) => (other.refused > one.refused ? other : one), NO_TALLY);
    if (worst.refused <= most) continue;
    most = worst.refused;
    name = prefixOf(Buffer.from(kernel.memory.buffer), worst.at);
  }
  return name;
}

/** Lists the keys of an interval that came with several types, as far as they are remembered. */
export function findClashes(interval: Interval): Clash[] {
  return clashingKeys(interval.kernel).map((key) => ({
    key: decodeName(key, nameEncoding(key)),
    types: METRIC_TYPES.filter((_, type) => interval.has(key, type)),
  }));
}

function clashingKeys({ exports, memory }: AggregatorKernel): Buffer[] {
  const bytes = Buffer.from(memory.buffer);
  const records = Array.from({ length: CLASHES_MAX }, (_, index) => addressOf(exports.clashRecord(index)));
  return records
    .filter((record) => record !== 0)
    .map((record) => {
      const start = record + RECORD_KEY;
      return Buffer.from(bytes.subarray(start, start + bytes.readUInt16LE(record + RECORD_KEY_BYTES)));
    });
}

interface Tally {
  readonly at: number;
  readonly series: number;
  readonly refused: number;
}

const NO_TALLY: Tally = { at: 0, series: 0, refused: 0 };

/** Reads a list of tallies, of which there may be many, without their names. */
function readTallies({ memory }: AggregatorKernel, first: number): Tally[] {
  const words = new DataView(memory.buffer);
  const tallies: Tally[] = [];
  for (let at = addressOf(first); at !== 0; at = words.getUint32(at, true)) {
    const series = words.getUint32(at + TALLY_SERIES, true);
    tallies.push({ at, series, refused: words.getFloat64(at + TALLY_REFUSED, true) });
  }
  return tallies;
}

/** Returns the tallies of a list with the most series and refused lines. */
function mostOf(kernel: AggregatorKernel, first: number): Tally[] {
  const tallies = readTallies(kernel, first);
  if (tallies.length <= LISTED_MAX) return tallies;
  const weights = Float64Array.from(tallies, weightOf).sort();
  const least = weights[weights.length - LISTED_MAX]!;
  const above = tallies.filter((tally) => weightOf(tally) > least);
  const equal = tallies.filter((tally) => weightOf(tally) === least);
  return [...above, ...equal.slice(0, LISTED_MAX - above.length)];
}

function weightOf({ series, refused }: Tally): number {
  return series + refused;
}

function readTally(
  { memory }: AggregatorKernel,
  { at, series, refused }: Tally,
  nameOf: (bytes: Buffer, at: number) => string,
): Offender {
  return { name: nameOf(Buffer.from(memory.buffer), at), series, refusedLines: refused };
}

function prefixOf(bytes: Buffer, at: number): string {
  const text = bytes.subarray(at + TALLY_TEXT, at + TALLY_TEXT + bytes.readUInt32LE(at + TALLY_TEXT_BYTES));
  return decodeName(text, nameEncoding(text));
}

function senderOf(bytes: Buffer, at: number): string {
  return bytes
    .readUInt32LE(at + TALLY_HASH)
    .toString(16)
    .padStart(8, "0");
}

function addUp(offenders: readonly Offender[], limit: number): Offender[] {
  const sums = new Map<string, Offender>();
  for (const { name, series, refusedLines } of offenders) {
    const sum = sums.get(name);
    sums.set(name, {
      name,
      series: Math.max(series, sum?.series ?? 0),
      refusedLines: refusedLines + (sum?.refusedLines ?? 0),
    });
  }
  const rank = (offender: Offender): number => offender.series + offender.refusedLines;
  return [...sums.values()].sort((a, b) => rank(b) - rank(a)).slice(0, limit);
}
