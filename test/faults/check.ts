/**
 * A check of the acceptance list: one fault, or one kind of it, done to a real cluster, and what must hold.
 */
import type { Random } from "../../shared/random.ts";
import type { Balance } from "../support/fault-ledger.ts";
import type { FaultNetwork } from "../support/fault-network.ts";
import { FaultRig, type RigOptions } from "../support/fault-rig.ts";

export interface CheckContext {
  readonly network: FaultNetwork;
  /** Phases and durations come from it. */
  readonly random: Random;
  /** How often the fault is done. */
  readonly runs: number;
  readonly isShort: boolean;
  /** Folder for the logs of nodes; undefined for none. */
  readonly logs: string | undefined;
  /** Folder of an older build, for an upgrade; undefined for none. */
  readonly previous: string | undefined;
}

export interface Check {
  /** Rows that it gives, such as R1. */
  readonly ids: readonly string[];
  /** Runs by default; in the short form, where 0 leaves it out. */
  readonly runs: number;
  readonly shortRuns: number;
  run(context: CheckContext): Promise<Row[]>;
}

/** One line of the table. All counts are of lines. */
export interface Row {
  readonly id: string;
  readonly title: string;
  readonly target: string;
  /** How it differs from the acceptance list in time or number; empty for not at all. */
  readonly scale: string;
  readonly sent: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly late: number;
  readonly wrongInterval: number;
  readonly flushLagMs: number;
  /**
   * Longest time to the next write beyond the wait for an interval's end; undefined where nothing stopped.
   */
  readonly recoveryMs: number | undefined;
  readonly figure: string;
  readonly runs: number;
  /** What did not hold; empty for a green row. */
  readonly offences: readonly string[];
  /** Why it was not done; empty where it was. */
  readonly leftOut: string;
}

/** Sums that are told of a red row. */
const TORN_MAX = 5;

type RowWords = Pick<Row, "id" | "title" | "target" | "scale">;

/** What must hold in every check, and what comes on top. */
export interface Findings {
  readonly figure: string;
  readonly runs: number;
  readonly recoveryMs?: number | undefined;
  /** Each claim that has to be true, under what is said when it is not. */
  readonly claims?: Readonly<Record<string, boolean>>;
  /** Lines in a wrong interval that are within the target; default 0. */
  readonly wrongMax?: number;
}

/** Makes a row of what carbon has: nothing may be lost without an excuse, doubled, or in a wrong interval. */
export function rowOf(words: RowWords, balance: Balance, findings: Findings): Row {
  const { figure, runs, recoveryMs, claims = {}, wrongMax = 0 } = findings;
  const { sent, lost, unexcused, duplicated, late, wrongInterval, flushLagMs, examples } = balance;
  const offences = Object.entries(claims).flatMap(([offence, isTrue]) => (isTrue ? [] : [offence]));
  if (sent === 0) offences.push("nothing was sent");
  if (unexcused > 0) offences.push(`${unexcused} lines lost without an excuse`);
  if (duplicated > 0) offences.push(`${duplicated} lines counted twice`);
  if (wrongInterval > wrongMax) offences.push(`${wrongInterval} lines in a wrong interval`);
  const odd = [...balance.lags].filter(([, lagMs]) => lagMs === Number.POSITIVE_INFINITY).length;
  if (odd > 0) offences.push(`${odd} intervals without a point`);
  if (balance.torn.length > 0) offences.push(`${balance.torn.length} sums that do not fit their parts`);
  if (offences.length > 0) offences.push(...balance.torn.slice(0, TORN_MAX), ...examples);
  const numbers = { sent, lost, duplicated, late, wrongInterval, flushLagMs };
  return { ...words, ...numbers, recoveryMs, figure, runs, offences, leftOut: "" };
}

/** A row of a check that could not be done. */
export function leftOut(words: RowWords, why: string): Row {
  const numbers = { sent: 0, lost: 0, duplicated: 0, late: 0, wrongInterval: 0, flushLagMs: 0 };
  return { ...words, ...numbers, recoveryMs: undefined, figure: "", runs: 0, offences: [], leftOut: why };
}

/** Runs something with a cluster that takes lines on all its members. */
export async function withRig<T>(
  { network, logs }: CheckContext,
  options: RigOptions,
  run: (rig: FaultRig) => Promise<T>,
): Promise<T> {
  const rig = await FaultRig.open(network, { ...options, ...(logs !== undefined && { logs }) });
  try {
    for (const name of rig.names) await rig.untilReady(name);
    await rig.source.begin(...rig.names);
    return await run(rig);
  } finally {
    await rig.close();
  }
}

/** The value below which a share of all lies, such as 0.5; 0 of none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}

/** Milliseconds as seconds, for people. */
export function seconds(ms: number): string {
  return ms === Number.POSITIVE_INFINITY ? "never" : `${(ms / 1000).toFixed(2)} s`;
}
