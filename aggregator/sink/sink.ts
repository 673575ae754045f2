/** Sinks: where a leader writes its rows. The registry below is the one place that names them all. */
import type { Clock } from "../../shared/clock.ts";
import type { Random } from "../../shared/random.ts";
import type { RowBatch } from "../row.ts";
import { type CarbonConfig, createCarbonSinks } from "./carbon.ts";
import { type ConsoleConfig, type ConsoleOutput, createConsoleSinks } from "./console.ts";
import type { SinkLosses } from "./queue.ts";

/**
 * What a sink does with a second value for the same name and timestamp, and so what may be resent and
 * amended: `overwrite` keeps the last, `first-wins` the first, `additive` adds them up.
 */
export type SinkClass = "overwrite" | "first-wins" | "additive";

/**
 * A sink as it is now. Counts are since its start, and at any moment rows accepted = sent + lost + queued.
 */
export interface SinkStatus {
  readonly name: string;
  /** `retrying` from a failure until the next success. */
  readonly state: "idle" | "sending" | "retrying";
  /** Memory of the rows not yet delivered, those on their way included. */
  readonly queuedBytes: number;
  readonly queuedRows: number;
  /** Age of the oldest row not yet delivered, in milliseconds; 0 when there is none. */
  readonly oldestMs: number;
  /** Rows that the remote has acknowledged. */
  readonly rowsSent: number;
  /** Rows sent once more, each time counted. */
  readonly rowsRetried: number;
  readonly rowsLost: SinkLosses;
  /** Wall clock of the last success, in milliseconds since 1970. */
  readonly lastSuccessMs?: number;
  /** What the last failure was; stays after a recovery. */
  readonly lastError?: string;
}

/** Where rows go. A sink has its own queue and its own connection, so none waits for another. */
export interface Sink {
  /** As in the configuration, with the address where there are several: `carbon[10.0.0.1:2003]`. */
  readonly name: string;
  readonly sinkClass: SinkClass;
  /**
   * Takes a batch over, in order. Never blocks and never throws: what cannot be kept is counted in rowsLost.
   * The batch and its bytes must not change any more.
   */
  accept(batch: RowBatch): void;
  status(): SinkStatus;
  /**
   * Delivers what is queued without long pauses. deadlineMs: a moment of the context's clock.monotonicMs().
   * Resolves to true when everything queued was delivered. At the deadline the rest is counted as lost
   * (`shutdown`), the sink is closed, and the result is false.
   */
  drain(deadlineMs: number): Promise<boolean>;
  /** Drops the connection and counts what is queued as lost (`shutdown`). */
  close(): void;
}

/** Where sinks report state changes: an event and its fields, never once per row. */
export interface SinkLog {
  error(event: string, fields: Record<string, unknown>): void;
  warn(event: string, fields: Record<string, unknown>): void;
  info(event: string, fields: Record<string, unknown>): void;
  debug(event: string, fields: Record<string, unknown>): void;
}

/** The part of the configuration that sinks read. */
export interface SinkConfig {
  readonly carbon: CarbonConfig;
  readonly console: ConsoleConfig;
}

/** All that a sink may use of the world, besides its own socket. */
export interface SinkContext {
  readonly config: SinkConfig;
  readonly log: SinkLog;
  readonly clock: Clock;
  readonly random: Random;
  /** How output names of this suite's own metrics begin; the console shows them apart. None by default. */
  readonly ownPrefixes?: readonly string[];
  /** Where the console sink writes; standard output by default. */
  readonly output?: ConsoleOutput;
}

/** Every sink there is. A function returns as many sinks as the configuration asks for, perhaps none. */
export const SINKS: Readonly<Record<string, (context: SinkContext) => Sink[]>> = {
  carbon: createCarbonSinks,
  console: createConsoleSinks,
};

/**
 * Makes the sinks named, which the configuration has checked. Nothing is connected before there are rows.
 */
export function openSinks(names: readonly string[], context: SinkContext): Sink[] {
  return names.flatMap((name) => SINKS[name]?.(context) ?? []);
}
